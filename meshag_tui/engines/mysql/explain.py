"""Plans without execution: EXPLAIN of what a statement reads, also of one whose values the statistics do not keep.

In: a session and a statement's text or digest. Out: a `plan.Plan` that says how its values were found. Nothing but one
SELECT that calls only harmless functions is ever sent (`explainable`), in our read-only session, never with ANALYZE. Of
a statement whose values are not known, the text that MySQL keeps as its sample is planned, and no literal of it is left
in the plan; else sample values from its columns are put in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import ColumnStatistics, EngineError, PermissionDenied, Refused, ServerFault
from meshag_tui.engines.mysql import digest, parse, plantree, samples, selectivity, statistics
from meshag_tui.engines.mysql.answer import Answer, filtered_tables, masked, masked_document, read_document, written
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.explainable import (
    Explainable,
    called,
    checked,
    explainable,
    refuse_effects,
    without_hints,
)
from meshag_tui.engines.mysql.lexer import Token, joined, words
from meshag_tui.engines.mysql.planscan import Surroundings
from meshag_tui.engines.mysql.predicates import Scan, comparisons
from meshag_tui.engines.mysql.resolve import MARK, meetings
from meshag_tui.engines.mysql.resolved import resolved
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.survey import Surveyed, home_of, survey
from meshag_tui.plan import Plan, PlanMode, PlanNode, shape_hash

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

OUR_SCHEMA = "information_schema"
"""The default schema of our sessions: by it our own statements are told from the application's."""
_MEMORY = ("sort_buffer_size", "join_buffer_size", "tmp_table_size", "max_heap_table_size")


class Planning:
    """What a session remembers between plans: the statistics of tables it has looked at."""

    def __init__(self, session: MysqlSession) -> None:
        self._session = session
        self._statistics: dict[tuple[str, str], dict[str, ColumnStatistics]] = {}
        self._version_set = False

    async def column_statistics(self, schema: str, table: str) -> tuple[ColumnStatistics, ...]:
        """See `statistics.column_statistics`; each table is looked at once in a session."""
        if (schema, table) not in self._statistics:
            found = await statistics.column_statistics(self._session, schema, table)
            self._statistics[schema, table] = {one.column: one for one in found}
        return tuple(self._statistics[schema, table].values())

    async def explain(self, statement: str, mode: PlanMode | None = None, search_path: str | None = None) -> Plan:
        """The plan of a statement, nothing executed.

        Args:
            mode: "literal" for a text with its own values, "custom" with the server's sample or values from columns,
                "generic" with values of the right types that nobody holds. None takes the first that is possible.
            search_path: the schema of unqualified names; None is that of the connection, else finds one. The same
                statement may run in others, and have other indexes and other people's values there.

        Raises:
            Refused: the text is not exactly one statement of the allowed kinds, planning it could do something, or the
                mode does not fit it.
            EngineError: the server cannot plan it.
        """
        found = await asyncio.to_thread(explainable, statement)  # parsing takes up to some 100 ms
        repaired = digest.repaired(found.words)
        places = digest.values_of(repaired)
        if not places and mode not in (None, "literal"):
            raise Refused("The statement has no parameters: its plan is the literal one")
        if places and mode == "literal":
            raise Refused("The statement has parameters: choose the custom or the generic plan")
        schema, kept = await self._home(statement, search_path, kept=bool(places))
        if not repaired:
            return await self._reads_nothing(found, schema)
        if places and mode in (None, "custom"):
            for _, text in kept:
                with suppress(EngineError):
                    if text is not None and (plan := await self._of_sample(statement, text, schema)) is not None:
                        return plan
                if self._session.wire.gone is not None:
                    break
        surveyed = await self._survey(repaired, schema)
        repaired = digest.with_names(repaired, surveyed.names)
        if not places:
            return await self._planned(found, repaired, schema, surveyed, "literal")
        return await self._with_samples(found, repaired, schema, surveyed, mode)

    async def home(self, statement: str) -> str | None:
        """The schema of a statement's bare names: the connection's, else where it ran, else one that has them all."""
        return (await self._home(statement, None, kept=False))[0]

    async def _home(
        self, statement: str, search_path: str | None, *, kept: bool
    ) -> tuple[str | None, list[tuple[str | None, str | None]]]:
        """See `home`, and what is kept of the statement there, if that is wanted."""
        own = self._session.facts.database
        schema = search_path or (own if own and own not in parse.SYSTEM_SCHEMAS else None)
        found = await self._kept(statement, schema) if kept or schema is None else []
        schema = schema or next((home for home, _ in found if home), None)
        return schema or await home_of(self._session, words(statement)), found

    # ------------------------------------------------------------------ values

    async def _kept(self, statement: str, schema: str | None) -> list[tuple[str | None, str | None]]:
        """What performance_schema keeps of this digest, in this schema or any: (schema, a text), the busiest first."""
        facts = self._session.facts
        if facts.settings.get("performance_schema", "").upper() not in ("ON", "1"):
            return []
        query = load("kept_of_digest").format(sample="QUERY_SAMPLE_TEXT" if facts.engine == "MySQL" else "NULL")
        asked = {"text": statement.strip(), "schema": schema}
        try:
            return [(home, text) for home, text in await self._session.fetch(query, asked)]
        except PermissionDenied:
            return []

    async def _of_sample(self, statement: str, text: str, schema: str | None) -> Plan | None:
        """The plan of a text that the server keeps; None where it is of another statement, is cut, or finds nothing."""
        if parse.fingerprint(text) != parse.fingerprint(statement):
            return None
        found = await asyncio.to_thread(explainable, text)
        if any(one.kind == "parameter" for one in found.words):  # of a prepared statement: no values in it
            return None
        surveyed = await self._survey(found.words, schema)
        plan = await self._planned(found, found.words, schema, surveyed, "custom", kept=True)
        return None if plantree.is_nothing(plan.root) else replace(plan, statement=statement)

    async def _with_samples(
        self,
        found: Explainable,
        repaired: Sequence[Token],
        schema: str | None,
        surveyed: Surveyed,
        mode: PlanMode | None,
    ) -> Plan:
        count = len(digest.values_of(repaired))
        marked = joined(digest.with_values(repaired, [f"'{MARK}{number}'" for number in range(count)]))
        tree = await asyncio.to_thread(parse.tree, without_hints(marked))
        met = meetings(tree, surveyed.catalogue)
        known: dict[tuple[str, str, str], ColumnStatistics] = {}
        for schema_name, table in {(one.schema, one.table) for one in met.values()}:
            if mode != "generic" and schema_name is not None and table is not None:
                for one in await self.column_statistics(schema_name, table):
                    known[schema_name, table, one.column] = one
        chosen = samples.choose(count, met, surveyed.types, known)
        if mode == "custom" and not chosen.sampled:
            raise Refused("There are no sample values: its tables are empty, or not ours to read")
        mode = "custom" if chosen.sampled else "generic"
        texts: list[tuple[tuple[str, ...], str]] = []
        refused: EngineError | None = None
        for values in chosen.variants:
            try:
                text = joined(digest.with_values(repaired, values))
                texts.append((values, await asyncio.to_thread(checked, text)))
            except Refused as error:
                refused = error
        plans: list[Plan] = []
        nothing: Plan | None = None
        answers = await self._asked([text for _, text in texts], schema)
        for (values, _), answer in zip(texts, answers, strict=True):
            if isinstance(answer, EngineError):  # a sample does not fit the expression around it
                refused = answer
                continue
            plan = await self._plan(found, answer, schema, surveyed, mode, values)
            if plantree.is_nothing(plan.root):
                nothing = nothing or plan
            else:
                plans.append(plan)
        if plans:
            plans.sort(key=lambda plan: plan.cost)
            return plans[(len(plans) - 1) // 2]
        if nothing is not None:
            return nothing
        raise refused or Refused("There are no sample values")

    # ------------------------------------------------------------------ asking

    async def _survey(self, parts: Sequence[Token], schema: str | None) -> Surveyed:
        """Look the tables up, and refuse what a view or a stored function of this server would do."""
        surveyed = await survey(self._session, parts, schema)
        names = set(called(parts))
        for text in surveyed.catalogue.views.values():
            view = words(text)
            refuse_effects(view)
            names |= set(called(view))
        if names and schema is not None:
            stored = await self._session.fetch(load("stored_functions"), {"schema": schema, "names": sorted(names)})
            if stored:
                raise Refused(f"The statement calls the stored function {stored[0][0]}, which EXPLAIN could run")
        return surveyed

    async def _planned(
        self,
        found: Explainable,
        parts: Sequence[Token],
        schema: str | None,
        surveyed: Surveyed,
        mode: PlanMode,
        *,
        kept: bool = False,
    ) -> Plan:
        """EXPLAIN of these words. `kept`: their literals are somebody's data, and none is to be left."""
        text = await asyncio.to_thread(checked, joined(parts))
        answer = (await self._asked([text], schema))[0]
        if isinstance(answer, EngineError):
            raise answer
        return await self._plan(found, answer, schema, surveyed, mode, kept=kept)

    async def _plan(
        self,
        found: Explainable,
        answer: Answer,
        schema: str | None,
        surveyed: Surveyed,
        mode: PlanMode,
        values: tuple[str, ...] = (),
        *,
        kept: bool = False,
    ) -> Plan:
        root = await self._tree(answer, schema, surveyed)
        document: Any = answer.document
        if kept:
            root, document = masked(root), masked_document(document)
        root = written(found, root, schema)
        return Plan(root, mode, shape_hash(root), document, found.text, values)

    async def _asked(self, texts: Sequence[str], schema: str | None) -> list[Answer | ServerFault]:
        """EXPLAIN of each text, each checked just before; what the server refuses of one does not stop the others."""
        session = self._session
        if session.facts.settings.get("explain_json_format_version", "1") != "1" and not self._version_set:
            await session.fetch("SET SESSION explain_json_format_version = 1")
            self._version_set = True
        found: list[Answer | ServerFault] = []
        async with self._within(schema):
            for text in texts:
                try:
                    found.append(await self._answer(text))
                except ServerFault as error:
                    found.append(error)
        return found

    async def _answer(self, text: str) -> Answer:
        fetch = self._session.fetch
        if self._session.facts.engine == "MySQL":
            rows = await fetch(f"EXPLAIN FORMAT=JSON {text}")
            notes = await fetch("SHOW WARNINGS")
        else:  # the resolved text goes with the table form only
            await fetch(f"EXPLAIN EXTENDED {text}")
            notes = await fetch("SHOW WARNINGS")
            rows = await fetch(f"EXPLAIN FORMAT=JSON {text}")
        return Answer(read_document(rows), [(int(code), str(note)) for _, code, note in notes])

    @asynccontextmanager
    async def _within(self, schema: str | None) -> AsyncIterator[None]:
        """With another default schema, so that unqualified names mean what they mean to the application."""
        if schema is None:
            yield
            return
        await self._session.fetch(f"USE {quoted(schema)}")
        try:
            yield
        finally:
            if self._session.wire.gone is None:
                await self._session.fetch(f"USE {quoted(OUR_SCHEMA)}")

    async def _tree(self, answer: Answer, schema: str | None, surveyed: Surveyed) -> PlanNode:
        settings = self._session.facts.settings
        memory = {name: int(settings[name]) for name in _MEMORY if settings.get(name, "").isdigit()}
        if "tmp_table_size" in memory and "max_heap_table_size" in memory:
            memory["tmp_table_size"] = min(memory["tmp_table_size"], memory["max_heap_table_size"])
        around = Surroundings(
            flavour=self._session.facts.engine,
            costs=self._session.facts.costs,
            resolved=resolved(answer.resolved_text),
            sizes=surveyed.sizes,
            memory=memory,
            unusable=answer.unusable,
            dependent=answer.dependent,
            default_schema=schema,
            aliases=surveyed.aliases,
        )
        filtered = filtered_tables(answer.document)
        for select in around.resolved.selects.values():
            for alias, (home, table) in select.tables.items():
                if alias in filtered or alias in "".join(select.group_keys):
                    with suppress(PermissionDenied):
                        await self.column_statistics(home, table)
        around = replace(around, keeps=self._keeps(surveyed), groups=self._groups())
        return plantree.read_tree(answer.document, around)

    def _known(self, schema: str, table: str, column: str) -> ColumnStatistics | None:
        return self._statistics.get((schema, table), {}).get(column)

    def _keeps(self, surveyed: Surveyed) -> Callable[[str, str, str, str], float | None]:
        def rows(schema: str, table: str) -> float:
            size = surveyed.sizes.get((schema, table))
            return max(1.0, size.rows) if size is not None else 1000.0

        def keeps(schema: str, table: str, alias: str, condition: str) -> float | None:
            if not self._statistics.get((schema, table)):
                return None
            found = comparisons(condition, {alias: Scan(schema, table, alias)})
            return selectivity.share(found, self._known, rows) if found else None

        return keeps

    def _groups(self) -> Callable[[Sequence[str], Mapping[str, tuple[str, str]], float], float | None]:
        def groups(keys: Sequence[str], tables: Mapping[str, tuple[str, str]], rows: float) -> float | None:
            total = 1.0
            for key in keys:
                alias, _, column = key.partition(".")
                schema, table = tables.get(alias, ("", ""))
                different = selectivity.distinct(self._known(schema, table, column.strip("`")), rows)
                if different is None:
                    return None
                total *= different
            return total

        return groups

    async def _reads_nothing(self, found: Explainable, schema: str | None) -> Plan:
        """INSERT … VALUES: there is nothing to be planned, and the server is not asked."""
        node = PlanNode("0.0", "Result", 0.0, 0.0, 1.0, 0, extra={"Message": "reads no table"})
        root = written(found, node, schema)
        return Plan(root, "literal", shape_hash(root), {"message": "reads no table"}, found.text)


__all__ = ["Planning"]
