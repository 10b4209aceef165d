"""Advice about a database: the list with the one under the cursor beside it, and what is done about it by a key.

Applying and undoing go through a review of the exact statement (`screens.apply`); dismissing and reviewing work on all
that are marked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from meshag_tui.cli.advice import describe
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import basket, export, suggestions_model
from meshag_tui.screens.applied import AppliedView, outcome_line
from meshag_tui.screens.apply import ApplyDialog
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.look import look_of
from meshag_tui.screens.presets import Preset
from meshag_tui.screens.suggestions_facts import (
    gain_word,
    in_full,
    on_table,
    priority_tone,
    priority_word,
    query_line,
    status_word,
)
from meshag_tui.screens.suggestions_filter import OPEN, wanted_from
from meshag_tui.store import changes, history, outcomes, rehearsals, suggestions
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.text import one_line
from meshag_tui.types import ChangeState, MeshagError, Risk, SuggestionPriority, SuggestionStatus
from meshag_tui.widgets.chooser import Chooser
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows import rehearsal
from meshag_tui.workflows.notices import Topic

if TYPE_CHECKING:
    from meshag_tui.changes.review import Review

_PRIORITIES = list(SuggestionPriority)
COLUMNS: tuple[Column, ...] = (
    Column(
        "priority", "Priority", 8, value=lambda row: priority_word(row.priority), tone=priority_tone,
        sort_key=lambda said: [priority_word(each) for each in _PRIORITIES].index(said), keep=95,
    ),
    Column("title", "Advice", 44, flex=3, value=lambda row: row.title, prose=True, keep=100),
    Column("rule", "Rule", 20, value=lambda row: row.rule, keep=60),
    Column("table", "Table", 16, flex=1, value=on_table, keep=50),
    Column("evidence", "Evidence", 8, value=lambda row: str(row.evidence_kind), keep=70),
    Column(
        "gain", "Gain", 11, align="right", value=lambda row: row.gain_ms_per_day, render=gain_word, descending=True,
        keep=65,
    ),
    Column("status", "Status", 11, value=status_word, keep=80),
)  # fmt: skip
_SHOWN_QUERIES = 50
_ON_ONE = ("apply", "undo", "dismiss", "reviewed", "benchmark", "measured", "migration", "talk")
_ALONE = ("undo", "benchmark", "measured", "talk")


@dataclass(frozen=True)
class RelatedQuery:
    """A query that a suggestion is about."""

    id: int
    text: str | None

    @property
    def line(self) -> str:
        return query_line(self.id, self.text)


@dataclass(frozen=True)
class Whole:
    """A suggestion with its past and its queries."""

    found: StoredSuggestion
    history: tuple[ChangeRow, ...]
    queries: tuple[RelatedQuery, ...]
    outcomes: Mapping[str, str]
    """What each change was measured to do, in a line, by its id."""


def read_whole(suggestion_id: str) -> Whole:
    """Read a suggestion, in the store's thread. MeshagError: there is none of this id."""
    suggestion = suggestions.get(suggestion_id)
    queries = []
    for query_id in suggestion.query_ids[:_SHOWN_QUERIES]:
        try:
            queries.append(RelatedQuery(query_id, history.statement(query_id).text))
        except MeshagError:  # forgotten with its history
            continue
    past = changes.listing(suggestion_id=suggestion_id)
    measured = {row.id: outcome_line(found) for row in past if (found := outcomes.get(row.id)) and found.looks}
    return Whole(suggestion, past, tuple(queries), measured)


class SuggestionsPane(ListPane):
    """The list and the detail beside or below it; enter opens the detail alone, with the queries it is about."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    place = "suggestions"
    all_presets = (Preset("most urgent"), Preset("greatest gain", "gain"))
    # Statistics too: what another process found or applied is in the store by the next sync.
    topics: ClassVar[frozenset[Topic]] = frozenset({"suggestions", "changes", "statistics"})

    def __init__(self) -> None:
        super().__init__()
        self.wanted = OPEN
        self._all: tuple[StoredSuggestion, ...] = ()
        self._wholes: dict[str, Whole] = {}  # what was read since the last load
        self._open_id: str | None = None
        self._busy: dict[str, str] = {}  # suggestion id -> what is being done with it
        self._decided: set[str] = set()  # decided here: they stay in sight until others are asked for
        self._notes: tuple[str, ...] = ()
        self._offered: set[str] = set()  # connections of which a run that was interrupted was asked for

    def compose(self) -> ComposeResult:
        with Container(id="list", classes="view"):
            with Vertical(id="suggestions-left"):
                yield Table(COLUMNS, key=lambda row: row.id, id="suggestions-table")
                yield PlainLine(id="suggestions-summary")
            yield Page(id="suggestions-about")
        with Vertical(id="whole", classes="view"):
            yield Page(id="suggestion-page")
            yield Table(
                (Column("line", "Queries it is about: enter opens one", 20, flex=1, keep=100, prose=True),),
                key=lambda row: row.id,
                id="suggestion-queries",
                markable=False,
            )
        yield AppliedView(id="applied", classes="view")

    @property
    def _list(self) -> Table:
        return self.query_one("#suggestions-table", Table)

    # --- reading ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        info = self.connection
        if info is None:
            return
        if self.view == "applied":
            await self.query_one(AppliedView).load()
            return
        self._all = await self.bench.store.read(suggestions.listing, info.id, resolved=True)
        self._wholes.clear()
        rows = [
            found
            for found in self._all
            if (self.wanted.lets_through(found) or found.id in self._decided)
            and self.matches(f"{found.title} {found.rule} {on_table(found)}")
        ]
        self._list.set_rows(rows, READY if rows else self._nothing())
        if info.id not in self._offered:
            self._offered.add(info.id)
            await basket.offer_what_is_left(self, info.id)
        self._summarise()
        await self._describe()

    def _nothing(self) -> State:
        key = self.shell.actions["suggest"].shown_key
        if not self._all:
            return State(
                Condition.EMPTY,
                "no advice yet",
                "MeshAG compares the workload with plans, indexes and statistics, and says what would help and why.",
                f"{key} looks for improvements now.",
            )
        if self.filter_text.strip():
            return State(Condition.EMPTY, "nothing matches", self.filter_text, "esc clears the filter.")
        return State(
            Condition.EMPTY,
            f"no advice that is {self.wanted.said}",
            f"There are {len(self._all)} others.",
            f"{self.shell.actions['suggestions-show'].shown_key} shows others, {key} looks again.",
        )

    def _summarise(self) -> None:
        rows: Sequence[StoredSuggestion] = self._list.rows
        whole = f"the first {len(self._all):,}" if len(self._all) == suggestions.MOST else str(len(self._all))
        said = [f"{len(rows)} of {whole}", f"shown: {self.wanted.said}"]
        if self._list.marks:
            said.append(f"{glyphs().mark} {len(self._list.marks)} marked")
        said += [f"{what} {one_line(found.title, 40)}" for found in self._all if (what := self._busy.get(found.id))]
        if self._notes:
            more = f" (+{len(self._notes) - 1})" if len(self._notes) > 1 else ""
            said.append(f"{glyphs().warning} {one_line(self._notes[0])}{more}")
        self.query_one("#suggestions-summary", PlainLine).set_text(glyphs().separator.join(said))

    async def _describe(self) -> None:
        """Show the suggestion under the cursor or the opened one; its past is read once."""
        wanted = self._current_id
        about = self.query_one("#suggestions-about", Page)
        about.display = wanted is not None
        self.shell.refresh_keys()
        if wanted is None:
            return
        whole = self._wholes.get(wanted)
        if whole is None:
            whole = await self.bench.store.read(read_whole, wanted)
            if wanted != self._current_id:
                return
            self._wholes[wanted] = whole
        key = self._key_if_writing
        parts = in_full(
            whole.found,
            whole.history,
            whole.outcomes,
            self.shell.now_ms(),
            key("apply"),
            key("undo"),
            self.words.dialect,
            self.bench.settings.money,
        )
        if self.view == "whole":
            self.query_one("#suggestion-page", Page).set_parts(parts, keep_place=True)
            related = self.query_one("#suggestion-queries", Table)
            related.set_rows(whole.queries)
            related.display = bool(whole.queries)
        else:
            if whole.queries:
                parts += [("accent", "\nQueries"), ("dim", "  (enter, then enter on one, opens it)\n")]
                parts += [("", f"  {query.line}\n") for query in whole.queries[:5]]
            about.set_parts(parts, keep_place=about.copy_text.split("\n")[1:2] == [whole.found.title])
        self.shell.refresh_keys()

    def _key_if_writing(self, action_id: str) -> str | None:
        return self.shell.actions[action_id].shown_key if self.shell.may_write else None

    def show_state(self, state: State) -> None:
        if self.view == "whole":
            self.query_one("#suggestion-page", Page).set_state(state)
        else:
            self._list.set_state(state)

    def connection_changed(self) -> None:
        super().connection_changed()
        self._all, self._notes = (), ()
        self._decided.clear()
        self.query_one("#suggestions-about").display = False
        self.query_one("#suggestions-summary", PlainLine).set_text("")

    # --- which one --------------------------------------------------------------------------------------------------

    @property
    def _current_id(self) -> str | None:
        """The opened one, or the one under the cursor."""
        if self.view == "whole":
            return self._open_id
        row: StoredSuggestion | None = self._list.row
        return None if row is None else row.id

    @property
    def _targets(self) -> list[StoredSuggestion]:
        """What an action is about: the opened one, the marked ones, or the one under the cursor."""
        if self.view == "whole":
            found = self._by_id(self._open_id)
            return [] if found is None else [found]
        return list(self._list.targets)

    def _by_id(self, suggestion_id: str | None) -> StoredSuggestion | None:
        if suggestion_id is not None and suggestion_id in self._wholes:
            return self._wholes[suggestion_id].found
        return next((found for found in self._all if found.id == suggestion_id), None)

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        if event.table is self._list:
            self.describe(self._describe)

    def on_table_marks_changed(self, event: Table.MarksChanged) -> None:
        self._summarise()
        self.shell.refresh_keys()

    async def on_table_row_selected(self, event: Table.RowSelected) -> None:
        if event.table is self._list:
            self.open_suggestion(event.row.id)
            return
        await self.shell.go("queries")
        pane = self.shell.pane("queries")
        if pane is not None:
            await pane.open_query(event.row.id)  # type: ignore[attr-defined]

    def on_page_copied(self, event: Page.Copied) -> None:
        """`y` is for the statement, wherever the focus is."""
        event.stop()
        self.do_copy()

    def open_suggestion(self, suggestion_id: str) -> None:
        """Look at one suggestion alone."""
        self._open_id = suggestion_id
        if self.view == "whole":
            self.refresh_soon()
        else:
            self.open_view("whole")

    def back(self) -> bool:
        if self.view == "list" and self._list.marks and self.filter_line is None:
            self._list.clear_marks()
            return True
        return super().back()

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        if action_id in ("filter", "sort", "sort-reverse", "suggestions-show", "export") and self.view == "whole":
            return "esc goes back to the list first"
        if action_id in ("verify", "calibration") and self.view != "applied":
            return f"{self.shell.actions['applied'].shown_key} shows what was applied first"
        if action_id == "export" and not (self.is_mounted and self._list.rows):
            return "there is nothing to write"
        if action_id in _ON_ONE:
            targets = self._targets if self.is_mounted else []
            return self._why_not_on(action_id, targets) if targets else "there is no advice here"
        return super().why_not(action_id)

    def _why_not_on(self, action_id: str, targets: Sequence[StoredSuggestion]) -> str | None:
        found = targets[0]
        if action_id in _ALONE and len(targets) > 1:
            return f"{len(targets)} are marked, and each is looked at by itself: esc takes the marks away"
        if action_id in ("apply", *_ALONE) and (what := self._busy.get(found.id)):
            return f"{what} already"
        if action_id in ("apply", "migration") and len(targets) > 1:
            reasons = {each.title: self._why_not_on(action_id, [each]) for each in targets}
            return next((f"{one_line(title, 40)}: {why}" for title, why in reasons.items() if why), None)
        match action_id:
            case "apply" | "migration":
                if found.change is None and found.sql is not None and found.risk is not Risk.HIGH:
                    return "MeshAG does not run statements of this kind: it is shown to be run by hand"
                if found.change is None and found.sql is not None:
                    return "it would make writers wait, so MeshAG does not run it: its text has the steps by hand"
                if found.change is None:
                    return "there is nothing to run: it is for the application, or a person to decide"
                if found.status is SuggestionStatus.APPLIED:
                    return "it is applied already"
                if found.status is SuggestionStatus.DISMISSED:
                    return f"it is dismissed: {self.shell.actions['reviewed'].shown_key} takes it up again"
                return "it is not found any more" if found.resolved_at is not None else None
            case "benchmark":
                return rehearsal.why_not(found)
            case "measured":
                return None if "rehearsal" in found.evidence else "nothing was measured for it"
            case "undo":
                return None if self._undoable(found) else "nothing of it was applied that could be undone"
            case "dismiss":
                if all(each.status in (SuggestionStatus.DISMISSED, SuggestionStatus.APPLIED) for each in targets):
                    return f"it is {found.status.lower()} already"
            case "reviewed":
                if not any(each.status in (SuggestionStatus.NEW, SuggestionStatus.DISMISSED) for each in targets):
                    return f"it is {found.status.lower()} already"
        return None

    def _undoable(self, found: StoredSuggestion) -> bool:
        whole = self._wholes.get(found.id)
        if whole is None:
            return found.status is SuggestionStatus.APPLIED
        return any(row.state is ChangeState.DONE and row.undoes is None for row in whole.history)

    def copy_text(self) -> tuple[str, str] | None:
        if self.view == "applied":
            return self.query_one(AppliedView).copy_text()
        found = self._by_id(self._current_id)
        if found is None:
            return None
        return (found.sql, "statement") if found.sql else (f"{found.title}\n{found.text}", "advice")

    @property
    def narrowed(self) -> str:
        return self.wanted.key

    def narrow(self, shown: str) -> None:
        self.wanted = wanted_from(shown)
        self._decided.clear()

    def do_suggestions_show(self) -> None:
        """Choose which are shown: by status, priority or type."""

        def chosen(choice: str | None) -> None:
            if choice is not None:
                self.wanted = self.wanted.with_choice(choice)
                self._decided.clear()
                self._list.action_first()
                self.refresh_soon()

        self.shell.push_screen(Chooser("Show", self.wanted.choices(self._all)), chosen)

    def do_applied(self) -> None:
        """See what was applied, and what it bought."""
        self.open_view("applied")

    def do_export(self) -> None:
        """Write the listed suggestions to a file."""
        rows: Sequence[StoredSuggestion] = self._list.rows
        export.ask(self, "suggestions", lambda: self._report(rows))

    async def _report(self, rows: Sequence[StoredSuggestion]) -> export.Report:
        return export.Report("Suggestions", export.facts(self, shown=self.wanted.said), [describe(row) for row in rows])

    async def do_reviewed(self) -> None:
        """Mark as looked at; what was dismissed comes back."""
        wanted = [
            each for each in self._targets if each.status in (SuggestionStatus.NEW, SuggestionStatus.DISMISSED)
        ]  # fmt: skip
        for found in wanted:
            await self.bench.advice.mark_reviewed(found.id)
        self._judged("Reviewed", wanted)

    def do_dismiss(self) -> None:
        wanted = [
            each for each in self._targets if each.status in (SuggestionStatus.NEW, SuggestionStatus.REVIEWED)
        ]  # fmt: skip
        title = f"Dismiss: {wanted[0].title}" if len(wanted) == 1 else f"Dismiss {len(wanted)} suggestions"
        reason = Field("reason", "Why", hint="kept with it; it is not proposed again", required=True)

        def answered(values: dict[str, str] | None) -> None:
            if values is not None:
                self.shell.do(self._dismiss(wanted, values["reason"].strip()))

        self.shell.push_screen(FormDialog(one_line(title, 90), [reason], verb="Dismiss"), answered)

    async def _dismiss(self, wanted: Sequence[StoredSuggestion], reason: str) -> None:
        for found in wanted:
            await self.bench.advice.dismiss(found.id, reason)
        self._judged("Dismissed", wanted)

    def _judged(self, what: str, wanted: Sequence[StoredSuggestion]) -> None:
        self._decided.update(found.id for found in wanted)
        self._list.clear_marks()
        self.refresh_soon()
        subject = wanted[0].title if len(wanted) == 1 else f"{len(wanted)} suggestions"
        self.shell.say(f"{what}: {one_line(subject, 60)}")

    # --- changing the database --------------------------------------------------------------------------------------

    def do_apply(self) -> None:
        """Show what would run, of all that are marked together, and run it after a second key."""
        found = self._targets[0]
        if len(self._targets) > 1:
            basket.ask(self, self._targets)
            return
        dialog = ApplyDialog(f"Apply: {one_line(found.title)}", partial(self.bench.hands.review, found.id))

        def answered(agreed: str | None) -> None:
            if agreed is not None:
                work = self.bench.hands.apply(found.id, agreed, accept=dialog.accept)
                self.shell.do(self._change(found, "applying", "Applied", work))

        self.shell.push_screen(dialog, answered)

    def do_migration(self) -> None:
        """Write what is marked as two files, to be run by psql or mysql."""
        basket.ask_files(self, self._targets)

    def begun(self, suggestion_id: str, doing: str) -> None:
        """Something is being done with this one; a run of several goes on to it."""
        self._busy = {each: said for each, said in self._busy.items() if not said.startswith(basket.ONE_OF)}
        self._busy[suggestion_id] = doing
        self._decided.add(suggestion_id)
        self._summarise()

    def mark(self, suggestion_ids: Sequence[str]) -> None:
        """Mark these, as if by hand."""
        self._list.mark(suggestion_ids)

    def ended(self, suggestion_ids: Sequence[str]) -> None:
        """What was being done with these has ended."""
        for suggestion_id in suggestion_ids:
            self._busy.pop(suggestion_id, None)
        self._list.clear_marks()
        self.refresh_soon()

    def do_undo(self) -> None:
        """Show what would put the last change back, and run it after a second key."""
        found = self._targets[0]
        change_ids: list[str] = []

        async def ask() -> Review:
            row, review = await self.bench.hands.review_undo(found.id)
            change_ids.append(row.id)
            return review

        dialog = ApplyDialog(f"Undo: {one_line(found.title)}", ask, verb="Put it back")

        def answered(agreed: str | None) -> None:
            if agreed is not None:
                work = self.bench.hands.undo(change_ids[-1], agreed, accept=dialog.accept)
                self.shell.do(self._change(found, "undoing", "Undone", work))

        self.shell.push_screen(dialog, answered)

    async def _change(self, found: StoredSuggestion, doing: str, done: str, work: Awaitable[ChangeRow]) -> None:
        """Carry out what was agreed to, and say what came of it."""
        self.begun(found.id, doing)
        try:
            row = await work
        except MeshagError as error:
            self.failed(f"Not {done.lower()}: {one_line(found.title)}", error)
            return
        finally:
            self.ended([found.id])
        undo = f" ({self.shell.actions['undo'].shown_key} undoes it)" if done == "Applied" and row.undo_sql else ""
        self.shell.say(f"{glyphs().ok} {done}{undo}: {one_line(row.sql)}")

    # --- measuring --------------------------------------------------------------------------------------------------

    def do_benchmark(self) -> None:
        """Show what would be read for a sandbox, and measure there after a second key."""
        from meshag_tui.screens.rehearsal import begin

        self.shell.do(begin(self, self._targets[0]))

    async def do_measured(self) -> None:
        """Show what was measured last."""
        from meshag_tui.screens.rehearsal import result_dialog

        found = self._targets[0]
        row = await self.bench.store.read(rehearsals.get, str(found.evidence["rehearsal"]["id"]))
        self.shell.push_screen(result_dialog(row, found.title))

    # --- looking for more -------------------------------------------------------------------------------------------

    def do_suggest(self) -> None:
        info = self.connection
        if info is not None:
            self.shell.do(self._suggest(info.id))

    async def _suggest(self, connection_id: str) -> None:
        self.shell.say("Looking for improvements")
        await self.shell.suggest(connection_id)
        self._notes = self.bench.advice.notes
        self._summarise()

    def do_ask_model(self) -> None:
        """Show what would be sent to a model and where; ask it after a second key."""
        info = self.connection
        if info is not None:
            self.shell.do(suggestions_model.ask(self, info))

    def do_talk(self) -> None:
        """Ask a model about the suggestion."""
        from meshag_tui.screens import thread

        self.shell.do(thread.about(self, self._targets[0].id))

    def show_notes(self, notes: tuple[str, ...]) -> None:
        """Keep what the last search could not see or did not believe in the line below the list."""
        self._notes = notes
        self._summarise()
