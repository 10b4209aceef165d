"""A run in words: its state, outcome, phases, steps, and a page of its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshag_tui.figures import count, duration, moment
from meshag_tui.glyphs import glyphs
from meshag_tui.store import executions
from meshag_tui.store.execution_kinds import KINDS
from meshag_tui.store.executions import ExecutionInfo
from meshag_tui.types import ExecutionState
from meshag_tui.widgets.columns import Tone
from meshag_tui.widgets.page import Piece

OPEN = (ExecutionState.READY, ExecutionState.RUNNING)
TONES: dict[str, Tone] = {
    "failed": "critical",
    "interrupted": "warning",
    "cancelled": "dim",
    "running": "accent",
    "ready": "accent",
    "waits": "warning",
}


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
        if self.info.state in OPEN:
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


def in_full(info: ExecutionInfo, now: float, doing: str, skipped: int = 0) -> list[Piece]:
    """A run with its phases, steps and a page of its log; `skipped` lines are newer than the page."""
    row = Row(info, now, doing)
    about = f" of {info.connection_name}" if info.connection_name else ""
    said: list[Piece] = [
        (TONES.get(str(info.state), ""), f"{row.state}  "),
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
    if len(info.log) < info.log_lines:
        last = info.log_lines - skipped
        said.append(("dim", f"lines {last - len(info.log) + 1:,} to {last:,} of {info.log_lines:,}\n"))
    for line in info.log:
        tone = {"warning": "warning", "error": "critical", "note": "accent"}.get(line.level, "")
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
