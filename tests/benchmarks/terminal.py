"""What the screens cost: CPU and time to the first data, bytes on the line, time from key to paint.

The program runs on a pseudo-terminal of 120×40 with an emulator behind it, so "painted" means visible. The floor is a
Textual app that shows one DataTable and nothing else, started alternately.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks.statements import run_statements
from tests.benchmarks.sync import Bench, server
from tests.rig.pty import Terminal

LISTED = 10_000
LARGE = 50_000
MESHAG = (sys.executable, "-m", "meshag_tui")
_FLOOR = """
from textual.app import App
from textual.widgets import DataTable
class Floor(App):
    def compose(self):
        yield DataTable()
    def on_mount(self):
        table = self.query_one(DataTable)
        table.add_columns("query", "calls", "ms")
        table.add_rows((f"SELECT {n}", n, n) for n in range(50))
Floor().run()
"""
_PLACES = (("2", "QUERY"), ("3", "INDEX"), ("4", "SUGGESTION"), ("5", "RUN"), ("1", "NAME"))


def version_cpu(rounds: int = 7) -> dict[str, Any]:
    """CPU of `meshag --version`, ms, the least of several."""
    seen = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*MESHAG, "--version"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seen.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
    return {"version_cpu_ms": round(min(seen)), "target": "<= 100"}


def start(home: Path, rounds: int = 5) -> dict[str, Any]:
    """Start to data on the screen, against the floor; and the bytes of it."""
    floors, ours, sizes = [], [], []
    for _ in range(rounds):
        with Terminal.python(_FLOOR) as floor:
            floors.append(floor.wait_for("SELECT 20", 30))
            floor.send("ctrl+q", "ctrl+c")
        with _app(home) as app:
            ours.append(app.wait_for("SELECT", 30))
            app.settle(0.5)
            sizes.append(len(app.raw))
            app.send("q")
            app.wait(10)
    return {
        "floor_ms": round(statistics.median(floors) * 1000),
        "data_ms": round(statistics.median(ours) * 1000),
        "ratio": round(statistics.median(ours) / statistics.median(floors), 2),
        "bytes": round(statistics.median(sizes)),
        "target": "ratio <= 1.4, bytes <= 40000",
    }


def keys(home: Path) -> dict[str, Any]:
    """Cursor keys and screen switches with `LISTED` queries in the list."""
    with _app(home) as app:
        app.wait_for("SELECT", 30)
        app.settle(1)
        down = [_paint(app, "j") for _ in range(60)]
        switches = []
        for _ in range(5):
            for key, _text in _PLACES:
                switches.append(_paint(app, key))
                app.settle(0.3)
        app.send("q")
        app.wait(10)
    return {
        "listed": LISTED,
        "key_p95_ms": _p95([ms for ms, _ in down]),
        "key_bytes": round(statistics.median(size for _, size in down)),
        "switch_p95_ms": _p95([ms for ms, _ in switches[5:]]),
        "switch_bytes": max(size for _, size in switches[5:]),
        "target": "key p95 <= 50 ms, switch p95 <= 100 ms and <= 10000 bytes",
    }


def keys_during_sync(home: Path) -> dict[str, Any]:
    """Cursor keys while a sync of `LARGE` statements runs in the app."""
    with _app(home) as app:
        app.wait_for("SELECT", 30)
        app.settle(1)
        app.send("r")
        samples = [_paint(app, "j" if n % 60 < 30 else "k") for n in range(120)]
        app.send("q")
        app.wait(30)
    return {"statements": LARGE, "key_p95_ms": _p95([ms for ms, _ in samples]), "target": "<= 50"}


def idle(home: Path, seconds: float = 30) -> dict[str, Any]:
    """Bytes and CPU a minute with nobody typing, refreshing each 2 s, and when paused."""
    with _app(home) as app:
        app.wait_for("SELECT", 30)
        app.settle(1)
        result: dict[str, Any] = {}
        for name in ("idle", "paused"):
            cpu, before = _cpu_s(app.process.pid), len(app.raw)
            app.read(seconds)
            result[f"{name}_bytes_a_minute"] = round((len(app.raw) - before) * 60 / seconds)
            result[f"{name}_cpu_s_a_minute"] = round((_cpu_s(app.process.pid) - cpu) * 60 / seconds, 2)
            app.send("p")
            app.settle(1)
        app.send("q")
        app.wait(10)
    return {**result, "target": "idle <= 20000 bytes and 1 CPU s, paused 0 bytes"}


def endings(home: Path) -> dict[str, Any]:
    """How it goes when the terminal goes, and what is left switched on after SIGTERM."""
    ignoring = ["bash", "-c", 'trap "" HUP; exec "$@"', "-", *MESHAG]
    with _app(home, ignoring) as app:
        app.wait_for("SELECT", 30)
        app.settle(0.5)
        app.hang_up()
        started = time.monotonic()
        app.wait(20)
        hung = time.monotonic() - started
    with _app(home) as app:
        app.wait_for("SELECT", 30)
        app.settle(0.5)
        app.process.send_signal(signal.SIGTERM)
        code = app.wait(10)
        left = app.modes_left()
    return {
        "hang_up_s": round(hung, 2),
        "sigterm_code": code,
        "modes_left_on": left,
        "target": "hang-up <= 1 s, code 143, nothing left on",
    }


def run() -> dict[str, Any]:
    results: dict[str, Any] = {"version": [version_cpu()]}
    with tempfile.TemporaryDirectory() as folder, server(LARGE + 2_000) as running:
        home = Path(folder)
        with psycopg.connect(running.dsn(), autocommit=True) as work:
            run_statements(work, LISTED)
            asyncio.run(_fill(running, home, work))
            results["start"] = [start(home)]
            results["keys"] = [keys(home)]
            results["idle"] = [idle(home)]
            results["endings"] = [endings(home)]
            run_statements(work, LARGE)
            results["keys_during_sync"] = [keys_during_sync(home)]
    return results


async def _fill(running: Any, home: Path, work: Any) -> None:
    """A store with a window of `LISTED` active queries."""
    async with Bench(running, home) as bench:
        for _ in range(3):
            await bench.sync()
            await asyncio.to_thread(run_statements, work, LISTED)
        await bench.sync()
        await bench.workbench.edit_connection(bench.connection.id, interval_s=600)


def _app(home: Path, argv: Sequence[str] = MESHAG) -> Terminal:
    return Terminal(argv, environment={"MESHAG_HOME": str(home), "COLORTERM": "", "SSH_TTY": "/dev/pts/0"})


def _paint(app: Terminal, key: str) -> tuple[float, int]:
    """Milliseconds from a key to the first bytes, and the bytes until it is quiet."""
    app.read(0.05)
    before, started = len(app.raw), time.perf_counter()
    app.send(key)
    while len(app.raw) == before and time.perf_counter() - started < 5:
        app.read(0.002)
    took = (time.perf_counter() - started) * 1000
    app.settle(0.05)
    return took, len(app.raw) - before


def _p95(values: Sequence[float]) -> float:
    return round(sorted(values)[min(len(values) - 1, int(len(values) * 0.95))], 1)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
