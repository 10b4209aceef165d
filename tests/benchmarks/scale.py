"""What one process holds: the terminal over fifty servers of 5,000 statements each, and ten that never answer.

The servers are real, each a PostgreSQL of its own that works all the while. Measured over some minutes once all texts
are read: the program's CPU and memory, syncs that were missed, and time from key to paint.
"""

from __future__ import annotations

import asyncio
import math
import socket
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from meshag_tui.settings import load
from meshag_tui.store import executions
from meshag_tui.store.database import Store
from meshag_tui.types import ExecutionState, Target
from meshag_tui.workflows.sync import KIND
from meshag_tui.workflows.workbench import Workbench
from tests.benchmarks.servers import Postgres
from tests.benchmarks.terminal import Figure, _app, _cpu_s, _paint, _quit, figure

SERVERS, STATEMENTS, SILENT = 50, 5_000, 10
INTERVAL_S, SECONDS = 60, 300
_ACTIVE = 850  # of the statements, in each interval: 17 %, which servers were seen to have
_SETTLING = 4  # syncs of each server in which texts are read
_PATIENCE_S = 1_800


def run(servers: int = SERVERS, statements: int = STATEMENTS, seconds: float = SECONDS) -> dict[str, list[Figure]]:
    with ExitStack() as held, tempfile.TemporaryDirectory() as folder:
        running = [held.enter_context(Postgres(statements + 2_000)) for _ in range(servers)]
        for server in running:
            server.run(statements)
        holes = [held.enter_context(_silent()) for _ in range(SILENT)]
        home = Path(folder)
        known = asyncio.run(_add(home, [server.url for server in running], holes))
        with _working(running), _app(home) as app:
            app.wait_for("shop 0", 60)
            opened = time.monotonic()
            while any(len(_begins(home)[each]) < _SETTLING for each in known):
                assert time.monotonic() - opened < _PATIENCE_S, "not every server is synced"
                app.read(10)
            settled = time.monotonic() - opened
            begun, cpu, resident = time.time() * 1000, _cpu_s(app.process.pid), _resident_mb(app.process.pid)
            app.send("2")
            app.wait_for("SELECT", 30)
            paints, until = [], time.monotonic() + seconds
            while time.monotonic() < until:
                paints.append(_paint(app, "j" if len(paints) % 40 < 20 else "k"))
                app.read(0.5)
            took = _cpu_s(app.process.pid) - cpu
            grown = _resident_mb(app.process.pid)
            ended = time.time() * 1000
            _quit(app, 60)
        begins = _begins(home, begun, ended)
        missed = sum(_missed([begun, *begins[connection], ended]) for connection in known)
        late = sorted(paint.ms for paint in paints)[int(len(paints) * 0.99) - 1]
        clock = sorted(paint.clock_ms for paint in paints)[int(len(paints) * 0.99) - 1]
        what = f"{servers} servers, {servers * statements:,} statements, {SILENT} servers that never answer"
        return {
            what: [
                {"what": f"{_SETTLING} syncs of each, all texts read", "measured": f"{settled:.0f} s"},
                figure("memory", round(grown), 400, "MB", at_the_beginning=round(resident)),
                figure("CPU", round(took / seconds, 2), 1, "cores"),
                figure("syncs missed", missed, 0, f"of {sum(len(begins[each]) for each in known) + missed}"),
                figure("key to paint, p99", round(late, 1), 150, "ms", clock_ms=round(clock, 1), keys=len(paints)),
            ]
        }


async def _add(home: Path, urls: Sequence[str], holes: Sequence[int]) -> list[str]:
    """Make connections to the servers and to the silent ones; the ids of the former."""
    settings = load(environment={"MESHAG_HOME": str(home), "HOME": str(home)})
    async with await Workbench.open(settings) as bench:
        known = [
            await bench.connections.add(f"shop {number}", Target.from_url(url), interval_s=INTERVAL_S)
            for number, url in enumerate(urls)
        ]
        for number, port in enumerate(holes):
            target = Target.from_url(f"postgresql://nobody@127.0.0.1:{port}/nothing")
            await bench.connections.add(f"silent {number}", target, interval_s=INTERVAL_S)
    return [info.id for info in known]


def _begins(home: Path, begun: float = 0.0, ended: float = math.inf) -> dict[str, list[float]]:
    """When syncs that ended well began in that time (epoch ms), by connection."""
    store = Store.open(load(environment={"MESHAG_HOME": str(home), "HOME": str(home)}).store_url)
    try:
        done = store.run(executions.listing, kind=KIND, states=(ExecutionState.DONE,), since=int(begun), limit=100_000)
    finally:
        store.close()
    found: dict[str, list[float]] = defaultdict(list)
    for run in reversed(done):
        if run.started_at is not None and begun < run.started_at <= ended:
            found[run.connection_id or ""].append(run.started_at)
    return found


def _missed(times: Sequence[float]) -> int:
    """How many intervals passed between neighbouring times without a sync."""
    return sum(max(0, round((later - earlier) / 1000 / INTERVAL_S) - 1) for earlier, later in pairwise(times))


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


@contextmanager
def _working(servers: Sequence[Postgres]) -> Iterator[None]:
    """Some of the statements run on every server, again in each interval."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(INTERVAL_S / 2 / len(servers)):
            for server in servers:
                server.run(_ACTIVE)
                if ended.wait(INTERVAL_S / 2 / len(servers)):
                    return

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


@contextmanager
def _silent() -> Iterator[int]:
    """The port of what takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
