"""A table of many rows: the cursor stays on its row, marks and order hold, and each state says what it is."""

from __future__ import annotations

from typing import Any

import pytest
from textual.app import ComposeResult
from textual.message import Message
from textual.pilot import Pilot

from meshag_tui import figures, glyphs
from meshag_tui.widgets.columns import Column, layout, ordered
from meshag_tui.widgets.guarded import GuardedApp
from meshag_tui.widgets.states import LOADING, Condition, State
from meshag_tui.widgets.table import Table
from tests.rig.screen import lines

COLUMNS = (
    Column("share", "Share", 6, draw=figures.bar, keep=30),
    Column("total", "Total", 9, align="right", render=figures.duration, descending=True, keep=80),
    Column("calls", "Calls", 9, align="right", render=figures.count, descending=True, keep=60),
    Column("query", "Query", 12, flex=1, prose=True, keep=100),
)


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": n, "share": n / count, "total": float(n), "calls": n * 3 % 101, "query": f"SELECT {n}\n  FROM t"}
        for n in range(count)
    ]


class Probe(GuardedApp):
    def __init__(self, **options: Any) -> None:
        super().__init__("dark")
        self.table = Table(COLUMNS, key=lambda row: row["id"], **options)
        self.seen: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self.seen.append(event)

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        self.seen.append(event)

    def on_table_marks_changed(self, event: Table.MarksChanged) -> None:
        self.seen.append(event)

    def on_table_sort_changed(self, event: Table.SortChanged) -> None:
        self.seen.append(event)


async def settled(pilot: Pilot[None]) -> list[str]:
    await pilot.pause()
    return lines(pilot.app)


async def test_a_hundred_thousand_rows_open_and_scroll() -> None:
    app = Probe()
    async with app.run_test(size=(100, 30)) as pilot:
        many = rows(100_000)
        app.table.set_rows(many)
        await pilot.pause()
        await pilot.press("G")
        shown = await settled(pilot)
        assert "SELECT 99999 FROM t" in shown[-1] and shown[-1].startswith("▸")
        await pilot.press("pageup", "pageup", "k")
        assert app.table.cursor == 99_999 - 2 * 28 - 1
        await pilot.press("g")
        assert "SELECT 0 FROM t" in (await settled(pilot))[1]


async def test_the_cursor_stays_on_its_row_when_the_data_is_replaced() -> None:
    app = Probe()
    async with app.run_test(size=(100, 12)) as pilot:
        app.table.set_rows(rows(40))
        await pilot.press("j", "j", "j", "j", "j")
        assert app.table.row["id"] == 5
        app.table.set_rows(list(reversed(rows(40))))
        shown = await settled(pilot)
        assert app.table.row["id"] == 5
        # On the same line of the screen as before.
        assert shown[6].startswith("▸") and "SELECT 5 FROM" in shown[6]
        app.table.set_rows([row for row in rows(40) if row["id"] != 5])
        assert app.table.row is not None
        app.table.set_rows([])
        assert app.table.row is None
        await pilot.press("j", "enter", "space", "G", "l")
        app.table.set_rows(rows(3))
        assert await settled(pilot)


async def test_until_the_user_moves_the_cursor_is_on_the_top_row() -> None:
    app = Probe(sort=("total", True))
    async with app.run_test(size=(100, 12)) as pilot:
        app.table.set_rows(rows(40))
        await pilot.pause()
        assert app.table.row["id"] == 39
        app.table.set_rows(rows(50))
        await pilot.pause()
        assert app.table.row["id"] == 49
        keys = [event.key for event in app.seen if isinstance(event, Table.RowHighlighted)]
        assert keys == [39, 49]


async def test_messages() -> None:
    app = Probe()
    async with app.run_test(size=(100, 12)) as pilot:
        app.table.set_rows(rows(5))
        await pilot.press("j", "enter")
        await pilot.pause()
        assert [(type(event).__name__, event.key) for event in app.seen] == [  # type: ignore[attr-defined]
            ("RowHighlighted", 0),
            ("RowHighlighted", 1),
            ("RowSelected", 1),
        ]
        assert app.seen[-1].row["id"] == 1  # type: ignore[attr-defined]


async def test_marks_are_a_symbol_and_go_with_their_rows() -> None:
    app = Probe()
    async with app.run_test(size=(100, 12)) as pilot:
        app.table.set_rows(rows(5))
        await pilot.press("space", "space")
        shown = await settled(pilot)
        assert [line[0] for line in shown[1:4]] == ["●", "●", "▸"]
        assert [row["id"] for row in app.table.targets] == [0, 1]
        app.table.set_rows(rows(5)[1:])
        assert [row["id"] for row in app.table.targets] == [1]
        app.table.clear_marks()
        assert [row["id"] for row in app.table.targets] == [2]


async def test_order_by_keys_and_by_the_header() -> None:
    app = Probe()
    async with app.run_test(size=(100, 12)) as pilot:
        app.table.set_rows(rows(20))
        app.table.sort_by("calls")
        shown = await settled(pilot)
        assert "▼Calls" in shown[0] and app.table.rows[0]["calls"] == max(row["calls"] for row in rows(20))
        app.table.sort_reverse()
        assert "▲Calls" in (await settled(pilot))[0]
        app.table.sort_next()
        assert app.table.sort == ("query", False)
        await pilot.click(Table, offset=(14, 0))
        assert app.table.sort == ("total", True)


async def test_the_mouse_moves_opens_and_scrolls() -> None:
    app = Probe()
    async with app.run_test(size=(100, 12)) as pilot:
        app.table.set_rows(rows(50))
        await pilot.click(Table, offset=(5, 4))
        assert app.table.cursor == 3
        await pilot.click(Table, offset=(5, 4))
        await pilot.pause()
        assert isinstance(app.seen[-1], Table.RowSelected)


async def test_a_long_text_is_read_on_to_the_right() -> None:
    app = Probe()
    async with app.run_test(size=(60, 12)) as pilot:
        app.table.set_rows([{"id": 1, "share": 0.5, "total": 1.0, "calls": 1, "query": "abcdefgh" * 20}])
        assert "abcdefgh" in (await settled(pilot))[1]
        await pilot.press("l")
        shown = await settled(pilot)
        assert "abcdefgh" in shown[1] and "1.0 ms" in shown[1]
        await pilot.press("h", "h")
        assert "…" in (await settled(pilot))[1]


STATES = {
    Condition.EMPTY: State(Condition.EMPTY, "no statements in this window", "Widen it with [", ""),
    Condition.LOADING: LOADING,
    Condition.STALE: State(Condition.STALE, "12 s old", "retry in 4 s"),
    Condition.FORBIDDEN: State(Condition.FORBIDDEN, "no right to read", "", "GRANT pg_monitor TO app"),
    Condition.ERROR: State(Condition.ERROR, "connection refused"),
}


@pytest.mark.parametrize("with_rows", [False, True])
async def test_each_state_is_its_own(with_rows: bool) -> None:
    app = Probe()
    async with app.run_test(size=(100, 12)) as pilot:
        seen = set()
        for state in STATES.values():
            app.table.set_rows(rows(3) if with_rows else [], state)
            shown = await settled(pilot)
            said = shown[1] if with_rows else "\n".join(shown[1:])
            assert state.title in said
            seen.add(said)
            if with_rows:
                assert "SELECT 0 FROM t" in shown[2]
            elif state.remedy:
                assert state.remedy in said
        assert len(seen) == 5
        app.table.set_rows(rows(3))
        assert "SELECT 0 FROM t" in (await settled(pilot))[1]


async def test_at_eighty_columns_and_less_the_query_text_stays() -> None:
    for width, wanted in ((80, ["share", "total", "calls", "query"]), (30, ["total", "query"]), (12, ["query"])):
        assert [column.key for column, _ in layout(COLUMNS, width)] == wanted
    assert sum(width for _, width in layout(COLUMNS, 118)) + 3 == 118
    app = Probe()
    async with app.run_test(size=(24, 6)) as pilot:
        app.table.set_rows(rows(2))
        assert "SELECT 1" in (await settled(pilot))[2]


def test_none_is_last_and_strange_values_do_not_stop_the_order() -> None:
    column = Column("v", "V", 5)
    assert [r["v"] for r in ordered([{"v": 1}, {"v": None}, {"v": 3}], column, True)] == [3, 1, None]
    assert [r["v"] for r in ordered([{"v": 1}, {"v": None}, {"v": 3}], column, False)] == [1, 3, None]
    assert len(ordered([{"v": 1}, {"v": "a"}, {"v": None}], column, False)) == 3


async def test_without_unicode_it_still_reads() -> None:
    glyphs.use_ascii(True)
    try:
        app = Probe(sort=("total", True))
        async with app.run_test(size=(100, 12)) as pilot:
            app.table.set_rows(rows(5))
            await pilot.press("space")
            shown = await settled(pilot)
            assert all(line.isascii() for line in shown)
            assert shown[1][0] == "*" and shown[2][0] == ">" and "vTotal" in shown[0]
    finally:
        glyphs.use_ascii(None)


async def test_names_that_begin_alike_are_cut_so_that_they_differ() -> None:
    names = ("orders_customer_id_created_at_idx", "orders_customer_id_created_on_idx", "orders_pkey")
    app = Probe(sorts=False)
    app.table.set_columns((Column("name", "Index", 10, flex=1, keep=100, tells_apart=True),))
    async with app.run_test(size=(24, 8)) as pilot:
        app.table.set_rows([{"id": n, "name": name} for n, name in enumerate(names)])
        shown = [line[2:].strip() for line in await settled(pilot)]
        assert shown[1:4] == ["…mer_id_created_at_idx", "…mer_id_created_on_idx", names[2]]
        app.table.set_rows([{"id": 0, "name": names[0]}])
        assert (await settled(pilot))[1][2:].strip() == "orders_customer_id_cr…"
