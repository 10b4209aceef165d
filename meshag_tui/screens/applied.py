"""What was applied to a database, and what each change was measured to buy beside what was forecast.

A view of the suggestions pane: the changes, newest first, with the one under the cursor in full below. It can be
undone, or compared with the time before it now; enter opens the suggestion it came from.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.cli.changes import calibration_lines, outcome_lines, track_line
from meshag_tui.figures import ago, gained, moment
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.apply import ApplyDialog
from meshag_tui.store import outcomes
from meshag_tui.store.outcomes import Applied, ChangeOutcome, OutcomeState
from meshag_tui.text import one_line
from meshag_tui.types import ChangeState, MeshagError
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.dialog import TextDialog, error_dialog, sql_parts
from meshag_tui.widgets.page import Page, Piece
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.changes.review import Review
    from meshag_tui.screens.suggestions import SuggestionsPane
    from meshag_tui.settings import MoneySettings

_EMPTY = State(
    Condition.EMPTY,
    "nothing was applied yet",
    "What is applied is compared with the time before it: what it bought is shown here, beside what was forecast.",
    "esc goes back to the advice.",
)
_WHEN = "%d %b %H:%M"
_HERE = frozenset({"undo", "verify", "calibration", "applied"})
"""Of the pane's own actions those that are about what was applied."""


class Row:
    """A change as the list shows it, at a moment (epoch ms)."""

    def __init__(self, applied: Applied, now: float) -> None:
        self.applied = applied
        self.now = now
        self.id = applied.change.id

    @property
    def found(self) -> str:
        return found_word(self.applied.outcome)

    @property
    def forecast(self) -> float | None:
        return None if self.applied.outcome is None else self.applied.outcome.gain_ms_per_day

    @property
    def measured(self) -> float | None:
        return None if self.applied.outcome is None else self.applied.outcome.saved_ms_per_day

    @property
    def what(self) -> str:
        outcome = self.applied.outcome
        return str(outcome.forecast.get("title") or "") if outcome is not None else self.applied.change.sql


def found_word(outcome: ChangeOutcome | None) -> str:
    """ "✓ better", "✗ worse", "– inconclusive"; with an ellipsis while it is not the last word."""
    drawn = glyphs()
    if outcome is None:
        return f"{drawn.none} not forecast"
    symbol = {
        OutcomeState.BETTER: drawn.ok,
        OutcomeState.WORSE: drawn.bad,
        OutcomeState.WAITING: drawn.ellipsis,
    }.get(outcome.state, drawn.none)
    return f"{symbol} {outcome.state}"


def found_tone(said: str) -> Tone:
    return "good" if said.endswith("better") else "critical" if said.endswith("worse") else ""


def outcome_line(outcome: ChangeOutcome) -> str:
    """An outcome in a line: what was found, measured beside forecast."""
    said = found_word(outcome)
    if outcome.saved_ms_per_day is not None:
        said += f": {gained(outcome.saved_ms_per_day)}"
    if outcome.gain_ms_per_day is not None:
        said += f" (forecast {gained(outcome.gain_ms_per_day)})"
    return said if outcome.settled or outcome.looks == 0 else f"{said}, so far"


def _state_word(row: Row) -> str:
    drawn = glyphs()
    done = row.applied.change.state is ChangeState.DONE
    return f"{drawn.ok} done" if done else f"{drawn.bad} undone"


COLUMNS = (
    Column(
        "at", "Applied", 10, value=lambda row: (row.applied.change.finished_at or 0, row.now),
        render=lambda pair: ago(*pair), sort_key=lambda pair: pair[0], descending=True, keep=85,
    ),
    Column("state", "State", 8, value=_state_word, keep=70),
    Column("found", "Found", 14, tone=found_tone, keep=95),
    Column("forecast", "Forecast", 11, align="right", render=gained, descending=True, keep=80),
    Column("measured", "Measured", 11, align="right", render=gained, descending=True, keep=90),
    Column("what", "Change", 17, flex=1, keep=100, prose=True),
)  # fmt: skip


class AppliedView(Vertical):
    """The list and the detail; a view of `SuggestionsPane`, which opens it and goes back."""

    DEFAULT_CSS = """
    AppliedView Table { height: 1fr; }
    AppliedView Page { height: 60%; border-top: solid $primary; padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        yield Table(
            COLUMNS, key=lambda row: row.id, empty=_EMPTY, sort=("at", True), markable=False, id="applied-table"
        )
        yield Page(id="applied-about")

    @property
    def _pane(self) -> SuggestionsPane:
        return cast("SuggestionsPane", self.parent)

    @property
    def row(self) -> Row | None:
        """The change under the cursor."""
        row: Row | None = self.query_one(Table).row
        return row

    async def load(self) -> None:
        """Read the changes of the connection that is looked at."""
        info = self._pane.connection
        if info is None:
            return
        found = await self._pane.bench.store.read(outcomes.applied, info.id)
        now = self._pane.shell.now_ms()
        self.query_one(Table).set_rows([Row(each, now) for each in found])
        self._describe()

    def _describe(self) -> None:
        page, row = self.query_one(Page), self.row
        page.display = row is not None
        if row is not None:
            full = in_full(row, self._pane.words.dialect, self._pane.bench.settings.money, self._keys_here())
            page.set_parts(full, keep_place=True)
        self._pane.shell.refresh_keys()

    def _keys_here(self) -> str:
        """The keys of this view that work on the change under the cursor and of which the footer says nothing."""
        actions = self._pane.shell.actions
        said = {"verify": "compares it with the time before, now", "calibration": "shows how often forecasts held"}
        told = (f"{actions[name].shown_key} {does}" for name, does in said.items() if self.why_not(name) is None)
        return glyphs().separator.join(told)

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        event.stop()
        self._describe()

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        suggestion_id = event.row.applied.change.suggestion_id
        if suggestion_id is None:
            self._pane.shell.say("The suggestion it came from is not kept any more")
        else:
            self._pane.open_suggestion(suggestion_id)

    def copy_text(self) -> tuple[str, str] | None:
        """What `y` copies."""
        row = self.row
        return None if row is None else (row.applied.change.sql, "statement")

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        """Why an action cannot be done here; those of the list of advice are for that list."""
        of_the_pane = bool(self._pane.shell.actions[action_id].screens)
        if (of_the_pane and action_id not in _HERE) or action_id in ("export", "filter"):
            return "esc goes back to the advice first"
        if action_id == "applied":
            return "it is shown already"
        row = self.row if self.is_mounted else None
        if action_id in ("undo", "verify"):
            if row is None:
                return "nothing was applied yet"
            if row.applied.change.state is not ChangeState.DONE:
                return f"{row.id} is {row.applied.change.state} already"
            if action_id == "verify" and row.applied.outcome is None:
                return "it was applied before forecasts were kept"
        return None

    def do_undo(self) -> None:
        """Show what puts the change under the cursor back; a second key runs it."""
        row = self.row
        if row is None:
            return
        change_id, bench = row.id, self._pane.bench

        async def ask() -> Review:
            return (await bench.hands.review_undo(change_id))[1]

        dialog = ApplyDialog(f"Undo: {one_line(row.what)}", ask, verb="Put it back")

        def answered(agreed: str | None) -> None:
            if agreed is not None:
                self._pane.shell.do(self._undo(change_id, agreed, dialog.accept))

        self._pane.shell.push_screen(dialog, answered)

    async def _undo(self, change_id: str, agreed: str, accept: Collection[str]) -> None:
        try:
            undone = await self._pane.bench.hands.undo(change_id, agreed, accept=accept)
        except MeshagError as error:
            fix = getattr(error, "fix", None) or ""
            self._pane.shell.push_screen(error_dialog("Not undone", str(error), fix))
            return
        finally:
            self._pane.refresh_soon()
        self._pane.shell.say(f"{glyphs().ok} Undone: {one_line(undone.sql)}")

    def do_verify(self) -> None:
        """Compare the change under the cursor with the time before it now."""
        row = self.row
        if row is not None:
            self._pane.shell.do(self._verify(row.id))

    async def _verify(self, change_id: str) -> None:
        found = await self._pane.bench.hands.verify(change_id)
        later = found.result.get("later")
        word = outcome_line(found) if later is None else f"In the last window {later['state']}"
        self._pane.shell.say(f"{word}: {(later or found.result).get('said', '')}")

    async def do_calibration(self) -> None:
        """How often forecasts held, by rule, method and class of confidence."""
        tracks = await self._pane.bench.store.read(outcomes.tracks)
        lines = [track_line(track) for track in tracks] or calibration_lines(tracks)
        parts: list[Piece] = [("", f"{line}\n") for line in lines]
        self._pane.shell.push_screen(TextDialog("How often forecasts held", parts))


def in_full(row: Row, dialect: str, rates: MoneySettings, keys: str) -> list[Piece]:
    """A change with its statement, what was found, and the figures that rest on. `keys`: what can be done with it."""
    change, outcome = row.applied.change, row.applied.outcome
    between = glyphs().separator
    said: list[Piece] = [("bold", f"{one_line(row.what)}\n"), *sql_parts(change.sql, dialect)]
    by = f"{moment(change.finished_at, _WHEN)} by {one_line(change.actor, 40)}"
    said.append(("dim", f"\n{_state_word(row)}{between}{by}{between}{change.id}\n{keys}\n"))
    if outcome is None:
        return [*said, ("", "It was applied before forecasts were kept: there is nothing to compare it with.\n")]
    said.append(("", "\n"))
    for line in outcome_lines(outcome, rates):
        label, text = line[:10], line[10:]
        said += [("accent" if label.strip() else "", label), ("", f"{one_line(text)}\n")]
    if outcome.next_look_at is not None:
        last = f", the last {moment(outcome.looked_at, _WHEN)}" if outcome.looked_at else ""
        over = outcome.next_look_at <= row.now
        following = "after the next sync" if over else f"from {moment(outcome.next_look_at, _WHEN)}"
        said.append(("dim", f"looks so far: {outcome.looks}{last}, the next {following}\n"))
    return said
