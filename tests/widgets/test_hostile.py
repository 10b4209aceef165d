"""Texts of others, in every widget, on a real terminal: shown as text, and nothing of them obeyed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.rig.pty import Terminal

HOSTILE = [
    "\x1b]52;c;SE9TVElMRQ==\x07", "\x1b]0;owned\x07", "\x1b]8;;http://evil\x1b\\x\x1b]8;;\x1b\\", "\x1b[2J",
    "\x1b[?1049l", "\x1bP1$r0m\x1b\\", "\x1b_Gi=31\x1b\\", "\x1bc", "\x1b]0;never ended", "\x9b2J", "\x9d52;c;QQ==\x9c",
    "\u202egnp.exe", "[/b]", "[@click=app.quit]x", "[bold red]y", "[link=http://evil]z[/link]", "a\x00b\x08c\x7f",
    "\U000e0041", "\ud800",
]  # fmt: skip

APP = (
    f"""
import sys
HOSTILE = {HOSTILE!r}
"""
    + """
ALL = " ".join(HOSTILE)
from textual.containers import Horizontal
from textual.widgets import Static
from meshag_tui import figures
from meshag_tui.widgets.actions import Action, ActionApp, Actions
from meshag_tui.widgets.chart import Chart, Event, Series, Trend
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog, Gate, error_dialog
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.plan import PlanTree, TreeNode
from meshag_tui.widgets.sql import SqlView
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.status import ActionBar, Status, StatusLine
from meshag_tui.widgets.table import Table

KEYS = {
    "confirm": lambda: ConfirmDialog(Confirmation(ALL, ALL, ALL, ALL, (Gate(ALL, ALL, ALL, True),), ALL, notes=(ALL,))),
    "typed": lambda: ConfirmDialog(Confirmation(ALL, ALL, ALL, ALL, typed_name=ALL)),
    "fail": lambda: error_dialog(ALL, ALL, ALL),
    "form": lambda: FormDialog(ALL, [Field("a", ALL, ALL, hint=ALL), Field("b", ALL, choices=tuple(HOSTILE))]),
    "choose": lambda: Chooser(ALL, [Choice(str(n), each, each) for n, each in enumerate(HOSTILE)]),
}

class Probe(ActionApp):
    CSS = "Chart, SqlView, Page, PlanTree, Table { height: 1fr; } Static { height: 2; }"
    def __init__(self):
        actions = [Action(id, str(n + 1), id, ALL) for n, id in enumerate(KEYS)]
        actions += [Action("notify", "n", "Notify", ALL), Action("crash", "x", ALL, ALL), Action("quit", "q", "Q", "")]
        super().__init__(Actions(actions))
        for action_id, make in KEYS.items():
            setattr(self, "do_" + action_id, lambda make=make: self.push_screen(make()))
    def compose(self):
        yield StatusLine()
        columns = (Column("a", ALL, 20), Column("b", "B", 30, flex=1, prose=True))
        yield Table(columns, key=lambda row: row["a"], id="rows")
        yield Table(columns, key=lambda row: row["a"], id="none")
        with Horizontal():
            yield PlanTree()
            yield Chart()
            yield SqlView(ALL)
        yield Page([("bold", ALL), ("", ALL)])
        yield Static(ALL, markup=False)
        yield PlainLine("painted" + ALL)
        yield ActionBar()
    def on_mount(self):
        for kind in (Table,):
            self.query_one("#rows", Table).set_rows([{"a": each, "b": each} for each in HOSTILE])
            self.query_one("#none", Table).set_rows([], State(Condition.ERROR, ALL, ALL, ALL))
        child = TreeNode("0.0", ALL, 0.9, 1, ALL, (ALL,))
        self.query_one(PlanTree).set_tree(TreeNode("0", ALL, 0.1, 1, children=(child,)))
        self.query_one(Chart).set_trend(
            Trend(ALL, 0, 9, (Series(ALL, ((1, 1.0), (5, 2.0))),), 9, figures.duration, (Event(4, ALL),)))
        line = self.query_one(StatusLine)
        line.set_status(Status(ALL, ALL, True, (ALL, ""), ALL, ALL, ALL))
        self.query_one(ActionBar).set_actions(list(self.actions), {"choose": ALL})
        self.query_one("#rows").focus()
    def do_notify(self):
        self.notify(ALL, title=ALL, severity="error", markup=True)
        self.query_one(StatusLine).say(ALL, "error")
    def do_crash(self):
        raise ValueError(ALL)
    def do_quit(self):
        self.exit()

sys.exit(Probe().run_guarded())
"""
)

# What we send ourselves: cursor moves, colours, erasing, modes of the start and end, reports asked for.
_OURS = re.compile(
    rb"\x1b\[[\d;]*[mHCKJ]|\x1b\[\?[\d;]*(?:[hl]|\$p)|\x1b\[>\d*u|\x1b\[<u|\x1b\]22;[a-z]*\x07|\x07(?=\x1b\[\?|$)"
)
_BAD = [b"\x1b]52", b"\x1b]0;", b"\x1b]8;", b"\x1b[2J", b"\x1bP", b"\x1b_", b"\x1bc"]
_BAD += [character.encode("utf-8", "surrogatepass") for character in "\x9b\x9d\u202e\U000e0041\ud800"]


def assert_clean(raw: bytes) -> None:
    for bad in _BAD:
        assert bad not in raw, raw[max(0, raw.index(bad) - 80) : raw.index(bad) + 80]
    rest = _OURS.sub(b"", raw)
    left = [
        rest[max(0, m.start() - 40) : m.end() + 40] for m in re.finditer(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", rest)
    ]
    assert not left, left[:3]


def until(terminal: Terminal, holds: Callable[[str], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds(terminal.text):
        assert time.monotonic() < end, terminal.text
        terminal.read(0.05)


@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "POSIX"}, {"SSH_TTY": "x", "NO_COLOR": "1"}], ids=str)
def test_nothing_of_them_reaches_the_terminal(environment: dict[str, str]) -> None:
    with Terminal.python(APP, columns=150, lines=60, environment=environment) as terminal:
        terminal.wait_for("painted")
        terminal.settle()
        assert "[@click=app.quit]x" in terminal.text
        for key in ("1", "2", "3", "4", "5"):
            before = terminal.text
            terminal.send(key)
            until(terminal, lambda text, before=before: text != before)
            terminal.settle(0.2)
            terminal.send("esc")
            until(terminal, lambda text, before=before: text == before)
        terminal.send("n")
        terminal.settle()
        assert_clean(terminal.raw)
        if "LC_ALL" in environment:
            assert terminal.raw.isascii()
        terminal.send("q")
        assert terminal.wait() == 0
        assert_clean(terminal.raw)


def test_nor_when_it_fails() -> None:
    with Terminal.python(APP, columns=150, lines=60) as terminal:
        terminal.wait_for("painted")
        terminal.settle()
        terminal.send("x")
        assert terminal.wait() == 1
        assert b"ValueError" in terminal.raw and terminal.modes_left() == []
        for bad in _BAD:
            assert bad not in terminal.raw
