"""A workbench on an empty store, and the application on it, driven by keys alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key, Paste
from textual.keys import _character_to_key
from textual.pilot import Pilot

from meshag_tui import glyphs
from meshag_tui.app import MeshagApp
from meshag_tui.settings import CollectSettings, Settings, UiSettings
from meshag_tui.workflows.workbench import Workbench
from tests.rig.screen import shown
from tests.rig.stores import put_store

AT = 1_790_000_000_000
"""The moment every picture is taken at: 21 September 2026, 14:13:20 UTC."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home of the test's own; a connection is given up after two seconds."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Settings(
        home=home,
        store_url=put_store(home / "meshag.db"),
        collect=CollectSettings(connect_timeout_s=2.0),
        ui=UiSettings(theme="dark", refresh_s=0.2),
    )


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Workbench]:
    """An open workbench on an empty store."""
    async with await Workbench.open(settings) as bench:
        yield bench


@pytest.fixture(autouse=True)
def place_and_time(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Times are shown as in UTC, signs as on a terminal of UTF-8."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    glyphs.use_ascii(False)
    yield
    monkeypatch.undo()
    time.tzset()
    glyphs.use_ascii(None)


class Desk:
    """Somebody at the application: presses keys, waits for what the screen says."""

    def __init__(self, app: MeshagApp, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> str:
        return shown(self.app)

    @property
    def words(self) -> str:
        """The screen as one line of words, frames and line ends left out."""
        return " ".join(self.screen.replace("│", " ").split())

    async def press(self, *keys: str) -> None:
        """Press keys and wait until what they led to is painted."""
        await self.app._press_keys(keys)  # the pilot's own way waits twice for every widget
        await self.pilot.pause()

    async def type(self, words: str) -> None:
        """Type fast, as far as the application is concerned: all is there at once, letter by letter."""
        for letter in words:
            self.app.post_message(Key(letter if letter.isalnum() else _character_to_key(letter), letter))
        await self.pilot.pause()

    async def paste(self, words: str) -> None:
        """As the terminal does: what would take long to type."""
        self.app.post_message(Paste(words))
        await self.pilot.pause()

    async def until(self, said: str | Callable[[str], bool], seconds: float = 60.0) -> str:
        """Wait until the screen says it, and return the screen."""
        end = time.monotonic() + seconds
        while not (said in self.screen if isinstance(said, str) else said(self.screen)):
            if time.monotonic() > end:
                raise AssertionError(f"{said!r} did not come. The screen:\n{self.screen}")
            await asyncio.sleep(0.02)  # a pause of the pilot's asks every widget: a quarter of a processor, for nothing
        return self.screen

    async def gone(self, said: str, seconds: float = 60.0) -> str:
        return await self.until(lambda screen: said not in screen, seconds)


Open = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def at_desk(settings: Settings) -> Open:
    """Open the application: `async with at_desk(bench, size=(80, 24)) as desk`; without a bench it opens its own."""

    @asynccontextmanager
    async def open_app(
        bench: Workbench | None = None, *, size: tuple[int, int] = (120, 40), ui: UiSettings | None = None, **more: Any
    ) -> AsyncIterator[Desk]:
        wanted = settings if bench is None else bench.settings
        wanted = wanted if ui is None else wanted._replace(ui=ui)
        more.setdefault("collect", False)
        app = MeshagApp(wanted, bench, **more)
        async with app.run_test(size=size) as pilot:
            desk = Desk(app, pilot)
            end = time.monotonic() + 60
            while app.front_pane() is None and time.monotonic() < end and app.place != "opening-failed":
                await asyncio.sleep(0.01)
                await pilot.pause()
                if "Error" in desk.screen:
                    break
            yield desk

    return open_app
