"""What would a statement cost if indexes existed: which back end says so, and HypoPG, seen by nobody else.

In: a session on a database with the extension, a statement, index specs. Out: `base.WhatIfPlan`. Nothing is created:
a hypothetical index lives in our backend's memory. Each call plans from scratch: a prepared plan keeps no track of
hypothetical indexes. HypoPG 1.3 and 1.4 know btree, hash, brin and bloom; for other methods its refusal is raised.

An index on some rows is only given to HypoPG for a statement that reads that one table by its own name: for any other
its condition is about whichever relation the statement names first, so that no plan uses it, and of 1.4 it is reported
that the server then goes down with all its sessions, where a view is between.

`size_bytes` is HypoPG's estimate: it knows no deduplication and adds a fifth, so an index on a column of few values is
said to be three to four times its real size.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from psycopg import sql

from meshag_tui.engines.base import EngineError, Refused, WhatIf, WhatIfPlan
from meshag_tui.engines.postgres import parse, render
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.explain import Planner
from meshag_tui.engines.postgres.sandbox import missing_programs
from meshag_tui.plan import Plan, PlanMode
from meshag_tui.types import EvidenceKind, IndexSpec, WhatIfChoice

Name = tuple[str, str]

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession


async def what_if(
    session: PostgresSession, choice: WhatIfChoice, plans: Sequence[Plan], notes: list[str]
) -> WhatIf | None:
    """What answers for this session: see `base.Session.what_if`.

    HypoPG is not used where a pooler gives us many backends; a sandbox asks the server for its catalogue alone.
    """
    if choice == "off":
        return None
    schema = session.extension_schema("hypopg")
    if choice != "sandbox" and schema is not None and session.wire.settings_taken:
        return HypoPG(session, schema)
    if choice == "hypopg":
        notes.append("Indexes are not priced by a planner: HypoPG is not in this database, or behind a pooler")
        return None
    why = missing_programs()
    if why is not None:
        if choice == "sandbox":
            notes.append(f"Indexes are not priced by a planner: {why}")
        return None
    try:
        return await session.sandbox(plans)
    except EngineError as error:
        if session.wire.gone is not None:
            raise
        notes.append(f"Indexes are not priced by a planner: {error}")
        return None


class HypoPG:
    """See `base.WhatIf`. A statement's sample values are chosen once, so that its plans can be compared."""

    method: str = "hypopg"
    differs: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset({"btree", "brin", "hash"})
    evidence: EvidenceKind = EvidenceKind.PLANNED

    def __init__(self, session: PostgresSession, schema: str) -> None:
        self.label = f"HypoPG on the server, PostgreSQL {session.facts.version} planner"
        self.calls = 0  # of the planner, those for choosing sample values included
        self.seconds = 0.0
        self._session = session
        self._schema = sql.Identifier(schema)
        self._planners: dict[tuple[str, PlanMode | None], Planner] = {}
        self._definitions: dict[IndexSpec, str] = {}
        self._alone: dict[str, Name | None] = {}  # the one table that a statement reads
        self._there = False  # hypothetical indexes, in the backend

    def sees(self, statement: str, index: IndexSpec) -> bool:
        """Not on some rows, unless the statement reads its table alone."""
        if index.where is None:
            return True
        if statement not in self._alone:
            self._alone[statement] = _only_table(statement)
        alone = self._alone[statement]
        return alone is not None and alone[1] == index.table and alone[0] in ("", index.schema)

    async def plan(
        self,
        statement: str,
        indexes: Sequence[IndexSpec],
        mode: PlanMode | None = None,
        values: tuple[str, ...] = (),
        without: Collection[tuple[str, str]] = (),
    ) -> WhatIfPlan:
        """The plan of a statement as if these indexes existed.

        Raises:
            Refused: the statement may not be explained, a spec holds what an index may not, or an index is to be left
                out, which HypoPG cannot do before 1.4.
            EngineError: the server cannot plan it, or HypoPG does not take an index.
        """
        if without:
            raise Refused("HypoPG leaves no index out")
        indexes = [spec for spec in indexes if self.sees(statement, spec)]
        begin = time.monotonic()
        try:
            return await self._plan(statement, indexes, mode, values)
        finally:
            self.seconds += time.monotonic() - begin
            self.calls = sum(planner.calls for planner in self._planners.values())

    async def _plan(
        self, statement: str, indexes: Sequence[IndexSpec], mode: PlanMode | None, values: tuple[str, ...]
    ) -> WhatIfPlan:
        planner = self._planners.get((statement, mode))
        if planner is None:
            await self._reset()
            planner = self._session.prepared.get((statement, mode)) if mode is not None else None
            if planner is None:
                planner = await Planner.prepare(self._session, statement, mode, None)
            else:
                planner = planner.again()
            self._planners[statement, mode] = planner
            if not indexes and values in ((), planner.values):
                return WhatIfPlan(planner.first, (), {})
        if values and planner.mode == "custom":
            planner.values = values
        definitions = [await self._definition(spec) for spec in indexes]
        message = planner.message()
        if message is None:
            plan, made = await self._in_steps(planner, definitions)
        else:
            plan, made = await self._at_once(planner, message, definitions)
        names = _index_names(plan)
        used = tuple(spec for spec, (name, _) in zip(indexes, made, strict=True) if name in names)
        each = dict(zip(indexes, made, strict=True))
        sizes = {spec: size for spec, (_, size) in each.items()}
        return WhatIfPlan(plan, used, sizes, {spec: name for spec, (name, _) in each.items()})

    async def _at_once(
        self, planner: Planner, message: Sequence[str | sql.Composable], definitions: Sequence[str]
    ) -> tuple[Plan, list[tuple[str, int]]]:
        """Make the indexes, plan and take them away in one round trip."""
        reset, made = self._resetting(), []
        before = [reset, self._creating(definitions)] if definitions else []
        try:
            self._there = bool(definitions)
            answers = await self._session.wire.batch([*before, *message, *([reset] if definitions else [])])
            self._there = False
        finally:
            if self._session.wire.gone is None:
                await self._reset()
        if definitions:
            made = self._made(answers[1], definitions)
        return planner.read(answers[-2 if definitions else -1]), made

    async def _in_steps(self, planner: Planner, definitions: Sequence[str]) -> tuple[Plan, list[tuple[str, int]]]:
        """The same for a plan that takes several answers."""
        await self._reset()
        try:
            made: list[tuple[str, int]] = []
            if definitions:
                self._there = True
                made = self._made(await self._session.fetch(self._creating(definitions)), definitions)
            return await planner.plan(), made
        finally:
            if self._session.wire.gone is None:
                await self._reset()

    def _creating(self, definitions: Sequence[str]) -> sql.Composable:
        """Answers with the name and the estimated size of each hypothetical index, in the order given."""
        return sql.SQL(
            "SELECT h.indexname::text, {schema}.hypopg_relation_size(h.indexrelid)::bigint "
            "FROM pg_catalog.unnest(ARRAY[{definitions}]::text[]) WITH ORDINALITY d(text, number), "
            "LATERAL {schema}.hypopg_create_index(d.text) h ORDER BY d.number"
        ).format(schema=self._schema, definitions=sql.SQL(", ").join(map(sql.Literal, definitions)))

    @staticmethod
    def _made(rows: Sequence[Sequence[Any]], definitions: Sequence[str]) -> list[tuple[str, int]]:
        if len(rows) != len(definitions):
            raise Refused("HypoPG did not take an index")
        return [(name, size) for name, size in rows]

    def _resetting(self) -> sql.Composable:
        return sql.SQL("SELECT {}.hypopg_reset()").format(self._schema)

    async def _reset(self) -> None:
        if self._there:
            await self._session.fetch(self._resetting())
            self._there = False

    async def _definition(self, spec: IndexSpec) -> str:
        """CREATE INDEX for a spec, every name quoted and every expression written anew."""
        if spec not in self._definitions:
            self._definitions[spec] = await self._written(spec)
        return self._definitions[spec]

    async def _written(self, spec: IndexSpec) -> str:
        whole = await render.checked_parts(self._session, spec)
        names = {name: quoted(name) for name in render.names_in(whole)}
        return render.create_index_sql(whole, None, names, concurrently=False)


def _only_table(statement: str) -> Name | None:
    """Schema, if said, and name of the one table a statement reads, once and with no query in it; else None."""
    try:
        tree = parse.parse_one(statement).tree
    except Refused:
        return None
    read = [*parse.find({"x": tree}, "RangeVar"), *([tree["relation"]] if "relation" in tree else [])]
    inside = any(next(parse.find(tree, name), None) is not None for name in ("SelectStmt", "CommonTableExpr"))
    return (read[0].get("schemaname", ""), read[0].get("relname", "")) if len(read) == 1 and not inside else None


def _index_names(plan: Plan) -> set[str]:
    return {node.index for node in plan.root.walk() if node.index is not None}
