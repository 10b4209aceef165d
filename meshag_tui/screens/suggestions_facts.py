"""A suggestion in words: priority, status and evidence as symbols with words, and all of it as a text to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshag_tui.figures import ago, duration, moment, percent, size
from meshag_tui.glyphs import glyphs
from meshag_tui.settings import MoneySettings
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.ids import query_uid
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.text import one_line
from meshag_tui.types import ChangeState, EvidenceKind, Risk, SuggestionPriority, SuggestionStatus
from meshag_tui.widgets.columns import Tone
from meshag_tui.widgets.dialog import sql_parts
from meshag_tui.widgets.page import Piece

EVIDENCE = {
    EvidenceKind.MEASURED: "run and timed",
    EvidenceKind.PLANNED: "priced by a planner with the index as if it were there",
    EvidenceKind.COUNTED: "counted by the server, or read from its catalogue",
    EvidenceKind.STATED: "reckoned or said by a model, not checked by the planner",
}
_RISK = {
    Risk.LOW: "it adds or reads, and blocks nobody",
    Risk.MEDIUM: "it takes load or disk while it runs, or changes plans",
    Risk.HIGH: "it removes something",
}
_STATE_TONES: Mapping[ChangeState, Tone] = {
    ChangeState.DONE: "good",
    ChangeState.FAILED: "critical",
    ChangeState.UNKNOWN: "warning",
    ChangeState.RUNNING: "accent",
}
_STATE_WORDS = {
    ChangeState.DONE: "done",
    ChangeState.UNKNOWN: "outcome unknown: the server could not be asked",
    ChangeState.UNDONE: "done, and undone since",
}
_JUDGED = frozenset(
    {
        *("kind", "priority", "affected_ms_per_day", "affected_share", "affected_reads_per_day"),
        *("observed_days", "asked_days"),
        *("uncalibrated", "undoes"),
    }
)
_SIZES = frozenset({"size_bytes", "bytes", "table_bytes", "index_bytes", "wasted_bytes", "estimated_bytes"})


def priority_word(priority: SuggestionPriority) -> str:
    """ "◆ high", "▲ medium", "· low"."""
    drawn = glyphs()
    symbol = {SuggestionPriority.HIGH: drawn.critical, SuggestionPriority.MEDIUM: drawn.warning}.get(priority)
    return f"{symbol or drawn.gap} {priority.lower()}"


def priority_tone(said: str) -> Tone:
    return "critical" if said.endswith("high") else "warning" if said.endswith("medium") else ""


def status_word(found: StoredSuggestion) -> str:
    """ "new", "✓ applied"; of one that is not found any more "gone"."""
    drawn = glyphs()
    if found.resolved_at is not None and found.status in (SuggestionStatus.NEW, SuggestionStatus.REVIEWED):
        return f"{drawn.none} gone"
    symbol = {
        SuggestionStatus.NEW: drawn.mark,
        SuggestionStatus.REVIEWED: drawn.arrow[-1],
        SuggestionStatus.APPLIED: drawn.ok,
        SuggestionStatus.DISMISSED: drawn.bad,
    }[found.status]
    return f"{symbol} {found.status.lower()}"


def gain_word(ms_per_day: float | None) -> str:
    """ "3.2 min/d"; nothing when it was not estimated."""
    return "" if ms_per_day is None else f"{duration(ms_per_day)}/d"


def on_table(found: StoredSuggestion) -> str:
    """The table it is about, with its schema where that says something."""
    if found.table is None:
        return ""
    return found.table if found.schema in (None, "public") else f"{found.schema}.{found.table}"


def in_full(
    found: StoredSuggestion,
    history: Sequence[ChangeRow],
    outcomes: Mapping[str, str],
    now_ms: float,
    apply_key: str | None,
    undo_key: str | None,
    dialect: str,
    rates: MoneySettings,
) -> list[Piece]:
    """All of a suggestion: what and why, the evidence with its figures, what would run, what puts it back, its past.

    `outcomes` are what changes were measured to do, in a line, by their ids. The keys are None where nothing may be
    changed.
    """
    between = glyphs().separator
    said: list[Piece] = [
        (priority_tone(priority_word(found.priority)), priority_word(found.priority)),
        ("dim", f"{between}{found.rule}{between}{on_table(found) or 'whole database'}{between}{status_word(found)}\n"),
        ("bold", f"{found.title}\n"),
        ("", f"{found.text.strip()}\n"),
    ]
    said += _evidence(found)
    said += _statement(found, apply_key, dialect)
    said += _judgement(found, now_ms, rates)
    return said + _history(history, outcomes, now_ms, undo_key)


def _evidence(found: StoredSuggestion) -> list[Piece]:
    said: list[Piece] = [("accent", "\nEvidence  "), ("", f"{found.evidence_kind}: {EVIDENCE[found.evidence_kind]}\n")]
    facts = found.evidence.get("facts")
    for fact in facts if isinstance(facts, Iterable) and not isinstance(facts, str) else ():
        said.append(("", f"  {glyphs().gap} {one_line(fact)}\n"))
    if len(said) == 2:  # no facts in words: the figures themselves
        figures = (_figure(name, value) for name, value in found.evidence.items() if name not in _JUDGED)
        said += [("", f"  {glyphs().gap} {line}\n") for line in figures if line]
    return said


def _figure(name: str, value: Any) -> str:
    """A figure of the evidence in a line; "" for what only programs read."""
    words = one_line(name).replace("_", " ")
    if isinstance(value, bool) or value is None or isinstance(value, (dict, list, tuple)):
        return ""
    if name in _SIZES and isinstance(value, (int, float)):
        return f"{words.removesuffix(' bytes')}: {size(value)}"
    if name.endswith("_ms") and isinstance(value, (int, float)):
        return f"{words.removesuffix(' ms')}: {duration(value)}"
    if isinstance(value, (int, float)):
        return f"{words}: {value:,}" if isinstance(value, int) else f"{words}: {value:,.3g}"
    return f"{words}: {one_line(value, 200)}"


def _statement(found: StoredSuggestion, apply_key: str | None, dialect: str) -> list[Piece]:
    if found.sql is None:
        nothing: list[Piece] = [("accent", "\nNothing to run  ")]
        nothing.append(("", "This is for the application, or for a person to decide.\n"))
        return nothing + _rewrite(found, dialect)
    may = f"  ({apply_key} shows it again with its gates, before anything runs)" if apply_key else ""
    title = "\nThis would run"
    if found.status is SuggestionStatus.APPLIED:
        title, may = "\nThis was run", ""
    if found.change is None:
        off = f", so {apply_key} is off here" if apply_key else ""
        title = "\nShown to be run by hand"
        may = f"  (MeshAG does not run statements of this kind itself{off})"
        if found.risk is Risk.HIGH:
            title += ", at a quiet time"
            may = f"  (it makes writers wait: MeshAG does not run it{off}; the gentler steps are above)"
    said: list[Piece] = [("accent", title), ("dim", f"{may}\n"), *sql_parts(found.sql.strip(), dialect)]
    said += [("accent", "\n\nThis puts it back\n")]
    said += sql_parts(found.undo_sql.strip(), dialect) if found.undo_sql else [("dim", "nothing to put back")]
    return [*said, ("", "\n")]


def _rewrite(found: StoredSuggestion, dialect: str) -> list[Piece]:
    """The statement written otherwise, and whether that is proven to mean the same."""
    said = found.evidence.get("rewrite")
    if not isinstance(said, Mapping) or not isinstance(text := said.get("text"), str):
        return []
    word = ("good", f"{glyphs().ok} proven") if said.get("proven") else ("warning", f"{glyphs().warning} not proven")
    return [("accent", "\nWritten otherwise  "), word, ("", "\n"), *sql_parts(text.strip(), dialect), ("", "\n")]


def _worth(found: StoredSuggestion, rates: MoneySettings) -> list[Piece]:
    """Money, where somebody set what things cost."""
    if not rates.any:
        return []
    from meshag_tui.changes.money import estimate, money_lines

    money = estimate(found.gain_ms_per_day, found.evidence, found.change, rates)
    if money is None:
        return []
    worth, *how = money_lines(money)
    return [("accent", "Worth  "), ("", f"{worth}\n"), *(("dim", f"   {line}\n") for line in how)]


def _judgement(found: StoredSuggestion, now_ms: float, rates: MoneySettings) -> list[Piece]:
    said: list[Piece] = [("accent", "\nConfidence  "), ("", percent(found.confidence))]
    points, priority = _points(found), found.evidence.get("priority")
    said += [("", "\n"), *points] if points else []
    if isinstance(priority, str):
        said += [("accent", "Priority  "), ("", f"{one_line(priority)}\n")]
    said += [("accent", "Risk  " if points else "   Risk  "), ("", f"{found.risk.lower()}: {_RISK[found.risk]}\n")]
    at_stake = affected(found)
    if found.gain_ms_per_day is not None:
        said += [("accent", "Gain  "), ("", f"about {duration(found.gain_ms_per_day)} of the server's time a day\n")]
    elif at_stake is not None:
        said += [("accent", "At stake  "), ("", f"{duration(at_stake)} of the server's time a day, at most\n")]
    said += _worth(found, rates)
    origin = f"said by the model {found.model}, checked against the catalogue" if found.origin == "llm" else "a rule"
    said.append(
        ("dim", f"From {origin}; found {ago(found.created_at, now_ms)}, again {ago(found.last_found_at, now_ms)}")
    )
    if found.resolved_at is not None:
        said.append(("dim", f"; not found any more since {moment(found.resolved_at, '%d %b %H:%M')}"))
    said.append(("dim", f"{glyphs().separator}{found.id}\n"))
    if found.dismissed_at is not None:
        said += [
            ("accent", "Dismissed  "),
            ("", f"{moment(found.dismissed_at, '%d %b %H:%M')}: {found.dismiss_reason or 'no reason given'}\n"),
        ]
    return said


def _points(found: StoredSuggestion) -> list[Piece]:
    """What the confidence is the sum of."""
    points = found.evidence.get("confidence")
    said: list[Piece] = []
    for point in points if isinstance(points, list) else ():
        if isinstance(point, Mapping) and isinstance(number := point.get("points"), int):
            said.append(("", f"  {number:+d}  {one_line(point.get('why', ''))}\n"))
    return said


def affected(found: StoredSuggestion) -> float | None:
    """Time a day of the statements it is about, ms; None where it is about none."""
    value = found.evidence.get("affected_ms_per_day")
    return float(value) if isinstance(value, int | float) else None


def _history(
    history: Sequence[ChangeRow], outcomes: Mapping[str, str], now_ms: float, undo_key: str | None
) -> list[Piece]:
    if not history:
        return []
    undoable = undo_key and any(row.state is ChangeState.DONE and row.undoes is None for row in history)
    said: list[Piece] = [("accent", "\nChanges"), ("dim", f"  ({undo_key} undoes the last)\n" if undoable else "\n")]
    for row in history:
        at = row.finished_at or row.started_at or row.created_at
        what = "undo" if row.undoes else "apply"
        said += [
            ("dim", f"  {moment(at, '%d %b %H:%M')}  "),
            (_STATE_TONES.get(row.state, ""), f"{what}: {_STATE_WORDS.get(row.state, str(row.state))}"),
            ("dim", f"  by {one_line(row.actor, 40)}, {ago(at, now_ms)}\n"),
        ]
        if row.error:
            said.append(("warning", f"    {one_line(row.error)}\n"))
        if row.id in outcomes:
            said.append(("", f"    measured since: {outcomes[row.id]}\n"))
    return said


def query_line(query_id: int, text: str | None) -> str:
    """A related query in a line."""
    return f"{query_uid(query_id)}  {one_line(text or '<no text>', None, ' ')}"
