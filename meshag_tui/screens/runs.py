"""What MeshAG ran by itself or by hand: state, phases, what it read, why it failed; live while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.runs_filter import ALL, choices, wanted_from
from meshag_tui.store import agents, executions, projects
from meshag_tui.store.executions import ExecutionInfo
from meshag_tui.text import ago, count, duration, glyphs, moment
from meshag_tui.types import ExecutionState, MeshagError
from meshag_tui.widgets.chooser import Chooser
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.page import Page, Piece, PlainLine
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Notice, Topic

if TYPE_CHECKING:
    from meshag_tui.workflows.agents import RunOf

KINDS = {
    "sync_database_stats": "sync",
    "generate_suggestions": "advice",
    "change_database": "change",
    "rehearse_suggestion": "rehearsal",
    "verify_change": "verify",
    "keep_store": "upkeep",
    "run_agent": "agent",
}
_LISTED = 500
_OPEN = (ExecutionState.READY, ExecutionState.RUNNING)
_RESUMABLE = (ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.INTERRUPTED)
_TONES: dict[str, Tone] = {
    "failed": "critical",
    "interrupted": "warning",
    "cancelled": "dim",
    "running": "accent",
    "ready": "accent",
    "waits": "warning",
}
_EMPTY = State(
    Condition.EMPTY,
    "nothing has run yet",
    "Each sync and each search for advice is listed here, with its phases and what went wrong.",
    "r syncs the connection now.",
)


@dataclass(frozen=True)
class Row:
    """A run as the list shows it, at a moment (epoch ms); `doing` is where a running one is."""

    info: ExecutionInfo
    now: float
    doing: str = ""
    agent: str = ""  # whose run it is

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def kind(self) -> str:
        return KINDS.get(self.info.kind, self.info.kind.replace("_", " "))

    @property
    def state(self) -> str:
        return state_word(self.info)

    @property
    def took(self) -> float | None:
        """Its duration, ms: up to now while it runs."""
        if self.info.started_at is None:
            return None
        end = self.info.finished_at or (self.now if self.info.state is ExecutionState.RUNNING else None)
        return None if end is None else max(0.0, end - self.info.started_at)

    @property
    def said(self) -> str:
        """What it does, what went wrong, or what it brought; of an agent after its name."""
        return f"{self.agent}: {self._said}" if self.agent else self._said

    @property
    def _said(self) -> str:
        if self.info.state in _OPEN:
            tried = f"tried {self.info.attempts} times: " if self.info.attempts else ""
            again = f"{tried}{self.info.error}" if self.info.error else ""
            return self.doing or again or ("cancelling" if self.info.cancel_requested else "")
        return self.info.error or outcome(self.info.result)


def state_word(info: ExecutionInfo) -> str:
    """ "✓ done", "✗ failed": a symbol and a word."""
    drawn = glyphs()
    symbol = {
        ExecutionState.DONE: drawn.ok,
        ExecutionState.FAILED: drawn.bad,
        ExecutionState.INTERRUPTED: drawn.warning,
        ExecutionState.RUNNING: drawn.cursor,
        ExecutionState.READY: drawn.ellipsis,
    }.get(info.state, drawn.none)
    waits = info.state is ExecutionState.READY and info.not_before == executions.FOREVER
    return f"{drawn.warning} waits" if waits else f"{symbol} {info.state}"


def outcome(result: Any) -> str:
    """The result of a run in a few words: its counts."""
    if not isinstance(result, Mapping):
        return ""
    named = ("statements", "new_statements", "tables", "indexes", "new", "updated", "resolved", "planner_calls")
    counted = [(name, result[name]) for name in named if isinstance(result.get(name), int)]
    parts = [_counted(value, name) for name, value in counted if value or (name, value) == counted[0]]
    if result.get("complete") is False:
        parts.append("incomplete")
    warnings = result.get("warnings")
    if isinstance(warnings, list) and warnings:
        parts.append(_counted(len(warnings), "warnings"))
    return ", ".join(parts)


def _counted(value: int, name: str) -> str:
    """ "1 new statement", "12 indexes"."""
    words = name.replace("_", " ")
    if value == 1:
        words = {"indexes": "index"}.get(words, words.removesuffix("s"))
    return f"{count(value)} {words}"


COLUMNS = (
    Column("state", "State", 13, value=lambda row: row.state, tone=lambda said: _TONES.get(said[2:], ""), keep=95),
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
        info = await self.bench.store.read(executions.get, row.id)
        page = self.query_one("#whole", Page) if self.view == "whole" else about
        parts = in_full(info, row.now, self.shell.doing(info.id))
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
            if row is None or row.info.state not in _OPEN:
                return "this run has ended"
            return "it is being cancelled" if row.info.cancel_requested else None
        if action_id in ("run-agree", "run-refuse", "run-resume"):
            return self._why_not_of_agent(action_id)
        return super().why_not(action_id)

    async def do_cancel(self) -> None:
        """Cancel the run under the cursor, wherever it runs."""
        row: Row | None = self.query_one(Table).row
        if row is not None:
            stopped = await self.bench.cancel(row.id)
            self.shell.say(f"Cancelling {row.id}" if stopped else f"{row.id} had ended already")
            self.refresh_soon()

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


def in_full(info: ExecutionInfo, now: float, doing: str) -> list[Piece]:
    """A run with its phases, steps and log."""
    row = Row(info, now, doing)
    about = f" of {info.connection_name}" if info.connection_name else ""
    said: list[Piece] = [
        (_TONES.get(str(info.state), ""), f"{row.state}  "),
        ("bold", f"{row.kind}{about}"),
        ("dim", f"  {info.id}\n"),
    ]
    times = [f"asked for {moment(info.created_at)}", f"begun {moment(info.started_at)}"]
    times += [f"ended {moment(info.finished_at)}"] if info.finished_at else []
    times += [f"took {duration(row.took)}"] if row.took is not None else []
    times += [f"try {info.attempts}"] if info.attempts > 1 else []
    said.append(("", glyphs().separator.join(times) + "\n"))
    if info.error:
        said.append(("critical", f"{glyphs().bad} {info.error}\n"))
    if row.said and row.said != info.error:
        said.append(("", f"{row.said}\n"))
    said += _phases(info)
    for step in info.steps:
        said += [
            ("dim", f"{moment(step.started_at, '%H:%M:%S')} "),
            ("", f"step {step.name}: {duration(step.finished_at - step.started_at)}\n"),
        ]
    for line in info.log:
        tone = {"warning": "warning", "error": "critical"}.get(line.level, "")
        word = "" if line.level == "info" else f"{line.level}: "
        said += [("dim", f"{moment(line.at, '%H:%M:%S')} "), (tone, f"{word}{line.message}\n")]
    if info.owner and info.state is ExecutionState.RUNNING:
        said.append(("dim", f"run by {info.owner}\n"))
    return said


def _phases(info: ExecutionInfo) -> list[Piece]:
    phases = info.result.get("phases") if isinstance(info.result, Mapping) else None
    if not isinstance(phases, Mapping) or not phases:
        return []
    parts = [f"{name} {duration(ms)}" for name, ms in phases.items()]
    return [("dim", "phases  "), ("", glyphs().separator.join(parts) + "\n")]
