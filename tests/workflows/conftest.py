"""An open store with a runner on it, and other processes that work on the same store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from meshag_tui.store.database import Store
from meshag_tui.workflows.durable import Runner
from meshag_tui.workflows.notices import Notices

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store, on either database in turn."""
    store = Store.open(store_url)
    yield store
    store.close()


@pytest.fixture
async def runner(store: Store) -> AsyncIterator[Runner]:
    """A runner without workflows, its lease short."""
    runner = Runner(store, Notices(), lease_ms=1_500)
    yield runner
    await runner.close()


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python script as another process: `other_process(text, *arguments)`; killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str, *arguments: str) -> subprocess.Popen[str]:
        script = tmp_path / f"other{len(started)}.py"
        script.write_text(text)
        command = [sys.executable, str(script), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
