"""Every index of a database: what it costs, who uses it, and what is wrong with it; one of them in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult

from meshag_tui.cli.reading import describe_index
from meshag_tui.figures import count, size
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import indexes_facts, why_empty
from meshag_tui.screens.index import IndexView
from meshag_tui.screens.indexes_facts import SHOWN, Index
from meshag_tui.screens.look import look_of
from meshag_tui.screens.narrowed_pane import NarrowedPane
from meshag_tui.screens.presets import Preset
from meshag_tui.store import history
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.page import Page, Piece
from meshag_tui.widgets.states import Condition, State

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words

COLUMNS: tuple[Column, ...] = (
    Column("table", "Table", 14, flex=2, keep=85, tells_apart=True),
    Column("name", "Index", 22, flex=4, keep=100, tells_apart=True),
    indexes_facts.SIZE,
    indexes_facts.USES,
    Column(
        "used", "Last used", 11, value=lambda row: row,
        sort_key=lambda row: row.row.last_used_at or row.row.stats.last_scan or 0, render=indexes_facts.used, keep=70,
    ),
    Column(
        "read", "Entries", 7, align="right", value=lambda row: row.row.rows_read, render=count, descending=True, keep=30
    ),
    Column("flags", "What it is", 20, flex=12, value=lambda row: row.flags, tone=indexes_facts.flags_tone, keep=80),
    Column("definition", "Definition", 30, flex=4, value=lambda row: row.row.stats.definition, prose=True, keep=20),
)  # fmt: skip


def columns_for(words: Words) -> tuple[Column, ...]:
    """The columns for a server: entries read only where these are something else than what a use is counted by."""
    counts_scans = words.index_uses == "scans"
    return indexes_facts.in_words([each for each in COLUMNS if counts_scans or each.key != "read"], words)


class IndexesPane(NarrowedPane[Index]):
    """The list, where there is room with the index under the cursor below it; enter opens it with its trend."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    place = "indexes"
    one = "index"
    shown = SHOWN
    none = State(Condition.EMPTY, "this database has no index", "None that its own tables would have made.")
    findings = why_empty.INDEXES
    usual_sort = "size"
    all_presets = (Preset("largest"), Preset("least used", "scans", descending=False), Preset("unused", shown="unused"))

    def compose(self) -> ComposeResult:
        yield self.list_view()
        yield IndexView(id="index", classes="view")

    def columns(self) -> tuple[Column, ...]:
        return columns_for(self.words)

    @property
    def detail(self) -> IndexView:
        """The view of one index."""
        return self.query_one(IndexView)

    async def load(self) -> None:
        info = self.connection
        if info is None:
            return
        window = await self.window()
        rows = await self.bench.store.read(history.indexes, info.id, window)
        now = float(info.last_sync_at or self.shell.now_ms())
        self._all = indexes_facts.with_relations(rows, now, self.words, self.words.home_schema or info.database)
        self._show(info)
        if self.view == "index" and self.detail.index is not None:
            newest = next((each for each in self._all if each.key == self.detail.index.key), self.detail.index)
            days = self.bench.settings.advice.unused_index_days
            whole = await self.bench.store.read(indexes_facts.read_whole, newest.row, info.id, window, days)
            self.detail.set_whole(newest, whole, days)

    def pieces(self, row: Index) -> list[Piece]:
        return indexes_facts.about(row)

    def summary(self, rows: Sequence[Index]) -> str:
        return summary(rows, self._all, self.wanted)

    def open_one(self, row: Index) -> None:
        self.detail.open(row)

    def say_in_detail(self, state: State) -> None:
        self.detail.say(state)

    def described(self, row: Index) -> Mapping[str, Any]:
        duplicate_of = {} if row.duplicate_of is None else {row.row.stats.key: row.duplicate_of}
        redundant_with = {} if row.redundant_with is None else {row.row.stats.key: row.redundant_with}
        return describe_index(row.row, duplicate_of, redundant_with)

    # --- actions ----------------------------------------------------------------------------------------------------

    def on_page_copied(self, event: Page.Copied) -> None:
        """`y` is for the definition, wherever the focus is."""
        event.stop()
        self.do_copy()

    def copy_text(self) -> tuple[str, str] | None:
        chosen = self.detail.index if self.view == "index" else self._chosen
        return None if chosen is None else (chosen.row.stats.definition, "definition")

    def do_indexes_show(self) -> None:
        self.choose_shown()

    def do_index_metric(self) -> None:
        self.shell.say(f"Trend: {self.detail.next_metric()}")


def summary(rows: Sequence[Index], found: Sequence[Index], wanted: str) -> str:
    """The line below the list: how many there are, what they take, and what is wrong with some."""
    said = [f"{len(rows):,} of {len(found):,} shown ({wanted}), {_taken(rows)}"]
    for name in ("unused", "duplicate", "invalid"):
        some = [each for each in found if each.is_shown(name)]
        if some:
            said.append(f"{len(some):,} {name} {_taken(some)}")
    return glyphs().separator.join(said)


def _taken(rows: Sequence[Index]) -> str:
    """What they take together, as far as it is known."""
    known = [each.row.stats.size_bytes for each in rows if each.row.stats.size_bytes is not None]
    if rows and not known:
        return "(size not known)"
    return size(sum(known)) + (" and more" if len(known) < len(rows) else "")
