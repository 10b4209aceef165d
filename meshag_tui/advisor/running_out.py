"""Numbers that run out: sequences, AUTO_INCREMENT and keys an application numbers itself, and for how long they last.

How long is reckoned from rows inserted in the window of the catalogue's figures: of so many a day there is room for so
many days more. An application that rolls back, or skips numbers, uses them up sooner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from meshag_tui.advisor.statistics import Tables
from meshag_tui.engines import words_for
from meshag_tui.figures import count, exact, percent
from meshag_tui.snapshot import Sequence
from meshag_tui.types import EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

USED = 0.75
"""Share of the numbers from which it is said however slowly they go."""
USED_FAST, SOON_DAYS, WATCHED_DAYS = 0.25, 180.0, 3.0
"""Share from which it is said when the rest lasts no longer than so many days, by a watch of at least so many."""
DAY_MS = 86_400_000
LIMITS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
IN_ORDER = 0.9
"""Correlation from which key values count as given out in order; random ones reach every height at once."""
SPARSE = 1_000.0
"""Numbers for each row that is there from which keys are scattered, even where rows lie in their order."""


def running_out(catalog: Catalog, tables: Tables) -> Iterator[Suggestion]:
    """Numbers that are nearly used up, or will be soon."""
    for sequence in catalog.sequences or ():
        if sequence.last_value is not None and not sequence.cycles and sequence.increment >= 1 and sequence.limit > 0:
            yield from _sequence(sequence, sequence.last_value, catalog)
    yield from _keys_by_sample(catalog, tables)


def days_left(catalog: Catalog, schema: str | None, table: str | None, left: int) -> tuple[float, float] | None:
    """(rows inserted a day, days until `left` more are there); None where none were seen or the watch is too short."""
    days = catalog.window.span_ms / DAY_MS
    rows = next(
        (row.inserts or 0 for row in catalog.tables if (row.stats.schema, row.stats.name) == (schema, table)), 0
    )
    if days < WATCHED_DAYS or not rows:
        return None
    return rows / days, left / (rows / days)


def _used(share: float) -> str:
    """A share as per cent, which is not said to be all while something is left."""
    return "over 99 %" if 0.995 <= share < 1 else percent(share)


def _sequence(sequence: Sequence, reached: int, catalog: Catalog) -> Iterator[Suggestion]:
    share, left = reached / sequence.limit, (sequence.limit - reached) // sequence.increment
    pace = days_left(catalog, sequence.table_schema, sequence.table, left)
    if not _worth_saying(share, pace):
        return
    where = f"{sequence.table}.{sequence.column}" if sequence.table else sequence.name
    kind = f" of type {sequence.column_type}" if sequence.column_type else ""
    yield _suggestion(
        f"sequence-exhaustion:{sequence.schema}.{sequence.name}",
        f"{sequence.name} has used {_used(share)} of its numbers",
        f"{sequence.name} stands at {exact(reached)} of {exact(sequence.limit)}, the most that {where}{kind} can hold.",
        f"last value {exact(reached)}, limit {exact(sequence.limit)}",
        share,
        left,
        pace,
        0.95,
        sequence.table_schema or sequence.schema,
        sequence.table,
        catalog,
    )


def _keys_by_sample(catalog: Catalog, tables: Tables) -> Iterator[Suggestion]:
    """Integer keys that an application numbers itself, by the highest value in the planner's sample."""
    fed = {(one.table_schema, one.table, one.column) for one in catalog.sequences or ()}
    for index in (row.stats for row in catalog.indexes):
        view = tables.views.get((index.schema, index.table))
        name = index.keys[0].column if index.unique and len(index.keys) == 1 else None
        known = view.columns.get(name) if view is not None and name is not None else None
        if view is None or known is None or known.type not in LIMITS or (index.schema, index.table, name) in fed:
            continue
        lowest, highest = (known.histogram[0], known.histogram[-1]) if known.histogram else ("", "")
        ordered = known.correlation is not None and known.correlation >= IN_ORDER
        if not ordered or not highest.isdigit() or not lowest.isdigit():
            continue
        if int(highest) - int(lowest) > SPARSE * view.rows:
            continue
        share, left = int(highest) / LIMITS[known.type], LIMITS[known.type] - int(highest)
        pace = days_left(catalog, index.schema, index.table, left)
        if not _worth_saying(share, pace):
            continue
        yield _suggestion(
            f"sequence-exhaustion:{index.schema}.{index.table}:{name}",
            f"{index.table}.{name} has reached {_used(share)} of what {known.type} can hold",
            f"The highest {name} in the planner's sample of {index.table} is {exact(int(highest))} of "
            f"{exact(LIMITS[known.type])}, and they are given out in order.",
            f"highest sampled value {exact(int(highest))}, correlation with the order of rows {known.correlation}",
            share,
            left,
            pace,
            0.8,
            index.schema,
            index.table,
            catalog,
        )


def _worth_saying(share: float, pace: tuple[float, float] | None) -> bool:
    return share >= USED or (share >= USED_FAST and pace is not None and pace[1] <= SOON_DAYS)


def _suggestion(
    identity: str,
    title: str,
    text: str,
    fact: str,
    share: float,
    left: int,
    pace: tuple[float, float] | None,
    confidence: float,
    schema: str | None,
    table: str | None,
    catalog: Catalog,
) -> Suggestion:
    words = words_for(catalog.facts.engine)
    facts = [fact, f"{exact(left)} numbers left"]
    lasting = ""
    if pace is not None:
        rows, days = pace
        lasting = f" At the {count(rows)} rows a day inserted lately, the rest lasts about {count(round(days))} days."
        facts.append(f"{count(rows)} rows inserted a day in {catalog.window.span_ms / DAY_MS:.1f} days")
    soon = pace is not None and pace[1] <= SOON_DAYS / 2
    return Suggestion(
        rule="sequence-exhaustion",
        identity=identity,
        type=SuggestionType.SCHEMA_OPTIMIZATION,
        priority=SuggestionPriority.HIGH if share >= 0.9 or soon else SuggestionPriority.MEDIUM,
        title=title,
        text=f"{text}{lasting} When they run out, inserts fail. {words.remedies['sequence-exhaustion']}",
        evidence_kind=EvidenceKind.COUNTED,
        evidence={"kind": EvidenceKind.COUNTED.value, "facts": facts},
        confidence=confidence,
        risk=Risk.LOW,
        schema=schema,
        table=table,
    )
