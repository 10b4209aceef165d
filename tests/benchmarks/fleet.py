"""Servers that a collecting process is measured on: connections to them, work on them, and what came of its syncs."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from meshag_tui.settings import Settings, load
from meshag_tui.store import executions
from meshag_tui.store.database import Store
from meshag_tui.types import ExecutionState, Target
from meshag_tui.workflows.sync import KIND
from meshag_tui.workflows.workbench import Workbench
from tests.benchmarks.servers import Postgres

ACTIVE = 850
"""Statements of 5,000 that run in each interval: 17 %, which servers were seen to have."""


def settings(home: Path) -> Settings:
    """Those of a program whose home this is."""
    return load(environment={"MESHAG_HOME": str(home), "HOME": str(home)})


async def add(home: Path, urls: Sequence[str], interval_s: int, name: str = "shop") -> list[str]:
    """Make connections, called `name` and a number; their ids."""
    async with await Workbench.open(settings(home)) as bench:
        return [
            (await bench.connections.add(f"{name} {number}", Target.from_url(url), interval_s=interval_s)).id
            for number, url in enumerate(urls)
        ]


class Ran(NamedTuple):
    """When a sync that ended well began and ended, epoch ms."""

    began: float
    ended: float


def syncs(home: Path, begun: float = 0.0, ended: float = math.inf) -> dict[str, list[Ran]]:
    """The syncs that began in that time (epoch ms), by connection."""
    store = Store.open(settings(home).store_url)
    try:
        done = store.run(executions.listing, kind=KIND, states=(ExecutionState.DONE,), since=int(begun), limit=500_000)
    finally:
        store.close()
    found: dict[str, list[Ran]] = defaultdict(list)
    for run in reversed(done):
        if run.started_at is not None and run.finished_at is not None and begun < run.started_at <= ended:
            found[run.connection_id or ""].append(Ran(run.started_at, run.finished_at))
    return found


def missed(times: Sequence[float], interval_s: float) -> int:
    """How many intervals passed between neighbouring times (epoch ms) without a sync."""
    return sum(max(0, round((later - earlier) / 1000 / interval_s) - 1) for earlier, later in pairwise(times))


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


@contextmanager
def working(servers: Sequence[Postgres], interval_s: float, active: int = ACTIVE) -> Iterator[None]:
    """Some of the statements run on every server, again in each interval."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(interval_s / 2 / len(servers)):
            for server in servers:
                server.run(active)
                if ended.wait(interval_s / 2 / len(servers)):
                    return

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


@contextmanager
def silent() -> Iterator[int]:
    """The port of what takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class Looked(NamedTuple):
    """A process at a moment (monotonic s)."""

    at: float
    cpu_s: float
    resident_mb: float
    files: int


class Collecting:
    """The scheduler in a process of its own, looked at each second; `lag` is known when it has ended."""

    def __init__(self, home: Path) -> None:
        self.looks: list[Looked] = []
        self.lag: dict[str, float] = {}
        self._over = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.collects", str(home)], stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Collecting:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate(timeout=60)
        if error is None:
            assert self._process.returncode == 0, f"it ended by {self._process.returncode}"
            self.lag = json.loads(said)

    def since(self, at: float) -> list[Looked]:
        return [look for look in self.looks if look.at >= at]

    def _watch(self) -> None:
        pid, ticks = self._process.pid, os.sysconf("SC_CLK_TCK")
        while not self._over.wait(1.0):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            cpu_s = (int(fields[11]) + int(fields[12])) / ticks
            files = len(os.listdir(f"/proc/{pid}/fd"))
            self.looks.append(Looked(time.monotonic(), cpu_s, resident_mb(pid), files))


def slope_mb_h(looks: Sequence[Looked]) -> float:
    """How much memory grew by the hour, of the straight line nearest to all looks."""
    return statistics.linear_regression([each.at for each in looks], [each.resident_mb for each in looks]).slope * 3600


def took(looks: Sequence[Looked]) -> dict[str, Any]:
    """CPU of a process in cores, and the most memory it had."""
    first, last = looks[0], looks[-1]
    return {
        "cores": (last.cpu_s - first.cpu_s) / (last.at - first.at),
        "most_mb": max(look.resident_mb for look in looks),
    }
