"""A pane of a tmux of the test's own: keys in, screen out, and the pane killed as a user kills it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import psutil
import pytest

from tests.rig.pty import KEYS


class Pane:
    """`argv` running in the only pane of a tmux server, with the ways of `pty.Terminal` that tests of screens use."""

    def __init__(
        self, argv: Sequence[str], columns: int, lines: int, environment: Mapping[str, str], cwd: str | None = None
    ) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not on this machine")
        self._folder = tempfile.TemporaryDirectory(prefix="mt-")  # short: a socket is in it
        self._tmux = ["tmux", "-S", f"{self._folder.name}/s", "-f", os.devnull]
        size = ("-x", str(columns), "-y", str(lines))
        begun = [*self._tmux, "new-session", "-d", *size, f"exec {shlex.join(argv)}"]
        base = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        subprocess.run(begun, env=base | dict(environment), cwd=cwd, check=True)
        self.process = psutil.Process(int(self._said("display-message", "-p", "#{pane_pid}")))

    def __enter__(self) -> Pane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)  # gone with its last pane
        self._folder.cleanup()

    def _said(self, *command: str) -> str:
        return subprocess.run([*self._tmux, *command], capture_output=True, text=True, check=True).stdout

    def send(self, *keys: str) -> None:
        """Type keys, named as in `pty.KEYS`, or text as it is."""
        for key in keys:
            self._said("send-keys", "-H", *(f"{byte:02x}" for byte in KEYS.get(key, key).encode()))

    def read(self, seconds: float = 0.0) -> None:
        """tmux takes what is written by itself: let it."""
        time.sleep(seconds)

    settle = read

    @property
    def text(self) -> str:
        return self._said("capture-pane", "-p")

    def hang_up(self) -> None:
        """What `prefix x` does."""
        self._said("kill-pane")
