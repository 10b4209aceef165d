"""Collectors that share a store in PostgreSQL, each as on a machine of its own: killed, frozen, cut off from the store.

What their servers counted is in the store once, to the call, and the others go on with what one of them left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.types import Target
from tests.acceptance.conftest import Must
from tests.cli.conftest import Meshag
from tests.rig.postgres import Database, Servers
from tests.rig.relay import Relay

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
"""How long one collector is killed each minute."""
# A process of another pid namespace is one of another machine to us: whether it lives cannot be seen.
ELSEWHERE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


class Collector:
    """`meshag collect`. `pid` is that of the program itself."""

    def __init__(self, meshag: Meshag, store_url: str) -> None:
        with (meshag.home / "collectors.log").open("ab") as said:
            self._process = subprocess.Popen(
                [*ELSEWHERE, *meshag.command("collect", "--store", store_url)],
                env=meshag.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while not (found := children.read_text().split()):
            time.sleep(0.01)
        self.pid = int(found[0])
        self.machine = os.stat(f"/proc/{self.pid}/ns/pid").st_ino

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        self._process.wait(60)

    def end(self) -> None:
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait()


class Work:
    """Statements in each database, counted; a thread runs them until `stop`."""

    def __init__(self, databases: list[Database]) -> None:
        self.executed: Counter[str] = Counter()
        self._databases = databases
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        sessions = {each.name: each.connect() for each in self._databases}
        while not self._over.wait(0.05):
            for name, session in sessions.items():
                session.execute("SELECT 1 AS counted")
                self.executed[name] += 1
        for session in sessions.values():
            session.close()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


class Fleet:
    """Collectors on one store, and what they collect."""

    def __init__(self, meshag: Meshag, store: Database, databases: list[Database], number: int) -> None:
        self.store = store
        self.work = Work(databases)
        self._meshag = meshag
        self.collectors = [Collector(meshag, store.url) for _ in range(number)]

    def add(self, store_url: str | None = None) -> Collector:
        collector = Collector(self._meshag, store_url or self.store.url)
        self.collectors.append(collector)
        return collector

    def replace(self, collector: Collector) -> None:
        self.collectors.remove(collector)
        self.add()

    def syncs(self) -> int:
        ((number,),) = self.store.fetch("SELECT count(*) FROM interval")
        return int(number)

    def until(self, syncs: int) -> None:
        """Wait for so many more syncs, whoever makes them."""
        wanted, deadline = self.syncs() + syncs, time.monotonic() + 100
        while self.syncs() < wanted:
            assert time.monotonic() < deadline, (
                "nobody collects",
                self.store.fetch("SELECT * FROM execution ORDER BY id DESC LIMIT 6"),
                (self._meshag.home / "collectors.log").read_text()[-3_000:],
            )
            time.sleep(0.1)

    def running(self, collector: Collector) -> str | None:
        """A sync that the collector is at."""
        found = self.store.fetch(
            "SELECT id FROM execution WHERE state = 'running' AND kind = 'sync_database_stats' AND owner LIKE %s",
            (f"%-{collector.machine}:%",),
        )
        return str(found[0][0]) if found else None

    def caught(self, collector: Collector, hold: Callable[[], None], let_go: Callable[[], None]) -> str:
        """Hold a collector up while it is at a sync; the id of that."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            hold()
            if (run := self.running(collector)) is not None:
                time.sleep(0.2)  # what was on its way is through
                if self.running(collector) == run:
                    return run
            let_go()
            time.sleep(0.02)
        raise AssertionError("it was never at work")

    def end_of(self, run: str) -> tuple[Any, ...]:
        """State, attempts and owner of a run, once it has ended."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            (row,) = self.store.fetch("SELECT state, attempts, owner FROM execution WHERE id = %s", (run,))
            if row[0] == "done":
                return row
            time.sleep(0.1)
        raise AssertionError(f"nobody went on with {run}")

    def gaps_ms(self) -> list[int]:
        """From each sync of a database to the next one."""
        rows = self.store.fetch("SELECT connection_id, end_at FROM interval ORDER BY 1, 2")
        return [b[1] - a[1] for a, b in pairwise(rows) if a[0] == b[0]]


@contextmanager
def fleet(
    meshag: Meshag, must: Must, servers: Servers, store: Database, *, number: int, databases: int, interval: str
) -> Iterator[Fleet]:
    meshag.environment["MESHAG_STORE"] = store.url
    fresh = [servers.fresh(18) for _ in range(databases)]
    watched = [next(each) for each in fresh]
    for each in watched:
        must("connections", "add", each.name, each.monitor_url, "--interval", interval)
        must("sync", each.name)
    running = Fleet(meshag, store, watched, number)
    try:
        yield running
    finally:
        running.work.stop()
        for collector in running.collectors:
            collector.end()
        for each in fresh:
            next(each, None)


def check(running: Fleet, must: Must) -> None:
    """End them all: every call is there once, intervals follow each other, and nothing is left open."""
    for collector in running.collectors:
        collector.stop()
    running.work.stop()
    for name, executed in running.work.executed.items():
        must("sync", name)
        found = must("queries", name, "--window", "24h", "--text", "counted")
        assert sum(row["calls"] for row in found) == executed, name
    rows = running.store.fetch("SELECT connection_id, start_at, end_at FROM interval ORDER BY 1, 3")
    assert all(a[2] == b[1] for a, b in pairwise(rows) if a[0] == b[0])
    assert running.store.fetch("SELECT id FROM execution WHERE state IN ('ready', 'running')") == []


@pytest.fixture
def may_unshare() -> None:
    if subprocess.run([*ELSEWHERE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a process may not be put into a pid namespace of its own here")


@pytest.fixture
def shared(servers: Servers) -> Iterator[Database]:
    """A database for the store, on the server of what is watched."""
    for database in servers.fresh(18):
        database.execute("DROP EXTENSION pg_stat_statements")
        yield database


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_of_three_two_are_killed_in_turn(
    meshag: Meshag, must: Must, servers: Servers, shared: Database, may_unshare: None
) -> None:
    with fleet(meshag, must, servers, shared, number=3, databases=3, interval="1s") as running:
        for _ in range(2):
            running.until(4)
            running.collectors.pop(0).kill()
        running.until(4)
        check(running, must)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_of_five_each_is_killed_one_frozen_and_one_cut_off(
    meshag: Meshag, must: Must, servers: Servers, shared: Database, may_unshare: None
) -> None:
    """Twelve databases every ten seconds: whatever happens to a collector, each is collected within two intervals."""
    port = Target.from_url(shared.url).port
    with (
        Relay(port) as relay,
        fleet(meshag, must, servers, shared, number=4, databases=12, interval="10s") as running,
    ):
        cut_off = running.add(shared.url.replace(f":{port}/", f":{relay.port}/"))
        running.until(40)
        for collector in list(running.collectors[:4]):
            collector.kill()
            running.replace(collector)
            running.until(24)
        frozen = running.collectors[-1]
        run = running.caught(
            frozen, lambda: os.kill(frozen.pid, signal.SIGSTOP), lambda: os.kill(frozen.pid, signal.SIGCONT)
        )
        taken_over(running, frozen, run)
        os.kill(frozen.pid, signal.SIGCONT)  # it goes on where it stood, with what it read before
        running.until(24)
        run = running.caught(cut_off, relay.carrying.clear, relay.carrying.set)
        taken_over(running, cut_off, run)
        relay.carrying.set()
        running.until(24)
        cut_off.kill()
        running.collectors.remove(cut_off)
        running.until(24)
        gap = max(running.gaps_ms())
        print(f"the longest time a database waited: {gap / 1000:.1f} s of intervals of 10 s")
        check(running, must)
        assert gap <= 20_000


@pytest.mark.soak
@pytest.mark.timeout(MINUTES * 60 + 900)
def test_of_five_one_is_killed_each_minute(
    meshag: Meshag, must: Must, servers: Servers, shared: Database, may_unshare: None
) -> None:
    """For ten minutes, or as many as SOAK_MINUTES says: nothing is counted twice or lost, one interval in a hundred is
    missed at most, and nobody waits longer than two."""
    with fleet(meshag, must, servers, shared, number=5, databases=12, interval="10s") as running:
        running.until(24)
        end, kills = time.monotonic() + MINUTES * 60, 0
        while time.monotonic() < end:
            time.sleep(60)
            first = running.collectors[0]
            first.kill()
            running.replace(first)
            kills += 1
        running.until(24)
        gaps = running.gaps_ms()
        missed = sum(max(0, round(gap / 10_000) - 1) for gap in gaps)
        print(f"{kills} kills: {len(gaps)} syncs, {missed} missed, at longest {max(gaps) / 1000:.1f} s of 10 s")
        check(running, must)
        assert missed <= len(gaps) / 100
        assert max(gaps) <= 20_000


def taken_over(running: Fleet, collector: Collector, run: str) -> None:
    """Another one ends the run; what the first one writes later finds no lease that holds."""
    state, attempts, owner = running.end_of(run)
    assert (state, f"-{collector.machine}:" in owner) == ("done", False) and attempts >= 2
