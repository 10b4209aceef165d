"""Plans without execution: EXPLAIN of one statement, also of those whose values the statistics do not keep.

In: a session and a statement's text. Out: a `plan.Plan` that says how its parameters were treated. The statement is
parsed first and must be exactly one SELECT, INSERT, UPDATE, DELETE or MERGE; it is sent without its comments, by the
extended protocol, in a read-only transaction that is rolled back. ANALYZE is never used.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import ColumnStatistics, EngineError, PermissionDenied, Refused, ServerFault
from meshag_tui.engines.postgres import parse, patterns, rewrite, samples
from meshag_tui.engines.postgres.plantree import read_plan
from meshag_tui.engines.postgres.search_path import search_path as path_for
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.sampling import MOST_VARIANTS
from meshag_tui.plan import Plan, PlanMode

if TYPE_CHECKING:
    from psycopg import sql

    from meshag_tui.engines.postgres.session import PostgresSession

EXPLAINABLE = frozenset(("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"))
_OPTIONS = "FORMAT JSON, VERBOSE, COSTS"
_PATTERNS = ("~~", "~~*")
_UNTYPED = re.compile(r"could not determine data type of parameter \$(\d+)")
_names = itertools.count(1)


async def explain(
    session: PostgresSession, statement: str, mode: PlanMode | None = None, search_path: str | None = None
) -> Plan:
    """The plan of a statement, nothing executed.

    Of a write that our role may not explain, what it reads is planned: `Plan.statement` is then that SELECT.

    Args:
        mode: "literal" for a text without parameters, "custom" with sample values from statistics, "generic" without
            values. None takes the first that is possible, in this order.
        search_path: as for SET search_path; None finds one in which the statement's relations exist.

    Raises:
        Refused: the text is not exactly one statement of the allowed kinds, or the mode does not fit it.
        EngineError: the server cannot plan it.
    """
    planner = await Planner.prepare(session, statement, mode, search_path)
    session.prepared[planner.first.statement, planner.first.mode] = planner
    return planner.first


def checked(statement: str) -> parse.Statement:
    """The statement, parsed and of a kind that may be explained.

    Raises:
        Refused: see `explain`.
    """
    found = parse.parse_one(statement)
    if found.node not in EXPLAINABLE:
        raise Refused("Only SELECT, INSERT, UPDATE, DELETE and MERGE are explained")
    if next(parse.find({"x": found.tree}, "intoClause"), None) is not None or found.tree.get("intoClause"):
        raise Refused("SELECT INTO creates a table: it is not explained")
    return found


class Planner:
    """One statement made ready to be planned, any number of times, always with the same values for its parameters."""

    def __init__(self, session: PostgresSession, statement: str, text: str, path: str) -> None:
        self._session = session
        self.path = path
        self.statement = statement
        self.text = text
        self.mode: PlanMode = "literal"
        self.types: tuple[str, ...] = ()
        self.values: tuple[str, ...] = ()
        self.calls = 0  # of the planner
        self._first: Plan | None = None
        self._written: tuple[tuple[str, ...], str] | None = (
            None  # values, and the text with them, found to be one statement
        )

    @classmethod
    async def prepare(
        cls, session: PostgresSession, statement: str, mode: PlanMode | None, search_path: str | None
    ) -> Planner:
        """Check the statement and find how its parameters are to be treated; raises as `explain`."""
        found = checked(statement)
        path = await path_for(session, found) if search_path is None else search_path
        try:
            return await cls._ready(session, statement, found, mode, path)
        except PermissionDenied:
            read = rewrite.reading_part(rewrite.plannable(statement))
            if read is None:
                raise
            return await cls._ready(session, read, checked(read), mode, path)
        except ServerFault:
            # Of a constant that stands twice the statistics may replace one: GROUP BY then misses its expression.
            normal = parse.normalise(statement)
            if not found.parameters or normal in (statement, parse.UNPARSABLE):
                raise
            return await cls._ready(session, normal, checked(normal), mode, path)

    @classmethod
    async def _ready(
        cls, session: PostgresSession, statement: str, found: parse.Statement, mode: PlanMode | None, path: str
    ) -> Planner:
        if not found.parameters:
            if mode not in (None, "literal"):
                raise Refused("The statement has no parameters: its plan is the literal one")
            planner = cls(session, statement, rewrite.without_last_semicolon(statement), path)
            planner._first = await planner._explained(planner.text, ())
            return planner
        if mode == "literal":
            raise Refused("The statement has parameters: choose the custom or the generic plan")
        found = checked(rewrite.plannable(statement))
        planner = cls(session, statement, found.text, path)
        planner.mode = "generic"
        generic = await planner._typed(found)
        if mode == "generic" or not await planner._give_values(found, generic, required=mode == "custom"):
            planner._first = await planner._generic() if session.facts.version_number >= 160000 else generic
        return planner

    def again(self, session: PostgresSession | None = None) -> Planner:
        """The same, with its calls counted anew; planned by another server from now on when its session is given."""
        made = copy(self)
        made.calls = 0
        made._session = session or made._session
        return made

    @property
    def first(self) -> Plan:
        """The plan found when the statement was made ready: with sample values, of several plans the middle one."""
        if self._first is None:
            raise ValueError("not prepared")
        return self._first

    async def plan(self) -> Plan:
        """Plan it again, with the same values, on the server as it is now."""
        if self.mode != "generic":
            return await self._explained(self.text, self.values)
        if self._session.facts.version_number >= 160000:
            return await self._generic()
        return await self._prepared()

    def message(self) -> tuple[str | sql.Composable, ...] | None:
        """What `plan` would send, for one round trip with statements around it; the last one's answer is for `read`.

        None where a plan takes several answers.
        """
        from psycopg import sql

        if self.mode == "generic" and self._session.facts.version_number < 160000:
            return None
        if self._written is None or self._written[0] != self.values:
            text = rewrite.with_values(self.text, self.values, self.types) if self.values else self.text
            checked(text)
            self._written = self.values, text
        text = self._written[1]
        options = f"GENERIC_PLAN, {_OPTIONS}" if self.mode == "generic" else _OPTIONS
        path = sql.SQL("SELECT pg_catalog.set_config('search_path', {}, true)").format(sql.Literal(self.path))
        return (path, f"EXPLAIN ({options}) {text}")

    def read(self, rows: Sequence[Sequence[Any]]) -> Plan:
        """The plan in an answer to `message`."""
        self.calls += 1
        return read_plan(rows[0][0] if rows else None, self.mode, self.statement, self.values)

    # ------------------------------------------------------------------ how

    async def _explained(self, text: str, values: tuple[str, ...]) -> Plan:
        """EXPLAIN of a text without parameters, or with `values` for them."""
        if values:
            text = rewrite.with_values(text, values, self.types)
        checked(text)
        self.calls += 1
        async with self._session.wire.transaction():
            await self._set_path()
            rows = await self._session.fetch(f"EXPLAIN ({_OPTIONS}) {text}")
        return read_plan(rows[0][0] if rows else None, self.mode, self.statement, values)

    async def _generic(self) -> Plan:
        """EXPLAIN (GENERIC_PLAN), PostgreSQL 16 and later."""
        checked(self.text)
        self.calls += 1
        async with self._session.wire.transaction():
            await self._set_path()
            # The extended protocol would want a value for each parameter; the parser found one statement.
            rows = await self._session.fetch(f"EXPLAIN (GENERIC_PLAN, {_OPTIONS}) {self.text}", simple=True)
        return read_plan(rows[0][0] if rows else None, "generic", self.statement)

    async def _prepared(self) -> Plan:
        """The generic plan of a prepared statement, and on the way the types of its parameters."""
        from psycopg import sql

        session, name = self._session, f"meshag_plan_{next(_names)}"
        checked(self.text)
        self.calls += 1
        try:
            async with session.wire.transaction():
                await self._set_path("force_generic_plan")
                await session.fetch(f"PREPARE {name} AS {self.text}")
                rows = await session.fetch(
                    "SELECT pg_catalog.format_type(t, NULL) FROM pg_catalog.pg_prepared_statements p, "
                    "pg_catalog.unnest(p.parameter_types) WITH ORDINALITY u(t, n) WHERE p.name = %s ORDER BY n",
                    (name,),
                )
                self.types = tuple(row[0] for row in rows)
                nulls = sql.SQL(", ").join([sql.NULL] * len(rows))
                rows = await session.fetch(
                    sql.SQL("EXPLAIN ({}) EXECUTE {}({})").format(sql.SQL(_OPTIONS), sql.Identifier(name), nulls)
                )
                await session.fetch(f"DEALLOCATE {name}")
        except EngineError:
            if session.wire.gone is None:  # prepared statements outlive a transaction that failed
                with contextlib.suppress(ServerFault):
                    await session.fetch(f"DEALLOCATE {name}")
            raise
        return read_plan(rows[0][0] if rows else None, "generic", self.statement)

    async def _set_path(self, plan_cache_mode: str = "auto") -> None:
        await self._session.fetch(
            "SELECT pg_catalog.set_config('search_path', %s, true), pg_catalog.set_config('plan_cache_mode', %s, true)",
            (self.path, plan_cache_mode),
        )

    async def _typed(self, found: parse.Statement) -> Plan:
        """The generic plan, with casts where the server cannot tell a type, as in `$1 IS NULL OR a = $1`."""
        for _ in found.parameters:
            try:
                return await self._prepared()
            except ServerFault as error:
                unknown = _UNTYPED.search(str(error))
                if unknown is None:
                    if not (self._type_values(found) or await self._type_elements(found)):
                        raise
                    continue
                number = int(unknown.group(1))
                columns = rewrite.compared_columns(found.tree, number)
                self.text = rewrite.with_type(self.text, number, await self._type_of(found, columns))
        return await self._prepared()

    def _type_values(self, found: parse.Statement) -> bool:
        """Cast the parameters of sums, of which the server says that no operator or function fits; False if none."""
        before = self.text
        for number, type_name in rewrite.untyped_values(found.tree).items():
            if f"${number}::" not in self.text:
                self.text = rewrite.with_type(self.text, number, type_name)
        return self.text != before

    async def _type_elements(self, found: parse.Statement) -> bool:
        """Cast the elements of arrays, which are texts to the server, as the column they are for has it; False if none.

        It says of `numbers && ARRAY[$1]` that no operator takes integer[] and text[].
        """
        before = self.text
        for number, column in rewrite.elements(found.tree).items():
            type_name = await self._type_of(found, (column,))
            if type_name.endswith("[]") and f"${number}::" not in self.text:
                self.text = rewrite.with_type(self.text, number, type_name.removesuffix("[]"))
        return self.text != before

    async def _type_of(self, found: parse.Statement, columns: Sequence[str]) -> str:
        """The type of a column of one of these names in the tables of the statement, "text" where there is none."""
        rows = await self._session.fetch(
            "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a "
            "JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE c.relname = ANY(%s::text[]) "
            "AND a.attname = ANY(%s::text[]) AND a.attnum > 0 ORDER BY c.reltuples DESC LIMIT 1",
            (sorted({relation.name for relation in found.relations}), list(columns)),
        )
        return str(rows[0][0]) if rows else "text"

    async def _give_values(self, found: parse.Statement, generic: Plan, required: bool) -> bool:
        """Plan with sample values; False when there are none, or none that fits the expressions around them."""
        met = samples.compared(generic)
        statistics: dict[tuple[str, str, str], ColumnStatistics] = {}
        elements: dict[tuple[str, str, str], tuple[str, ...]] = {}
        for schema, table in dict.fromkeys((one.schema, one.table) for one in met):
            for one, common in await _statistics(self._session, schema, table):
                statistics[schema, table, one.column] = one
                elements[schema, table, one.column] = common
        leading: dict[int, int] = {}
        if any(one.operator in _PATTERNS for one in met):
            leading = await patterns.leading_text(self._session, self.statement)
        chosen = samples.choose(
            self.types, _arrays(met, self.types), statistics, elements, found.tree, MOST_VARIANTS, leading
        )
        if chosen is None or not chosen.sampled:
            if required:
                raise Refused(
                    "There are no sample values: the statistics of its tables are missing or not ours to read"
                )
            return False
        self.mode = "custom"
        plans = []
        for values in chosen.variants:
            try:
                plans.append(await self._explained(self.text, values))
            except (ServerFault, Refused):  # a sample does not fit the expression around it
                if required:
                    raise
        if not plans:
            self.mode = "generic"
            return False
        plans.sort(key=lambda plan: plan.cost)
        plans = [
            replace(plan, seen_patterns=tuple(plan.parameters[number - 1] for number in leading)) for plan in plans
        ]
        self._first = replace(plans[(len(plans) - 1) // 2], variants=tuple(plans))
        self.values = self._first.parameters
        return True


def _arrays(met: tuple[samples.Parameter, ...], types: tuple[str, ...]) -> tuple[samples.Parameter, ...]:
    """The parameters, marked as arrays where their type says so: `a = ANY ($1)` prints no cast."""
    return tuple(
        replace(one, array=True)
        if one.number <= len(types) and types[one.number - 1].endswith("[]") and one.operator in ("=", "<>")
        else one
        for one in met
    )


async def _statistics(
    session: PostgresSession, schema: str, table: str
) -> list[tuple[ColumnStatistics, tuple[str, ...]]]:
    """The statistics of each column, and of array columns the commonest elements."""
    found = []
    for row in await session.fetch(load("column_statistics"), (schema, table)):
        name, type_name, nulls, distinct, width, common, frequencies, histogram, correlation, elements = row
        statistics = ColumnStatistics(
            column=name,
            type=type_name,
            null_fraction=float(nulls),
            distinct=float(distinct),
            average_width=int(width),
            common_values=tuple(common or ()),
            common_frequencies=tuple(frequencies or ()),
            histogram=tuple(histogram or ()),
            correlation=None if correlation is None else float(correlation),
        )
        found.append((statistics, tuple(elements or ())))
    return found


async def column_statistics(session: PostgresSession, schema: str, table: str) -> tuple[ColumnStatistics, ...]:
    """The planner's statistics of a table (pg_stats), columns in order; empty if never analysed or not ours to read."""
    return tuple([one for one, _ in await _statistics(session, schema, table)])


__all__ = ["Planner", "checked", "column_statistics", "explain"]
