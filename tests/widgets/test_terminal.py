"""Leaving properly: whatever ends us, the terminal is as it was, the exit code says why, nothing is left running."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.segment import Segment
from textual import events
from textual._xterm_parser import XTermParser
from textual.driver import Driver

from meshag_tui.widgets import guarded
from meshag_tui.widgets.guarded import GuardedApp, QuietParser
from meshag_tui.widgets.terminal import clipboard_sequence, why_not_interactive
from meshag_tui.widgets.themes import choose_theme
from tests.rig.pty import Terminal

APP = """
import os, signal, sys, threading, time
from textual.widgets import Input, Static
from meshag_tui.widgets import guarded
from meshag_tui.widgets.guarded import GuardedApp

def fail():
    password = "c4n4ry-local"
    raise ValueError("cannot reach postgresql://app:c4n4ry-url@db/shop \\x1b]0;owned\\x07 [/b]")

class Fragile(Static):
    def get_content_height(self, *given):
        fail() if os.environ.get("FAILS") == "layout" else None
        return super().get_content_height(*given)

class Probe(GuardedApp):
    BINDINGS = [("f", "fail"), ("y", "take"), ("b", "block"), ("n", "say"), ("q", "quit")]
    def compose(self):
        yield Fragile("ready \\x1b[2Jnot cleared", markup=False)
    def on_mount(self):
        fail() if os.environ.get("FAILS") == "mount" else None
        if os.environ.get("ENDS") == "in another thread":
            threading.Timer(1, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
    def action_fail(self):
        fail()
    def action_take(self):
        self.copy("SELECT 1\\n", "query text")
    def action_say(self):
        self.notify("a[/b] [@click=app.quit]x \\x1b[2J", title="[/i]", markup=True)
    def action_block(self):
        time.sleep(60)

sys.exit(Probe().run_guarded(mouse=True))
"""


def started(**options: object) -> Terminal:
    terminal = Terminal.python(APP, **options)  # type: ignore[arg-type]
    terminal.wait_for("ready")
    terminal.settle()
    return terminal


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGINT, 130)],
)
def test_a_signal_ends_it_with_its_code_and_the_terminal_restored(number: int, code: int) -> None:
    with started() as terminal:
        assert terminal.modes_left()
        terminal.process.send_signal(number)
        assert terminal.wait(20) == code
        assert terminal.modes_left() == []


def test_a_signal_that_another_thread_is_given_is_heeded_at_once() -> None:
    with Terminal.python(APP, environment={"ENDS": "in another thread"}) as terminal:
        terminal.wait_for("ready")
        assert terminal.wait(20) == 143


def test_ctrl_c_twice_in_a_row_leaves() -> None:
    with started() as terminal:
        terminal.send("ctrl+c")
        terminal.wait_for("ctrl+c again leaves")
        assert terminal.process.poll() is None
        terminal.send("ctrl+c")
        assert terminal.wait(20) == 130
        assert terminal.modes_left() == []


def test_suspended_by_ctrl_z_the_shell_has_its_screen_and_fg_gives_ours_back(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(APP)
    with Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], environment={"PYTHONPATH": os.getcwd()}) as terminal:
        terminal.send(f"{sys.executable} {tmp_path}/probe.py\r")
        terminal.wait_for("ready ")
        terminal.settle()
        terminal.send("\x1a")
        terminal.wait_for("Stopped")
        assert terminal.modes_left() == ["2004"], "the shell's own line editor asks for pasted texts in brackets"
        terminal.send("clear; fg\r")
        while terminal.shows("Stopped"):  # until the shell has cleared what the program left, "ready" among it
            terminal.read(0.05)
        terminal.wait_for("ready ")
        terminal.settle()
        assert len(terminal.modes_left()) > 1 and not terminal.shows("Stopped")
        terminal.send("q")
        terminal.wait_for("bash-")
        terminal.settle()
        terminal.send("exit\r")
        terminal.wait(20)
        assert terminal.modes_left() == []


async def test_suspended_and_taken_up_again_all_of_it_is_painted() -> None:
    app = GuardedApp()
    async with app.run_test() as pilot:
        piece = [(0, 0, [Segment("ready")])]
        assert app.frame.paint(piece, (5, 1), None) and not app.frame.paint(piece, (5, 1), None)
        app.post_message(Driver.SignalResume())  # as the driver does when the shell lets us go on
        await pilot.pause()
        assert "ready" in app.frame.paint(piece, (5, 1), None)


@pytest.mark.parametrize(
    "reply", ["\x1b[5;5R", "\x1b[?1;2c", "\x1b[0n", "\x1b]11;rgb:0/0/0\x1b\\", "\x1b]0;q\x07", "\x1bP>|q\x1b\\"]
)
def test_what_a_terminal_replies_is_not_typed(reply: str) -> None:
    for readings in (
        [f"j{reply}q"],
        ["j", reply, "q"],
        *((f"j{reply[:n]}", f"{reply[n:]}q") for n in range(1, len(reply))),
    ):
        parser = QuietParser()
        heard = [event for reading in readings for event in (*parser.feed(reading), *parser.tick())]
        assert [event.key for event in heard if isinstance(event, events.Key)] == ["j", "q"], readings


@pytest.mark.parametrize(
    ("begun", "keys"),
    [
        ("\x1b", ["escape"]),
        ("\x1b\x1b", ["escape", "escape"]),
        ("\x1b]", ["right_square_bracket"]),
        ("\x1b]11;rgb", []),
        ("\x1b[5;", []),
    ],
)
def test_what_only_began_like_a_reply_is_given_up_soon(
    begun: str, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "ESCAPE_DELAY", 0.0)
    parser = QuietParser()
    heard = [*parser.feed(begun), *parser.tick()]
    heard += [*parser.tick(), *parser.feed("q")]
    assert [event.key for event in heard if isinstance(event, events.Key)] == [*keys, "q"]


def test_a_reply_leaves_the_keyboard_working() -> None:
    with started() as terminal:
        terminal.send("\x1b[5;5R")
        time.sleep(0.3)  # read alone, before the next key
        terminal.send("q")
        assert terminal.wait(20) == 0


@pytest.mark.parametrize(
    "pressed", ["\x1b[1;2R", "\x1b[1;5R", "\x1bOR", "\x1b[A", "\x1b[<0;3;4M", "\x1b[200~a[5;5R\x1b[201~"]
)
def test_keys_that_look_like_replies_are_keys(pressed: str) -> None:
    assert [str(event) for event in QuietParser().feed(pressed)] == [
        str(event) for event in XTermParser().feed(pressed)
    ]
    assert list(XTermParser().feed(pressed))


def test_a_stuck_application_is_ended_too() -> None:
    with started() as terminal:
        terminal.send("b")
        time.sleep(0.3)
        terminal.process.terminate()
        assert terminal.wait(20) == 143
        assert terminal.modes_left() == []


@pytest.mark.parametrize("ignored", [False, True], ids=["delivered", "ignored"])
def test_it_is_gone_a_second_after_its_terminal(ignored: bool) -> None:
    program = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{APP}" if ignored else APP
    with Terminal.python(program) as terminal:
        terminal.wait_for("ready")
        terminal.settle()
        begun = time.monotonic()
        terminal.hang_up()
        assert terminal.wait(20) == 129
        assert time.monotonic() - begun < 8


def test_a_line_that_goes_after_a_signal_leaves_no_more_time_than_one_that_goes_alone() -> None:
    """tmux kill-pane, and a shell that hangs up its jobs, send SIGHUP before the terminal is gone."""
    patient = f"from meshag_tui.widgets import terminal; terminal.SIGNAL_GRACE_S = 60\n{APP}"
    with Terminal.python(patient) as terminal:
        terminal.wait_for("ready")
        terminal.settle()
        terminal.send("b")
        time.sleep(0.3)
        terminal.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        terminal.hang_up()
        assert terminal.wait(20) == 129


@pytest.mark.parametrize("at", ["a key", "mount", "layout"])
def test_a_failure_is_told_without_locals_or_secrets_and_exits_non_zero(at: str) -> None:
    with Terminal.python(APP, environment={"FAILS": at}) as terminal:
        if at == "a key":
            terminal.wait_for("ready")
            terminal.send("f")
        assert terminal.wait(20) == 1
        assert terminal.modes_left() == []
        assert b"c4n4ry" not in terminal.raw
        assert b"\x1b]0;" not in terminal.raw
        assert b"ValueError" in terminal.raw and b"in fail" in terminal.raw


def test_a_message_is_never_markup() -> None:
    with started() as terminal:
        terminal.send("n")
        terminal.wait_for("a[/b] [@click=app.quit]x")
        assert b"\x1b[2J" not in terminal.raw
        terminal.send("q")
        assert terminal.wait(20) == 0


def test_copying_goes_through_the_terminal() -> None:
    with started() as terminal:
        terminal.send("y")
        terminal.wait_for("Copied the query text (9 B)")
        assert b"\x1b]52;c;" + base64.b64encode(b"SELECT 1\n") + b"\x07" in terminal.raw


def test_an_idle_screen_writes_nothing() -> None:
    with started() as terminal:
        assert terminal.read(2.0) == b""


def test_resizes_do_not_hurt() -> None:
    with started(environment={"COLUMNS": "80", "LINES": "24"}) as terminal:
        for n in range(40):
            terminal.resize(1 + (n * 37) % 200, 1 + (n * 13) % 60)
            terminal.read(0.02)
        terminal.settle()
        terminal.resize(100, 30)
        terminal.wait_for("ready ␛[2Jnot cleared")
        assert terminal.process.poll() is None


def test_a_byte_that_is_no_text_is_no_end() -> None:
    with started() as terminal:
        os.write(terminal.master, b"\xff\xe9")
        terminal.settle()
        terminal.send("q")
        assert terminal.wait(20) == 0


BUSY = """
import sys, time
from meshag_tui.widgets import guarded
from meshag_tui.widgets.guarded import GuardedApp
from meshag_tui.widgets.page import Page

class Busy(GuardedApp):
    ticks = 0
    def compose(self):
        yield Page()
    def on_mount(self):
        self.set_interval(0.05, self.tick)
    def tick(self):
        self.ticks += 1
        text = "".join(chr(97 + (self.ticks * 7 + n * n) % 26) for n in range(4000))
        self.query_one(Page).set_parts([("", f"tick {self.ticks} {text}")])

sys.exit(Busy().run_guarded())
"""


def test_a_terminal_that_does_not_read_holds_up_nothing_but_itself() -> None:
    with Terminal.python(BUSY) as terminal:
        terminal.wait_for("tick")
        time.sleep(3)  # nobody reads: the pseudo-terminal is full after some kilobytes
        begun = time.monotonic()
        while time.monotonic() - begun < 0.6:
            terminal.read(0.05)
        shown = int(terminal.screen.display[0].split()[1])
        assert shown > 45  # it went on ticking, and what is shown is of now, not a backlog
        begun = time.monotonic()
        terminal.process.terminate()
        assert terminal.wait(20) == 143


FLOOD = """
import sys
from meshag_tui.widgets.guarded import GuardedApp

class Flood(GuardedApp):
    def on_mount(self):
        self.run_worker(self.pour())
    async def pour(self):
        for _ in range(20):
            self._driver.write("x" * 500)
        waiting = self._driver.backlog
        await self.taken()
        self.exit(return_code=42 if waiting and not self._driver.backlog else 43)

sys.exit(Flood().run_guarded())
"""


def test_what_was_painted_can_be_waited_for_until_the_terminal_has_it() -> None:
    with Terminal.python(FLOOD) as terminal:
        assert terminal.wait(30) == 42


def test_no_colour_means_none() -> None:
    with started(environment={"NO_COLOR": "1"}) as terminal:
        assert b"38;" not in terminal.raw and b"48;" not in terminal.raw


class Stream(io.StringIO):
    def __init__(self, fileno: int) -> None:
        self._fileno = fileno

    def fileno(self) -> int:
        return self._fileno


def test_where_screens_cannot_be_drawn_it_says_why() -> None:
    master, slave = os.openpty()
    terminal, pipe = Stream(slave), Stream(os.pipe()[0])
    closed = io.StringIO()
    try:
        on = (terminal, terminal, terminal)
        assert why_not_interactive({"TERM": "xterm"}, on) is None
        assert "TERM is not set" in (why_not_interactive({}, on) or "")
        for kind in ("dumb", "unknown", "vt52"):
            assert repr(kind) in (why_not_interactive({"TERM": kind}, on) or "")
        assert "standard input" in (why_not_interactive({"TERM": "xterm"}, (pipe, terminal, terminal)) or "")
        assert "standard output" in (why_not_interactive({"TERM": "xterm"}, (terminal, pipe, terminal)) or "")
        assert "standard error" in (why_not_interactive({"TERM": "xterm"}, (terminal, terminal, closed)) or "")
    finally:
        os.close(master)


def test_the_question_loads_no_textual() -> None:
    program = "import sys, meshag_tui.widgets.terminal as t; t.why_not_interactive(); print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_clipboard_sequences() -> None:
    data = base64.b64encode("SELECT 'é'".encode()).decode()
    assert clipboard_sequence("SELECT 'é'", {}) == f"\x1b]52;c;{data}\x07"
    wrapped = clipboard_sequence("SELECT 'é'", {"TMUX": "/tmp/x,1,0"}) or ""
    assert f"\x1bPtmux;\x1b\x1b]52;c;{data}\x07\x1b\\" in wrapped
    assert (clipboard_sequence("x" * 600, {"STY": "1.pts"}) or "").count("\x1bP") == 4
    assert clipboard_sequence("x" * 60_000, {}) is None
    # What is pasted into a shell must not end the bracketed paste.
    assert clipboard_sequence("a\x1b[201~\x9b;\n\tb", {}) == clipboard_sequence("a[201~;\n\tb", {})
    assert clipboard_sequence("\ud800", {}) is not None


@pytest.mark.parametrize(
    ("wanted", "environment", "theme"),
    [
        ("auto", {"TERM": "xterm-256color"}, "dark"),
        ("auto", {"TERM": "xterm-256color", "COLORFGBG": "0;15"}, "light"),
        ("auto", {"TERM": "xterm-256color", "SSH_TTY": "/dev/pts/1"}, "ansi-dark"),
        ("auto", {"TERM": "xterm-256color", "SSH_TTY": "x", "COLORFGBG": "0;15"}, "ansi-light"),
        ("auto", {"TERM": "linux"}, "ansi-dark"),
        ("auto", {"TERM": "linux", "NO_COLOR": ""}, "dark"),
        ("high-contrast", {"SSH_TTY": "x"}, "high-contrast"),
    ],
)
def test_the_theme_that_suits_the_line(wanted: str, environment: dict[str, str], theme: str) -> None:
    assert choose_theme(wanted, environment) == theme
