"""The list of connections: its rows, with the figures of a window, and its columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshag_tui.figures import ago, count, duration, sparkline
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import overview
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.history import Overview
from meshag_tui.types import ConnectionStatus
from meshag_tui.widgets.columns import Column, Tone

_WORDS = {
    ConnectionStatus.ACTIVE: "active",
    ConnectionStatus.INACTIVE: "off",
    ConnectionStatus.ERROR: "error",
    ConnectionStatus.TESTING: "testing",
}
_STAGES: dict[str, Tone] = {"PRODUCTION": "critical", "staging": "warning", "test": "accent", "development": "good"}
_TONES: dict[str, Tone] = {"error": "critical", "off": "dim", "testing": "warning"}


@dataclass(frozen=True)
class Row:
    """A connection as the list shows it, at a moment (epoch ms)."""

    info: ConnectionInfo
    now: float
    looked_at: bool
    figures: Overview | None = None  # None: not read yet, or never synced
    health: int | None = None  # its last score; None: it was never judged

    def figure(self, name: str) -> Any:
        """A figure of the window; "" before it was read, None where it was not measured."""
        if self.figures is None:
            return ""
        counted = self.figures.syncs and (self.figures.statements or overview.uncounted(self.info) is None)
        return getattr(self.figures, name) if counted else None

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
    def stage(self) -> str:
        """What it is for; production in capitals, so that it is not told by its colour alone."""
        stage = self.info.stage or ""
        return stage.upper() if stage == "production" else stage

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
    Column("name", "Name", 14, flex=2, value=lambda row: row.info.name, keep=100, tells_apart=True),
    Column("status", "Status", 9, value=lambda row: row.status, tone=lambda said: _TONES.get(said[2:], ""), keep=95),
    Column("health", "Health", 6, align="right", keep=86),
    _figure("load", "Load", 10, "ms_per_s", 94, render=_rate(duration)),
    Column(
        "trend",
        "Trend",
        8,
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
    Column("project", "Project", 10, value=lambda row: row.info.project_name, optional=True, keep=35),
    Column("next", "Next", 9, value=lambda row: row.next, keep=50),
    Column("error", "Last error", 14, flex=3, value=lambda row: row.info.last_error or "", prose=True, keep=40),
)


STAGE = Column("stage", "Stage", 11, value=lambda row: row.stage, tone=lambda said: _STAGES.get(said, ""), keep=76)
"""Shown where some connection has one."""
