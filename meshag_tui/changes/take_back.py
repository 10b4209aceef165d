"""The advice to take a change back, from what was measured: it made things worse, or nobody used the index it made.

In: the change's row, its outcome and the look that found it. Out: a suggestion whose evidence names the change it
undoes ("undoes"), so that applying it is undoing that change, with everything undoing checks.
"""

from __future__ import annotations

from typing import Any, Literal

from meshag_tui.changes.undo import inverse
from meshag_tui.changes.verdicts import LEVEL
from meshag_tui.changes.verification import Look
from meshag_tui.figures import count, duration
from meshag_tui.glyphs import glyphs
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.outcomes import ChangeOutcome
from meshag_tui.types import EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType, table_of

REGRESSION = "rollback-regression"
UNUSED = "rollback-unused"
Rule = Literal["rollback-regression", "rollback-unused"]
DAY_MS = 86_400_000
_MOST_NODES = 3


def identity(rule: Rule, row: ChangeRow) -> str:
    """What the advice is about."""
    return f"{rule}:{row.id}"


def advice(rule: Rule, row: ChangeRow, outcome: ChangeOutcome, look: Look) -> Suggestion:
    """The suggestion. ChangeRefused: the change cannot be taken back."""
    undoing = inverse(row)
    about = table_of(row.change)
    worse = rule == REGRESSION
    title, text, facts = (_regression if worse else _unused)(row, outcome, look)
    kind = EvidenceKind.MEASURED if worse else EvidenceKind.COUNTED
    points, why = (
        (round(LEVEL * 100), f"it is outside of what chance does in {LEVEL:.0%} of cases, by calls of both sides")
        if worse
        else (80, "no use was counted, though rare work may still want it")
    )
    return Suggestion(
        rule=rule,
        identity=identity(rule, row),
        type=SuggestionType(outcome.forecast.get("type") or SuggestionType.INDEX_OPTIMIZATION),
        priority=SuggestionPriority.HIGH if worse else SuggestionPriority.LOW,
        title=title,
        text=text,
        evidence_kind=kind,
        evidence={
            "kind": str(kind),
            "undoes": row.id,
            "facts": facts,
            "confidence": [{"points": points, "why": why}],
            "outcome": dict(look.document),
        },
        confidence=points / 100,
        risk=Risk.MEDIUM,
        schema=None if about is None else about[0],
        table=None if about is None else about[1],
        change=undoing,
        sql=row.undo_sql,
        undo_sql=row.sql,
        query_ids=tuple(int(each) for each in outcome.forecast.get("query_ids", ())),
        gain_ms_per_day=_loss(look) if worse else None,
    )


def _loss(look: Look) -> float | None:
    saved = look.verdict.saved
    return None if saved is None else max(0.0, -saved.value)


def _regression(row: ChangeRow, outcome: ChangeOutcome, look: Look) -> tuple[str, str, list[str]]:
    saved = look.verdict.saved
    lost = f"{duration(-saved.high)} to {duration(-saved.low)}" if saved is not None and saved.high < 0 else "time"
    text = (
        f"Since {row.id} was applied ({outcome.forecast.get('title', row.sql)}) the statements it is about take {lost} "
        "more of the server's time a day, at the calls there are now. Taking it back is reviewed like any change, and "
        "refused if what it made is another by now."
    )
    facts = [look.verdict.said]
    if outcome.gain_ms_per_day is not None:
        facts.append(f"forecast was a gain of {duration(outcome.gain_ms_per_day)} a day")
    for each in look.document.get("statements", ())[:6]:
        facts.append(statement_line(each))
    return f"Take back {_what(row)}: measured slower than before", text, facts


def _unused(row: ChangeRow, outcome: ChangeOutcome, look: Look) -> tuple[str, str, list[str]]:
    index: Any = look.document["index"]
    days = max(1, round(((look.document["window"]["after"][1]) - (row.finished_at or 0)) / DAY_MS))
    text = (
        f"{index['name']} was made by {row.id} and has served no statement since. Every write to its table keeps it "
        "up to date."
    )
    return (
        f"Take back {index['name']}: nothing has used it since it was made",
        text,
        [
            f"0 scans since, watched for at least {days} d",
            f"it takes {count(index['size_bytes'])} bytes",
        ],
    )


def statement_line(each: Any) -> str:
    """A compared statement in a line: its role, calls and mean time on both sides."""
    before, after = each["mean_ms"]
    calls = f"{count(each['calls'][0])} → {count(each['calls'][1])} calls"
    if before is None or after is None:
        return f"{each['query_id']} ({each['role']}): {calls}"
    return f"{each['query_id']} ({each['role']}): {duration(before)} → {duration(after)} a call, {calls}"


def plan_line(each: Any) -> str:
    """How a statement was planned before and after, in a line: what its plans read, and what they cost."""
    before, after = each["before"], each["after"]
    if before is None or after is None:
        only = _reads(after or before)
        return f"{each['query_id']}: {only}, {'not planned before it' if before is None else 'not planned since'}"
    cost = f"cost {count(before['cost'])} → {count(after['cost'])}"
    if before["hash"] == after["hash"]:
        return f"{each['query_id']}: the same plan as before it, {_reads(after)}"
    return f"{each['query_id']}: {_reads(before)} → {_reads(after)}, {cost}"


def _reads(plan: Any) -> str:
    """The nodes of a plan that read a table or an index."""
    found = [node for node in plan["nodes"] if " of " in node or " by " in node]
    more = [glyphs().ellipsis] if len(found) > _MOST_NODES else []
    return " + ".join([*found[:_MOST_NODES], *more])


def _what(row: ChangeRow) -> str:
    name = row.target.get("catalogue", {}).get("index")
    return str(name) if name else row.change.kind
