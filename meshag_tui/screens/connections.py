"""The monitored databases: what they are, whether they are read, and what to do about it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from meshag_tui.screens.pane import Pane
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic


class ConnectionsPane(Pane):
    """All connections."""

    place = "connections"
    topics: ClassVar[frozenset[Topic]] = frozenset({"connections", "suggestions"})
    needs_connection = False

    def compose(self) -> ComposeResult:
        yield Table((Column("name", "Name", 16, keep=100),), key=lambda info: info.id, id="list")

    async def load(self) -> None:
        self.query_one(Table).set_rows(self.shell.connections)
