"""What the screens cost: CPU and time to the first data, bytes on the line, time from key to paint.

The program runs on a pseudo-terminal of 120×40, for keys and switches of 200×60 too, with an emulator behind it, so
"painted" means visible. The floor is a
Textual app that shows one DataTable and nothing else, started alternately. Times are those of the clock less those in
which the program's threads waited for a processor, which others may hold; both are given where it matters.
"""

from __future__ import annotations

import asyncio
import compileall
import os
import resource
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import meshag_tui
from meshag_tui.types import Target
from tests.benchmarks.servers import Postgres, Server
from tests.benchmarks.sync import Bench
from tests.rig.pty import Terminal
from tests.rig.relay import Relay

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
_PLACES = ("2", "3", "4", "5", "1")
Figure = dict[str, Any]


def figure(what: str, measured: float, most: float, unit: str, **more: Any) -> Figure:
    """What was measured, its target, and whether it holds."""
    return {
        "what": what,
        "measured": f"{measured:g} {unit}",
        "target": f"<= {most:g}",
        "holds": measured <= most,
    } | more


def version_cpu(rounds: int = 7) -> list[Figure]:
    """CPU of `meshag --version`, ms, the least of several."""
    seen = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*MESHAG, "--version"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seen.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
    return [figure("--version, CPU", round(min(seen)), 100, "ms")]


def start(home: Path, rounds: int = 7) -> list[Figure]:
    """Start to data on the screen, against the floor; and the bytes of it.

    Compared is the CPU until then: several threads wait for a processor at once, so the clock cannot be corrected.
    Both are compiled beforehand, as they are where pip installed them.
    """
    compileall.compile_dir(Path(meshag_tui.__file__).parent, quiet=1)
    floors, ours, sizes = [], [], []
    for _ in range(rounds):
        with Terminal.python(_FLOOR) as floor:
            floors.append(_shown(floor, "SELECT 20"))
            floor.send("\x11")
        with _app(home) as app:
            ours.append(_shown(app, "SELECT"))
            app.settle(0.5)
            sizes.append(len(app.raw))
            _quit(app)
    base, base_cpu = (statistics.median(each) for each in zip(*floors, strict=True))
    clock, cpu = (statistics.median(each) for each in zip(*ours, strict=True))
    more = {"cpu_ms": round(cpu * 1000), "floor_cpu_ms": round(base_cpu * 1000), "clock_ratio": round(clock / base, 2)}
    return [
        figure("CPU until data is painted, beside the floor", round(cpu / base_cpu, 2), 1.4, "times", **more),
        figure("data painted, bytes", statistics.median(sizes), 40_000, "bytes"),
    ]


def keys(home: Path, columns: int = 120, lines: int = 40) -> list[Figure]:
    """Cursor keys and screen switches with `LISTED` queries in the list."""
    on = f" on {columns}×{lines}"
    with _app(home, size=(columns, lines)) as app:
        app.wait_for("SELECT", 30)
        app.settle(1)
        down = [_paint(app, "j") for _ in range(60)]
        switches = []
        for _ in range(6):
            for key in _PLACES:
                switches.append(_paint(app, key))
                app.settle(0.3)
        _quit(app)
    again = switches[len(_PLACES) :]  # a first visit makes the screen
    return [
        _p95(f"key to paint, {LISTED:,} listed{on}", down, 50),
        figure(f"key to paint{on}, bytes", statistics.median(paint.size for paint in down), 10_000, "bytes"),
        _p95(f"screen switch{on}", again, 50),
        figure(f"screen switch{on}, bytes", max(paint.size for paint in again), 10_000, "bytes"),
    ]


def keys_during_sync(home: Path) -> list[Figure]:
    """Cursor keys while a sync of `LARGE` statements, all active, runs in the app."""
    return [_p95(f"key to paint, {LARGE:,} statements being synced", _paints_while_syncing(home), 50)]


def keys_slow_database(home: Path, relay: Relay) -> list[Figure]:
    """Cursor keys while a sync runs and each answer of the database takes 200 ms more."""
    relay.delay_s = 0.2
    try:
        return [_p95("key to paint, database answers in 200 ms", _paints_while_syncing(home), 100)]
    finally:
        relay.delay_s = 0.0


def _paints_while_syncing(home: Path) -> list[_Paint]:
    with _app(home) as app:
        app.wait_for("SELECT", 30)
        app.read(2)  # until it is at rest but for the age of the data
        app.send("r")
        paints: list[_Paint] = []
        until = time.monotonic() + 120
        while "Synced" not in app.text:
            assert time.monotonic() < until, f"the sync did not end:\n{app.text}"
            paints.append(_paint(app, "j" if len(paints) % 40 < 20 else "k"))
        _quit(app, 60)
    return paints


def idle(home: Path, seconds: float = 60) -> list[Figure]:
    """Bytes and CPU a minute, refreshing each 2 s with a sync a minute; the same when paused; memory."""
    with _app(home) as app:
        app.wait_for("SELECT", 30)
        app.settle(1)
        app.read(5)
        found: list[Figure] = []
        for name, most in (("idle", 1_000), ("paused", 0)):
            cpu, before = _cpu_s(app.process.pid), len(app.raw)
            app.read(seconds)
            found.append(
                figure(f"{name}, bytes a minute", round((len(app.raw) - before) * 60 / seconds), most, "bytes")
            )
            found.append(
                figure(f"{name}, CPU a minute", round((_cpu_s(app.process.pid) - cpu) * 60 / seconds, 2), 1, "s")
            )
            app.send("p")
            app.settle(1)
        status = Path(f"/proc/{app.process.pid}/status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        found.append(figure(f"resident, {LISTED:,} statements watched", round(resident / 1024), 75, "MB"))
        _quit(app)
    return found


def endings(home: Path) -> list[Figure]:
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
    return [
        figure("gone after a hang-up", round(hung, 2), 1, "s"),
        figure("left on after SIGTERM", len(left), 0, "modes", left=left, exit_code=code),
    ]


def run() -> dict[str, list[Figure]]:
    results = {"version": version_cpu()}
    with _filled() as (home, running, relay):
        results["start"] = start(home)
        results["keys"] = [*keys(home), *keys(home, 200, 60)]
        results["idle"] = idle(home)
        results["endings"] = endings(home)
        results["keys_slow_database"] = keys_slow_database(home, relay)
        running.run(LARGE)
        results["keys_during_sync"] = keys_during_sync(home)
    return results


@contextmanager
def _filled() -> Iterator[tuple[Path, Server, Relay]]:
    """A home with a window of `LISTED` active queries of a server that is reached through a relay."""
    with tempfile.TemporaryDirectory() as folder, Postgres(LARGE + 2_000) as running:
        port = Target.from_url(running.url).port
        with Relay(port) as relay:
            running.run(LISTED)
            url = running.url.replace(f":{port}/", f":{relay.port}/")
            asyncio.run(_fill(running, url, Path(folder)))
            yield Path(folder), running, relay


async def _fill(running: Server, url: str, home: Path) -> None:
    async with Bench(url, home) as bench:
        for _ in range(3):
            await bench.sync()
            await asyncio.to_thread(running.run, LISTED)
        await bench.settle()
        await bench.workbench.connections.edit(bench.connection.id, interval_s=60)


def _app(home: Path, argv: Sequence[str] = MESHAG, size: tuple[int, int] = (120, 40)) -> Terminal:
    return Terminal(argv, *size, environment={"MESHAG_HOME": str(home), "COLORTERM": "", "SSH_TTY": "/dev/pts/0"})


def _quit(app: Terminal, seconds: float = 15) -> None:
    app.send("q")
    app.wait(seconds)


def _shown(app: Terminal, text: str, seconds: float = 30) -> tuple[float, float]:
    """Wait until a text is on the screen; the clock and the program's CPU when its bytes came, s.

    Both are read before the bytes are emulated: meanwhile the program goes on.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if select.select([app.master], [], [], 0.1)[0]:
            clock, cpu = time.monotonic() - begun, _cpu_s(app.process.pid)
            app.read()
            if app.shows(text):
                return clock, cpu
    raise AssertionError(f"{text!r} did not come:\n{app.text}")


class _Paint(NamedTuple):
    clock_ms: float  # from a key to the first bytes
    ms: float  # less what the program's main thread waited for a processor
    size: int  # bytes until it was quiet


def _paint(app: Terminal, key: str) -> _Paint:
    """Press a key and see it answered."""
    app.read(0.05)
    before, waited, started = len(app.raw), _waited_ms(app, main_only=True), time.perf_counter()
    app.send(key)
    while len(app.raw) == before and time.perf_counter() - started < 5:
        app.read(0.002)
    took = (time.perf_counter() - started) * 1000
    waited = _waited_ms(app, main_only=True) - waited
    app.settle(0.05)
    return _Paint(took, max(0.0, took - waited), len(app.raw) - before)


def _p95(what: str, paints: Sequence[_Paint], most: float) -> Figure:
    def of(values: Sequence[float]) -> float:
        return round(sorted(values)[min(len(values) - 1, int(len(values) * 0.95))], 1)

    clock = of([paint.clock_ms for paint in paints])
    return figure(f"{what}, p95", of([paint.ms for paint in paints]), most, "ms", clock_ms=clock, keys=len(paints))


def _waited_ms(app: Terminal, main_only: bool = False) -> float:
    """How long the program's threads, or its main one, were ready to run and waited for a processor."""
    pid = app.process.pid
    waited = 0
    for task in [str(pid)] if main_only else os.listdir(f"/proc/{pid}/task"):
        try:
            waited += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[1])
        except OSError:  # the thread has ended
            continue
    return waited / 1e6


def _cpu_s(pid: int) -> float:
    """CPU of a process so far, its ended threads too, s."""
    return time.clock_gettime(~pid << 3 | 2)  # the clock that clock_getcpuclockid(3) names
