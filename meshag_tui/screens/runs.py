"""What MeshAG ran by itself or by hand: state, phases, what it read, why it failed; live while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.figures import ago, duration
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.runs_facts import OPEN, TONES, Row, in_full
from meshag_tui.screens.runs_filter import ALL, choices, wanted_from
from meshag_tui.store import agents, executions, projects
from meshag_tui.store.execution_kinds import KINDS
from meshag_tui.store.executions import ExecutionInfo
from meshag_tui.types import ExecutionState, MeshagError
from meshag_tui.widgets.chooser import Chooser
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Notice, Topic

if TYPE_CHECKING:
    from meshag_tui.workflows.agents import RunOf

_LISTED = 500
_LINES = 200
"""Of a log, so many lines a page; the newest are shown first."""
_RESUMABLE = (ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.INTERRUPTED)
_EMPTY = State(
    Condition.EMPTY,
    "nothing has run yet",
    "Each sync and each search for advice is listed here, with its phases and what went wrong.",
    "r syncs the connection now.",
)


COLUMNS = (
    Column("state", "State", 13, value=lambda row: row.state, tone=lambda said: TONES.get(said[2:], ""), keep=95),
    Column("kind", "Run", 8, keep=90),
    Column("connection", "Connection", 12, flex=1, value=lambda row: row.info.connection_name or "", keep=80),
    Column(
        "started",
        "Started",
        10,
        value=lambda row: (row.info.started_at or row.info.created_at, row.now),
        render=lambda pair: ago(*pair),
        sort_key=lambda pair: pair[0],
        descending=True,
        keep=70,
    ),
    Column("took", "Took", 8, align="right", render=duration, descending=True, keep=75),
    Column("said", "Outcome", 16, flex=4, prose=True, keep=85),
)


class RunsPane(ListPane):
    """All runs, newest first; below them the steps and the log of the one under the cursor."""

    place = "runs"
    topics: ClassVar[frozenset[Topic]] = frozenset({"executions", "statistics", "suggestions", "changes"})
    needs_connection = False
    DEFAULT_CSS = """
    RunsPane Table { height: 1fr; }
    RunsPane #about { height: 45%; max-height: 16; border-top: solid $primary; padding: 0 1; }
    RunsPane #whole { padding: 0 1; }
    RunsPane #listed { padding: 0 2; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked_for: RunOf | None = None  # of an agent, that was described last
        self.wanted = ALL
        self._agents: Mapping[str, str] = {}  # names by id, and of projects
        self._projects: Mapping[str, str] = {}
        self._shown: ExecutionInfo | None = None  # that was described last
        self._skipped = 0  # lines of its log that are newer than those shown

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Table(COLUMNS, key=lambda row: row.id, empty=_EMPTY, sort=("started", True), markable=False)
            yield PlainLine(id="listed")
            yield Page(id="about")
        yield Page(id="whole", classes="view")

    async def load(self) -> None:
        now = self.shell.now_ms()
        found = await self.bench.store.read(executions.listing, limit=_LISTED, **self.wanted.asked(now))
        if self.wanted.agent or self.wanted.project or any(info.kind == agents.RUN for info in found):
            await self._read_names()
        rows = [
            Row(info, now, self.shell.doing(info.id), self._agents.get(str(info.input.get("agent")), ""))
            for info in found
        ]
        shown = [
            row
            for row in rows
            if self.matches(" ".join((row.kind, row.state, row.info.connection_name or "", row.said)))
        ]
        wanted = self.wanted.said({**KINDS, **self._agents, **self._projects})
        self.query_one(Table).set_rows(shown, self._nothing(wanted) if not shown else READY)
        newest = f"the newest {_LISTED}" if len(found) == _LISTED else ""
        said = glyphs().separator.join(filter(None, (newest, wanted and f"shown: {wanted}")))
        line = self.query_one("#listed", PlainLine)
        line.display = bool(said)
        line.set_text(said)
        await self._describe()

    async def _read_names(self) -> None:
        self._agents = {row.id: row.name for row in await self.bench.store.read(agents.page, _LISTED)}
        self._projects = {row.id: row.name for row in await self.bench.store.read(projects.listing)}

    def _nothing(self, wanted: str) -> State:
        if self.filter_text.strip():
            return State(Condition.EMPTY, "nothing matches", self.filter_text, "esc clears the filter.")
        key = self.shell.actions["runs-show"].shown_key
        return State(Condition.EMPTY, "no such run", wanted, f"{key} shows others.") if wanted else _EMPTY

    @property
    def wants_tick(self) -> bool:
        # Ages, and what other processes run. While the app is closing the table may be gone before the pane.
        return any(table.rows for table in self.query(Table))

    def concerns(self, notice: Notice) -> bool:
        return type(notice).__name__ in ("Progress", "Finished") or super().concerns(notice)

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self.describe(self._describe_fresh)

    async def on_table_row_selected(self, event: Table.RowSelected) -> None:
        self.open_view("whole")

    async def _describe_fresh(self) -> None:
        self.refresh_soon() if self.stale else await self._describe()

    async def _describe(self) -> None:
        row: Row | None = self.query_one(Table).row
        about = self.query_one("#about", Page)
        about.display = row is not None
        self.shell.refresh_keys()
        if row is None:
            return
        if self._shown is not None and self._shown.id != row.id:
            self._skipped = 0
        info = self._shown = await self.bench.store.read(executions.get, row.id, _LINES, self._skipped)
        page = self.query_one("#whole", Page) if self.view == "whole" else about
        parts = in_full(info, row.now, self.shell.doing(info.id), self._skipped)
        if info.kind == agents.RUN:
            from meshag_tui.screens.run_of_agent import pieces

            try:
                self._asked_for = await self.bench.agents.run_of(info.id)
                parts[3:3] = pieces(self._asked_for, self.size.width - 4)
            except MeshagError as error:  # its agent is forgotten, or its flow is of another release
                parts.insert(3, ("warning", f"{glyphs().warning} {error}\n"))
        page.set_parts(parts, keep_place=True)
        self.shell.refresh_keys()

    @property
    def narrowed(self) -> str:
        return self.wanted.key

    def narrow(self, shown: str) -> None:
        self.wanted = wanted_from(shown)

    # --- actions ----------------------------------------------------------------------------------------------------

    async def do_runs_show(self) -> None:
        """Choose which are listed: by state, kind, agent, project or age."""
        await self._read_names()

        def chosen(choice: str | None) -> None:
            if choice is not None:
                self.wanted = self.wanted.with_choice(choice)
                self.query_one(Table).action_first()
                self.refresh_soon()

        self.shell.push_screen(Chooser("Show", choices(KINDS, self._agents, self._projects)), chosen)

    def why_not(self, action_id: str) -> str | None:
        if action_id == "cancel":
            row: Row | None = self.query_one(Table).row if self.is_mounted else None
            if row is None or row.info.state not in OPEN:
                return "this run has ended"
            return "it is being cancelled" if row.info.cancel_requested else None
        if action_id in ("run-agree", "run-refuse", "run-resume"):
            return self._why_not_of_agent(action_id)
        if action_id == "run-note":
            return None if self.is_mounted and self.query_one(Table).row is not None else "there is no run here"
        if action_id in ("log-older", "log-newer"):
            return self._why_not_of_log(action_id)
        return super().why_not(action_id)

    async def do_cancel(self) -> None:
        """Cancel the run under the cursor, wherever it runs."""
        row: Row | None = self.query_one(Table).row
        if row is not None:
            stopped = await self.bench.cancel(row.id)
            self.shell.say(f"Cancelling {row.id}" if stopped else f"{row.id} had ended already")
            self.refresh_soon()

    def do_run_note(self) -> None:
        """Write a line about the run under the cursor into the activity log."""
        row: Row | None = self.query_one(Table).row

        async def note(run: str, text: str) -> None:
            await self.bench.note(text, run)
            self.refresh_soon()

        def written(values: dict[str, str] | None) -> None:
            if row is not None and values is not None:
                self.shell.do(note(row.id, values["text"]))

        field = Field("text", "Note", hint="kept with the run, and in the activity log", required=True)
        self.shell.push_screen(FormDialog("Note on this run", [field], verb="Note"), written)

    def do_log_older(self) -> None:
        """Show the page of the log before this one."""
        self._turn(_LINES)

    def do_log_newer(self) -> None:
        """Show the page of the log after this one."""
        self._turn(-_LINES)

    def _turn(self, by: int) -> None:
        self._skipped = max(0, self._skipped + by)
        self.describe(self._describe)

    def _why_not_of_log(self, action_id: str) -> str | None:
        info = self._shown
        if info is None or len(info.log) == info.log_lines:
            return "all of the log is shown"
        if action_id == "log-newer":
            return None if self._skipped else "these are the newest lines"
        return None if self._skipped + len(info.log) < info.log_lines else "these are the first lines"

    def _why_not_of_agent(self, action_id: str) -> str | None:
        row: Row | None = self.query_one(Table).row if self.is_mounted else None
        if row is None or row.info.kind != agents.RUN:
            return "this is no run of an agent"
        if action_id == "run-resume":
            return None if row.info.state in _RESUMABLE else f"it is {row.info.state}"
        run = self._asked_for
        waits = run is not None and run.info.id == row.id and run.asks
        return None if waits else "it waits for nobody"

    def do_run_agree(self) -> None:
        """Show what a run waits for, and agree to it after a second key."""
        from meshag_tui.screens import run_of_agent

        if self._asked_for is not None:
            run_of_agent.agree(self, self._asked_for)

    async def do_run_refuse(self) -> None:
        """Agree to nothing of what a run waits for."""
        if self._asked_for is not None:
            await self.bench.agents.answer(self._asked_for.info.id, ())
            self.shell.say("Refused: the run goes on without")
            self.refresh_soon()

    async def do_run_resume(self) -> None:
        """Let a run that failed or was stopped go on."""
        row: Row | None = self.query_one(Table).row
        if row is not None:
            await self.bench.agents.resume(row.id)
            self.shell.say(f"{row.id} goes on behind its last step")
            self.refresh_soon()

    def copy_text(self) -> tuple[str, str] | None:
        page = self.query_one("#whole" if self.view == "whole" else "#about", Page)
        return (page.copy_text, "run") if page.copy_text else None
