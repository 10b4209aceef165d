"""Tables by keys alone: what each costs, how it is read and kept, and what became of its structure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.screens.table_facts import growth
from meshag_tui.screens.tables import TablesPane
from meshag_tui.settings import Settings
from meshag_tui.store import history, models
from meshag_tui.types import Window
from meshag_tui.workflows.workbench import Workbench
from tests.screens import picture, table_shop
from tests.screens.conftest import AT, Desk, Open
from tests.screens.test_pictures import SIZES, the_same_everywhere

__all__ = ["the_same_everywhere"]

DAY = Window(AT - 86_400_000, AT)


def line(desk: Desk, name: str) -> str:
    return next(each for each in desk.screen.splitlines() if f"{name} " in each)


def pane(desk: Desk) -> TablesPane:
    found = desk.app.pane("tables")
    assert isinstance(found, TablesPane)
    return found


def names(desk: Desk) -> list[str]:
    return [each.row.stats.name for each in pane(desk)._list.rows]


async def test_the_list_says_what_the_store_has(bench: Workbench, at_desk: Open) -> None:
    shop = bench.store.run(table_shop.fill_open, bench.vault)
    kept = {row.stats.name: row for row in bench.store.run(history.tables, shop, DAY)}
    orders = kept["orders"]
    assert (orders.seq_scan, orders.index_scan) == (60, 1_353), "the shop does what is expected of it"
    async with at_desk(bench, size=(160, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("9")
        await desk.until("shop.orders")
        row = next(each for each in pane(desk)._list.rows if each.row.stats.name == "orders")
        assert row.row == orders
        assert row.size_bytes == (orders.stats.size_bytes or 0) + (orders.stats.index_bytes or 0)
        assert row.whole_share == 60 / (60 + 1_353) and row.hit_share == 0.9
        assert row.dead_share == 90_000 / (90_000 + 150_000)
        said = line(desk, "shop.orders")
        assert all(
            each in said for each in ("60", "1,353", "4.2 %", "38 %", "90 %", "9 d ago", "▲ read whole, 60 times")
        )
        assert "▲ never analysed, no primary key" in line(desk, "shop.events")
        assert "▲" not in line(desk, "shop.customers"), "nothing is wrong with it"
        assert "shop.[bold]carts[/]␛[2J" in desk.screen and "\x1b" not in desk.screen
        for fact in ("9,000,000 rows", "2,700 inserted, 1,800 updated, 120 deleted", "600 of 1,800"):
            assert fact in desk.screen, "the table under the cursor is told below"


async def test_sorted_filtered_narrowed_and_by_preset(bench: Workbench, at_desk: Open) -> None:
    bench.store.run(table_shop.fill_open, bench.vault)
    carts = table_shop.HOSTILE
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("9")
        await desk.until("shop.orders")
        assert names(desk) == ["orders", "events", carts, "customers"], "the largest first"
        await desk.press("F")
        await desk.type("most dead")
        await desk.press("enter")
        await desk.until("▼Dead")
        for typed, found in (
            ("something wrong", {"orders", "events"}),
            ("written", {"orders", "events"}),
            ("neither", {carts}),
            ("all tables", {"orders", "events", carts, "customers"}),
        ):
            await desk.press("f")
            await desk.type(typed)
            await desk.press("enter")
            await desk.pilot.pause()
            assert set(names(desk)) == found, typed
        await desk.press("slash")
        await desk.type("!analysed")
        assert set(names(desk)) == {"orders", carts, "customers"}
        await desk.press("escape", "slash")
        await desk.type("no such table")
        await desk.until("no table of 4 is in this list")


async def test_one_table_with_all_about_it(bench: Workbench, at_desk: Open) -> None:
    shop = bench.store.run(table_shop.fill_open, bench.vault)
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("9", "enter")
        await desk.until("History of its structure (2 changes)")
        for said in (
            "Indexes (2): enter opens one",
            "customer_id  integer NOT NULL",
            "status       text DEFAULT 'new'::text",
            "refers to shop.customers (id) by customer_id",
            "changed column customer_id: bigint NOT",
            "added column note: text",
            "Advice (2): enter opens it",
            "Growth        +25 MB in ",
        ):
            await desk.until(said)
        whole = pane(desk).detail.whole
        assert whole is not None
        assert whole.trend == bench.store.run(history.table_series, whole_id(desk), observed(bench, shop))
        await desk.until("scans per minute · ⣀⡠ whole max 2 · •• by index max 50")
        for title in ("rows read per second", "rows written per second", "size without indexes", "scans per minute"):
            await desk.press("m")
            await desk.until(title)
        for part, begins in (
            ("figures", "Size          112 MB"),
            ("indexes", "CREATE INDEX orders_pkey"),
            ("structure", "id           bigint NOT NULL"),
            ("advice", "DROP INDEX CONCURRENTLY"),
            ("past", "changed column customer_id"),
        ):
            while not desk.app.screen.query_one(f"#part-{part}").has_focus_within:
                await desk.press("tab")
            await desk.press("y")
            assert desk.app.clipboard.startswith(begins)
        await desk.press("escape")
        await desk.until("4 of 4 shown")


def whole_id(desk: Desk) -> int:
    table = pane(desk).detail.table
    assert table is not None
    return table.key


def observed(bench: Workbench, shop: str) -> Window:
    window = bench.store.run(history.latest_window, shop, 86_400_000)
    return history.observed_part(bench.store.run(history.intervals, shop, window), window)


async def test_its_indexes_and_advice_open_where_they_live(bench: Workbench, at_desk: Open) -> None:
    bench.store.run(table_shop.fill_open, bench.vault)
    async with at_desk(bench, size=(80, 24), clock=lambda: AT / 1000) as desk:
        await desk.press("9", "enter")
        await desk.until("▸ Indexes (2)")
        await desk.press("tab", "tab")
        await desk.until("▾ Indexes (2)")
        await desk.press("enter")
        await desk.until("CREATE INDEX orders_pkey")
        assert desk.app.place == "indexes"
        await desk.press("9", "9", "enter")
        await desk.until("▸ Advice (2)")
        await desk.press("tab", "tab", "tab", "tab")
        await desk.until("▾ Advice (2)")
        await desk.press("enter")
        await desk.until("DROP INDEX CONCURRENTLY")
        assert desk.app.place == "suggestions"


async def test_export_is_what_the_command_line_says(bench: Workbench, at_desk: Open, tmp_path: Path) -> None:
    bench.store.run(table_shop.fill_open, bench.vault)
    target = tmp_path / "tables.json"
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("9")
        await desk.until("shop.orders")
        await desk.press("e", "ctrl+u")
        await desk.type(str(target))
        await desk.press("enter")
        await desk.until("Wrote 4 rows")
    rows = {row["table"]: row for row in json.loads(target.read_text())["rows"]}
    assert rows["orders"]["seq_scan"] == 60 and rows["orders"]["dead_rows"] == 90_000


async def test_mariadb_in_its_own_words(bench: Workbench, at_desk: Open) -> None:
    bench.store.run(table_shop.fill_open, bench.vault, True)
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("9")
        said = await desk.until("orders")
        assert "Seq" not in said and "Dead" not in said and "Vacuumed" not in said
        assert "9.00 M" in line(desk, "orders") and "4,059" in line(desk, "orders")
        assert "36 % free space" in line(desk, "events")
        await desk.press("enter")
        await desk.until("9,000,000 rows, 100 % of its rows read")
        await desk.until("rows read per second")
        assert "Dead rows" not in desk.screen and "HOT" not in desk.screen


@pytest.mark.parametrize(
    ("kept", "said", "never"),
    [
        ({"minutes": 0}, "was never synced", "no table"),
        ({"tables": False}, "this database has no table", "never synced"),
        ({"tables": False, "warnings": (table_shop.REFUSED,)}, "Not allowed: Tables are not read", "has no table"),
        ({"tables": False, "warnings": (table_shop.UNREAD,)}, "Error: Tables are not read", "has no table"),
        ({"warnings": (table_shop.UNREAD,)}, "Stale: Tables are not read", "Error"),
    ],
    ids=["never", "none", "forbidden", "unread", "stale"],
)
async def test_why_there_is_little(
    bench: Workbench, at_desk: Open, kept: dict[str, Any], said: str, never: str
) -> None:
    bench.store.run(lambda: table_shop.fill_open(bench.vault, **kept))
    async with at_desk(bench, size=(80, 24), clock=lambda: AT / 1000) as desk:
        await desk.press("9")
        await desk.until(said)
        assert never not in desk.screen
        if kept == {"warnings": (table_shop.UNREAD,)}:
            assert len(names(desk)) == 4, "what was read before is still there"


async def test_what_is_not_known_is_not_zero(bench: Workbench, at_desk: Open) -> None:
    """A window without any comparison has no reads, and a database whose schema was not read has no columns."""
    shop = bench.store.run(table_shop.fill_open, bench.vault)
    bench.store.run(lambda: models.SchemaVersion.delete().where(models.SchemaVersion.connection == shop).execute())
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("9", "left_square_bracket", "left_square_bracket")
        await desk.until("no reads are known in this window")
        row = pane(desk)._list.rows[0]
        assert row.whole is None and row.whole_share is None and row.written is None
        await desk.press("enter")
        await desk.until("The schema was never read whole")
        await desk.until("no version of the schema is kept")
        await desk.until("not known in this window")


def test_growth_is_foreseen_only_from_hours() -> None:
    hour = 3_600_000
    short, long = (history.Trend((0, span), span, {}, (10_000_000, 11_000_000)) for span in (hour, 24 * hour))
    assert growth(short).startswith("+977 kB in ") and "pace" not in growth(short)
    assert growth(long).endswith("at this pace +29 MB in 30 days")
    assert growth(history.Trend((0, hour), hour, {}, (5, None))) == "not known: its size was read once in this window"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    ("keys", "mariadb"),
    [(("9",), False), (("9", "enter"), False), (("9",), True)],
    ids=["tables", "table", "tables-mariadb"],
)
def test_picture(
    snap_compare: Any, tmp_path: Path, keys: tuple[str, ...], mariadb: bool, size: tuple[int, int]
) -> None:
    settings: Settings = picture.settings_in(tmp_path / "home")
    table_shop.fill(settings, mariadb=mariadb)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *keys))
