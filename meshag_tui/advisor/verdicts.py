"""Why a statement gets no index, or these: every candidate with what it would cost, and what speaks against it.

The same search is made as for suggestions, over the whole workload; then each index that could serve this one statement
is priced for it alone, and the first thing that stood in its way is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.budget import Budget, OutOfBudget
from meshag_tui.advisor.candidates import describe, relations_of, there_already
from meshag_tui.advisor.combinations import combined
from meshag_tui.advisor.configurations import Known
from meshag_tui.advisor.examined import PLANNED_KINDS, Examined, examine, important, statistics_of, typed
from meshag_tui.advisor.pricing import Statement
from meshag_tui.advisor.seek import BROAD, Sought, seek
from meshag_tui.advisor.selection import Selection
from meshag_tui.advisor.statistics import SMALL_PAGES, Tables, tables_of
from meshag_tui.engines.base import Session
from meshag_tui.figures import count, duration, percent, size
from meshag_tui.settings import Settings
from meshag_tui.types import IndexSpec

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, QueryRow

MOST_PRICED = 40
CALLS = 2_000
SECONDS = 30.0
_HARDLY = 0.001


@dataclass(frozen=True)
class Verdict:
    """One index that could serve the statement. `cost` is the statement's with it alone; None: it was not priced."""

    schema: str
    table: str
    keys: str
    method: str
    size_bytes: int
    cost: float | None
    gain: float | None  # share of the present cost saved, 0..1
    chosen: bool
    why: str


@dataclass(frozen=True)
class Why:
    """The answer. `said` are sentences about the statement as a whole; `priced_by` says how prices are known."""

    query_id: str
    cost: float | None
    method: str  # "hypopg", "sandbox", "reckoned"
    priced_by: str  # the same in words, with the planner's version
    said: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    planner_calls: int


async def why(
    query: QueryRow,
    workload: Sequence[QueryRow],
    catalog: Catalog,
    session: Session,
    settings: Settings,
    room: int | None = None,
) -> Why:
    """Explain what is suggested for one statement, and what is not.

    Args:
        query: one of the workload.
        room: bytes that new indexes may take; None: what the settings say.

    Raises:
        EngineError: the session is lost.
    """
    budget = Budget(CALLS, SECONDS)
    chosen, _ = important(workload)
    shown = [one for one in chosen if one[0].id == query.id]
    whole = sum(one.total_time_ms for one in workload) or 1.0
    share = query.total_time_ms / whole
    said = [f"It takes {percent(share)} of the time of all statements: {duration(query.total_time_ms)} in the window."]
    if not shown:
        said.append("That is too little for it to be looked at unasked; it was looked at now.")
        chosen = [*chosen, (query, share)]
    notes: list[str] = []
    examined, _ = await examine(chosen, session, budget, notes)
    mine = next(one for one in examined if one.query.id == query.id)
    plan = mine.plan
    if plan is None:
        said.append(next((note for note in notes if query.uid in note), _not_planned(query)))
        return Why(query.uid, None, "none", "nothing", tuple(said), (), budget.spent)
    tables = tables_of(catalog, await statistics_of(examined, session, notes))
    examined = [replace(one, predicates=typed(one.predicates, tables)) for one in examined]
    tables = combined(tables, catalog.foreign_keys or (), (one.predicates for one in examined))
    mine = next(one for one in examined if one.query.id == query.id)
    limit = room if room is not None else settings.advice.storage_budget_bytes
    asked = settings._replace(advice=settings.advice._replace(planner_calls=CALLS // 2))
    sought = await seek(examined, catalog, tables, session, asked, limit, budget, notes)
    said += _of_tables(mine, tables, sought)
    statement = next((one for one in sought.statements if one.query.id == query.id), None)
    verdicts = await _verdicts(statement, sought, tables) if statement is not None else []
    if statement is not None and not any(one.chosen for one in verdicts):
        said.append("No index is suggested for it; each that could serve it is below, with what speaks against it.")
    method, priced_by = "reckoned", "planner formulas and column statistics"
    if sought.what_if is not None:
        method, priced_by = sought.what_if.method, sought.what_if.label
    return Why(query.uid, plan.cost, method, priced_by, tuple(said), tuple(verdicts), budget.spent)


def unseen(query: QueryRow) -> Why:
    """The answer for a statement that is not among those that are looked at: it did not run, or is no application's."""
    if query.internal or query.kind not in PLANNED_KINDS:
        said = (
            f"It reads the server's own catalogue, ran in another database, or is of a kind ({query.kind}) that no "
            "index serves: indexes are looked for only for what applications read and write here."
        )
    else:
        said = "It did not run in the window, so there is no time that an index could save; look at a longer one."
    return Why(query.uid, None, "none", "nothing", (said,), (), 0)


def _not_planned(query: QueryRow) -> str:
    if query.text_state != "ok":
        return f"Its text is {query.text_state}, so it cannot be planned."
    return f"A statement of this kind ({query.kind}) is not planned: no index serves it."


def _of_tables(one: Examined, tables: Tables, sought: Sought) -> list[str]:
    """What holds for the tables it reads, whatever the index."""
    plan, said = one.plan, []
    if plan is None:
        return []
    for relation in dict.fromkeys(relation for relation, _ in relations_of(plan, one.predicates)):
        view = tables.view(*relation)
        name = ".".join(relation)
        if view is None:
            said.append(f"Nothing is known of {name}: it was not there at the last sync.")
        elif view.stats.kind == "foreign":
            said.append(f"{name} is a foreign table: what serves it is on another server.")
        elif view.small:
            said.append(
                f"{name} is smaller than {SMALL_PAGES} pages: reading it whole costs no more than an index would."
            )
    for spec, index in there_already(plan, one.predicates, tables, sought.usage):
        said.append(f"{index.name} on {spec.table} already does what an index on ({describe(spec)}) would.")
    if not any(each.query.id == one.query.id for each in sought.statements):
        statement = Statement(one.query, plan, one.predicates, (), one.query.total_time_ms)
        broad = statement.least_share(tables)
        if not relations_of(plan, one.predicates):
            said.append("Its plan reads no table, so no index could serve it; what functions do inside is not in it.")
        elif statement.slight:
            said.append("Its calls read a handful of pages or rows as it is: no index could spare them much.")
        elif broad > BROAD:
            said.append(
                f"Its calls return {percent(broad)} of the table: no index reads so much faster than the table."
            )
        else:
            said.append("Nothing that it compares, joins or sorts by could be looked up in an index that is not there.")
    return list(dict.fromkeys(said))


async def _verdicts(statement: Statement, sought: Sought, tables: Tables) -> list[Verdict]:
    selection = sought.search.selection
    if selection is None:
        return []
    workload, taken = selection.workload, sought.search.taken
    known = next(one for one in workload.known if one.statement is statement)
    wanted = [candidate.specs for candidate in statement.candidates]
    wanted += [(workload.specs[bit],) for bit in workload.of(taken & known.relevant)]
    made: dict[tuple[IndexSpec, ...], Verdict] = {}
    for specs in dict.fromkeys(wanted):
        mask = workload.mask(specs)
        try:
            answer = await workload.ask(known, mask) if len(made) < MOST_PRICED else known.find(mask)
        except OutOfBudget:
            answer = known.find(mask)
        if mask & known.left:
            answer = None
        gain = None if answer is None or not known.base else (known.base - answer.cost) / known.base
        refusal = next((sought.refused[spec] for spec in specs if spec in sought.refused), None)
        chosen = mask & taken == mask
        made[specs] = Verdict(
            schema=specs[0].schema,
            table=specs[0].table,
            keys=" and ".join(describe(spec) for spec in specs),
            method=specs[0].method,
            size_bytes=workload.size(mask),
            cost=None if answer is None else answer.cost,
            gain=gain,
            chosen=chosen,
            why=_said(selection, known, mask, taken, gain, refusal),
        )
    return sorted(made.values(), key=lambda one: (not one.chosen, -(one.gain or 0.0), one.size_bytes, one.keys))


def _said(selection: Selection, known: Known, mask: int, taken: int, gain: float | None, refusal: str | None) -> str:
    """The first thing that stands in the way of an index, or that nothing does."""
    if mask & taken == mask:
        return "suggested" if gain is not None and gain > _HARDLY else "suggested for other statements"
    if refusal is not None:
        return f"the server refuses it: {refusal}"
    if mask & known.left:
        return "it would be read from end to end: a second copy of the table in another order"
    if gain is None:
        return "it was not priced: the planner was asked as often as we allow ourselves"
    if gain < -_HARDLY:
        return "the planner would use it, and its visits to the table would take longer than what is done now"
    if gain <= _HARDLY:
        return "the planner would not use it"
    alone = selection.merits(mask, 0)
    if alone.gain < alone.wanted:
        if alone.cheap_gain >= alone.wanted:
            return f"it saves {percent(gain)}, of a statement that reads a handful of pages as it is"
        return f"it saves {percent(gain)}, less than the {percent(alone.wanted)} that is asked for"
    upkeep = sum(selection.upkeep.seen_ms(selection.workload.specs[bit]) for bit in selection.workload.of(mask))
    if alone.saved_ms < alone.least_ms:
        if upkeep > 0 and alone.saved_ms + upkeep >= alone.least_ms:
            return f"keeping it up to date would take about {duration(upkeep)} in the window, most of what it saves"
        return f"it saves {percent(max(0.0, alone.saved_ms / selection.total))} of all time, too little for its keep"
    beside = selection.merits(mask | taken, taken)
    if not beside.enough:
        others = [selection.workload.specs[bit] for bit in selection.workload.of(taken & known.relevant)]
        names = "; ".join(f"{spec.table} ({describe(spec)})" for spec in others[:3])
        return f"beside what is suggested already it saves hardly more{f': {names}' if names else ''}"
    if not selection.fits(mask | taken):
        room = "" if selection.room is None else f" of {size(selection.room)}"
        return f"its {size(selection.workload.size(mask))} do not fit into the storage budget{room}"
    if not all(selection.worth.possible(spec) for spec in selection.workload.specs_of(mask)):
        return "it carries more columns than is proposed without a storage budget"
    if taken.bit_count() >= selection.worth.most:
        return f"{count(taken.bit_count())} better ones are suggested already"
    return "another form of it was chosen, or it did not come into the narrower choice"
