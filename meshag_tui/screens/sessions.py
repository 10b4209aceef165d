"""Sessions: what they do now, who waits for what and for whom, and what they did at any minute before.

Above, average active sessions over time by what they waited for; below, the sessions. `[` and `]` move a cursor over
the plot, and the list is then what was kept of that moment; at the newest it is live again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.figures import duration, moment, moment_from, number_of
from meshag_tui.glyphs import glyphs
from meshag_tui.live import WAIT_CLASSES, WAIT_WORDS, Ending, Vital, Way
from meshag_tui.screens import sessions_facts as facts
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.scope import span_name
from meshag_tui.screens.sessions_facts import COLUMNS, SHOWN, Row
from meshag_tui.store import sampled
from meshag_tui.types import MeshagError, Window
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.stacked import Stack, Stacked
from meshag_tui.widgets.states import LOADING, READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic

_SECOND, _MINUTE, _HOUR = 1000, 60_000, 3_600_000
_SPANS = (15 * _MINUTE, _HOUR, 6 * _HOUR, 24 * _HOUR, 7 * 24 * _HOUR)
_REACH_MS = 300_000
"""How far from the cursor something kept may lie: idle servers are written of every five minutes."""
_STALE_AFTER = 5
"""Paces without a new reading from which the list is said to be old."""
_NO_SAMPLES = State(
    Condition.EMPTY,
    "no samples here yet",
    "Sessions are sampled while these screens, or meshag collect, run.",
    "z shows a longer time, T goes to a moment.",
)


class SessionsPane(ListPane):
    """`at` (epoch ms) is the moment that is looked at; None: now."""

    place = "sessions"
    topics: ClassVar[frozenset[Topic]] = frozenset({"sessions"})
    DEFAULT_CSS = """
    SessionsPane Table { height: 1fr; }
    SessionsPane #load { height: 25%; min-height: 6; max-height: 14; }
    SessionsPane #session, SessionsPane #tree { padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.at: int | None = None
        self.wanted = "busy"
        self._span = _SPANS[0]
        self._rows: list[Row] = []
        self._window: Window | None = None
        self._query: int | None = None  # of the session that is shown in full
        self._looked_at: Row | None = None
        self._vitals: Mapping[str, Vital] | None = None  # of the moment that is looked at

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Stacked(empty=_NO_SAMPLES, id="load")
            yield PlainLine(id="sessions-summary")
            yield Table(COLUMNS, key=lambda row: row.key, sort=("state", False), markable=False)
        yield Page(id="session", classes="view")
        yield Page(id="tree", classes="view")

    @property
    def _table(self) -> Table:
        return self.query_one(Table)

    @property
    def _chosen(self) -> Row | None:
        row: Row | None = self._table.row
        return row

    @property
    def wants_tick(self) -> bool:
        return self.at is None  # ages, and whoever samples is told that somebody looks on

    def connection_changed(self) -> None:
        super().connection_changed()
        self.at, self._rows, self._looked_at, self._vitals = None, [], None, None
        self.query_one(Stacked).set_stack(None, LOADING)
        self.query_one(PlainLine).set_text("")

    # --- reading ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        info = self.connection
        assert info is not None  # noqa: S101 (needs_connection)
        await self._load_plot(info.id)
        if not self.query(Table):  # the app is closing
            return
        if self.at is not None:
            await self._load_then(info.id, self.at)
        elif self.shell.replays:
            await self._load_then(info.id, round(self.shell.now_ms()))
        else:
            self._load_now(info.id)
        if self.view == "session":
            await self._describe()
        elif self.view == "tree":
            self._show_tree()
        self.shell.refresh_keys()

    async def _load_plot(self, connection_id: str) -> None:
        plot = self.query_one(Stacked)
        steps = plot.columns
        width = max(_SECOND, self._span // steps)
        window = self._window_at(width, steps)
        buckets = await self.bench.store.read(sampled.load, connection_id, window, steps)
        cursor = None if self.at is None else max(0, min(steps - 1, (self.at - 1 - window.start) // width))
        self._window = window
        parts = tuple(
            None if each.active is None else tuple(each.active.get(name, 0.0) for name in WAIT_CLASSES)
            for each in buckets
        )
        title = f"Active sessions, {span_name(self._span)}"
        names = tuple(WAIT_WORDS[name] for name in WAIT_CLASSES)
        plot.set_stack(Stack(title, names, window.start, window.end, parts, cursor))

    def _window_at(self, width: int, steps: int) -> Window:
        """The time that is drawn: up to now, or around a moment that lies before. Its edges are whole steps, so that it
        moves, and is painted anew, no more often than there is a new column."""
        now = round(self.shell.now_ms())
        end = -(-now // width) * width
        if self.at is not None and self.at <= end - width * steps:
            end = min(end, -(-(self.at + width * steps // 2) // width) * width)
        return Window(end - width * steps, end)

    def _load_now(self, connection_id: str) -> None:
        self.bench.sampler.watch(connection_id)
        latest = self.bench.sampler.latest(connection_id)
        self._vitals = latest.vitals if latest is not None else None
        if latest is None or latest.reading is None:
            self._rows = []
            self._show((), self._waiting(latest.error if latest else "", latest.fix if latest else ""))
            return
        reading = latest.reading
        self._rows = facts.rows_of(reading)
        age_ms = self.shell.now_ms() - reading.taken_at
        state = READY
        if latest.error:
            state = State(Condition.STALE, f"of {duration(age_ms)} ago", latest.error, latest.fix)
        elif reading.finding is not None and (reading.state != "ok" or any(r.wait == "lock" for r in self._rows)):
            state = State(Condition.FORBIDDEN, reading.finding.title, reading.finding.detail, reading.finding.fix or "")
        elif age_ms > 1000 * _STALE_AFTER * max(1.0, latest.every_s):
            state = State(Condition.STALE, f"of {duration(age_ms)} ago", "The server has not answered since.")
        self._show(self._rows, state)
        more = f"{glyphs().separator}{number_of(reading.more, 'session')} more" if reading.more else ""
        self.query_one(PlainLine).set_text(facts.summary(self._rows, latest.vitals) + more)

    def _waiting(self, error: str, fix: str) -> State:
        info = self.connection
        if error:
            return State(Condition.ERROR, "sessions cannot be read", error, fix)
        if info is not None and info.last_error:
            return State(Condition.ERROR, "sessions are not read while the connection fails", info.last_error)
        if self.bench.settings.collect.sample_s <= 0:
            return State(Condition.EMPTY, "sampling is off", "[collect] sample_s is 0 in config.toml.")
        return LOADING._replace(title="sessions are looked at")

    async def _load_then(self, connection_id: str, at: int) -> None:
        span = await self.bench.store.read(sampled.at, connection_id, at, _REACH_MS)
        self._vitals = span.vitals if span is not None else None
        if span is None:
            self._rows = []
            self._show((), State(Condition.EMPTY, f"nobody looked around {moment(at)}", "", "] goes on towards now."))
            return
        self._rows = facts.rows_then(span)
        nothing = State(Condition.EMPTY, f"nothing worked at {moment(at)}", "No session was in a transaction either.")
        self._show(self._rows, READY if self._rows else nothing)
        when = f"{moment(span.start_at)} to {moment(span.end_at, '%H:%M:%S')}, {number_of(span.samples, 'sample')}"
        self.query_one(PlainLine).set_text(f"{when}{glyphs().separator}{facts.summary(self._rows, span.vitals)}")

    def _show(self, rows: list[Row] | tuple[Row, ...], state: State) -> None:
        shown = [row for row in rows if row.is_shown(self.wanted) and self.matches(row.words)]
        if not rows:
            self.query_one(PlainLine).set_text("")
        if state is READY and not shown:
            what = self.filter_text.strip() or SHOWN[self.wanted]
            title = f"no session of {len(rows)} is in this list" if rows else "no session does anything"
            state = State(Condition.EMPTY, title, what, "f shows others.")
        self._table.set_rows(shown, state)

    def show_state(self, state: State) -> None:
        self._table.set_state(state)
        self.query_one(Stacked).set_stack(None, state)

    def filtered(self) -> None:
        self._show(self._rows, READY)

    # --- one session, and who blocks whom ---------------------------------------------------------------------------

    async def on_table_row_selected(self, event: Table.RowSelected) -> None:
        self._looked_at = event.row
        self.open_view("session")

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self.shell.refresh_keys()

    async def _describe(self) -> None:
        row = self._looked_at
        page = self.query_one("#session", Page)
        if row is None:
            return
        now = next((each for each in self._rows if each.key == row.key), None)
        self._looked_at = row = now or row
        self._query = await self._query_of(row)
        said = facts.in_full(row, self._rows, self._query is not None, self.words)
        if now is None:
            said.insert(0, ("warning", f"{glyphs().warning} it is gone; this is what it did last\n"))
        page.set_parts(said, keep_place=True)

    async def _query_of(self, row: Row) -> int | None:
        info = self.connection
        if info is None or row.fingerprint is None:
            return None
        return await self.bench.store.read(sampled.query_of, info.id, row.fingerprint)

    def _show_tree(self) -> None:
        said = facts.tree(self._rows) or [("dim", "Nobody waits for another\n")]
        said += [("dim", "\nThe server's vital figures\n"), *facts.vital_pieces(self._vitals)]
        self.query_one("#tree", Page).set_parts(said, keep_place=True)

    async def on_key(self, event: events.Key) -> None:
        if event.key == "enter" and self.view == "session":
            event.stop()
            await self.shell.perform("session-query")

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        row = self._acted_on if self.is_mounted else None
        if action_id == "session-query" and (row is None or row.fingerprint is None):
            return "there is no statement"
        if action_id == "session-end":
            if row is None:
                return "there is no session"
            if row.live is None:
                if self.at is None:
                    return f"this is of {moment(self.shell.now_ms())}"
                return f"this is of {moment(self.at)}; ] goes back to now"
        if action_id == "later" and self.at is None:
            return "this is now"
        if action_id in ("filter", "sort", "sort-reverse", "sessions-show", "session-tree") and self.depth:
            return "esc goes back to the list first"
        return super().why_not(action_id)

    @property
    def _acted_on(self) -> Row | None:
        return self._looked_at if self.view == "session" else self._chosen if self.view == "list" else None

    def copy_text(self) -> tuple[str, str] | None:
        row = self._acted_on if self.is_mounted else None
        return None if row is None or row.text is None else (row.text, "query text")

    @property
    def narrowed(self) -> str:
        return self.wanted

    def narrow(self, shown: str) -> None:
        self.wanted = shown if shown in SHOWN else "busy"

    def do_sessions_show(self) -> None:
        """Choose which sessions are listed."""
        from meshag_tui.widgets.chooser import Choice, Chooser

        choices = [
            Choice(key, words, str(sum(row.is_shown(key) for row in self._rows))) for key, words in SHOWN.items()
        ]

        def chosen(wanted: str | None) -> None:
            if wanted is not None:
                self.wanted = wanted
                self.refresh_soon()

        self.shell.push_screen(Chooser("Show", choices, self.wanted), chosen)

    def do_session_tree(self) -> None:
        self.open_view("tree")

    async def do_session_query(self) -> None:
        """Go to the page of the statement."""
        row = self._acted_on
        query = None if row is None else await self._query_of(row)
        if query is None:
            self.shell.say("This statement is not among the queries yet: the next sync may bring it", "warning")
            return
        await self.shell.go("queries")
        if (pane := self.shell.pane("queries")) is not None:
            await pane.open_query(query)  # type: ignore[attr-defined]

    def do_session_zoom(self) -> None:
        """Show another span of time in the plot."""
        self._span = _SPANS[(_SPANS.index(self._span) + 1) % len(_SPANS)]
        self.refresh_soon()

    def do_earlier(self) -> None:
        """Look at the step before."""
        self._move(-1)

    def do_later(self) -> None:
        """Look at the step after; at the newest, at now."""
        if self.at is not None:
            self._move(1)

    def _move(self, by: int) -> None:
        if self._window is None:
            return
        width = self._window.span_ms // self.query_one(Stacked).columns
        now = -(-round(self.shell.now_ms()) // width) * width
        at = (now if self.at is None else self.at) + by * width
        self._look_at(None if at >= now else at)

    def _look_at(self, at: int | None) -> None:
        self.at = at
        self.refresh_soon()

    def do_session_moment(self) -> None:
        """Ask for a moment and go there."""
        from meshag_tui.widgets.form import Field, FormDialog

        def problem(text: str) -> str | None:
            good = moment_from(text, self.shell.now_ms()) is not None
            return None if good else "a time as 03:12, or with its day as 2026-09-21 03:12"

        def typed(values: dict[str, str] | None) -> None:
            if values is not None:
                self._look_at(moment_from(values["at"], self.shell.now_ms()))

        field = Field("at", "Moment", hint="03:12, or 2026-09-21 03:12", check=problem, required=True)
        self.shell.push_screen(FormDialog("What was it doing at", [field], "Look"), typed)

    def back(self) -> bool:
        if super().back():
            return True
        if self.at is not None:
            self._look_at(None)
            return True
        return False

    # --- stopping one -----------------------------------------------------------------------------------------------

    def do_session_end(self) -> None:
        """Choose how to stop the session under the cursor, then show exactly what would run."""
        from meshag_tui.widgets.chooser import Choice, Chooser

        row = self._acted_on
        if row is None or row.live is None:
            return
        session = row.live
        choices = [
            Choice("cancel", "cancel its statement; the session stays"),
            Choice("terminate", "end the session; its transaction is rolled back"),
        ]

        def chosen(way: str | None) -> None:
            if way is not None:
                self.shell.do(self._review(Ending(session, "cancel" if way == "cancel" else "terminate")))

        self.shell.push_screen(Chooser(f"Stop session {session.id} of {session.who}", choices), chosen)

    async def _review(self, ending: Ending) -> None:
        from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog

        info = self.connection
        if info is None:
            return
        shown = await self.bench.hands.review_end(info.id, ending)
        verbs: dict[Way, str] = {"cancel": "Cancel the statement", "terminate": "End the session"}
        question = Confirmation(
            title=verbs[ending.way],
            object_name=f"{shown.who} on {info.name}",
            effect=f"{shown.effect}\n{ending.session.text or ''}",
            sql=shown.sql,
            undo="Nothing does.",
            verb=verbs[ending.way],
            dialect=self.words.dialect,
            notes=shown.notes,
        )

        async def end() -> None:
            from meshag_tui.changes.ending import in_words

            try:
                ended = await self.bench.hands.end_session(info.id, shown)
            except MeshagError as error:
                self.failed(f"Not stopped: {shown.who}", error)
                return
            self.shell.say(f"{shown.who}: {in_words(ended)}", "information" if ended.outcome == "sent" else "warning")
            self.refresh_soon()

        def answered(yes: bool | None) -> None:
            if yes:
                self.shell.do(end())

        self.shell.push_screen(ConfirmDialog(question), answered)
