"""What would a statement cost if indexes existed, asked of an embedded server that has all but the data.

In: a read-only session with the source and the plans that will be asked for. Out: a `base.WhatIf`. The source is read
once, its catalogue only; from then on everything happens here. An index asked for is really made, on tables of no rows,
and its file made as long as it would be on the source, so any method, operator class, condition or expression can be
planned with, and an index the source has can be left out. The planner is that of the embedded server, with the source's
settings; where it would use an index as the source's cannot (skip scan, before 18), that index is taken from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshag_tui.engines.base import EngineError, Limits, Refused, ServerFault, WhatIfPlan
from meshag_tui.engines.postgres import parse, render
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.explain import Planner
from meshag_tui.engines.postgres.sandbox import source as sources
from meshag_tui.engines.postgres.sandbox.source import Name, Source
from meshag_tui.engines.postgres.threads import in_thread
from meshag_tui.plan import Plan, PlanMode, PlanNode
from meshag_tui.types import DbType, EvidenceKind, IndexSpec, Target, TlsMode

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.sandbox.cluster import Cluster, Entries, Made
    from meshag_tui.engines.postgres.session import PostgresSession

_SKIP_SCANS = 180000  # the first version that looks up later columns of an index for each value of the first
_BEST_GUESSES = 5


async def open_sandbox(session: PostgresSession, plans: Sequence[Plan]) -> StatisticsSandbox:
    """Make a sandbox of the session's database that can plan these statements.

    Raises:
        Refused: this database is not for a sandbox, or there is no server here to make one of; the text says why.
        EngineError: the source could not be read.
    """
    import psycopg

    from meshag_tui.engines.postgres.sandbox.cluster import DATABASE, Cluster
    from meshag_tui.engines.postgres.sandbox.making import PLANNER
    from meshag_tui.engines.postgres.session import PostgresSession
    from meshag_tui.servers.place import ServerUnavailable

    begin = time.monotonic()
    try:
        cluster = await in_thread(Cluster)
        try:
            starting = asyncio.ensure_future(in_thread(cluster.start))
            try:
                source = await sources.read(session, plans)
            finally:
                await asyncio.wait({starting})
            starting.result()
            await in_thread(lambda: cluster.fill(source))
            target = Target(
                DbType.POSTGRES, str(cluster.server.socket_dir), 5432, DATABASE, PLANNER, tls=TlsMode.DISABLE
            )
            planning = await PostgresSession.open(target, "sandbox", Limits())
        except BaseException:
            await in_thread(cluster.close)
            raise
    except (ServerUnavailable, Refused, psycopg.Error, OSError) as error:
        raise Refused(f"the statistics sandbox cannot be made: {error}") from None
    return StatisticsSandbox(
        cluster, source, planning, session.prepared, whole=not plans, prepared_s=time.monotonic() - begin
    )


def missing_programs() -> str | None:
    """Why no sandbox can be made on this machine; None when one can."""
    from meshag_tui.servers.place import ServerUnavailable
    from meshag_tui.servers.postgres import wheel_bindir

    try:
        wheel_bindir()
    except ServerUnavailable as error:
        return str(error)
    return None


class StatisticsSandbox:
    """See `base.WhatIf`. `prepared_s` is how long it took to make, seconds."""

    method: str = "sandbox"
    methods: frozenset[str] = frozenset({"btree", "brin", "hash", "gin", "gist", "spgist"})
    evidence: EvidenceKind = EvidenceKind.PLANNED

    def __init__(
        self,
        cluster: Cluster,
        source: Source,
        session: PostgresSession,
        asked: Mapping[tuple[str, PlanMode], Planner],
        *,
        whole: bool,
        prepared_s: float,
    ) -> None:
        """`asked`: statements made ready to be planned on the source, with the values they are planned with there."""
        self.calls = 0
        self.seconds = 0.0
        self.prepared_s = prepared_s
        self.label = f"statistics sandbox, PostgreSQL {cluster.version} planner"
        self.differs = _differences(cluster, source)
        self._whole = whole
        self._cluster = cluster
        self._session = session
        self._asked = asked
        self._skips = source.version_number < _SKIP_SCANS
        self._first_keys: dict[str, str] = {}
        self._unread = {
            one.home: [column.name for column in one.columns if not column.readable] for one in source.relations
        }
        self._planners: dict[tuple[str, PlanMode | None], Planner] = {}
        self._made: dict[IndexSpec, Made] = {}
        self._refused: dict[IndexSpec, EngineError] = {}
        self._names = itertools.count(1)
        self._lock = asyncio.Lock()

    async def plan(
        self,
        statement: str,
        indexes: Sequence[IndexSpec],
        mode: PlanMode | None = None,
        values: tuple[str, ...] = (),
        without: Collection[Name] = (),
    ) -> WhatIfPlan:
        """The plan of a statement as if these indexes existed, and those of `without` (schema, name) did not.

        Raises:
            Refused: the statement may not be explained, reads what the sandbox has not, or an index cannot be made.
            EngineError: the statement cannot be planned.
        """
        begin = time.monotonic()
        async with self._lock:
            try:
                return await self._plan(statement, indexes, mode, values, without)
            except ServerFault as error:
                raise self._explained(statement, error) from error
            finally:
                self.calls = sum(planner.calls for planner in self._planners.values())
                self.seconds += time.monotonic() - begin

    def holds(self, plans: Sequence[Plan]) -> bool:
        """Whether it has what these plans read."""
        read = {(node.schema, node.table) for plan in plans for node in plan.root.walk() if node.schema and node.table}
        return self._whole or (bool(plans) and read <= self._unread.keys())

    def sees(self, statement: str, index: IndexSpec) -> bool:
        """Indexes are real here."""
        return True

    async def close(self) -> None:
        """End its server; nothing of it is left."""
        self._session.wire.close()
        await in_thread(self._cluster.close)

    # ------------------------------------------------------------------ planning

    async def _plan(
        self,
        statement: str,
        indexes: Sequence[IndexSpec],
        mode: PlanMode | None,
        values: tuple[str, ...],
        without: Collection[Name],
    ) -> WhatIfPlan:
        made = await self._indexes(indexes)
        seen = {one.oid for one in made}
        gone = self._cluster.oids(list(without)) if without else []
        hidden = {one.oid for one in self._made.values()} - seen | set(gone)
        planner = self._planners.get((statement, mode))
        if planner is None:
            known = self._asked.get((statement, mode)) if mode is not None else None
            if known is not None:
                planner = known.again(self._session)
            else:
                await self._hide({one.oid for one in self._made.values()})
                planner = await Planner.prepare(self._session, statement, mode, None)
            self._planners[statement, mode] = planner
        if values and planner.mode == "custom":
            planner.values = values
        plan = await self._without_skips(planner, hidden)
        self._check_read(plan)
        names = {node.index for node in plan.root.walk() if node.index is not None}
        used = tuple(spec for spec, one in zip(indexes, made, strict=True) if one.name in names)
        each = dict(zip(indexes, made, strict=True))
        sizes = {spec: one.size_bytes for spec, one in each.items()}
        return WhatIfPlan(plan, used, sizes, {spec: one.name for spec, one in each.items()})

    async def _without_skips(self, planner: Planner, hidden: set[int]) -> Plan:
        """The plan, with no index read in a way that the source's planner does not know."""
        for _ in range(_BEST_GUESSES):
            await self._hide(hidden)
            message = planner.message()
            if message is None:
                plan = await planner.plan()
            else:
                plan = planner.read((await self._session.wire.batch(message))[-1])
            skipped = [name for name in await self._skipped(plan)] if self._skips else []
            if not skipped:
                break
            hidden = hidden | set(self._cluster.oids(skipped))
        return plan

    async def _skipped(self, plan: Plan) -> list[Name]:
        """Indexes looked up without a condition on their first column."""
        nodes = [
            node
            for node in plan.root.walk()
            if node.index is not None and node.conditions.get("Index Cond") and "Index" in node.kind
        ]
        found = []
        for node in nodes:
            schema = node.schema or _schema_above(plan.root, node)
            first = await self._first_key(schema, str(node.index))
            if first is not None and first not in node.conditions["Index Cond"]:
                found.append((schema, str(node.index)))
        return found

    async def _first_key(self, schema: str, index: str) -> str | None:
        """The first key of a B-tree of several columns, as conditions print it; None for any other index."""
        name = f"{quoted(schema)}.{quoted(index)}"
        if name not in self._first_keys:
            rows = await self._session.fetch(
                "SELECT pg_catalog.pg_get_indexdef(i.indexrelid, 1, true) FROM pg_catalog.pg_index i "
                "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam "
                "WHERE i.indexrelid = pg_catalog.to_regclass(%s) AND m.amname = 'btree' AND i.indnkeyatts > 1",
                (name,),
            )
            self._first_keys[name] = rows[0][0] if rows else ""
        return self._first_keys[name] or None

    async def _hide(self, oids: Collection[int]) -> None:
        self._cluster.hide(oids)

    def _check_read(self, plan: Plan) -> None:
        for node in plan.root.walk():
            unread = self._unread.get((node.schema or "", node.table or ""))
            if unread:
                raise Refused(
                    f"The statistics of {node.schema}.{node.table} ({', '.join(unread[:3])}) are not ours to read"
                )

    def _explained(self, statement: str, error: ServerFault) -> EngineError:
        """What is missing here, when that is why the statement cannot be planned."""
        named = {relation.name for relation in parse.relations(statement)}
        for (schema, name), why in self._cluster.missing.items():
            if name in named:
                return Refused(f"The sandbox has no {schema}.{name}: {why}")
        return Refused(f"The sandbox cannot plan it: {error}")

    # ------------------------------------------------------------------ indexes

    async def _indexes(self, specs: Sequence[IndexSpec]) -> list[Made]:
        """The indexes, those that are not there yet made together; where one is refused, each alone."""
        bare = [replace(spec, name=None) for spec in specs]
        new = [spec for spec in dict.fromkeys(bare) if spec not in self._made and spec not in self._refused]
        if len(new) > 1:
            with contextlib.suppress(Refused, ServerFault):
                self._made |= await self._make(new)
        for spec in bare:
            if spec in self._refused:
                raise self._refused[spec]
            if spec not in self._made:
                try:
                    self._made |= await self._make([spec])
                except EngineError as error:
                    self._refused[spec] = error
                    raise
        return [self._made[spec] for spec in bare]

    async def _make(self, specs: Sequence[IndexSpec]) -> dict[IndexSpec, Made]:
        from meshag_tui.engines.postgres.sandbox.cluster import Wanted

        whole = [await render.checked_parts(self._session, spec) for spec in specs]
        wanted = []
        for one, entries in zip(whole, await self._entries(whole), strict=True):
            name = f"meshag_{next(self._names)}"
            names = {each: quoted(each) for each in [*render.names_in(one), name]}
            definition = render.create_index_sql(one, name, names, concurrently=False)
            wanted.append(Wanted(definition, (one.schema, one.table), name, one.method, entries))
        made = await in_thread(lambda: self._cluster.make(wanted))
        return dict(zip(specs, made, strict=True))

    async def _entries(self, specs: Sequence[IndexSpec]) -> list[Entries]:
        """What the indexes would hold, by the planner's own estimates."""
        from meshag_tui.engines.postgres.sandbox.cluster import Entries

        whole, grouped = [], []
        for spec in specs:
            keys = [f"({one.name})" if one.is_expression else quoted(one.name) for one in spec.columns]
            shown = ", ".join([*keys, *(quoted(name) for name in spec.include)])
            rest = f"FROM {quoted(spec.schema)}.{quoted(spec.table)}" + (f" WHERE {spec.where}" if spec.where else "")
            whole.append(f"SELECT {shown} {rest}")
            grouped.append(f"SELECT {', '.join(keys)} {rest} GROUP BY {', '.join(keys)}")
        try:
            found = await self._estimates([*whole, *grouped])
            keys_of = [distinct for distinct, _ in found[len(whole) :]]
        except ServerFault:  # a type that knows no equality, say
            if len(specs) > 1:
                raise
            found = await self._estimates(whole)
            keys_of = [rows for rows, _ in found]
        return [Entries(rows, width, distinct) for (rows, width), distinct in zip(found, keys_of, strict=False)]

    async def _estimates(self, texts: Sequence[str]) -> list[tuple[float, float]]:
        """Rows and their mean bytes, as the planner expects of each text; one round trip for all."""
        answers = await self._session.wire.batch(
            [f"EXPLAIN (FORMAT JSON) {parse.parse_one(text).text}" for text in texts]
        )
        plans = [rows[0][0][0]["Plan"] for rows in answers]
        return [(float(top["Plan Rows"]), float(top["Plan Width"])) for top in plans]


def _schema_above(root: PlanNode, wanted: PlanNode) -> str:
    """The schema of a bitmap's index: that of the table above it."""
    best = ""
    for node in root.walk():
        if node.schema and wanted.path.startswith(node.path):
            best = node.schema
    return best


def _differences(cluster: Cluster, source: Source) -> tuple[str, ...]:
    """What is not as on the source, in a few words each."""
    found = []
    if cluster.version.partition(".")[0] != str(source.version_number // 10_000):
        found.append(f"the source is PostgreSQL {source.version}")
    found += cluster.notes
    known = {one.home for one in source.relations}
    lost = [f"{schema}.{name}" for schema, name in cluster.missing if (schema, name) in known]
    if lost:
        found.append(f"without {', '.join(sorted(lost)[:5])}{' and others' if len(lost) > 5 else ''}")
    others = len(cluster.missing) - len(lost)
    if others:
        found.append(f"without {others} types, indexes or constraints that it cannot make")
    return tuple(found)


__all__ = ["StatisticsSandbox", "missing_programs", "open_sandbox"]
