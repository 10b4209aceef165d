"""The whole way by keys alone, on a real terminal and server: at 80 by 24 without a colour, and told in lines."""

from __future__ import annotations

import re
import time

import pytest

from tests.acceptance.conftest import Must
from tests.cli.conftest import Meshag
from tests.rig.postgres import Database
from tests.rig.pty import Terminal
from tests.rig.tmux import Pane
from tests.screens.test_journey import NEW_INDEX, SCHEMA, indexes

COLOUR = re.compile(rb"\x1b\[[\d;]*\b([349][0-7]|10[0-7]|[34]8;[\d;]+)[\d;]*m")
DRAWN = re.compile("[\u2500-\u259f\u2800-\u28ff]")


class Eyes:
    """Somebody who sees the screen."""

    def __init__(self, terminal: Terminal | Pane) -> None:
        self.terminal = terminal

    def press(self, *keys: str) -> None:
        self.terminal.settle(0.2)
        self.terminal.send(*keys)

    def until(self, *said: str, seconds: float = 30.0) -> str:
        """Wait until one of these is there; which."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.terminal.read(0.05)
            for each in said:
                if each in self.there:
                    return each
        raise AssertionError(f"none of {said} came:\n{self.there}")

    @property
    def there(self) -> str:
        return " ".join(self.terminal.text.split())


class Ears(Eyes):
    """Somebody who hears what is written after each key."""

    heard_before = 0

    def press(self, *keys: str) -> None:
        self.terminal.settle(0.4)
        self.heard_before = len(self.terminal.raw)
        self.terminal.send(*keys)

    @property
    def there(self) -> str:
        return " ".join(self.terminal.raw[self.heard_before :].decode().split())


@pytest.fixture
def shop(meshag: Meshag, must: Must, pg18: Database) -> Database:
    """A connection that was synced around some work, and advised on."""
    pg18.execute(SCHEMA)
    must("connections", "add", "shop", pg18.url)
    must("sync", "shop")
    with pg18.connect(prepare_threshold=None) as connection:
        for number in range(200):
            connection.execute("SELECT id, note FROM orders WHERE customer_id = %s", (number,))
    must("sync", "shop")
    must("suggest", "shop", "--no-llm")
    return pg18


@pytest.mark.parametrize("way", ["drawn", "plain"])
@pytest.mark.slow
def test_from_launch_to_undo_and_out(way: str, shop: Database, meshag: Meshag) -> None:
    plain = way == "plain"
    environment = meshag.environment | {"TERM": "dumb" if plain else "xterm-256color", "NO_COLOR": "1"}
    with Terminal(meshag.command(*(["--plain"] if plain else [])), 80, 24, environment) as terminal:
        user = Ears(terminal) if plain else Eyes(terminal)
        user.until("SELECT id, note")
        user.press("1")
        user.until("shop")
        user.press("2")
        user.until("SELECT id, note")
        user.press("/", "customer_id", "enter")
        user.until("matching customer_id")
        user.press("enter")
        user.until("first seen")
        user.press("P")
        user.until("Seq Scan on orders")
        user.press("4")
        user.until("shown: open")  # the advice alone is named by the query, too
        user.press("a")
        user.until("CREATE INDEX CONCURRENTLY")
        run_it(user)
        user.until("Applied (u undoes it)")
        assert NEW_INDEX in indexes(shop)
        user.press("u")
        user.until("DROP INDEX CONCURRENTLY")
        run_it(user)
        user.until("Undone")
        assert NEW_INDEX not in indexes(shop)
        user.press("?")
        user.until("Put aside for good")
        user.press("esc")
        terminal.settle(0.6)
        if plain:
            assert terminal.read(2.5) == b"", "nothing is written at rest"
        user.press("q")
        assert terminal.wait() == 0
        assert terminal.modes_left() == []
        if plain:
            written = terminal.raw.decode()
            assert "\x1b" not in written and not DRAWN.search(written)
        else:
            assert not COLOUR.search(terminal.raw)


def run_it(user: Eyes) -> None:
    """Agree to what a review shows, as it asks for it."""
    asked = user.until("w accepts", "Type ", "r Run it", "r Put it back")
    if asked == "w accepts":
        user.press("w")
        asked = user.until("Type ", "r Run it", "r Put it back")
    user.press(*((NEW_INDEX, "enter") if asked == "Type " else ("r",)))
