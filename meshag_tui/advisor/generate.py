"""All rules over one database, within a budget of planner calls and time.

One statement that cannot be explained is a note and never stops the others; a rule that could not see everything is
left out of `complete_rules`, so that its earlier suggestions are not taken for resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.bloat import bloat
from meshag_tui.advisor.budget import Budget
from meshag_tui.advisor.calibration import Calibration
from meshag_tui.advisor.combinations import combined
from meshag_tui.advisor.compiling import compiling
from meshag_tui.advisor.correlated import without_idle_keys
from meshag_tui.advisor.dropping import with_plans
from meshag_tui.advisor.examined import Examined, examine, important, statistics_of, typed
from meshag_tui.advisor.foreign_keys import unindexed_foreign_keys
from meshag_tui.advisor.health import sessions, table_health
from meshag_tui.advisor.hygiene import index_hygiene
from meshag_tui.advisor.indexes import serves_spec
from meshag_tui.advisor.judgement import judged
from meshag_tui.advisor.large_tables import large_tables
from meshag_tui.advisor.leaning import Leaning
from meshag_tui.advisor.missing_index import already_suggested
from meshag_tui.advisor.missing_index import suggestions as index_suggestions
from meshag_tui.advisor.missing_keys import missing_foreign_keys
from meshag_tui.advisor.planner import Planner
from meshag_tui.advisor.pricing import Pricer
from meshag_tui.advisor.queries import query_advice
from meshag_tui.advisor.rewrites import RULES as REWRITES
from meshag_tui.advisor.rewrites import unproven
from meshag_tui.advisor.running_out import running_out
from meshag_tui.advisor.search import Choice
from meshag_tui.advisor.seek import seek
from meshag_tui.advisor.spills import once_a_role
from meshag_tui.advisor.statistics import Relation, Tables, tables_of
from meshag_tui.advisor.table_care import table_care
from meshag_tui.advisor.upkeep import upkeep, with_upkeep
from meshag_tui.advisor.written import written
from meshag_tui.engines.base import EngineError, Refused, Session, WhatIf
from meshag_tui.engines.words import Words
from meshag_tui.settings import Settings
from meshag_tui.types import CreateIndex, Risk, SetSetting, ShowIndex, Suggestion, Window

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, QueryRow

PLANNER_CALLS = 3_000
SECONDS = 30.0

CURED = 0.20
"""Part of a statement's cost that an index may leave for it to count as cured of what it spills."""
STATEMENT_RULES = frozenset(
    {
        "missing-index",
        "work-mem-spill",
        "jit-overhead",
        "missing-foreign-key",
        "temp-table-spill",
        "sort-spill",
        "no-index-used",
        "correlated-columns",
        "missing-histogram",
        "or-across-tables",
        "array-membership",
        "heap-fetches",
        "fillfactor",
        "wide-rows",
        "partition-candidate",
        "offset-pagination",
        "not-in-subquery",
        "order-by-random",
        "long-in-list",
        "function-on-column",
        "implicit-cast",
        "leading-wildcard",
        "like-pattern",
        "correlated-subquery",
        "select-star",
        "n-plus-one",
    }
)
INDEX_RULES = frozenset({"index-bloat", "unused-index", "duplicate-index", "redundant-index", "invalid-index"})
TABLE_RULES = frozenset(
    {
        *("stale-statistics", "table-bloat", "autovacuum-off", "autovacuum-late", "no-primary-key"),
        *("transaction-wraparound", "foreign-key-type"),
    }
)
SESSION_RULES = frozenset({"idle-in-transaction", "connection-saturation", "oversized-pool"})


@dataclass(frozen=True)
class Advice:
    """What was found. `complete_rules` saw all they need; `notes` say in one line each what was not seen and why."""

    suggestions: tuple[Suggestion, ...]
    complete_rules: frozenset[str]
    notes: tuple[str, ...]
    planner_calls: int


async def suggestions(
    catalog: Catalog,
    workload: Sequence[QueryRow],
    session: Session,
    settings: Settings,
    *,
    budget_bytes: int | None = None,
    window: Window | None = None,
    seconds: float = SECONDS,
    planner_calls: int = PLANNER_CALLS,
    leaning: Leaning | None = None,
    calibration: Calibration | None = None,
) -> Advice:
    """Everything worth suggesting for one database, the most important first; nothing for a healthy one.

    Args:
        catalog: tables, indexes and the rest as last synced.
        workload: statements of the window, figures as deltas in ms.
        session: read-only; asked for plans, statistics, what-ifs and the SQL of changes.
        budget_bytes: most space for all suggested indexes together; default from the settings.
        window: what `workload` covers; without it no gain per day is given.
        seconds, planner_calls: after these no further plan is asked for.
        leaning: what the texts of other statements than those of `workload` said.
        calibration: what became of such changes before; without it confidence is what the rules say.

    Raises:
        EngineError: the session itself is lost; a statement that cannot be planned is only a note.
    """
    notes: list[str] = []
    budget = Budget(planner_calls, seconds)
    room = budget_bytes if budget_bytes is not None else settings.advice.storage_budget_bytes
    chosen, all_seen = important(workload)
    examined, explained = await examine(chosen, session, budget, notes)
    columns = await statistics_of(examined, session, notes)
    tables = tables_of(catalog, columns)
    examined = [replace(one, predicates=typed(one.predicates, tables)) for one in examined]
    tables = combined(tables, catalog.foreign_keys or (), (one.predicates for one in examined))

    made, search_complete = await _missing(examined, catalog, tables, session, settings, room, window, budget, notes)
    made = without_idle_keys(made, examined, tables)
    made += _foreign_keys(catalog, examined, made, tables, window.span_ms if window is not None else None)
    helped = {query for one in made for query in one.query_ids}
    made += once_a_role(list(query_advice(examined, catalog, tables, helped, cured=_cured(examined, made))))
    made = _said_unproven(made, examined, session)
    made += await compiling(examined, session, notes)
    shown = {
        (one.change.schema, one.change.table, one.change.name) for one in made if isinstance(one.change, ShowIndex)
    }
    leaning = leaning or Leaning(catalog)
    _see(leaning, workload, examined)
    hygiene = index_hygiene(
        catalog,
        settings.advice.unused_index_days,
        _in_alternatives(examined, tables),
        hidden_days=settings.advice.hidden_index_days,
        ordered_by=leaning.ordered,
        hinted=leaning.hinted,
        wanted=shown,
    )
    made += await with_plans(hygiene, examined, session, settings, budget, notes)
    made += await bloat(catalog, columns, session, notes)
    made += [*table_care(catalog, examined, tables), *missing_foreign_keys(examined, catalog, tables)]
    made += large_tables(examined, catalog, tables, helped)
    made += [*table_health(catalog), *running_out(catalog, tables), *sessions(catalog)]

    complete: set[str] = set()
    if all_seen and explained:
        complete |= STATEMENT_RULES if search_complete else STATEMENT_RULES - {"missing-index"}
        complete.add("unindexed-foreign-key")
    complete |= INDEX_RULES | TABLE_RULES
    if catalog.sequences is not None:
        complete.add("sequence-exhaustion")
    if catalog.sessions is not None:
        complete |= SESSION_RULES
    rendered = await _rendered(made, session, complete, notes)
    ready = judged(rendered, examined, catalog, window, calibration or Calibration())
    return Advice(
        tuple(sorted(_once(ready), key=_rank)), frozenset(complete), tuple(dict.fromkeys(notes)), budget.spent
    )


async def _missing(
    examined: Sequence[Examined],
    catalog: Catalog,
    tables: Tables,
    session: Session,
    settings: Settings,
    room: int | None,
    window: Window | None,
    budget: Budget,
    notes: list[str],
) -> tuple[list[Suggestion], bool]:
    sought = await seek(examined, catalog, tables, session, settings, room, budget, notes)
    notes += sought.search.notes
    made = index_suggestions(
        sought.search,
        sought.pricer,
        tables,
        total_ms=sum(one.query.total_time_ms for one in examined),
        span_ms=window.span_ms if window is not None else None,
        what_if=sought.what_if,
        why_unchecked=lambda choice: _why_unchecked(choice, sought.what_if, sought.pricer, session.words),
    )
    return made, sought.search.complete


def _said_unproven(made: Sequence[Suggestion], examined: Sequence[Examined], session: Session) -> list[Suggestion]:
    """The suggestions, those to write a statement otherwise with the other text, where we can write it."""
    texts = {one.query.id: one.query.text for one in examined}
    ready = []
    for one in made:
        text = texts.get(one.query_ids[0]) if one.query_ids else None
        otherwise = session.rewritten(one.rule, text) if text is not None else None
        if one.rule in REWRITES or otherwise is not None:
            one = unproven(one, otherwise)
        ready.append(one)
    return ready


def _cured(examined: Sequence[Examined], made: Sequence[Suggestion]) -> set[int]:
    """Ids of the statements that a suggested index leaves almost nothing of: what they spill goes with it."""
    cured = {
        str(statement["query_id"])
        for one in made
        for statement in one.evidence.get("statements", ())
        if statement["cost_after"] <= CURED * statement["cost_before"]
    }
    return {one.query.id for one in examined if one.query.uid in cured}


def _in_alternatives(examined: Sequence[Examined], tables: Tables) -> set[tuple[str, str, str]]:
    """Columns compared in arms of an OR: an index on one of them waits for its companions."""
    return {
        (*tables.home(one.schema, one.table), one.column)
        for statement in examined
        for one in statement.predicates
        if one.alternatives and one.column is not None
    }


def _see(leaning: Leaning, workload: Sequence[QueryRow], examined: Sequence[Examined]) -> None:
    """Look at the texts of a workload, with the tables that its plans read through views."""
    planned = {
        one.query.id: {node.table.lower() for node in one.plan.root.walk() if node.table is not None}
        for one in examined
        if one.plan is not None
    }
    for query in workload:
        leaning.see(query.text, planned.get(query.id, ()))


def _why_unchecked(choice: Choice, what_if: WhatIf | None, pricer: Pricer, words: Words) -> str:
    if what_if is None:
        return f"{words.no_what_if}."
    unplanned = pricer.unplanned if isinstance(pricer, Planner) else {}
    for one in choice.serves:
        if one.statement.query.id in unplanned:
            return f"{unplanned[one.statement.query.id]}."
    if any(spec.method not in what_if.methods for spec in choice.candidate.specs):
        return "hypothetical indexes cannot be of this method."
    return "its sample values find more rows than calls really do, so this rests on the rows they returned."


def _foreign_keys(
    catalog: Catalog,
    examined: Sequence[Examined],
    made: Sequence[Suggestion],
    tables: Tables,
    span_ms: float | None,
) -> list[Suggestion]:
    deletes: dict[Relation, tuple[int, ...]] = {}
    for one in examined:
        root = one.plan.root if one.plan is not None else None
        if root is not None and root.extra.get("Operation") == "Delete" and root.table and root.schema:
            key = (root.schema, root.table)
            deletes[key] = (*deletes.get(key, ()), one.query.id)
    known = already_suggested(made)
    queries = [one.query for one in examined]
    paid = upkeep(((one.query, one.plan) for one in examined if one.plan is not None), tables, 0.0)
    return [
        with_upkeep(one, paid, span_ms)
        for one in unindexed_foreign_keys(catalog, queries, deletes)
        if isinstance(one.change, CreateIndex)
        and not any(
            serves_spec(spec, one.change.spec)
            for spec in known.get((one.change.spec.schema, one.change.spec.table), ())
        )
    ]


async def _rendered(
    made: Iterable[Suggestion], session: Session, complete: set[str], notes: list[str]
) -> list[Suggestion]:
    """Put the exact SQL to each change; what the engine refuses is left out with a note, or said as steps."""
    ready: list[Suggestion] = []
    undone: set[str | None] = set()
    for one in made:
        if one.change is None:
            ready.append(one)
            continue
        try:
            rendered = await session.render(one.change)
            if isinstance(one.change, CreateIndex) and rendered.undo_sql in undone:
                # The name is free on the server, but one of ours is to have it.
                numbered = _numbered(one.change, len(ready))
                one, rendered = replace(one, change=numbered), await session.render(numbered)
            undone.add(rendered.undo_sql)
        except EngineError as error:
            if error.transient:
                raise
            if isinstance(one.change, SetSetting):  # the statement itself may be changed still
                notes.append(f"{one.title}: {error}")
                ready.append(replace(one, change=None))
                continue
            if error.fix is None:
                notes.append(f"{one.title}: left out, {error}")
                continue
            ready.append(_by_hand(one, error))
            continue
        ready.append(written(one, rendered))
    return ready


def _numbered(change: CreateIndex, number: int) -> CreateIndex:
    """The same index under a name of its own."""
    spec = change.spec
    return CreateIndex(replace(spec, name=f"{spec.table[:40]}_idx{number}"))


def _by_hand(one: Suggestion, error: EngineError) -> Suggestion:
    """The advice stays, with nothing for us to apply: the statement a person could run, and the gentler steps."""
    sql, undo = (error.by_hand if isinstance(error, Refused) else None) or (None, None)
    shown = "The statement shown makes writers wait while it runs. " if sql is not None else ""
    return replace(
        one,
        text=f"{one.text} This is not done for you: {error}. {shown}Without that, by hand: {error.fix}.",
        change=None,
        sql=sql,
        undo_sql=undo,
        risk=Risk.HIGH,
    )


def _once(made: Iterable[Suggestion]) -> list[Suggestion]:
    """One suggestion for an identity and one for a statement to run."""
    seen: set[str] = set()
    kept = []
    for one in made:
        marks = {one.identity, *([one.sql] if one.sql else [])}
        if not marks & seen:
            kept.append(one)
        seen |= marks
    return kept


_ORDER = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}


def _rank(one: Suggestion) -> tuple[int, float, float, str]:
    return _ORDER[one.priority.value], -(one.gain_ms_per_day or 0.0), -one.confidence, one.identity
