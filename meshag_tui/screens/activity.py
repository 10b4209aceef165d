"""The activity log: who did what and when, people and MeshAG itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.figures import ago, moment, number_of
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import export
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.store import activity, chain
from meshag_tui.store.activity import Entry
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import TextDialog
from meshag_tui.widgets.page import Page, Piece
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic

_LISTED = 1_000
_EMPTY = State(
    Condition.EMPTY,
    "nothing was done yet",
    "Connections added, suggestions dismissed, changes applied and undone: everything that was decided is kept here.",
)


@dataclass(frozen=True)
class Row:
    """An entry at a moment (epoch ms)."""

    entry: Entry
    now: float


COLUMNS = (
    Column(
        "at",
        "When",
        10,
        value=lambda row: (row.entry.at, row.now),
        render=lambda pair: ago(*pair),
        sort_key=lambda pair: pair[0],
        descending=True,
        keep=90,
    ),
    Column("actor", "Who", 8, value=lambda row: row.entry.actor, keep=60),
    Column("kind", "What", 20, value=lambda row: row.entry.kind, keep=80),
    Column("connection", "Connection", 12, flex=1, value=lambda row: row.entry.connection_name or "", keep=50),
    Column("message", "Entry", 20, flex=4, value=lambda row: row.entry.message, prose=True, keep=100),
)


class ActivityPane(ListPane):
    """The log, newest first; below it the entry under the cursor in full."""

    place = "activity"
    opens = False
    topics: ClassVar[frozenset[Topic]] = frozenset(
        {"connections", "suggestions", "changes", "models", "people", "statistics"}  # by which others' entries come
    )
    needs_connection = False
    DEFAULT_CSS = """
    ActivityPane Table { height: 1fr; }
    ActivityPane #about { height: 7; border-top: solid $primary; padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Table(COLUMNS, key=lambda row: row.entry.id, empty=_EMPTY, sort=("at", True), markable=False)
            yield Page(id="about")

    async def load(self) -> None:
        found = await self.bench.store.read(activity.recent, _LISTED)
        now = self.shell.now_ms()
        shown = [
            Row(entry, now)
            for entry in found
            if self.matches(" ".join((entry.actor, entry.kind, entry.connection_name or "", entry.message)))
        ]
        self.query_one(Table).set_rows(shown)
        self._describe()

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self._describe()

    def _describe(self) -> None:
        row: Row | None = self.query_one(Table).row
        page = self.query_one("#about", Page)
        page.display = row is not None
        if row is not None:
            page.set_parts(in_full(row.entry))

    def why_not(self, action_id: str) -> str | None:
        if action_id in ("export", "activity-verify") and not self.query_one(Table).rows:
            return "there is no entry here"
        return super().why_not(action_id)

    async def do_activity_verify(self) -> None:
        """Read the whole log, and say whether an entry was altered, removed or moved."""
        verdict = await self.bench.store.read(chain.verify)
        if verdict.whole:
            self.shell.say(f"{glyphs().ok} all {number_of(verdict.entries, 'entry')} are as they were written")
            return
        said: list[Piece] = [("critical", f"{glyphs().bad} {fault.what}\n") for fault in verdict.faults]
        self.shell.push_screen(TextDialog("The log was changed", said))

    def do_export(self) -> None:
        """Write the listed entries to a file."""
        rows = [activity.exported(row.entry) for row in self.query_one(Table).rows]

        async def report() -> export.Report:
            return export.Report("Activity", {"written": moment(self.shell.now_ms())}, rows)

        export.ask(self, "activity", report)

    def copy_text(self) -> tuple[str, str] | None:
        page = self.query_one("#about", Page)
        return (page.copy_text, "entry") if page.copy_text else None


def in_full(entry: Entry) -> list[Piece]:
    """An entry with its subject and details."""
    said: list[Piece] = [("bold", f"{entry.message}\n"), ("dim", f"{moment(entry.at)} by {entry.actor}: {entry.kind}")]
    if entry.subject:
        said.append(("dim", f" {entry.subject}"))
    for name, value in entry.details.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        said += [("dim", f"\n{name}  "), ("", shown)]
    return said
