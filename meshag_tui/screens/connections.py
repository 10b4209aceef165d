"""The overview of the monitored databases: what they are, whether they are read, their load, what is worth doing there.

The list comes first; the figures of each connection follow, and are read again only when it was synced since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partialmethod
from typing import Any, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.screens import overview
from meshag_tui.screens.connection_wizard import ConnectionWizard
from meshag_tui.screens.findings import findings_pieces, report_pieces
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.look import look_of
from meshag_tui.screens.scope import span_name
from meshag_tui.store import connections, history
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.history import Overview
from meshag_tui.text import ago, count, duration, glyphs, moment, sparkline
from meshag_tui.types import ConnectionStatus, MeshagError, Window
from meshag_tui.widgets.chart import Chart
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog, TextDialog, error_dialog
from meshag_tui.widgets.page import Page, Piece
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic

_EMPTY = State(
    Condition.EMPTY,
    "no connection yet",
    "A connection is a database that MeshAG reads. It needs a role that may watch; the wizard shows the SQL for it.",
    "i adds one. To look around first: meshag demo",
)
_WORDS = {
    ConnectionStatus.ACTIVE: "active",
    ConnectionStatus.INACTIVE: "off",
    ConnectionStatus.ERROR: "error",
    ConnectionStatus.TESTING: "testing",
}
_TONES: dict[str, Tone] = {"error": "critical", "off": "dim", "testing": "warning"}


class Question(NamedTuple):
    """What figures are an answer to: `synced_at` (epoch ms) tells whether there can be newer ones."""

    synced_at: int
    window: Window
    slow_ms: float


@dataclass(frozen=True)
class Row:
    """A connection as the list shows it, at a moment (epoch ms)."""

    info: ConnectionInfo
    now: float
    looked_at: bool
    figures: Overview | None = None  # None: not read yet, or never synced

    def figure(self, name: str) -> Any:
        """A figure of the window; "" before it was read, None where it was not measured."""
        if self.figures is None:
            return ""
        return getattr(self.figures, name) if self.figures.syncs else None

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def status(self) -> str:
        drawn = glyphs()
        word = _WORDS[self.info.status]
        symbol = {"active": drawn.ok, "error": drawn.bad, "testing": drawn.ellipsis}.get(word, drawn.none)
        return f"{symbol} {word}"

    @property
    def engine(self) -> str:
        return f"{self.info.engine or self.info.db_type.label} {self.info.version or ''}".strip()

    @property
    def next(self) -> str:
        at = self.info.next_sync_at
        if self.info.status is ConnectionStatus.INACTIVE:
            return "off"
        return "due" if at is None or at <= self.now else ago(at, self.now)

    @property
    def address(self) -> str:
        host = f"[{self.info.host}]" if ":" in self.info.host else self.info.host
        return f"{host}:{self.info.port}"


def _rate(render: Callable[[float], str]) -> Callable[[Any], str]:
    return lambda value: "" if value == "" else glyphs().none if value is None else f"{render(value)}/s"


def _active(row: Row) -> int | str | None:
    return "" if row.figures is None else overview.active(row.figures)


def _figure(key: str, title: str, width: int, name: str, keep: int, **more: Any) -> Column:
    """A column of a figure of the window."""
    return Column(
        key, title, width, align="right", value=lambda row: row.figure(name), sort_key=_known, descending=True,
        keep=keep, **more,
    )  # fmt: skip


def _known(value: Any) -> float:
    return -1.0 if value == "" else float(value)


COLUMNS = (
    Column(
        "here", "", 1, value=lambda row: row.looked_at, render=lambda here: glyphs().arrow[-1] if here else "", keep=20
    ),
    Column("name", "Name", 12, flex=2, value=lambda row: row.info.name, keep=100),
    Column("status", "Status", 9, value=lambda row: row.status, tone=lambda said: _TONES.get(said[2:], ""), keep=95),
    _figure("load", "Load", 10, "ms_per_s", 94, render=_rate(duration)),
    Column(
        "trend",
        "Trend",
        10,
        value=lambda row: row.figures and row.figures.load.ms_per_s,
        draw=sparkline,
        sort_key=lambda points: next((each for each in reversed(points) if each is not None), -1.0),
        descending=True,
        keep=90,
    ),
    _figure("calls", "Calls", 8, "calls_per_s", 75, render=_rate(count)),
    Column(
        "active",
        "Active",
        6,
        align="right",
        value=_active,
        sort_key=_known,
        descending=True,
        keep=78,
    ),
    _figure("slow", "Slow", 5, "slow", 85),
    Column("open", "Advice", 6, align="right", value=lambda row: row.info.open_suggestions, descending=True, keep=84),
    Column("engine", "Type", 15, value=lambda row: row.engine, keep=30),
    Column("address", "Address", 14, flex=2, value=lambda row: row.address, keep=70),
    Column("database", "Database", 9, flex=1, value=lambda row: row.info.database, keep=60),
    Column(
        "synced",
        "Synced",
        10,
        value=lambda row: (row.info.last_sync_at, row.now),
        render=lambda pair: ago(*pair),
        sort_key=lambda pair: pair[0] or 0,
        descending=True,
        keep=80,
    ),
    Column("next", "Next", 9, value=lambda row: row.next, keep=50),
    Column("error", "Last error", 14, flex=3, value=lambda row: row.info.last_error or "", prose=True, keep=40),
)


class ConnectionsPane(ListPane):
    """All connections, and below them the one under the cursor: its load, its figures, what is worth doing there."""

    place = "connections"
    topics: ClassVar[frozenset[Topic]] = frozenset({"connections", "suggestions", "statistics", "changes"})
    needs_connection = False
    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    def __init__(self) -> None:
        super().__init__()
        self._figures: dict[str, tuple[Question, Overview]] = {}
        self._around: dict[str, overview.Around] = {}
        self._placed = False  # whether the cursor was put on the connection that is looked at

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Table(COLUMNS, key=lambda row: row.id, empty=_EMPTY, sort=("name", False))
            yield Chart(id="load")
            yield Page(id="about")

    async def load(self) -> None:
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
            self._around[chosen.id] = await self.bench.store.read(overview.around, chosen.id)
            self._describe()
        for info in self.shell.connections:
            changed |= await self._read_figures(info)
        if changed:
            self._show_rows()
            self._describe()

    async def _read_figures(self, info: ConnectionInfo) -> bool:
        """Read the figures of a connection if there can be others; True if they were read."""
        if info.last_sync_at is None:
            return False
        asked = Question(info.last_sync_at, await self.shell.window_of(info), self.slow_ms(info))
        if info.id in self._figures and self._figures[info.id][0] == asked:
            return False
        found = await self.bench.store.read(history.overview, info.id, asked.window, asked.slow_ms)
        self._figures[info.id] = (asked, found)
        return True

    def _show_rows(self) -> None:
        now, here = self.shell.now_ms(), self.shell.scope.connection_id
        rows = [Row(info, now, info.id == here, self._known(info)) for info in self.shell.connections]
        shown = [row for row in rows if self.matches(" ".join((row.info.name, row.info.label, row.status)))]
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
        page.display = chart.display = info is not None
        if info is None:
            return
        found, known, actions = self._known(info), self._around.get(info.id), self.shell.actions
        keys = {name: actions[name].shown_key for name in ("sync-now", "connection-pause", "choose-window")}
        chart.set_trend(overview.load_trend(info.name, found), overview.load_state(info, found, keys))
        said = overview.figure_pieces(found, span_name(self.shell.scope.span_ms), self.slow_ms(info))
        if known is not None:
            opening = [actions[name].shown_key for name in _WORTH]
            said += overview.worth_pieces(known.worth, opening, info.open_suggestions - len(known.worth))
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
        gone = await self.bench.remove_connection(info.id)
        await self.shell.read_connections()
        self.refresh_soon()
        self.shell.say(f"Removed {info.name}, and {sum(gone.values()):,} rows with it")

    async def do_connection_pause(self) -> None:
        """Stop or start syncing the connections that are marked, or the one under the cursor."""
        for info in self._targets:
            if info.status is ConnectionStatus.INACTIVE:
                await self.bench.resume(info.id)
                self.shell.say(f"{info.name} is synced again")
            else:
                await self.bench.pause(info.id)
                self.shell.say(f"{info.name} is not synced any more; {glyphs().arrow} the same key starts it again")

    def do_connection_test(self) -> None:
        info = self._chosen
        if info is not None:
            self.shell.say(f"Testing {info.label}")
            self.shell.do(self._test(info))

    async def _test(self, info: ConnectionInfo) -> None:
        dialog: Any
        try:
            report = await self.bench.test_saved(info.id)
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


_ON_ONE = ("connection-edit", "connection-remove", "connection-pause", "connection-test")
_WORTH = ("worth-first", "worth-second", "worth-third")


def about(info: ConnectionInfo, doing: Sequence[Piece] = ()) -> list[Piece]:
    """A connection in full, after its error with what it is `doing`; no password is in it."""
    interval = f"every {info.interval_s} s" if info.interval_s else "at the usual interval"
    facts = [
        ("Address", info.label + (f" through {info.proxy}" if info.proxy else "")),
        ("TLS", info.tls + (f", CA {info.tls_ca}" if info.tls_ca else "")),
        ("Server", f"{info.engine or info.db_type.label} {info.version or '(not read yet)'}"),
        ("Synced", f"{moment(info.last_sync_at)}, {interval}" if info.last_sync_at else f"never yet, {interval}"),
        ("Changes", _changes(info)),
        *([("Models", f"only on this machine, as all of {info.project_name}")] if info.no_cloud else []),
    ]
    said: list[Piece] = []
    if info.last_error:
        said += [
            ("critical", f"{glyphs().bad} {info.last_error}\n"),
            ("dim", f"{info.failures} {'try' if info.failures == 1 else 'tries'} failed\n"),
        ]
    said += [*doing, ("", "\n")] if doing else []
    for label, value in facts:
        said += [("dim", f"{label:<9}"), ("", f"{value}\n")]
    return said + findings_pieces(info.warnings)


def _changes(info: ConnectionInfo) -> str:
    if info.read_only:
        return "never: it is marked read-only"
    return "may be applied, after a review" + ("; undone by itself when measured worse" if info.undo_worse else "")
