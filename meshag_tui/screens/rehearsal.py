"""Trying a suggestion out: first exactly what would be read of the watched server, then, measured, what it does.

The result is a text with a small plot: each statement's change with its interval beside the line of no change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.advisor.rehearsed import proof_said, saving, signed, undone_said
from meshag_tui.advisor.rehearsed import said as change_said
from meshag_tui.figures import count, duration, moment, percent, size, sparkline
from meshag_tui.glyphs import ASCII, PLAIN, glyphs
from meshag_tui.text import one_line
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog, TextDialog, sql_parts
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.engines.rehearsal import CopyPlan
    from meshag_tui.screens.pane import Pane
    from meshag_tui.store.rehearsals import RehearsalRow
    from meshag_tui.store.suggestions import StoredSuggestion
    from meshag_tui.workflows.rehearsal import RehearsalReview

_LOOKS = {"faster": "good", "slower": "critical", "failed": "warning", "proven": "good", "not proven": "warning"}
_PLOT = 30
_SPARKS = 20
_PLAN_NODES = 3


@dataclass(frozen=True)
class Copying(Confirmation):
    """What would be read, and where it would go: the statements are the last word of it."""

    review: RehearsalReview | None = None

    def parts(self) -> list[Piece]:
        said: list[Piece] = [("bold", f"{one_line(self.object_name)}\n"), ("", f"{self.effect}\n")]
        if self.review is None:
            return said
        plan = self.review.plan
        if not plan.statements:
            return said + [("warning", f"{glyphs().warning} {one_line(note)}\n") for note in plan.notes]
        said += [("dim", "\nIt would be read of:\n"), *_tables(plan)]
        said += [("dim", "\nExactly this would be run there:\n")]
        for statement in plan.statements:
            said += [*sql_parts(statement), ("", "\n")]
        return said + [("warning", f"{glyphs().warning} {one_line(note)}\n") for note in plan.notes]


def _tables(plan: CopyPlan) -> list[Piece]:
    said: list[Piece] = []
    for one in plan.tables:
        part = "whole" if one.share == 1 else f"{percent(one.share)} of it" if one.share else "rows others name"
        said.append(("", f"  {glyphs().gap} {one_line(one.name)}: {part}, of {count(one.rows)} rows\n"))
    return said


def question(review: RehearsalReview) -> Copying:
    """The dialog's content for a review."""
    plan = review.plan
    limits = plan.limits
    reads = (
        f"Rows are read in one read-only transaction, at most {count(limits.rows)} rows, {size(limits.bytes)} and "
        f"{limits.seconds:g} s, into"
    )
    if not plan.statements:
        reads = "No row of it is read: the statements run in"
    run = f"{_statements(len(review.asked))} run with the change and without"
    if not review.asked:
        reads = "No row of it is read: its schema is made in"
        run = "the change is made and taken back: nothing of it can be measured"
    return Copying(
        title=f"{_verb(review)}: {one_line(review.title)}",
        object_name=plan.source,
        effect=f"{reads} {plan.place}, which is gone afterwards. There {run}. "
        "Nothing is changed on the watched server.",
        verb=_verb(review),
        review=review,
    )


def _verb(review: RehearsalReview) -> str:
    return "Measure" if review.asked else "Try"


def _statements(many: int) -> str:
    return "one statement is" if many == 1 else f"{count(many)} statements are"


async def begin(pane: Pane, found: StoredSuggestion) -> None:
    """Show what would be read; on yes measure, and show what came of it."""
    pane.shell.say("Asking the catalogue what would have to be read")
    review = await pane.bench.hands.review_rehearsal(found.id)

    def answered(yes: bool | None) -> None:
        if yes:
            pane.shell.do(_measure(pane, review))
        else:
            pane.shell.say("Nothing was read")

    pane.shell.push_screen(ConfirmDialog(question(review)), answered)


async def begin_for(pane: Pane, query_id: int, connection_id: str) -> None:
    """The same for the most urgent advice about a statement that can be tried out."""
    from meshag_tui.store import suggestions
    from meshag_tui.workflows.rehearsal import why_not

    found = await pane.bench.store.read(suggestions.of_query, query_id, connection_id)
    fitting = [one for one in found if why_not(one) is None]
    if fitting:
        await begin(pane, fitting[0])
    else:
        pane.shell.say("There is no advice about it that can be tried out in a sandbox", "warning")


async def _measure(pane: Pane, review: RehearsalReview) -> None:
    shell = pane.shell
    shell.say(f"Rehearsing: {one_line(review.title, 60)} ({shell.actions['cancel'].shown_key} cancels)")
    row = await pane.bench.hands.rehearse(review.suggestion_id, review.hash)
    shell.say(f"{verdict_word(row.verdict)}: {one_line(review.title, 60)}")
    pane.refresh_soon()
    if len(shell.screen_stack) == 1 and pane.in_front:
        shell.push_screen(result_dialog(row, review.title))


def result_dialog(row: RehearsalRow, title: str) -> TextDialog:
    """What was measured, to read and copy."""
    word = "Measured" if row.document["statements"] else "Tried"
    return TextDialog(f"{word}: {one_line(title.partition(':')[0])}", result_pieces(row))


def verdict_word(verdict: str) -> str:
    """ "✓ faster", "✗ slower", "– no effect", "· inconclusive"."""
    drawn = glyphs()
    signs = {"faster": drawn.ok, "proven": drawn.ok, "slower": drawn.bad}
    signs["no effect"] = drawn.none
    signs |= dict.fromkeys(("failed", "not proven"), drawn.warning)
    return f"{signs.get(verdict, drawn.gap)} {verdict}"


def result_pieces(row: RehearsalRow) -> list[Piece]:
    """All of a rehearsal: the verdict, each statement with its interval, what was copied, what differs."""
    found = row.document
    statements: Sequence[Mapping[str, Any]] = found["statements"]
    said: list[Piece] = [(_LOOKS.get(row.verdict, ""), verdict_word(row.verdict))]
    said.append(("", _counts(found) if statements else "\n"))
    saved = found.get("saved_ms_per_day")
    if saved:
        words = saving(saved)
        said.append(("", f"{words[0].upper()}{words[1:]}.\n"))
    if found.get("proof"):
        proven = found["proof"]["proven"]
        drawn = glyphs().ok if proven else glyphs().warning
        said.append(("good" if proven else "warning", f"{drawn} {one_line(proof_said(found['proof']))}\n"))
    if found.get("undone"):
        proven = found["undone"]["proven"]
        drawn = glyphs().ok if proven else glyphs().warning
        said.append(("good" if proven else "warning", f"{drawn} {one_line(undone_said(found['undone']))}\n"))
    scale = _scale(statements)
    for main, title in ((True, "\nWhat it is for\n"), (False, "\nOther statements on the table\n")):
        some = [one for one in statements if one["main"] is main]
        if some:
            said.append(("accent", title))
            for one in some:
                said += _statement(one, scale)
    said += [("accent", "\nHow  "), ("", f"{one_line(found['sandbox'])}, {moment(row.created_at, '%d %b %H:%M')}\n")]
    said.append(("", f"  ran {one_line(found['sql'])}\n"))
    for one in found["copied"]:
        said.append(("", f"  copied {one_line(one['name'])}: {count(one['rows'])} of {count(one['of'])} rows\n"))
    if statements:
        of_time = f"  {found['confidence']:.0%} intervals, sides in turn, caches warm; the server's own time\n"
        said.append(("dim", of_time))
    said += [("dim", f"  {one_line(note)}\n") for note in found["notes"]]
    kept = f": every run is kept (meshag benchmark {row.id} --samples --json)" if statements else ""
    return [*said, ("dim", f"  {row.id}{kept}\n")]


def _counts(found: Mapping[str, Any]) -> str:
    names = ("faster", "slower", "no effect", "inconclusive", "failed")  # one of before has no "no effect"
    parts = [f"{found[name]} {name}" for name in names if found.get(name)]
    return f"  of {found['listed']} statements: {', '.join(parts)}\n"


def _statement(one: Mapping[str, Any], scale: tuple[float, float] | None) -> list[Piece]:
    look = _LOOKS.get(one["verdict"], "")
    said: list[Piece] = [(look, f"  {verdict_word(one['verdict']):<15}"), ("bold", one["query_id"])]
    if one["verdict"] == "failed":
        return [*said, ("", f"  could not be run: {one_line(one['why'] or '')}\n")]
    said.append(("", f"  {change_said(one)}\n"))
    if scale is not None and one["change"] and not one["same_work"] and glyphs() is not PLAIN:
        said.append((look, f"    {plot(one['change'], scale, _PLOT)}\n"))
    before, after = one["before"], one["after"]
    said.append(
        (
            "",
            f"    {duration(before['median_ms'])} → {duration(after['median_ms'])}, 95 of 100 runs within "
            f"{duration(before['p95_ms'])} → {duration(after['p95_ms'])}, "
            f"{count(before['blocks'])} → {count(after['blocks'])} blocks\n",
        )
    )
    if glyphs() is not PLAIN:
        said.append(("dim", f"    {_rounds(one)}\n"))
    was, now = (_nodes(one[name]) for name in ("plan_before", "plan_after"))
    if was != now:
        said.append(("dim", f"    {was}\n    {glyphs().arrow} {now}\n"))
    if one["same_plan"] is False:
        said.append(("warning", f"    {glyphs().warning} the watched server plans it otherwise now\n"))
    sets = "one set" if one["sets"] == 1 else f"{count(one['sets'])} sets"
    said.append(("dim", f"    {count(one['rounds'])} rounds of {sets} of values\n"))
    return said


def _rounds(one: Mapping[str, Any]) -> str:
    """The rounds of both sides, drawn to one height."""
    pairs = one["rounds_ms"][-_SPARKS:]
    both = sparkline([pair[0] for pair in pairs] + [pair[1] for pair in pairs], 2 * len(pairs))
    return f"rounds before {both[: len(pairs)]}  after {both[len(pairs) :]}"


def _nodes(plan: Mapping[str, Any]) -> str:
    nodes = [one_line(node) for node in plan["nodes"]]
    more = f" and {len(nodes) - _PLAN_NODES} more" if len(nodes) > _PLAN_NODES else ""
    return f"{', '.join(nodes[:_PLAN_NODES])}{more}"


def _scale(statements: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """What the plots reach from and to: all intervals and no change, at most half again and twice."""
    changes = [one["change"] for one in statements if one.get("change") and not one["same_work"]]
    if not changes:
        return None
    low = max(-1.0, min(0.0, *(one["low"] for one in changes)))
    high = min(1.0, max(0.0, *(one["high"] for one in changes)))
    return (low, high) if high - low > 0.02 else (low - 0.01, high + 0.01)


def plot(change: Mapping[str, float], scale: tuple[float, float], width: int) -> str:
    """An interval on its scale in about `width` cells, with its ends in words; ┊ stands for no change."""
    low, high = scale
    line, left, middle, right, none = "-[o]|" if glyphs() is ASCII else "─├●┤┊"

    def place(value: float) -> int:
        return round((min(high, max(low, value)) - low) / (high - low) * (width - 1))

    drawn = [" "] * width
    drawn[place(0.0)] = none
    begin, end = place(change["low"]), place(change["high"])
    drawn[begin : end + 1] = line * (end - begin + 1)
    drawn[begin], drawn[end] = left, right
    drawn[place(change["estimate"])] = middle
    return f"{signed(low):>7} {''.join(drawn)} {signed(high)}"
