"""One table of actions is the keys, the footer, the help and the reason why not."""

from __future__ import annotations

import pytest
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.dom import DOMNode

from meshag_tui.types import UsageError
from meshag_tui.widgets.actions import Action, ActionApp, Actions, widget_actions
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.entry import QuietInput
from meshag_tui.widgets.status import ActionBar, Status, StatusLine, freshness
from meshag_tui.widgets.table import Table
from tests.rig.screen import lines, shown

ACTIONS = (
    Action("apply", "a", "Apply", "Show, then apply it", ("suggestions",), "Suggestions", 1, writes=True),
    Action("dismiss", "d", "Dismiss", "Dismiss it with a reason", ("suggestions",), "Suggestions", 2),
    Action("sync-now", "r", "Sync", "Read the server now", footer=3),
    Action("filter", "/", "Filter", "Show only what fits", footer=4),
    Action("help", "?", "Help", "Show all keys"),
    Action("palette", "ctrl+p", "Palette", "Find an action"),
    Action("earlier", "[", "Earlier", "Shift the window back"),
    *widget_actions(),
)


class Pane(Vertical):
    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def compose(self) -> ComposeResult:
        yield Table((Column("n", "N", 5),), key=lambda row: row["n"])
        yield QuietInput()

    def do_apply(self) -> None:
        self.done.append("apply")

    async def do_sync_now(self) -> None:
        self.done.append("sync-now")

    def do_earlier(self) -> None:
        self.done.append("earlier")

    def why_not(self, action_id: str) -> str | None:
        return "no suggestion is chosen" if action_id == "dismiss" else None

    def do_dismiss(self) -> None:
        self.done.append("dismiss")


class Probe(ActionApp):
    def __init__(self, keys: dict[str, str] | None = None) -> None:
        super().__init__(Actions(ACTIONS, keys), "dark")
        self.place = "suggestions"
        self.pane = Pane()

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield self.pane
        yield ActionBar()

    def on_mount(self) -> None:
        self.show_bar()

    def show_bar(self) -> None:
        footer = self.actions.footer(self.place, self.may_write)
        self.query_one(ActionBar).set_actions(footer, self.reasons(), self.actions["help"])

    def say(self, message: str, severity: str = "information") -> None:  # type: ignore[override]
        self.query_one(StatusLine).say(message, severity)

    def front_pane(self) -> DOMNode | None:
        return self.pane


async def test_keys_do_what_the_table_says_on_the_screen_they_belong_to() -> None:
    app = Probe()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a", "r", "[")
        assert app.pane.done == ["apply", "sync-now", "earlier"]
        app.place = "queries"
        await pilot.press("a", "r")
        assert app.pane.done == ["apply", "sync-now", "earlier", "sync-now"]


async def test_what_is_off_says_why() -> None:
    app = Probe()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("d")
        await pilot.pause()
        assert "d Dismiss: no suggestion is chosen" in lines(app)[0]
        await pilot.press("/")
        await pilot.pause()
        assert "/ Filter: not on this screen" in lines(app)[0]
        assert lines(app)[-1].startswith(" a Apply  (d Dismiss)  r Sync  (/ Filter)") and lines(app)[-1].endswith(
            "? Help"
        )


async def test_a_read_only_connection_has_no_writing_keys() -> None:
    app = Probe()
    app.may_write = False
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a")
        assert app.pane.done == []
        assert "Apply" not in lines(app)[-1]
        await pilot.press("?")
        await pilot.pause()
        assert "Dismiss it" in shown(app) and "then apply" not in shown(app)


async def test_help_lists_every_key_and_under_a_dialog_no_action_is_done() -> None:
    app = Probe()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("?")
        await pilot.pause()
        for action in ACTIONS:
            assert action.help in shown(app)
        assert "Dismiss it with a reason (not now: no suggestion is chosen)" in shown(app)
        await pilot.press("a", "r")
        assert app.pane.done == []
        await pilot.press("escape", "r")
        assert app.pane.done == ["sync-now"]


async def test_the_palette_finds_and_does() -> None:
    app = Probe()
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p", *"read", "enter")
        await pilot.pause()
        assert app.pane.done == ["sync-now"]
        await pilot.press("ctrl+p", *"dismiss", "enter")
        await pilot.pause()
        assert "Dismiss it with a reason: no suggestion is chosen" in shown(app)
        await pilot.press("escape")
        assert app.pane.done == ["sync-now"]


async def test_letters_typed_into_a_field_are_letters() -> None:
    app = Probe()
    async with app.run_test(size=(80, 24)) as pilot:
        app.pane.query_one(QuietInput).focus()
        await pilot.press("a", "r", "question_mark")
        assert app.pane.done == [] and app.pane.query_one(QuietInput).value == "ar?"


async def test_keys_can_be_changed_ours_and_the_tables() -> None:
    app = Probe({"sync-now": "ctrl+r", "table.down": "n", "help": "f1,?"})
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.pane.query_one(Table)
        table.set_rows([{"n": n} for n in range(5)])
        table.focus()
        await pilot.press("r", "ctrl+r")
        assert app.pane.done == ["sync-now"]
        await pilot.press("n")
        assert table.cursor == 1
        await pilot.press("j", "down")
        assert table.cursor == 1


def test_a_key_given_twice_or_an_unknown_action_is_refused() -> None:
    with pytest.raises(UsageError, match="no action 'synk'"):
        Actions(ACTIONS, {"synk": "z"})
    with pytest.raises(UsageError, match="'r' is given to both"):
        Actions(ACTIONS, {"apply": "r"})
    elsewhere = Action("x", "a", "X", "x", ("queries",))
    assert Actions([*ACTIONS, elsewhere]).by_key("a", "queries") == elsewhere


async def test_the_status_line() -> None:
    app = Probe()
    async with app.run_test(size=(100, 24)) as pilot:
        line = app.query_one(StatusLine)
        line.set_status(
            Status("shop[/b]\x1b[2J", "PostgreSQL 16", True, ("12 s ago", ""), "syncing 3/12", "$0.10 of $5")
        )
        await pilot.pause()
        assert lines(app)[0].startswith(" shop[/b]␛[2J · read-only · PostgreSQL 16 · 12 s ago")
        assert lines(app)[0].endswith("syncing 3/12 · $0.10 of $5")
        line.say("a very long notice " * 5, "error")
        await pilot.pause()
        assert "a very long notice" in lines(app)[0] and "PostgreSQL" not in lines(app)[0]


def test_freshness() -> None:
    now = 1_790_000_000_000
    assert freshness(None, now, 60_000) == ("never synced", "warning")
    assert freshness(now - 12_000, now, 60_000) == ("12 s ago", "")
    assert freshness(now - 180_000, now, 60_000) == ("▲ stale, 3 min ago", "warning")
    # A paused screen writes nothing, so it says a moment that does not change.
    assert freshness(now, now, 60_000, paused=True) == freshness(now, now + 99_000, 60_000, paused=True)
