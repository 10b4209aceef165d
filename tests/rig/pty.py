"""A real terminal for tests: a program on a pseudo-terminal, an emulator (pyte) behind it, keys in, screen out."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import pyte

KEYS = {
    "enter": "\r", "esc": "\x1b", "tab": "\t", "space": " ", "backspace": "\x7f",
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
    "home": "\x1b[H", "end": "\x1b[F", "pgup": "\x1b[5~", "pgdn": "\x1b[6~",
    "ctrl+c": "\x03", "ctrl+l": "\x0c", "ctrl+p": "\x10",
}  # fmt: skip
_PRIVATE_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_KITTY = re.compile(rb"\x1b\[(>[\d;]*|<[\d]*)u")
# pyte takes `CSI > … u` for text; reports and queries draw nothing.
_NOT_FOR_PYTE = re.compile(rb"\x1b\[[<>=][\d;]*[a-zA-Z]|\x1b\[\?[\d;]*\$p|\x1b[PX^_].*?\x1b\\", re.DOTALL)
_LEFT_ON = {"1000", "1002", "1003", "1004", "1006", "1015", "1047", "1049", "2004", "2026", "2048"}  # must end reset
_LEFT_OFF = {"25", "7"}  # must end set


class Terminal:
    """`argv` running on a terminal of `columns` by `lines`; a context manager that leaves no process behind."""

    def __init__(
        self,
        argv: Sequence[str],
        columns: int = 120,
        lines: int = 40,
        environment: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> None:
        self.raw = b""
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.screen)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        base = {
            name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "TMUX", "LC_", "STY"))
        }
        base.pop("NO_COLOR", None)
        base |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            list(argv),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=base | dict(environment or {}),
            cwd=cwd,
            start_new_session=True,
        )
        os.close(slave)

    @classmethod
    def python(cls, program: str, columns: int = 120, lines: int = 40, **options: object) -> Terminal:
        """Run a Python text in this interpreter."""
        return cls([sys.executable, "-c", program], columns, lines, **options)  # type: ignore[arg-type]

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.hang_up()

    def send(self, *keys: str) -> None:
        """Type keys: names of KEYS, or text as it is."""
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())

    def read(self, seconds: float = 0.0) -> bytes:
        """Take what the program writes within `seconds` (at least what is there now) onto the screen; return it."""
        until, taken = time.monotonic() + seconds, b""
        while self.master >= 0:
            left = max(0.0, until - time.monotonic())
            if not select.select([self.master], [], [], left)[0]:
                break
            try:
                chunk = os.read(self.master, 65_536)
            except OSError:  # EIO: the program's side is closed
                break
            if not chunk:
                break
            taken += chunk
            self._take(chunk)
        return taken

    def _take(self, chunk: bytes) -> None:
        self.raw += chunk
        data = self._held + chunk
        # A sequence cut by the read waits for its rest.
        escape = data.rfind(b"\x1b")
        cut = len(data) if escape < 0 or re.match(rb"\x1b(\[[0-9;?<>=$]*[@-~]|[^\[PX^_\]])", data[escape:]) else escape
        data, self._held = data[:cut], data[cut:]
        self._stream.feed(self._decode(_NOT_FOR_PYTE.sub(b"", data)))

    def wait_for(self, text: str, seconds: float = 60.0) -> float:
        """Read until `text` is on the screen; return the seconds it took."""
        begun = time.monotonic()
        while not self.shows(text):
            if time.monotonic() - begun > seconds or (self.process.poll() is not None and not self.read(0.05)):
                raise AssertionError(f"{text!r} did not come. The screen:\n{self.text}\nRaw end: {self.raw[-2000:]!r}")
            self.read(0.02)
        return time.monotonic() - begun

    def shows(self, text: str) -> bool:
        return text in self.text

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def settle(self, quiet: float = 0.3) -> bytes:
        """Read until nothing was written for `quiet` seconds; return what was."""
        taken = b""
        while chunk := self.read(quiet):
            taken += chunk
        return taken

    def hang_up(self) -> None:
        """The terminal is gone, as when SSH drops."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGWINCH)

    def wait(self, seconds: float = 30.0) -> int:
        """The exit code, once the program has ended; the terminal is read meanwhile, or it could not end."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > until:
                raise AssertionError(f"still running after {seconds} s. The screen:\n{self.text}")
            if self.master >= 0:
                self.read(0.02)
            else:
                time.sleep(0.02)
        self.read(0.05)
        return self.process.returncode

    def modes_left(self) -> list[str]:
        """Terminal modes the program switched and did not switch back."""
        state: dict[str, bool] = {}
        for numbers, action in _PRIVATE_MODE.findall(self.raw):
            for number in numbers.decode().split(";"):
                state[number] = action == b"h"
        left = [n for n in _LEFT_ON if state.get(n)] + [n for n in _LEFT_OFF if state.get(n) is False]
        kitty = _KITTY.findall(self.raw)
        if sum(1 for k in kitty if k.startswith(b">")) > sum(1 for k in kitty if k.startswith(b"<")):
            left.append("kitty-keys")
        return sorted(left)
