"""The terminal itself: may we draw on it, how to leave it as it was found, and its clipboard.

Standard library only, so that `meshag` can refuse a pipe or a dumb terminal before anything heavy is imported.
"""

from __future__ import annotations

import asyncio
import base64
import os
import select
import signal
import socket
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import IO, Any

HANG_UP_GRACE_S = 0.6
SIGNAL_GRACE_S = 1.5  # and what restoring may take: gone within two seconds

_NOT_CURSES = {"dumb", "unknown", "vt52", "emacs", "cons25", "network"}
_LEAVE = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l"  # mouse
    "\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[?2026l"  # focus reports, bracketed paste, resize reports, held frame
    "\x1b[<u\x1b[?7h\x1b[0m\x1b[?1049l\x1b[?25h"  # kitty keys, line wrap, colours, alternate screen, cursor
)
_CLIPBOARD_LIMIT = 74_994
"""Base64 characters many terminals take in one OSC 52; a longer one is cut or ignored without a word."""


def why_not_interactive(
    environment: Mapping[str, str] | None = None,
    streams: tuple[IO[Any] | None, IO[Any] | None, IO[Any] | None] | None = None,
) -> str | None:
    """One line that says why the TUI cannot run here and what to do, or None if it can.

    `streams` are standard input, output and error, by default this process's own; all three must be a terminal, since
    keys come from the first, and Textual writes to the last.
    """
    environment = os.environ if environment is None else environment
    for name, stream in zip(
        ("input", "output", "error"), streams or (sys.__stdin__, sys.__stdout__, sys.__stderr__), strict=True
    ):
        if not _is_terminal(stream):
            return f"The screens need a terminal, and standard {name} is none: try `meshag queries NAME --json`"
    kind = environment.get("TERM", "")
    if not kind:
        return "TERM is not set, so the terminal is unknown: set it, for example TERM=xterm-256color"
    if kind.split("-")[0] in _NOT_CURSES:
        return f"The terminal says it is {kind!r}, which cannot draw screens: set TERM, or use `meshag queries NAME`"
    return None


def _is_terminal(stream: IO[Any] | None) -> bool:
    try:
        return stream is not None and os.isatty(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False


def erases_in_colour(kind: str) -> bool:
    """Whether a terminal of this TERM fills what it erases with the current background (terminfo's bce)."""
    try:
        import curses
    except ImportError:  # a Python built without it
        return False
    try:
        curses.setupterm(kind, 1)
        return curses.tigetflag("bce") == 1
    except (curses.error, TypeError):  # no terminfo here, or none for this terminal
        return False


def clipboard_sequence(text: str, environment: Mapping[str, str]) -> str | None:
    """OSC 52 that puts `text` on the clipboard of the terminal in front of us, also through SSH; None if too long.

    Control characters other than line ends and tabs are left out: a clipboard is pasted into shells. Inside tmux
    it is sent plain (for `set-clipboard on`) and passed through (for `allow-passthrough on`), inside GNU screen in
    pieces.
    """
    clean = "".join(c for c in text if c in "\n\t" or not (c < " " or "\x7f" <= c < "\xa0"))
    data = base64.b64encode(clean.encode("utf-8", "replace")).decode("ascii")
    if len(data) > _CLIPBOARD_LIMIT:
        return None
    return passed_through(f"\x1b]52;c;{data}\x07", environment)


def passed_through(plain: str, environment: Mapping[str, str]) -> str:
    """A sequence for the terminal in front of us, also from inside tmux (plain and passed through) or GNU screen."""
    if environment.get("TMUX"):
        inner = plain.replace("\x1b", "\x1b\x1b")
        return f"{plain}\x1bPtmux;{inner}\x1b\\"
    if environment.get("STY"):
        return "".join(f"\x1bP{plain[i : i + 240]}\x1b\\" for i in range(0, len(plain), 240))
    return plain


class TerminalGuard:
    """Ends the application when it is told to or its terminal is gone, and puts the terminal back either way.

    A context manager around the running event loop. SIGTERM, SIGHUP, SIGQUIT and SIGINT ask the application to leave
    with 128 + number; a hang-up (also where SIGHUP is ignored, as under nohup, and Textual would spin on the dead
    input) does so with 129, and leaves less time to whoever is leaving on a signal already: a terminal that is closed
    (tmux kill-pane) sends SIGHUP first. If the application has not ended within the grace time, the guard restores the
    terminal and ends the process: the database sessions end with it, and what was being applied stays in the journal.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)

    def __init__(self, leave: Callable[[int], object], hung_up: Callable[[], object]) -> None:
        """`leave(code)` is called on the loop; `hung_up()` from a thread, at once, when nobody reads any more."""
        self._leave = leave
        self._hung_up = hung_up
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: dict[int, Any] = {}
        self._waking: tuple[socket.socket, ...] = ()
        self._attributes: list[Any] | None = None
        self._lock = threading.Lock()
        self.code: int | None = None  # set once the end has begun
        self.drawing = False  # whether the terminal is in our hands

    def __enter__(self) -> TerminalGuard:
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._signalled) for number in self.SIGNALS}
            self._wake_for_signals(self._loop)
        stdin = sys.__stdin__
        if _is_terminal(stdin) and stdin is not None:
            self._attributes = termios.tcgetattr(stdin.fileno())
            threading.Thread(target=self._watch, args=(stdin.fileno(),), name="hang-up", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if self._loop is not None and self._waking:
            signal.set_wakeup_fd(-1)
            self._loop.remove_reader(self._waking[0])
            for end in self._waking:
                end.close()

    def _wake_for_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have each signal wake the loop, in whose thread its handler runs: the system may give it to another thread,
        and after fg (SIGCONT) nothing else might come, as nobody reads the keys yet."""
        self._waking = socket.socketpair()
        for end in self._waking:
            end.setblocking(False)
        loop.add_reader(self._waking[0], self._waking[0].recv, 512)
        signal.set_wakeup_fd(self._waking[1].fileno(), warn_on_full_buffer=False)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._begin(128 + number, SIGNAL_GRACE_S)

    def _watch(self, fileno: int) -> None:
        poll = select.poll()
        poll.register(fileno, 0)  # no events asked for: it wakes on hang-up and error only
        poll.poll()
        self._hung_up()
        self._begin(128 + signal.SIGHUP, HANG_UP_GRACE_S)

    def _begin(self, code: int, grace_s: float) -> None:
        timer = threading.Timer(grace_s, self._finish)
        timer.daemon = True
        timer.start()
        if self.code is not None:
            return
        self.code = code
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._leave, code)

    def _finish(self) -> None:
        if self.drawing:
            # A terminal that stopped reading would hold the write, and us, for ever.
            writing = threading.Thread(target=self.restore, daemon=True)
            writing.start()
            writing.join(0.3)
        os._exit(self.code or 1)

    def restore(self) -> None:
        """Put the terminal back without the application's help."""
        try:
            if sys.__stderr__ is not None:
                os.write(sys.__stderr__.fileno(), _LEAVE.encode("ascii"))
            if self._attributes is not None and sys.__stdin__ is not None:
                termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, self._attributes)
        except (OSError, ValueError, termios.error):
            return  # the terminal is gone, there is nothing to put back
