"""Queries, indexes and suggestions as they were agreed to look; `pytest --snapshot-update` agrees to a new look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshag_tui.changes.basket import Basket, Item, Wanted, between
from meshag_tui.changes.rehearse import Asked
from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, KeyCopy, TableCopy
from meshag_tui.screens.apply import ApplyDialog
from meshag_tui.screens.basket import basket_pieces
from meshag_tui.screens.rehearsal import question
from meshag_tui.store.database import Store
from meshag_tui.types import Finding
from meshag_tui.widgets.dialog import ConfirmDialog
from meshag_tui.workflows.rehearsal import RehearsalReview
from tests.screens import picture, shop
from tests.screens.test_apply_dialog import REVIEW, asked
from tests.screens.test_pictures import LOOKS, SIZES, the_same_everywhere

__all__ = ["the_same_everywhere"]

SCREENS = {
    "overview": ("1",),
    "queries": ("2",),
    "queries-second": ("2", "j", "S", "i", "i"),
    "queries-set-aside": ("2", "i"),
    "queries-filtered": ("2", "slash", "o", "r", "d", "e", "r", "enter"),
    "query": ("2", "enter"),
    "query-trend": ("2", "enter", "tab", "m"),
    "query-plan": ("2", "j", "enter", "tab", "tab"),
    "query-secret": ("2", "slash", "exclamation_mark", "e", "enter", "enter"),
    "indexes": ("3",),
    "indexes-sorted": ("3", "s", "s", "S", "G"),
    "index": ("3", "enter"),
    "suggestions": ("4",),
    "suggestions-marked": ("4", "space", "space"),
    "suggestion": ("4", "enter"),
    "suggestions-show": ("4", "f"),
    "dismiss": ("4", "d"),
    "export": ("2", "e"),
    "help": ("4", "question_mark"),
}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_screen(snap_compare: Any, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    shop.fill(settings)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *SCREENS[name]))


CHANGED = {
    "compare": ("8",),
    "compare-time-line": ("8", "T"),
    "compare-plans": ("8", "T", "j", "enter"),
    "compare-unobserved": ("8", "f", "j", "enter"),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", CHANGED)
def test_what_changed(snap_compare: Any, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    shop.fill_changed(settings)
    app = picture.application(settings)
    a_quarter = ("w", "1", "5", "enter")
    keys = (*a_quarter, *CHANGED[name])
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *keys))


@pytest.mark.parametrize("look", LOOKS)
def test_what_changed_in_other_looks(snap_compare: Any, tmp_path: Path, look: str) -> None:
    size, theme = LOOKS[look]
    settings = picture.settings_in(tmp_path / "home", theme)
    shop.fill_changed(settings)
    app = picture.application(settings)
    keys = ("w", "1", "5", "enter", *CHANGED["compare"])
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *keys))


@pytest.mark.parametrize("size", [*SIZES, (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("kind", ["create", "warned", "blocked", "drop"])
def test_review(snap_compare: Any, tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    shop.fill(settings)
    app = picture.application(settings)

    async def open_it(pilot: Any) -> None:
        await picture.press(pilot, "4")
        app.push_screen(ApplyDialog("Apply: Index orders (customer_id)", asked(REVIEW[kind])))
        await pilot.pause(0.1)

    assert snap_compare(app, terminal_size=size, run_before=open_it)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("verdict", ["faster", "slower", "inconclusive"])
def test_measured(snap_compare: Any, tmp_path: Path, verdict: str, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    connection = shop.fill(settings)
    store = Store.open(settings.store_url)
    store.run(shop.rehearse, connection, verdict)
    store.close()
    app = picture.application(settings)
    keys = ("4", "B") if verdict == "faster" else ("4", "G", "B") if verdict == "slower" else ("4", "enter")
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *keys))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_written_otherwise(snap_compare: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    connection = shop.fill(settings)
    store = Store.open(settings.store_url)
    store.run(shop.rewritten, connection)
    store.close()
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, "4", "enter"))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_what_would_be_read(snap_compare: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    shop.fill(settings)
    app = picture.application(settings)

    async def open_it(pilot: Any) -> None:
        await picture.press(pilot, "4")
        app.push_screen(ConfirmDialog(question(REVIEWED)))
        await pilot.pause(0.1)

    assert snap_compare(app, terminal_size=size, run_before=open_it)


BASKETS = {"basket": ("create", "blocked"), "basket-drop": ("warned", "drop")}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", BASKETS)
def test_review_of_several(snap_compare: Any, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    shop.fill(settings)
    app = picture.application(settings)
    wanted = [Wanted(kind, REVIEW[kind].sql[:30], REVIEW[kind].change, 5_000_000) for kind in BASKETS[name]]
    basket = Basket(tuple(Item(one, REVIEW[one.suggestion_id]) for one in wanted), between(wanted))

    async def ask() -> Basket:
        return basket

    async def open_it(pilot: Any) -> None:
        await picture.press(pilot, "4")
        app.push_screen(ApplyDialog("Apply 2 suggestions", ask, pieces=basket_pieces))
        await pilot.pause(0.1)

    assert snap_compare(app, terminal_size=size, run_before=open_it)


REVIEWED = RehearsalReview(
    "sug_1",
    "con_1",
    "Index orders (customer_id)",
    CopyPlan(
        source="watcher@db1.example.org:5432/shop",
        source_id="7",
        place="a private PostgreSQL 18.6 on this machine",
        tables=(
            TableCopy("shop", "orders", ("id", "customer_id"), 150_000, 90_000_000, 0.31, 62_000),
            TableCopy("shop", "customers", ("id", "name"), 900, 90_000, 0.0, 1_000),
        ),
        keys=(KeyCopy("shop", "orders", ("customer_id",), "shop", "customers", ("id",)),),
        statements=(
            'SELECT "id", "customer_id" FROM ONLY "shop"."orders" TABLESAMPLE SYSTEM (31) REPEATABLE (2017) LIMIT 6200',
            'SELECT "id", "name" FROM ONLY "shop"."customers" WHERE "id" = ANY ($1)',
        ),
        limits=CopyLimits(100_000, 64 * 1024 * 1024, 60.0),
        asked=(shop.STATEMENTS["orders"],),
        notes=("a statement is left out, it cannot be planned: there is no table x",),
    ),
    (Asked("qry_0000000001", shop.STATEMENTS["orders"], True, 2_400, 2_600_000.0),),
)
FORBIDDEN = Finding(
    "pgss-no-privilege",
    "missing",
    "No privilege on pg_stat_statements",
    "watcher may not use schema monitoring or the function in it",
    'GRANT USAGE ON SCHEMA "monitoring" TO "watcher";',
)


@pytest.mark.parametrize("finding", [shop.PGSS_MISSING, FORBIDDEN], ids=lambda finding: finding.code)
def test_what_cannot_be_read(snap_compare: Any, tmp_path: Path, finding: Finding) -> None:
    settings = picture.settings_in(tmp_path / "home")
    shop.fill(settings, warnings=(finding,))
    app = picture.application(settings)
    earlier = ("2", "left_square_bracket", "left_square_bracket")  # a window in which nothing was read
    assert snap_compare(app, terminal_size=(80, 24), run_before=lambda pilot: picture.press(pilot, *earlier))


@pytest.mark.parametrize("theme", ["light", "high-contrast"])
@pytest.mark.parametrize("place", ["2", "4"])
def test_theme(snap_compare: Any, tmp_path: Path, theme: str, place: str) -> None:
    settings = picture.settings_in(tmp_path / "home", theme)
    shop.fill(settings)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=(80, 24), run_before=lambda pilot: picture.press(pilot, place))
