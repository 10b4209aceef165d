"""The overview of the monitored databases: what they are, whether they are read, their load, what is worth doing there.

The list comes first; the figures of each connection follow, and are read again only when it was synced since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partialmethod
from typing import Any, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.advisor.score import LEAST_JUDGED, Health
from meshag_tui.cli import report
from meshag_tui.figures import moment
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import overview
from meshag_tui.screens.connection_wizard import ConnectionWizard
from meshag_tui.screens.connections_rows import COLUMNS, STAGE, Row
from meshag_tui.screens.findings import findings_pieces, report_pieces
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.look import look_of
from meshag_tui.screens.scope import span_name
from meshag_tui.store import connections, health, history
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.health import Kept
from meshag_tui.store.history import Overview
from meshag_tui.types import ConnectionStatus, MeshagError, Window
from meshag_tui.widgets.chart import Chart
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog, TextDialog, error_dialog
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Page, Piece
from meshag_tui.widgets.stacked import MARGIN, Stacked
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.status import down_since
from meshag_tui.widgets.table import Table
from meshag_tui.workflows import report as room
from meshag_tui.workflows.notices import Notice, Topic

_EMPTY = State(
    Condition.EMPTY,
    "no connection yet",
    "A connection is a database that MeshAG reads. It needs a role that may watch; the wizard shows the SQL for it.",
    "i adds one, ctrl+t shows you around. To try it first: meshag demo",
)
_ANEW_MS = 30_000
"""How often is read how a connection fares while nothing is told of it."""
_NO_SAMPLES = State(Condition.EMPTY, "nobody looked at its sessions in this window")


class Question(NamedTuple):
    """What figures are an answer to: `synced_at` (epoch ms) tells whether there can be newer ones."""

    synced_at: int
    window: Window
    slow_ms: float
    by_longest: bool


class ConnectionsPane(ListPane):
    """All connections, and below them the one under the cursor: its load, its figures, what is worth doing there."""

    place = "connections"
    topics: ClassVar[frozenset[Topic]] = frozenset(
        {"connections", "suggestions", "statistics", "changes", "sessions", "alerts"}
    )
    needs_connection = False
    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    def __init__(self) -> None:
        super().__init__()
        self._figures: dict[str, tuple[Question, Overview]] = {}
        self._around: dict[str, overview.Around] = {}
        self._asked: tuple[object, ...] = ()  # what `_around` of the one under the cursor was the answer to
        self._scores: dict[str, Kept] = {}  # the last score of each connection
        self._placed = False  # whether the cursor was put on the connection that is looked at

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Table(COLUMNS, key=lambda row: row.id, empty=_EMPTY, sort=("name", False))
            yield Chart(id="load")
            yield Stacked(empty=_NO_SAMPLES, id="active")
            yield Page(id="about")

    async def load(self) -> None:
        staged = any(info.stage for info in self.shell.connections)
        columns = (*COLUMNS[:2], STAGE, *COLUMNS[2:]) if staged else COLUMNS
        if self._table.columns != columns:
            self._table.set_columns(columns)
        self._show_rows()
        here = self.shell.scope.connection_id
        if not self._placed and here is not None:
            self._placed = self._table.move_to(here)
        self._describe()

    async def load_more(self) -> None:
        """What is known of the one under the cursor, then the figures of all that were synced since they were read."""
        changed = False
        if (chosen := self._chosen) is not None:
            changed = await self._read_figures(chosen)
            changed |= await self._read_around(chosen)
            self._describe()
        for info in self.shell.connections:
            changed |= await self._read_figures(info)
        scores = await self.bench.store.read(health.newest_scores)
        changed |= scores != self._scores
        self._scores = scores
        if changed:
            self._show_rows()
            self._describe()

    async def _read_around(self, info: ConnectionInfo) -> bool:
        """Read how a connection fares, if something was told or some time has passed since; True if it was read."""
        now, scope = round(self.shell.now_ms()), self.shell.scope
        steps = max(10, self.size.width - 2 - MARGIN - 1)  # the plot has no size before it is first shown
        asked = (info.id, info.last_sync_at, scope.span_ms, scope.end, steps, now // _ANEW_MS)
        if asked == self._asked and info.id in self._around:
            return False
        end = now if scope.end is None else scope.end
        window = Window(end - scope.span_ms, end)
        self._asked = asked
        self._around[info.id] = await self.bench.store.read(
            overview.around, info.id, now, self.slow_ms(info), window, steps
        )
        return True

    def concerns(self, notice: Notice) -> bool:
        mine = super().concerns(notice)
        if mine:
            self._asked = ()
        return mine

    async def _read_figures(self, info: ConnectionInfo) -> bool:
        """Read the figures of a connection if there can be others; True if they were read."""
        if info.last_sync_at is None:
            return False
        asked = Question(info.last_sync_at, await self.shell.window_of(info), self.slow_ms(info), info.slow_by_longest)
        if info.id in self._figures and self._figures[info.id][0] == asked:
            return False
        found = await self.bench.store.read(history.overview, info.id, asked.window, asked.slow_ms, asked.by_longest)
        self._figures[info.id] = (asked, found)
        return True

    def _show_rows(self) -> None:
        now, here = self.shell.now_ms(), self.shell.scope.connection_id
        judged: dict[str, Health | Kept] = {**self._scores}
        judged |= {each: known.health for each, known in self._around.items() if known.health is not None}
        scores = {each: found.score for each, found in judged.items() if found.judged >= LEAST_JUDGED}
        rows = [
            Row(info, now, info.id == here, self._known(info), scores.get(info.id)) for info in self.shell.connections
        ]
        shown = [
            row
            for row in rows
            if self.matches(" ".join((row.info.name, row.info.label, row.info.project_name, row.stage, row.status)))
        ]
        self._table.set_rows(shown)

    def _known(self, info: ConnectionInfo) -> Overview | None:
        return self._figures[info.id][1] if info.id in self._figures else None

    def slow_ms(self, info: ConnectionInfo) -> float:
        """From which mean a statement of this connection counts as slow, ms."""
        return self.bench.settings.advice.slow_ms if info.slow_ms is None else info.slow_ms

    @property
    def wants_tick(self) -> bool:
        return bool(self.shell.connections)  # ages

    @property
    def _table(self) -> Table:
        return self.query_one(Table)

    @property
    def _chosen(self) -> ConnectionInfo | None:
        row: Row | None = self._table.row
        return None if row is None else row.info

    @property
    def _targets(self) -> list[ConnectionInfo]:
        return [row.info for row in self._table.targets]

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self._describe()
        self.shell.refresh_keys()
        if event.row.id not in self._around:
            self.refresh_soon()

    def _describe(self) -> None:
        page, chart, info = self.query_one("#about", Page), self.query_one("#load", Chart), self._chosen
        stacked = self.query_one("#active", Stacked)
        page.display = chart.display = info is not None
        stacked.display = False
        if info is None:
            return
        found, known, actions = self._known(info), self._around.get(info.id), self.shell.actions
        keys = {name: actions[name].shown_key for name in ("sync-now", "connection-pause", "choose-window")}
        said_of_load = overview.load_state(info, found, keys)
        if known is not None and any(each.active is not None for each in known.load):
            stacked.display, chart.display = True, False
            stacked.set_stack(overview.load_stack(info.name, known), said_of_load)
        else:
            chart.set_trend(overview.load_trend(info.name, found), said_of_load)
        said = overview.figure_pieces(info, found, span_name(self.shell.scope.span_ms), self.slow_ms(info))
        said += overview.ours_pieces(info, self.shell.connections, self.bench.settings.collect.sessions)
        if known is not None:
            said += overview.health_pieces(known.health) if known.health is not None else []
            said += overview.vital_lines(known, self.shell.now_ms())
            opening = [actions[name].shown_key for name in _WORTH]
            said += overview.worth_pieces(known.worth, opening, info.open_suggestions - len(known.worth))
            said += overview.spent_pieces(known.asked, span_name(self.shell.scope.span_ms))
            said += overview.recent_pieces(known.recent, self.shell.now_ms())
        page.set_parts(about(info, said), keep_place=True)

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        info = self._chosen if self.is_mounted else None
        if info is None and action_id in (*_ON_ONE, "sync-now", "suggest"):
            return "there is no connection yet"
        if action_id in _WORTH and self._worth(_WORTH.index(action_id)) is None:
            return "there is no such advice on this connection"
        return super().why_not(action_id)

    def copy_text(self) -> tuple[str, str] | None:
        info = self._chosen
        return None if info is None else (info.label, "address")

    async def on_table_row_selected(self, event: Table.RowSelected) -> None:
        """Look at the connection."""
        self.shell.look_at_connection(event.row.id)
        await self.shell.go(self.shell.start_place())

    def _worth(self, place: int) -> str | None:
        """The id of the suggestion at a place (from 0) among those worth doing."""
        info = self._chosen if self.is_mounted else None
        worth = self._around[info.id].worth if info is not None and info.id in self._around else ()
        return worth[place].id if place < len(worth) else None

    async def _open_worth(self, place: int) -> None:
        info, wanted = self._chosen, self._worth(place)
        if info is not None and wanted is not None:
            if info.id != self.shell.scope.connection_id:
                self.shell.look_at_connection(info.id)
            await self.shell.show_suggestion(wanted)

    do_worth_first = partialmethod(_open_worth, 0)
    do_worth_second = partialmethod(_open_worth, 1)
    do_worth_third = partialmethod(_open_worth, 2)

    async def do_connection_add(self) -> None:
        self.shell.push_screen(ConnectionWizard(self.bench, self.shell.connections), self._added)

    def _added(self, connection_id: str | None) -> None:
        if connection_id is not None:
            self.shell.do(self._welcome(connection_id))

    async def _welcome(self, connection_id: str) -> None:
        """Show the new connection, look at it, and read it at once."""
        await self.shell.read_connections()
        self.shell.look_at_connection(connection_id)
        await self.load()
        self._table.move_to(connection_id)
        self.shell.say("Saved. Reading it for the first time")
        await self.shell.sync([connection_id])

    async def do_connection_edit(self) -> None:
        info = self._chosen
        if info is not None:
            self.shell.push_screen(ConnectionWizard(self.bench, self.shell.connections, info), self._edited)

    def _edited(self, connection_id: str | None) -> None:
        if connection_id is not None:
            self.shell.say("Saved")
            self.shell.do(self.shell.sync([connection_id]))

    async def do_connection_remove(self) -> None:
        info = self._chosen
        if info is None:
            return
        counts = await self.bench.store.read(connections.contents, info.id)
        what = ", ".join(f"{rows:,} {kind}" for kind, rows in counts.items() if rows) or "nothing collected yet"
        question = Confirmation(
            title="Remove a connection",
            object_name=f"{info.name} ({info.label})",
            effect=f"MeshAG forgets it, with {what}. The database itself is not touched.",
            undo="Nothing brings the history back.",
            typed_name=info.name,
            verb="Remove",
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self.shell.do(self._remove(info))

        self.shell.push_screen(ConfirmDialog(question), answered)

    async def _remove(self, info: ConnectionInfo) -> None:
        gone = await self.bench.connections.remove(info.id)
        await self.shell.read_connections()
        self.refresh_soon()
        self.shell.say(f"Removed {info.name}, and {sum(gone.values()):,} rows with it")

    async def do_connection_pause(self) -> None:
        """Stop or start syncing the connections that are marked, or the one under the cursor."""
        for info in self._targets:
            if info.status is ConnectionStatus.INACTIVE:
                await self.bench.connections.resume(info.id)
                self.shell.say(f"{info.name} is synced again")
            else:
                await self.bench.connections.pause(info.id)
                self.shell.say(f"{info.name} is not synced any more; {glyphs().arrow} the same key starts it again")

    def do_export(self) -> None:
        """Write a report of the window of the connection under the cursor."""
        info = self._chosen
        if info is None:
            return
        named = "".join(each if each.isalnum() or each in "-_." else "-" for each in info.name)
        proposed = info.proposed(f"meshag-{named}-{moment(self.shell.now_ms(), '%Y%m%d-%H%M%S')}.html")
        file = Field("file", "File", proposed, hint=".html or .md", check=report.check_path, required=True)

        def answered(values: dict[str, str] | None) -> None:
            if values is not None:
                self.shell.do(self._write_report(info, values["file"]))

        title = f"Report of {info.name}, {self.shell.scope.said}"
        self.shell.push_screen(FormDialog(title, [file], verb="Write"), answered)

    async def _write_report(self, info: ConnectionInfo, given: str) -> None:
        window = await self.shell.window_of(info)
        slow_ms = self.bench.settings.advice.slow_ms
        found = await self.bench.store.read(room.read, info.id, window.span_ms, slow_ms, "before", window.end)
        form = "md" if given.strip().lower().endswith(".md") else "html"
        path, length = await asyncio.to_thread(lambda: report.write(given, report.page(found, form)))
        self.shell.say(f"Wrote a report of {length:,} bytes to {path}")

    def do_connection_test(self) -> None:
        info = self._chosen
        if info is not None:
            self.shell.say(f"Testing {info.label}")
            self.shell.do(self._test(info))

    async def _test(self, info: ConnectionInfo) -> None:
        dialog: Any
        try:
            report = await self.bench.connections.test_saved(info.id)
        except MeshagError as error:
            dialog = error_dialog(f"Test of {info.name} failed", str(error), getattr(error, "fix", None) or "")
        else:
            dialog = TextDialog(f"Test of {info.name}: {info.label}", report_pieces(report))
        self.shell.push_screen(dialog)

    def do_sync_now(self) -> None:
        """Read the marked connections, or the one under the cursor."""
        self.shell.do(self.shell.sync([info.id for info in self._targets]))

    def do_suggest(self) -> None:
        info = self._chosen
        if info is not None:
            self.shell.do(self.shell.suggest(info.id))


_ON_ONE = ("export", "connection-edit", "connection-remove", "connection-pause", "connection-test")
_WORTH = ("worth-first", "worth-second", "worth-third")


def about(info: ConnectionInfo, doing: Sequence[Piece] = ()) -> list[Piece]:
    """A connection in full, after its error with what it is `doing`; no password is in it."""
    interval = f"every {info.interval_s} s" if info.interval_s else "at the usual interval"
    facts = [
        ("Address", info.label + (f" through {info.proxy}" if info.proxy else "")),
        ("TLS", info.tls + (f", CA {info.tls_ca}" if info.tls_ca else "")),
        ("Server", f"{info.engine or info.db_type.label} {info.version or '(not read yet)'}"),
        ("Synced", f"{moment(info.last_sync_at)}, {interval}" if info.last_sync_at else f"never yet, {interval}"),
        *([("Stage", info.stage.upper() if info.stage == "production" else info.stage)] if info.stage else []),
        ("Changes", _changes(info)),
        *([("Models", f"only on this machine, as all of {info.project_name}")] if info.no_cloud else []),
    ]
    said: list[Piece] = []
    if info.last_error:
        said += [
            ("critical", f"{glyphs().bad} {info.last_error}\n"),
            (
                "dim",
                f"{down_since(info.last_sync_at)}: {info.failures} {'try' if info.failures == 1 else 'tries'} failed\n",
            ),
        ]
    said += [*doing, ("", "\n")] if doing else []
    for label, value in facts:
        said += [("dim", f"{label:<9}"), ("", f"{value}\n")]
    return said + findings_pieces(info.warnings)


def _changes(info: ConnectionInfo) -> str:
    if info.read_only:
        return "never: it is marked read-only"
    return "may be applied, after a review" + ("; undone by itself when measured worse" if info.undo_worse else "")
