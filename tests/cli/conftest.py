"""The `meshag` command as its users run it: a process of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rig.commands import Commands

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


class Meshag:
    """Runs the command: `meshag("sync", "shop", "--json")`. `environment` is what its processes see."""

    def __init__(self, home: Path, commands: Commands) -> None:
        self.home = home
        self._commands = commands
        self.environment: dict[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(home.parent),
            "MESHAG_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "LANG": "C.UTF-8",
            "TMPDIR": tempfile.gettempdir(),
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "meshag_tui", *arguments]

    def __call__(
        self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> Answer:
        """Run a command to its end, forked from a process that has it loaded."""
        seen = self.environment | dict(environment or {})
        return Answer(*self._commands.run(arguments, seen, stdin, timeout_s))

    def fresh(
        self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> Answer:
        """Run a command from the very start of its interpreter, with its own arguments in the process list."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment | dict(environment or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and go on; the test ends it."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def log(self) -> str:
        """What is in its log so far."""
        file = self.home / "meshag.log"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def meshag(tmp_path: Path, commands: Commands) -> Meshag:
    """The command with an empty home and a SQLite store in it."""
    return Meshag(tmp_path / "meshag", commands)


@pytest.fixture
def must(meshag: Meshag) -> Callable[..., Any]:
    """Run a command with --json that has to succeed, and return its document."""

    def run(*arguments: str, **more: Any) -> Any:
        answer = meshag(*arguments, "--json", **more)
        assert answer.code == 0, (arguments, answer.err, meshag.log[-2000:])
        return answer.document

    return run
