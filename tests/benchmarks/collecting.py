"""What collecting takes, over as long a time as is asked for: of this process, and of the servers it watches.

`python -m tests.benchmarks one twenty databases overhead holes --seconds 600`. The servers are real; where a hundred
are needed, they are one under a hundred names.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from meshag_tui.servers.postgres import EmbeddedPostgres, wheel_bindir
from tests.benchmarks import fleet
from tests.benchmarks.fleet import Collecting, Ran
from tests.benchmarks.servers import Postgres
from tests.benchmarks.terminal import Figure, figure

_PATIENCE_S = 1_800
_OURS = "SELECT pid, application_name FROM pg_stat_activity WHERE application_name LIKE 'meshag/%'"
Groups = dict[str, list[Figure]]


def one(seconds: float = 600, statements: int = 5_000, interval_s: int = 10) -> Groups:
    """One server: does memory grow, are files left open, is a sync missed, and how much is a row of the store."""
    return _servers(1, seconds, statements, interval_s)


def twenty(seconds: float = 600, statements: int = 5_000, interval_s: int = 10, servers: int = 20) -> Groups:
    """Twenty servers, every ten seconds: how much CPU, and does a sync begin before the last has ended."""
    return _servers(servers, seconds, statements, interval_s)


def _servers(number: int, seconds: float, statements: int, interval_s: int) -> Groups:
    with ExitStack() as held, tempfile.TemporaryDirectory() as folder:
        running = [held.enter_context(Postgres(statements + 2_000)) for _ in range(number)]
        for server in running:
            server.run(statements)
        home = Path(folder)
        known = asyncio.run(fleet.add(home, [server.url for server in running], interval_s))
        with fleet.working(running, interval_s, statements * 17 // 100), Collecting(home) as collecting:
            _until_synced(home, known, 4)
            begun, at, size = time.time() * 1000, time.monotonic(), _size(home)
            time.sleep(seconds)
            ended, looks, grown = time.time() * 1000, collecting.since(at), _size(home) - size
        found = fleet.syncs(home, begun, ended)
        took = fleet.took(looks)
        lost = _missed(found, known, begun, ended, interval_s)
        half = looks[len(looks) // 2 :]  # caches are filled in the first
        rows: list[Figure] = [
            figure("CPU", round(took["cores"], 3), 0.25, "cores"),
            figure("memory", round(took["most_mb"]), 400, "MB", slope_mb_h=round(fleet.slope_mb_h(half), 1)),
            {"what": "files open at the beginning and at the end", "measured": f"{looks[0].files}, {looks[-1].files}"},
            figure("syncs missed", lost, 0, f"of {sum(map(len, found.values())) + lost}"),
            _never(found, known),
            figure("syncs that began before the last had ended", _overlaps(found), 0, ""),
            {"what": "store, by sync", "measured": f"{grown / max(1, sum(map(len, found.values()))) / 1024:.1f} kB"},
            _lag(collecting),
        ]
        return {f"{number} × {statements:,} statements, every {interval_s} s, for {seconds:.0f} s": rows}


def databases(seconds: float = 600, number: int = 500, interval_s: int = 60) -> Groups:
    """Many databases of one server, each a connection: how many sessions at once, and how long a round takes."""
    with _server({"max_connections": "60"}) as (server, _), tempfile.TemporaryDirectory() as folder:
        names = [f"shop_{each}" for each in range(number)]
        with psycopg.connect(server.dsn("template1"), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.execute("CREATE TABLE item (id int PRIMARY KEY, name text)")
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            for name in names:
                connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy".encode())
        home = Path(folder)
        known = asyncio.run(fleet.add(home, [server.dsn(name, tcp=True) for name in names], interval_s))
        with _sessions(server) as most, Collecting(home) as collecting:
            began = time.monotonic()
            first = _until_synced(home, known, 1) - began
            begun, at = time.time() * 1000, time.monotonic()
            time.sleep(seconds)
            ended, looks = time.time() * 1000, collecting.since(at)
        found = fleet.syncs(home, begun, ended)
        gaps = [b.began - a.began for runs in found.values() for a, b in pairwise(runs)]
        took = fleet.took(looks)
        rows: list[Figure] = [
            figure("sessions at once", most["of all"], 2, "", looks=most["looks"]),
            figure("first round, with tables and indexes", round(first), 3_600, "s"),
            figure("longest time between two syncs of one", round(max(gaps, default=0) / 1000, 1), 3_600, "s"),
            {
                "what": "databases synced since",
                "measured": f"{len(found)} of {number}, {sum(map(len, found.values()))} syncs",
            },
            figure("memory", round(took["most_mb"]), 400, "MB"),
            figure("CPU", round(took["cores"], 3), 1, "cores"),
            _lag(collecting),
        ]
        return {f"{number} databases on one server, every {interval_s} s, for {seconds:.0f} s": rows}


def overhead(seconds: float = 300, statements: int = 5_000, interval_s: int = 60) -> Groups:
    """What our sessions take of a server at work (pgbench), from /proc: transactions a second vary more than that."""
    with Postgres(statements + 2_000) as server, tempfile.TemporaryDirectory() as folder:
        server.run(statements)
        tool = str(wheel_bindir() / "pgbench")
        url = server.url
        subprocess.run([tool, "-i", "-q", "-s", "5", url], check=True, capture_output=True)
        home = Path(folder)
        known = asyncio.run(fleet.add(home, [url], interval_s))
        with Collecting(home):
            _until_synced(home, known, 1)
            load = [tool, "-n", "-c", "2", "-T", str(int(seconds)), "-R", "100", url]
            with _cpu(server) as cpu:
                since, began = time.time() * 1000, time.monotonic()
                said = subprocess.run(load, check=True, capture_output=True, text=True).stdout
                lasted = time.monotonic() - began
        tps = next(line for line in said.splitlines() if line.startswith("tps"))
        share = sum(cpu.values()) / lasted * 100
        rows: list[Figure] = [
            figure("CPU of our sessions", round(share, 3), 0.5, "% of one core", sessions=len(cpu), pgbench=tps),
            {"what": "syncs meanwhile", "measured": sum(map(len, fleet.syncs(home, since).values()))},
        ]
        return {f"{statements:,} statements, every {interval_s} s, beside pgbench, for {seconds:.0f} s": rows}


def holes(seconds: float = 300, number: int = 100, interval_s: int = 10, collectors: int | None = None) -> Groups:
    """As many servers that never answer as servers that do: what do the others miss, and is the loop held up.

    `collectors`: how many are synced at once, where that is not left to the product.
    """
    with (
        ExitStack() as held,
        _server({"max_connections": str(4 * number + 20)}) as (server, identifier),
        tempfile.TemporaryDirectory() as folder,
    ):
        ports = [held.enter_context(fleet.silent()) for _ in range(number)]
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        relays = held.enter_context(_renamed(server.port, identifier, number))
        home = Path(folder)
        if collectors is not None:
            (home / "config.toml").write_text(f"[collect]\ncollectors = {collectors}\n")
        url = server.dsn(tcp=True)
        known = asyncio.run(
            fleet.add(home, [url.replace(f":{server.port}", f":{port}") for port in relays], interval_s)
        )
        asyncio.run(fleet.add(home, [f"postgresql://u@127.0.0.1:{port}/d" for port in ports], interval_s, "silent"))
        with Collecting(home) as collecting:
            _until_synced(home, known, 2)
            begun, at = time.time() * 1000, time.monotonic()
            time.sleep(seconds)
            ended, looks = time.time() * 1000, collecting.since(at)
        found = fleet.syncs(home, begun, ended)
        lost = _missed(found, known, begun, ended, interval_s)
        took = fleet.took(looks)
        rows: list[Figure] = [
            figure("syncs missed on those that answer", lost, 0, f"of {sum(map(len, found.values())) + lost}"),
            _never(found, known),
            _lag(collecting),
            figure("memory", round(took["most_mb"]), 400, "MB"),
            figure("CPU", round(took["cores"], 3), 1, "cores"),
        ]
        return {f"{number} that answer, {number} that never do, every {interval_s} s, for {seconds:.0f} s": rows}


# --- how it is measured --------------------------------------------------------------------------------------------


def _lag(collecting: Collecting) -> Figure:
    lag = collecting.lag
    return figure(
        "event loop late, p99", round(lag["p99_ms"], 1), 50, "ms", worst_ms=round(lag["most_ms"]), looks=lag["looks"]
    )


def _until_synced(home: Path, known: Sequence[str], times: int) -> float:
    """Wait until each was synced so often; when that was (monotonic s)."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        found = fleet.syncs(home)
        if all(len(found[each]) >= times for each in known):
            return time.monotonic()
        assert time.monotonic() < end, "not every server is synced"
        time.sleep(2)


def _missed(found: dict[str, list[Ran]], known: Sequence[str], begun: float, ended: float, interval_s: int) -> int:
    return sum(fleet.missed([begun, *(run.began for run in found[each]), ended], interval_s) for each in known)


def _never(found: dict[str, list[Ran]], known: Sequence[str]) -> Figure:
    return figure("servers that answer, and were synced at no time", len(set(known) - found.keys()), 0, "")


def _size(home: Path) -> int:
    """Bytes of the store with what is not yet in its file."""
    return sum(path.stat().st_size for path in home.glob("meshag.db*"))


def _overlaps(found: dict[str, list[Ran]]) -> int:
    return sum(later.began < earlier.ended for runs in found.values() for earlier, later in pairwise(runs))


@contextmanager
def _server(settings: dict[str, str]) -> Iterator[tuple[EmbeddedPostgres, str]]:
    """A PostgreSQL 18 and what it calls itself."""
    server = EmbeddedPostgres(settings={"autovacuum": "off", "fsync": "off"} | settings, tcp=True).start()
    try:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            ((identifier,),) = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchall()
        yield server, identifier
    finally:
        server.close()


@contextmanager
def _renamed(port: int, identifier: str, number: int) -> Iterator[list[int]]:
    """Ports at which the server calls itself otherwise each."""
    command = [sys.executable, "-m", "tests.benchmarks.renamed", str(port), identifier, str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relays:
        assert relays.stdin is not None
        assert relays.stdout is not None
        yield json.loads(relays.stdout.readline())
        relays.stdin.close()


@contextmanager
def _looking(look: Any, every_s: float) -> Iterator[None]:
    """Call `look` again and again meanwhile, in a thread."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every_s):
            look()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _sessions(server: EmbeddedPostgres) -> Iterator[Counter[str]]:
    """The most sessions of ours there were at once, looked at each 100 ms."""
    most: Counter[str] = Counter()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:

        def look() -> None:
            most["of all"] = max(most["of all"], len(connection.execute(_OURS).fetchall()))
            most["looks"] += 1

        with _looking(look, 0.1):
            yield most


@contextmanager
def _cpu(server: Postgres) -> Iterator[dict[int, float]]:
    """CPU s that each session of ours took meanwhile; of one that ends, up to 50 ms before that."""
    first: dict[int, float] = {}
    took: dict[int, float] = {}
    with psycopg.connect(server.url, autocommit=True) as connection:

        def look() -> None:
            for pid, _ in connection.execute(_OURS).fetchall():
                with suppress(OSError):  # it has just ended
                    now = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
                    took[pid] = now - first.setdefault(pid, 0.0 if begun.is_set() else now)

        begun = threading.Event()  # what a session that was there before had taken is not counted
        look()
        begun.set()
        with _looking(look, 0.05):
            yield took
