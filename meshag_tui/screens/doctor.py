"""What MeshAG may and can see of a server: each capability, and the exact SQL or step that mends what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.glyphs import glyphs
from meshag_tui.screens.findings import WORST_FIRST, finding_pieces, severity_tone, severity_word
from meshag_tui.screens.pane import Pane
from meshag_tui.types import Finding, MeshagError
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.page import Page
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic
from meshag_tui.workflows.upkeep import store_findings

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo


@dataclass(frozen=True)
class Row:
    """A finding, and where it is from."""

    finding: Finding
    source: str  # "server now", "last sync" or, of MeshAG's own store, "this store"

    @property
    def severity(self) -> str:
        return severity_word(self.finding.severity)


COLUMNS = (
    Column(
        "severity",
        "Severity",
        11,
        sort_key=lambda said: WORST_FIRST.index(said[2:]),
        tone=lambda said: severity_tone(said[2:]),
        keep=90,
    ),
    Column("title", "Finding", 30, flex=4, value=lambda row: row.finding.title, prose=True, keep=100),
    Column("mends", "Mends it", 12, flex=3, value=lambda row: row.finding.fix or "", prose=True, keep=60),
    Column("source", "Said by", 10, keep=30),
)


class DoctorPane(Pane):
    """The findings about the connection that is looked at; below them the one under the cursor in full.

    The server is asked when the pane first shows a connection, and again when it was synced by hand or by `T`. What the
    last sync warned of is there at once, also while the server cannot be reached.
    """

    place = "doctor"
    opens = False
    topics: ClassVar[frozenset[Topic]] = frozenset({"connections", "statistics"})
    DEFAULT_CSS = """
    DoctorPane Table { height: 1fr; }
    DoctorPane #about { height: 50%; max-height: 20; border-top: solid $primary; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[str, tuple[Finding, ...]] | None = None  # connection id, what the server said
        self._failed: tuple[str, MeshagError] | None = None
        self._asking = ""

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Table(COLUMNS, key=lambda row: (row.finding.code, row.finding.title), markable=False)
            yield Page(id="about")

    async def load(self) -> None:
        info = self.connection
        if info is None:
            return
        asked = self._asked[1] if self._asked is not None and self._asked[0] == info.id else ()
        rows = [Row(finding, "server now") for finding in asked]
        codes = {finding.code for finding in asked}
        rows += [Row(finding, "last sync") for finding in info.warnings if finding.code not in codes]
        rows += [Row(finding, "this store") for finding in await store_findings(self.bench.store, self.bench.settings)]
        rows.sort(key=lambda row: WORST_FIRST.index(row.finding.severity))
        shown = [row for row in rows if self.matches(f"{row.severity} {row.finding.title} {row.finding.fix or ''}")]
        self.query_one(Table).set_rows(shown, self._state(info.id, bool(asked)))
        self._describe()
        known = asked or (self._failed is not None and self._failed[0] == info.id)
        if not known and self._asking != info.id:
            self.do_examine()

    def _state(self, connection_id: str, asked: bool) -> State:
        if self._failed is not None and self._failed[0] == connection_id:
            error = self._failed[1]
            condition = Condition.STALE if asked else Condition.ERROR
            return State(condition, "the server could not be asked", str(error), getattr(error, "fix", None) or "")
        if self._asking == connection_id and not asked:
            return State(Condition.LOADING, "asking the server what we may see")
        return READY

    def do_examine(self) -> None:
        """Ask the server."""
        info = self.connection
        if info is not None and self._asking != info.id:
            self._asking = info.id
            self.shell.do(self._ask(info.id))

    do_sync_now = do_examine

    async def _ask(self, connection_id: str) -> None:
        try:
            self.refresh_soon()
            found = await self.bench.connections.doctor(connection_id)
            self._asked, self._failed = (connection_id, found), None
        except MeshagError as error:
            self._failed = (connection_id, error)
        finally:
            self._asking = ""
            self.refresh_soon()

    # --- counting anew ----------------------------------------------------------------------------------------------

    def do_statistics_reset(self) -> None:
        """Show exactly what would reset the server's counters; the connection's name has to be typed."""
        if (info := self.connection) is not None:
            self.shell.do(self._review_reset(info))

    async def _review_reset(self, info: ConnectionInfo) -> None:
        from meshag_tui.changes.resetting import EFFECT, NOTE
        from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog

        try:
            shown = await self.bench.hands.review_reset(info.id)
        except MeshagError as error:
            self.failed("Not reset", error)
            return
        question = Confirmation(
            title="Reset statement counters",
            object_name=info.label,
            effect=EFFECT,
            sql=shown.sql,
            undo="Nothing does.",
            typed_name=info.name,
            verb="Reset",
            dialect=self.words.dialect,
            notes=(NOTE,),
        )

        async def reset() -> None:
            self.shell.say(f"{info.name}: reading the counters once more, then resetting them")
            try:
                await self.bench.hands.reset_statistics(shown)
            except MeshagError as error:
                self.failed("Not reset", error)
                return
            self.shell.say(f"{info.name}: statements are counted from nothing; what was collected stays")

        def answered(yes: bool | None) -> None:
            if yes:
                self.shell.do(reset())

        self.shell.push_screen(ConfirmDialog(question), answered)

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self._describe()

    def _describe(self) -> None:
        row: Row | None = self.query_one(Table).row
        page = self.query_one("#about", Page)
        page.display = row is not None
        if row is not None:
            page.set_parts(finding_pieces(row.finding))

    def copy_text(self) -> tuple[str, str] | None:
        row: Row | None = self.query_one(Table).row
        if row is None:
            return None
        finding = row.finding
        return (finding.fix, "SQL") if finding.fix else (f"{finding.title} {glyphs().none} {finding.detail}", "finding")

    def why_not(self, action_id: str) -> str | None:
        if action_id in ("examine", "sync-now") and self._asking:
            return "the server is being asked"
        return super().why_not(action_id)
