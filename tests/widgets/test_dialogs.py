"""Nothing happens without a deliberate yes, and what would happen is said exactly."""

from __future__ import annotations

from typing import Any

import pytest
from textual.app import ComposeResult
from textual.screen import Screen

from meshag_tui.widgets.chooser import Choice, Chooser, fitting
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog, Gate, TextDialog, error_dialog
from meshag_tui.widgets.form import Field, Form, FormDialog, whole_number
from meshag_tui.widgets.guarded import GuardedApp
from meshag_tui.widgets.page import PlainLine
from tests.rig.screen import shown

HOSTILE = "orders[/b]\x1b]0;x\x07"
PLAN = Confirmation(
    title="Apply sug_1",
    object_name=f"index {HOSTILE} on app@shop",
    effect="Makes an index while the table stays in use.",
    sql='CREATE INDEX CONCURRENTLY "a[/b]" ON orders (a)',
    gates=(Gate("free disk", "40 GB", "12 GB", True), Gate("open transactions", "none older", "60 s", True)),
    undo='DROP INDEX CONCURRENTLY "a[/b]"',
)


class Probe(GuardedApp):
    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__("dark")
        self.asked = screen
        self.answers: list[Any] = []
        self.said: list[str] = []
        self.copied: list[str] = []

    def compose(self) -> ComposeResult:
        yield PlainLine("behind the dialog")

    def on_mount(self) -> None:
        self.push_screen(self.asked, self.answers.append)

    def copy(self, text: str, what: str) -> bool:
        self.copied.append(text)
        return True


async def answer_to(screen: Screen[Any], *keys: str) -> tuple[list[Any], str]:
    app = Probe(screen)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
        await pilot.pause()
        return app.answers, shown(app)


async def test_everything_is_on_the_screen_and_the_screen_stays_behind() -> None:
    answers, screen = await answer_to(ConfirmDialog(PLAN))
    assert answers == []
    for said in ("Apply sug_1", "index orders[/b]␛]0;x␇ on app@shop", PLAN.sql, PLAN.undo, "✓ ok", "free disk: 40 GB"):
        assert said in screen
    assert "behind the dialog" in screen


@pytest.mark.parametrize("keys", [("enter",), ("escape",), ("c",), ("n",), ("space",)])
async def test_the_harmless_answer_has_the_focus(keys: tuple[str, ...]) -> None:
    assert (await answer_to(ConfirmDialog(PLAN), *keys))[0] == [False]


@pytest.mark.parametrize("keys", [("r",), ("right", "enter"), ("tab", "space")])
async def test_a_second_deliberate_key_does_it(keys: tuple[str, ...]) -> None:
    assert (await answer_to(ConfirmDialog(PLAN), *keys))[0] == [True]


@pytest.mark.parametrize("ok", [False, None])
async def test_a_gate_that_is_not_ok_or_unknown_bars_the_way(ok: bool | None) -> None:
    plan = Confirmation("Apply", "index", "", "CREATE INDEX", gates=(Gate("replica lag", "30 s", "10 s", ok),))
    answers, screen = await answer_to(ConfirmDialog(plan), "r")
    assert answers == [] and "Not possible now: replica lag" in screen


async def test_what_is_dropped_must_be_named() -> None:
    plan = Confirmation("Drop", "index orders_c_idx", "", "DROP INDEX orders_c_idx", typed_name="orders_c")
    answers, screen = await answer_to(ConfirmDialog(plan), *"orders_x", "enter")
    assert answers == [] and "That is not the name: type orders_c" in screen
    assert (await answer_to(ConfirmDialog(plan), *"orders_c", "enter"))[0] == [True]
    assert (await answer_to(ConfirmDialog(plan), *"orders_c", "escape"))[0] == [False]


async def test_an_old_plan_is_not_run() -> None:
    answers, screen = await answer_to(ConfirmDialog(PLAN, valid_s=-1), "r")
    assert answers == [] and "too old" in screen


async def test_the_sql_is_copied() -> None:
    app = Probe(ConfirmDialog(PLAN))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("y")
        await pilot.pause()
        assert app.copied == [PLAN.sql]


async def test_a_long_plan_fits_a_small_terminal_and_is_read_on() -> None:
    plan = Confirmation("Apply", "index", "", "\n".join(f"-- line {n}" for n in range(80)), undo="last line")
    app = Probe(ConfirmDialog(plan))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "Cancel" in shown(app) and "Run it" in shown(app)
        await pilot.press(*["pagedown"] * 10)
        await pilot.pause()
        assert "last line" in shown(app)


async def test_an_error_is_read_copied_and_closed() -> None:
    dialog = error_dialog("Sync failed", f"connection {HOSTILE} refused\nline 2", "Check pg_hba.conf")
    _, screen = await answer_to(dialog)
    assert "◆ connection orders[/b]␛]0;x␇ refused" in screen and "Check pg_hba.conf" in screen
    app = Probe(TextDialog("Help", [("bold", "x")]))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("y", "escape")
        await pilot.pause()
        assert app.copied == ["x"] and app.answers == [None]


FIELDS = (
    Field("name", "Name", required=True),
    Field("port", "Port", "5432", check=whole_number(1, 65_535)),
    Field("tls", "TLS", "prefer", choices=("disable", "prefer", "verify-full")),
    Field("password", "Password", kind="password"),
)


async def test_a_form_says_beside_the_field_what_is_wrong_and_keeps_what_was_typed() -> None:
    app = Probe(FormDialog("Add a connection", FIELDS))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert "✗ needed" in shown(app) and app.answers == []
        await pilot.press(*"shop", "tab", "backspace", *"xx", "down", "right", "tab", *"c4n4ry")
        await pilot.press("enter")
        await pilot.pause()
        assert "✗ a whole number from 1 to 65535" in shown(app) and "✗ needed" not in shown(app)
        assert "c4n4ry" not in shown(app) and "< verify-full >" in shown(app)
        form = app.screen.query_one(Form)
        assert form.field("port").query_one("QuietInput").has_focus
        form.field("port").value = "5433"
        await pilot.press("enter")
        await pilot.pause()
        assert app.answers == [{"name": "shop", "port": "5433", "tls": "verify-full", "password": "c4n4ry"}]


CHOICES = tuple(
    Choice(name, name, off="read-only" if name == "Apply" else "") for name in ("Sync now", "Apply", "Slow queries")
)


async def test_choosing_by_a_few_letters() -> None:
    assert [choice.id for choice in fitting("sq", CHOICES)] == ["Slow queries"]
    assert [choice.id for choice in fitting("s", CHOICES)] == ["Sync now", "Slow queries"]
    assert (await answer_to(Chooser("Do", CHOICES), "s", "q", "enter"))[0] == ["Slow queries"]
    assert (await answer_to(Chooser("Do", CHOICES), "down", "down", "enter"))[0] == ["Slow queries"]
    assert (await answer_to(Chooser("Do", CHOICES), "escape"))[0] == [None]
    answers, screen = await answer_to(Chooser("Do", CHOICES), "a", "p", "enter")
    assert answers == [] and "Apply: read-only" in screen
    assert "nothing fits" in (await answer_to(Chooser("Do", CHOICES), "z", "z", "enter"))[1]
