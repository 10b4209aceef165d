"""Indexes that only cost: duplicates, prefixes of others, leftovers of failed builds, and those nobody has used.

At most one of a set of equal indexes is ever left out, and `refusals` says what must not go for lack of use. Where the
server can hide an index, it goes in two steps: hidden first, and dropped when it was seen hidden long enough. An exact
copy needs no such trial: with its twin there, no plan can miss it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshag_tui.advisor.indexes import whole_keys
from meshag_tui.advisor.refusals import DAY_MS, TOO_YOUNG, Around, observed_days, reasons
from meshag_tui.advisor.twins import bound, equal, prefixes
from meshag_tui.figures import count, moment, size
from meshag_tui.snapshot import IndexStats
from meshag_tui.types import DropIndex, EvidenceKind, HideIndex, Risk, Suggestion, SuggestionPriority, SuggestionType

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, IndexRow

WATCH_DAYS = 7.0


def index_hygiene(
    catalog: Catalog,
    unused_days: float,
    waiting: Collection[tuple[str, str, str]] = (),
    *,
    hidden_days: float = 7.0,
    ordered_by: Collection[tuple[str, str, str]] = (),
    wanted: Collection[tuple[str, str, str]] = (),
    hinted: Mapping[tuple[str, str, str], str] | None = None,
) -> tuple[Suggestion, ...]:
    """Indexes to drop, each once and for its strongest reason; one that another suggestion leans on stays.

    Args:
        unused_days: continuous observation without a scan before an index counts as unused.
        waiting: (schema, table, column) whose indexes are unused only for lack of another one.
        hidden_days: how long an index must have been seen hidden before it is dropped.
        ordered_by: (schema, table, column) that statements sort by: an order that a longer index may not give.
        wanted: (schema, table, name) of hidden indexes that statements want back.
        hinted: (schema, table, name) of indexes that a statement names in a hint, with that statement.
    """
    around = Around(catalog)
    never = {row.stats.key for row in catalog.indexes if bound(row.stats) or row.stats.unique}
    named = {
        row.stats.key
        for row in catalog.indexes
        if (row.stats.schema, row.stats.table, row.stats.name) in (hinted or {})
    }
    copies = equal(catalog.indexes, named)
    dropped = copies.keys() - never
    shorter = prefixes(catalog.indexes, dropped)
    ordering = {key for row in catalog.indexes if (key := row.stats.key) in shorter and _orders(row, ordered_by)}
    served = shorter.keys() - never - dropped - ordering
    gone = dropped | served
    waits = {
        row.stats.key
        for row in catalog.indexes
        if (row.stats.keys and (row.stats.schema, row.stats.table, row.stats.keys[0].column) in waiting)
        or (row.stats.schema, row.stats.table, row.stats.name) in wanted
    }
    leaned_on = {kept.stats.key for key, kept in (*copies.items(), *shorter.items()) if key in gone}
    found = (
        *_invalid(catalog, around),
        *(_duplicate(row, copies[row.stats.key], around) for row in catalog.indexes if row.stats.key in dropped),
        *(_redundant(row, shorter[row.stats.key]) for row in catalog.indexes if row.stats.key in served),
        *_unused(catalog, around, gone | leaned_on | waits, unused_days),
    )
    if not catalog.facts.hides_indexes:
        return found
    by_name = {(row.stats.schema, row.stats.table, row.stats.name): row.stats for row in catalog.indexes}
    staged = (_staged(one, by_name, catalog.facts.observed_at, hidden_days) for one in found)
    return tuple(_blocked(one, hinted or {}) for one in staged)


def _orders(row: IndexRow, ordered_by: Collection[tuple[str, str, str]]) -> bool:
    """Whether statements may lean on the order of a column that the server adds to the keys of this index."""
    added = whole_keys(row.stats)[len(row.stats.keys) :]
    return any((row.stats.schema, row.stats.table, key.column or "") in ordered_by for key in added)


def _invalid(catalog: Catalog, around: Around) -> Iterator[Suggestion]:
    for row in catalog.indexes:
        index = row.stats
        waiting_for_parts = around.kind(index) == "partitioned"
        if (index.valid and index.ready) or index.building or waiting_for_parts:
            continue
        if index.constraint is not None or index.owned_by_extension or index.parent is not None:
            continue
        yield _drop(
            row,
            rule="invalid-index",
            priority=SuggestionPriority.HIGH,
            title=f"Drop the invalid index {index.name} on {index.table}",
            text=f"A build of {index.name} failed and left it behind: queries cannot use it, and every write to "
            f"{index.table} still has to keep it ({size(index.size_bytes)}). "
            + ("It was to be unique, so look for repeated values before you build it again." if index.unique else ""),
            facts=[f"the catalogue says invalid, and no build is in progress: {index.definition}"],
            confidence=0.95,
        )


def _duplicate(row: IndexRow, kept: IndexRow, around: Around) -> Suggestion:
    alike = "are the same in every respect"
    exact = len(row.stats.keys) == len(kept.stats.keys)
    if not exact:
        added = ", ".join(row.stats.suffix or kept.stats.suffix)
        alike = f"are the same: the server ends every other index with the primary key ({added})"
    uses = around.words.index_uses
    return _drop(
        row,
        rule="duplicate-index",
        priority=SuggestionPriority.MEDIUM,
        title=f"Drop {row.stats.name}: the same index as {kept.stats.name}",
        text=f"{row.stats.name} and {kept.stats.name} on {row.stats.table} {alike}. "
        f"Dropping {row.stats.name} frees {_room(row)} and spares each write one index"
        + (f"; {kept.stats.name} serves its {count(row.stats.scans)} {uses} as well." if row.stats.scans else "."),
        facts=[f"drop: {row.stats.definition}", f"keep: {kept.stats.definition}"],
        confidence=0.95,
        kept=kept,
        known={"exact_copy": exact},
    )


def _room(row: IndexRow) -> str:
    return "its space" if row.stats.size_bytes is None else size(row.stats.size_bytes)


def _redundant(row: IndexRow, kept: IndexRow) -> Suggestion:
    return _drop(
        row,
        rule="redundant-index",
        priority=SuggestionPriority.MEDIUM,
        title=f"Drop {row.stats.name}: {kept.stats.name} begins with the same columns",
        text=f"Whatever {row.stats.name} on {row.stats.table} is used for, {kept.stats.name} can do: its keys begin "
        f"with the same columns in the same order. Dropping the shorter one frees {_room(row)} and "
        "spares each write one index.",
        facts=[f"drop: {row.stats.definition}", f"keep: {kept.stats.definition}"],
        confidence=0.85,
        kept=kept,
    )


def _unused(catalog: Catalog, around: Around, settled: Collection[str], days: float) -> Iterator[Suggestion]:
    for row in catalog.indexes:
        if row.stats.key in settled:
            continue
        against = reasons(row, around, days)
        observed = observed_days(row, catalog.facts.observed_at)
        index = row.stats
        uses = around.words.index_uses
        if not against:
            yield _drop(
                row,
                rule="unused-index",
                priority=SuggestionPriority.MEDIUM,
                title=f"Drop {index.name} on {index.table}: unused for {observed:.0f} days",
                text=f"{index.name} has not been used once in {observed:.0f} days of unbroken observation. It takes "
                f"{size(index.size_bytes)} and is kept up to date by every write to {index.table}.",
                facts=[
                    f"0 {uses} seen in {observed:.1f} days",
                    *(f"nor on the standby {standby.name}" for standby in catalog.standbys),
                    index.definition,
                ],
                confidence=0.8,
                known={"observed_days": round(observed, 1), "asked_days": days},
            )
        elif len(against) == 1 and against[0].startswith(TOO_YOUNG) and not index.scans:
            known = around.known_days(row)
            if known >= min(WATCH_DAYS, days):
                yield _watched(row, known, observed, days, uses)


def _watched(row: IndexRow, known: float, observed: float, days: float, uses: str) -> Suggestion:
    """Said early and without SQL: not enough has been seen to drop it."""
    index = row.stats
    facts = [
        f"0 {uses} counted in {known:.1f} days",
        f"observed without a break for {observed:.1f} of {days:.0f} days",
        index.definition,
    ]
    return Suggestion(
        rule="unused-index",
        identity=f"unused-index-watch:{_name(index)}",
        type=SuggestionType.INDEX_OPTIMIZATION,
        priority=SuggestionPriority.LOW,
        title=f"{index.name} on {index.table}: unused since we first saw it, {known:.0f} days ago",
        text=f"{index.name} has not been used in the {known:.0f} days we have known it. It takes "
        f"{size(index.size_bytes)} and is kept up to date by every write to {index.table}. Nothing to do yet: after "
        f"{days:.0f} days of unbroken observation without a use, so that monthly work has been seen, dropping it "
        "will be proposed.",
        evidence_kind=EvidenceKind.COUNTED,
        evidence={"kind": EvidenceKind.COUNTED.value, "facts": facts},
        confidence=0.5,
        risk=Risk.LOW,
        schema=index.schema,
        table=index.table,
    )


def _drop(
    row: IndexRow,
    *,
    rule: str,
    priority: SuggestionPriority,
    title: str,
    text: str,
    facts: Iterable[str],
    confidence: float,
    kept: IndexRow | None = None,
    known: Mapping[str, Any] | None = None,
) -> Suggestion:
    index = row.stats
    evidence: dict[str, Any] = {
        "kind": EvidenceKind.COUNTED.value,
        "facts": list(facts),
        "size_bytes": index.size_bytes,
        "scans": index.scans,
        **(known or {}),
    }
    if kept is not None:
        evidence["kept"] = f"{kept.stats.schema}.{kept.stats.name}"
    return Suggestion(
        rule=rule,
        identity=f"{rule}:{_name(index)}",
        type=SuggestionType.INDEX_OPTIMIZATION,
        priority=priority,
        title=title,
        text=text.strip(),
        evidence_kind=EvidenceKind.COUNTED,
        evidence=evidence,
        confidence=confidence,
        risk=Risk.HIGH,
        schema=index.schema,
        table=index.table,
        change=DropIndex(index.schema, index.table, index.name),
    )


def _staged(whole: Suggestion, indexes: Mapping[tuple[str, str, str], IndexStats], now: int, days: float) -> Suggestion:
    """The step of a drop that is due at `now` (epoch ms): hide the index, wait, or drop it."""
    drop = whole.change
    if not isinstance(drop, DropIndex):
        return whole
    if whole.evidence.get("exact_copy"):
        kept = str(whole.evidence["kept"]).removeprefix(f"{drop.schema}.")
        why = (
            f"It is dropped at once and not hidden first: every plan that could use it can use {kept}, its exact copy."
        )
        return replace(whole, text=f"{whole.text} {why}")
    index = indexes[drop.schema, drop.table, drop.name]
    if not index.hidden:
        return replace(
            whole,
            identity=f"{whole.rule}-hide:{_name(index)}",
            title=f"Hide {whole.title.removeprefix('Drop ')}",
            text=f"{whole.text} Step 1 of 2: hide it. It is kept up to date but no plan uses it, and showing it again "
            f"takes no time. It is proposed for dropping when it has been hidden for {days:.0f} days.",
            risk=Risk.MEDIUM,
            change=HideIndex(index.schema, index.table, index.name),
        )
    since = index.hidden_since if index.hidden_since is not None else now
    hidden = (now - since) / DAY_MS
    if hidden < days:
        until = moment(round(since + days * DAY_MS), "%Y-%m-%d %H:%M")
        return replace(
            whole,
            identity=f"{whole.rule}-hidden:{_name(index)}",
            priority=SuggestionPriority.LOW,
            title=f"{index.name} on {index.table} is hidden: it waits until {until}",
            text=f"{whole.text} It was first seen hidden on {moment(since, '%Y-%m-%d %H:%M')}. Step 2 of 2, dropping "
            f"it, is proposed from {until} on, {days:.0f} days after, unless it is shown again.",
            risk=Risk.LOW,
            change=None,
        )
    return replace(
        whole,
        text=f"{whole.text} Step 2 of 2: no plan could use it in the {hidden:.0f} days it has been seen hidden, since "
        f"{moment(since, '%Y-%m-%d %H:%M')}.",
    )


def _blocked(whole: Suggestion, hinted: Mapping[tuple[str, str, str], str]) -> Suggestion:
    """The advice stays, with nothing to apply, where a statement names the index: without it that statement fails."""
    change = whole.change
    if not isinstance(change, DropIndex | HideIndex):
        return whole
    naming = hinted.get((change.schema, change.table, change.name))
    if naming is None:
        return whole
    return replace(
        whole,
        text=f"{whole.text} Not before this statement has lost its hint, which names {change.name} and makes it fail "
        f"without: {naming}",
        risk=Risk.HIGH,
        change=None,
    )


def _name(index: IndexStats) -> str:
    return f"{index.schema}.{index.table}.{index.name}"
