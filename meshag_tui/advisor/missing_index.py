"""Chosen indexes as suggestions: what each does for which statement, how that is known, what it costs to keep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from meshag_tui.advisor import rows_alike
from meshag_tui.advisor.candidates import describe, identity
from meshag_tui.advisor.indexes import serves
from meshag_tui.advisor.pricing import Pricer
from meshag_tui.advisor.search import Choice, Search, Serves
from meshag_tui.advisor.skewed import assumed, value_of
from meshag_tui.advisor.statistics import Tables
from meshag_tui.advisor.upkeep import Keep, kept_document, writers_pay
from meshag_tui.engines.base import WhatIf
from meshag_tui.figures import count, duration, percent, size
from meshag_tui.snapshot import IndexStats
from meshag_tui.types import (
    CreateIndex,
    EvidenceKind,
    IndexSpec,
    Risk,
    ShowIndex,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
)

DAY_MS = 86_400_000
FOR_NOTHING = 100
"""Rows read for one returned from which it is plain that an index is missing."""


def suggestions(
    found: Search,
    pricer: Pricer,
    tables: Tables,
    *,
    total_ms: float,
    span_ms: float | None,
    what_if: WhatIf | None,
    why_unchecked: Callable[[Choice], str],
) -> list[Suggestion]:
    """The choices as suggestions, one for each index.

    Args:
        total_ms: time of the whole workload in the window.
        span_ms: length of the window; None leaves the gain per day out.
        what_if: what answered for planned figures.
        why_unchecked: what is said of a choice nobody has checked.
    """
    made = []
    for choice in found.choices:
        for spec in choice.candidate.specs:
            kept = found.selection.upkeep.keep(spec) if found.selection is not None else None
            one = _suggestion(choice, spec, pricer, tables, total_ms, span_ms, what_if, why_unchecked, kept)
            facts = [*one.evidence["facts"], _how_found(found)]
            made.append(replace(one, evidence={**one.evidence, "facts": facts, "search": _search(found)}))
    return made


def _how_found(found: Search) -> str:
    """The search in one line: what it looked at, what that took, what all it found would save and need."""
    asked = f", {found.calls} planner calls" if found.calls else ""
    room = f" of {size(found.budget_bytes)} given" if found.budget_bytes is not None else ""
    together = f"; all {len(found.choices)} together save about {percent(found.saved_share)}" if found.choices else ""
    return (
        f"chosen among {found.options} indexes in {duration(found.wall_ms)}{asked}{together} and take "
        f"{size(found.size_bytes)}{room}"
    )


def _search(found: Search) -> dict[str, Any]:
    return {
        "options": found.options,
        "planner_calls": found.calls,
        "wall_ms": round(found.wall_ms),
        "budget_bytes": found.budget_bytes,
        "size_bytes": found.size_bytes,
        "saved_share": round(found.saved_share, 4),
        "complete": found.complete,
    }


def _suggestion(
    choice: Choice,
    spec: IndexSpec,
    pricer: Pricer,
    tables: Tables,
    total_ms: float,
    span_ms: float | None,
    what_if: WhatIf | None,
    why_unchecked: Callable[[Choice], str],
    kept: Keep | None,
) -> Suggestion:
    served = sorted(choice.serves, key=lambda one: (-one.saved_ms, one.statement.query.id))
    saved = sum(one.saved_ms for one in served)
    share = saved / total_ms if total_ms > 0 else 0.0
    planned = choice.evidence is not EvidenceKind.STATED
    top = served[0]
    bytes_ = pricer.size(spec)
    others = [other for other in choice.candidate.specs if other != spec]
    reads = f", and reads {_examined(top)}" if top.statement.query.rows_examined is not None else ""
    text = [
        f"{top.statement.query.uid} takes {duration(top.statement.query.mean_time_ms)} a call, "
        f"{count(top.statement.query.calls)} calls in the window{reads}. "
        f"With an index on {spec.table} ({describe(spec)}) "
        + (
            f"the planner prices it at {_cost(top.after)} instead of {_cost(top.before)}, {percent(top.gain)} less."
            if planned
            else f"it should cost about {percent(top.gain)} less, reckoned from column statistics."
        )
    ]
    if len(served) > 1:
        text.append(f"It serves {len(served)} statements, together {duration(saved)} of {duration(total_ms)} measured.")
    if others:
        text.append(
            f"It works together with the index on ({'; '.join(describe(other) for other in others)}): the two sides of "
            "the OR are looked up apart and joined."
        )
    if (partial := _of_few(spec, choice)) is not None:
        text.append(partial)
    if any("pattern_ops" in (key.opclass or "") for key in spec.columns):
        text.append(_of_patterns(choice))
    if (column := _guessed(spec, choice, tables)) is not None:
        text.append(
            f"How wide the ranges of {column} are that calls ask for is an assumption: statement statistics keep no "
            "values. Of wide ones a scan of the whole table remains."
        )
    superfluous = _superfluous(spec, tables)
    if superfluous:
        text.append(f"Once it is there, {', '.join(superfluous)} is no longer needed.")
    text += writers_pay(spec, kept)
    if not planned:
        text.append(f"Not checked by the planner: {why_unchecked(choice)}")
    facts = [_fact(one, planned) for one in served[:8]]
    facts += [str(choice.checked), f"estimated size {size(bytes_)}"]
    asked = what_if if planned else None
    if asked is not None:
        facts.append(f"planned by {asked.label}" + "".join(f"; {one}" for one in asked.differs))
        if any(not asked.sees(one.statement.plan.statement, spec) for one in served):
            facts.append("priced by an index on all rows, less the part of its scan for those that are not in it")
    evidence: dict[str, Any] = {
        "kind": choice.evidence.value,
        "method": asked.method if asked is not None else None,
        "planner": asked.label if asked is not None else None,
        "differs": list(asked.differs) if asked is not None else [],
        "checked": planned,
        "facts": facts,
        "size_bytes": bytes_,
        "cost_before": round(top.before, 2),
        "cost_after": round(top.after, 2),
        "workload": choice.checked.document(),
        "upkeep": None if kept is None else kept_document(kept, span_ms),
        "statements": [
            {
                "query_id": one.statement.query.uid,
                "cost_before": round(one.before, 2),
                "cost_after": round(one.after, 2),
                "calls": one.statement.query.calls,
                "total_time_ms": one.statement.query.total_time_ms,
                "plan_mode": one.statement.plan.mode,
            }
            for one in served
        ],
    }
    hidden = _hidden(choice, spec, tables)
    kind, what = "missing-index", f"Index {spec.table} ({describe(spec)})"
    change: CreateIndex | ShowIndex = CreateIndex(spec)
    if hidden is not None:
        kind, what = "missing-index-hidden", f"Show {hidden.name} on {spec.table} again"
        change = ShowIndex(hidden.schema, hidden.table, hidden.name)
        text.append(f"{hidden.name} has these keys already, hidden from plans: nothing has to be made.")
    return Suggestion(
        rule="missing-index",
        identity=f"{kind}:{spec.schema}.{spec.table}:{identity(spec)}",
        type=SuggestionType.INDEX_OPTIMIZATION,
        priority=priority_of(share, top.gain),
        title=f"{what}: about {percent(share)} of all query time",
        text=" ".join(text),
        evidence_kind=choice.evidence,
        evidence=evidence,
        confidence=_confidence(choice, planned, tables),
        risk=Risk.MEDIUM,
        schema=spec.schema,
        table=spec.table,
        change=change,
        query_ids=tuple(one.statement.query.id for one in served),
        gain_ms_per_day=(saved - (kept.ms if kept is not None else 0.0)) * DAY_MS / span_ms if span_ms else None,
    )


def priority_of(share: float, gain: float) -> SuggestionPriority:
    """How urgent it is: by the share that its statements take of all time, and the share of theirs that it saves."""
    if share >= 0.20 and gain >= 0.5:
        return SuggestionPriority.HIGH
    return SuggestionPriority.MEDIUM if share >= 0.03 else SuggestionPriority.LOW


def _confidence(choice: Choice, planned: bool, tables: Tables) -> float:
    """How far the method is to be trusted: the planner's word above ours, real values above unknown ones."""
    if not planned:
        return 0.65 if any(_reads_for_nothing(one) for one in choice.serves) else 0.5
    if any(_assumed(spec, choice) or _guessed(spec, choice, tables) for spec in choice.candidate.specs):
        return 0.6
    return 0.7 if any(one.statement.plan.mode == "generic" for one in choice.serves) else 0.85


def _assumed(spec: IndexSpec, choice: Choice) -> bool:
    """Whether the value that a partial index rests on is only what the rows of calls fit."""
    return assumed(spec.where, [(one.statement.plan, one.statement.predicates) for one in choice.serves])


def _guessed(spec: IndexSpec, choice: Choice, tables: Tables) -> str | None:
    """The key whose ranges are guessed in the statements that the index serves; None where some rest on more."""
    guesses = [one.statement.guessed_range(tables) for one in choice.serves]
    keys = {key.name for key in spec.columns}
    return guesses[0] if all(one is not None and one in keys for one in guesses) else None


def _of_few(spec: IndexSpec, choice: Choice) -> str | None:
    """What to know of an index on some rows: for whom it is, and how far that is known."""
    if alike := rows_alike.conditions(spec.where):
        rows = " and ".join(f"{one} {how} {other}" for one, how, other in alike)
        return f"Only rows with {rows} are in it, which these statements always ask for."
    found = value_of(spec.where)
    if found is None:
        return None
    column, value = found
    said = f"Only rows with {column} = '{value}' are in it, for statements that name this value themselves."
    if not _assumed(spec, choice):
        return said
    return (
        f"{said} That these do is an assumption: statement statistics keep no constants, but of all values of {column} "
        "only this one has about as many rows as calls return. If other values are asked for as well, index the "
        "column without the condition."
    )


def _of_patterns(choice: Choice) -> str:
    """Where it is known from that patterns begin with plain text."""
    seen = any(one.statement.plan.seen_patterns for one in choice.serves)
    return "It serves patterns that begin with plain text" + (
        ", as those do that sessions were seen running it with; one that begins with a wildcard would not use it."
        if seen
        else ", as in the text of the statement."
    )


def _reads_for_nothing(one: Serves) -> bool:
    """Whether the server has counted that nearly all a statement reads is thrown away."""
    query = one.statement.query
    return bool(query.rows_examined) and (query.rows_examined or 0) >= FOR_NOTHING * max(1, query.rows or 0)


def _examined(one: Serves) -> str:
    query = one.statement.query
    each = (query.rows_examined or 0) / max(1, query.calls)
    return f"{count(each)} rows a call to return {count((query.rows or 0) / max(1, query.calls))}"


def _hidden(choice: Choice, spec: IndexSpec, tables: Tables) -> IndexStats | None:
    """An index kept out of plans that would do."""
    view = tables.view(spec.schema, spec.table)
    found = view.hidden if view is not None else ()
    return next((index for index in found if serves(index, spec, choice.candidate.free)), None)


def _cost(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _fact(one: Serves, planned: bool) -> str:
    query = one.statement.query
    how = "planner cost" if planned else "reckoned cost"
    return (
        f"{query.uid}: {count(query.calls)} calls, {duration(query.total_time_ms)} in all, "
        f"{how} {_cost(one.before)} → {_cost(one.after)} ({percent(one.gain)} less)"
        + (f", reads {_examined(one)}" if query.rows_examined is not None else "")
    )


def _superfluous(spec: IndexSpec, tables: Tables) -> list[str]:
    """Existing indexes whose keys this one begins with."""
    view = tables.view(spec.schema, spec.table)
    if view is None or spec.method != "btree" or spec.where is not None:
        return []
    names = []
    for index in view.indexes:
        keys = [(key.column, key.descending, key.nulls_first) for key in index.keys]
        first = [key for key in spec.columns[: len(keys)] if not key.is_expression]
        lead = [(key.name, key.descending, key.descending != key.nulls_turned) for key in first]
        plain = index.method == "btree" and index.predicate is None and not index.include
        if plain and keys == lead and not index.unique and index.constraint is None and len(keys) < len(spec.columns):
            names.append(index.name)
    return names


def already_suggested(made: Collection[Suggestion]) -> Mapping[tuple[str, str], list[IndexSpec]]:
    """Specs of suggested indexes by table, for rules that would suggest the same."""
    by_table: dict[tuple[str, str], list[IndexSpec]] = {}
    for one in made:
        if isinstance(one.change, CreateIndex):
            by_table.setdefault((one.change.spec.schema, one.change.spec.table), []).append(one.change.spec)
    return by_table
