"""A replay: the screens on a copied file, offline, at moments that have passed and as fast as one wants."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from meshag_tui.cli import replay
from meshag_tui.figures import moment
from meshag_tui.live import Vital
from meshag_tui.replay_app import ReplayApp
from meshag_tui.screens.player import Player
from meshag_tui.settings import Settings
from meshag_tui.store import sampled
from meshag_tui.store.database import Store
from meshag_tui.store.sampled import SeenSession, Span
from meshag_tui.types import MeshagError, UsageError
from tests.screens import shop
from tests.screens.conftest import AT, Desk

MINUTE = 60_000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_player_goes_stands_jumps_and_ends() -> None:
    clock = Clock()
    player = Player(1_000_000, 1_600_000, 1, clock)
    clock.now = 10
    assert player() == 1_010 and not player.ended
    player.change_speed(1)
    player.change_speed(1)
    clock.now = 20
    assert player.at == 1_060_000, "5 times as fast from where it was"
    player.stand(True)
    clock.now = 100
    assert player.at == 1_060_000
    player.stand(False)
    clock.now = 101
    assert player.at == 1_065_000
    player.go_to(0)
    assert player.at == 1_000_000, "not before what was recorded"
    for _ in range(20):
        player.change_speed(1)
    clock.now = 200
    assert player.speed == 3_600 and player.at == 1_600_000 and player.ended
    for _ in range(20):
        player.change_speed(-1)
    assert player.speed == 1


def checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def file(settings: Settings) -> Path:
    """The store of the shop as somebody sent it: ten sampled minutes, in the latter half of which one waits."""
    shop_id = shop.fill(settings)
    store = Store.open(settings.store_url)
    try:
        for minute in range(10):
            at = AT - (10 - minute) * MINUTE
            waits = minute >= 5
            who = (4711, "app", "shop", "10.0.0.7", "web", "client", "active", "lock" if waits else "cpu", "")
            text = "UPDATE carts SET …" if waits else "SELECT * FROM orders"
            seen = SeenSession(*who, 900.0, f"f{waits}", (4712,) if waits else (), 12, text=text)
            vitals = {"connections": Vital("ok", 41.0 + minute, 97.0)}
            store.run(sampled.add, shop_id, Span(at, at + MINUTE, 12, {who[7]: 12.0}, (seen,), vitals))
    finally:
        store.close()
    return settings.home / "meshag.db"


async def test_what_was_it_doing_offline_from_a_copied_file(file: Path, settings: Settings, tmp_path: Path) -> None:
    before = checksum(file)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    home = tmp_path / "other-home"
    home.mkdir(mode=0o700)
    start = moment(AT - 8 * MINUTE, "%H:%M:%S")
    wanted, player = replay.prepare(
        Settings(home=home, store_url="sqlite:////nowhere", ui=settings.ui), file, elsewhere, start, 1
    )
    clock = Clock()
    player = Player(player.start, player.end, 1, clock)
    player.go_to(AT - 8 * MINUTE)
    app = ReplayApp(wanted, player=player)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, pilot)
        said = await desk.until("SELECT * FROM orders")
        assert "read-only" in said and "replay 1×" in said and "UPDATE carts" not in said
        await desk.press(*["greater_than_sign"] * 6)
        await desk.until("Replayed at 120 times the speed of life")
        clock.now = 2  # four minutes of what was recorded
        said = await desk.until("UPDATE carts SET …")
        assert "SELECT * FROM orders" not in said
        for key in ("x", "r", "n", "6"):
            await desk.press(key)
            assert "Stop session" not in desk.screen and app.place == "sessions"
        await desk.until("a replay asks no server and changes nothing")
        assert app.bench is not None
        with pytest.raises(MeshagError, match="sealed with another key"):
            await app.bench.sync(app.connections[0].id)
        await desk.press("p")
        clock.now = 100
        await desk.until("replay stands")
        await desk.press("1")
        said = await desk.until("connections 46 of 97")
        await desk.press("p", "at")
        await desk.until("Go on from")
        await desk.type(moment(AT - 7 * MINUTE, "%H:%M:%S"))
        await desk.press("enter")
        await desk.until("connections 43 of 97")
        await desk.press("2")
        await desk.until("SELECT id, status, total_cents")
        clock.now = 200
        await desk.until("This is the end of what was recorded")
    assert checksum(file) == before, "the file stays as it is"
    with pytest.raises(UsageError, match="was not recorded"):
        replay.prepare(wanted, file, tmp_path, "2001-01-01 00:00")


def test_what_is_no_store_or_holds_nothing_is_refused(settings: Settings, tmp_path: Path) -> None:
    Store.open(settings.store_url).close()
    with pytest.raises(MeshagError, match="Nothing was recorded"):
        replay.prepare(settings, settings.home / "meshag.db", tmp_path)
    other = tmp_path / "notes.txt"
    other.write_text("no store")
    with pytest.raises(MeshagError, match="not a backup"):
        replay.prepare(settings, other, tmp_path)
