"""The screens on a terminal resized without end, that cannot draw, or goes; what failed is on screen and in the log."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from meshag_tui.settings import Settings
from tests.acceptance.conftest import Must
from tests.acceptance.test_journey_by_keys import Ears, Eyes, run_it
from tests.acceptance.test_journey_by_keys import shop as advised
from tests.cli.conftest import Meshag
from tests.rig.postgres import Database
from tests.rig.pty import Terminal
from tests.rig.tmux import Pane
from tests.screens import shop as filled
from tests.screens.test_journey import NEW_INDEX, indexes

__all__ = ["advised"]

SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'meshag/%' AND datname = current_database()"
)


def resident_kb(pid: int) -> int:
    """Memory of a process that is in use, kB."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


@pytest.mark.parametrize(
    "sizes", [139, pytest.param(15_000, marks=pytest.mark.soak)], ids=["ten seconds", "five minutes"]
)
def test_a_storm_of_sizes_and_a_line_that_is_cut(sizes: int, pg18: Database, meshag: Meshag, must: Must) -> None:
    must("connections", "add", "shop", pg18.monitor_url, "--interval", "1s")
    must("sync", "shop")
    wrong = re.sub(r":[^:@/]*@", ":nonsense@", pg18.monitor_url)
    must("connections", "add", "bad", wrong, "--no-test", "--again")
    chance = random.Random(7)
    environment = meshag.environment | {"TERM": "xterm-256color"}
    with Terminal(meshag.command(), 80, 24, environment) as terminal:
        user = Eyes(terminal)
        user.until("Share")
        user.press("1")
        user.until("✗ error")  # what failed is on the screen with its cause, and in the log
        user.press("g")
        user.until("does not accept this password")
        log = (meshag.home / "meshag.log").read_text(encoding="utf-8")
        assert "does not accept this password" in log and "nonsense" not in log
        before = resident_kb(terminal.process.pid)
        for number in range(sizes):
            terminal.resize(chance.randint(1, 500), chance.randint(1, 200))
            terminal.read(0.02)
            if number == sizes // 2:
                before = resident_kb(terminal.process.pid)
        terminal.resize(100, 30)
        user.press("2", "1")
        user.until("✗ error")
        assert resident_kb(terminal.process.pid) - before < 20_000, "kB, for the second half of the storm"
        assert pg18.fetch(SESSIONS) != [(0,)]
        begun = time.monotonic()
        terminal.hang_up()
        assert terminal.wait(20) == 129
        assert time.monotonic() - begun < 8, "2 s on a quiet machine"
    end = time.monotonic() + 10
    while pg18.fetch(SESSIONS) != [(0,)]:
        assert time.monotonic() < end
        time.sleep(0.1)
    meshag("collect", "--once")  # ends what had no time left to say that it was interrupted
    assert {run["state"] for run in must("runs", "--limit", "100")} <= {"done", "failed", "interrupted"}


@pytest.mark.parametrize("kind", ["", "dumb", "unknown", "vt52"])
def test_a_terminal_that_cannot_draw_is_told_what_to_do(meshag: Meshag, kind: str) -> None:
    with Terminal(meshag.command(), 80, 24, meshag.environment | {"TERM": kind}) as terminal:
        assert terminal.wait(30) == 2
        terminal.settle(0.2)
        assert b"\x1b" not in terminal.raw and b"TERM" in terminal.raw
        assert len(terminal.raw.splitlines()) == 1


def test_what_changed_and_the_tables_are_told_in_lines(meshag: Meshag) -> None:
    meshag.home.mkdir(mode=0o700)
    filled.fill_changed(Settings(home=meshag.home, store_url=f"sqlite:///{meshag.home / 'meshag.db'}"))
    environment = meshag.environment | {"TERM": "dumb", "TZ": "UTC"}
    with Terminal(meshag.command("--plain", "--read-only"), 80, 24, environment) as terminal:
        user = Ears(terminal)
        user.until("SELECT")
        user.press("w", "1", "5", "enter")
        user.until("window 15 min")
        user.press("8")
        user.until("slower")
        user.press("T")
        user.until("work_mem was 65536, is 4096")
        user.press("9")
        user.until("shop.orders")
        user.press("1")
        user.until("shop active")
        user.press("q")
        assert terminal.wait() == 0
        assert "\x1b" not in terminal.raw.decode()


# ---------------------------------------------------------------------------------------------- the line goes

OURS = """
    SELECT pid, application_name, wait_event_type, left(query, 6) FROM pg_stat_activity
    WHERE application_name LIKE 'meshag/%' AND datname = current_database()
"""
WAITING = ("meshag/apply", "Lock", "CREATE")
SYNCING = "SELECT count(*) FROM execution WHERE kind = 'sync_database_stats' AND state = 'running'"


def told_to_go(terminal: Terminal | Pane) -> None:
    terminal.process.send_signal(signal.SIGHUP)


def its_line_cut(terminal: Terminal | Pane) -> None:
    terminal.hang_up()


WAYS: dict[str, tuple[type[Terminal] | type[Pane], Callable[[Terminal | Pane], None]]] = {
    "SIGHUP": (Terminal, told_to_go),
    "the line cut": (Terminal, its_line_cut),
    "tmux kill-pane": (Pane, its_line_cut),
}


def soon(look: Callable[[], Any], what: str, within_s: float = 30.0) -> Any:
    """What `look` finds, once it finds something."""
    end = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < end, what
        time.sleep(0.01)
    return found


@contextlib.contextmanager
def a_sync_stopped(database: Database) -> Iterator[None]:
    """The server's process of syncs, frozen as it listens: the sync that is running, or comes next, does not end.

    In the middle of a statement it can hold a lock of the whole server, and nobody could do anything there any more.
    """
    with database.connect() as watching:

        def frozen() -> int | None:
            for pid, name, waits, _ in watching.execute(OURS):
                if name == "meshag/sync" and waits == "Client":
                    os.kill(pid, signal.SIGSTOP)
                    if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                        return int(pid)
            return None

        pid = soon(frozen, "no sync came")
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def stored(meshag: Meshag, query: str) -> list[tuple[Any, ...]]:
    """What is on the disk, whoever has it open."""
    with contextlib.closing(sqlite3.connect(meshag.home / "meshag.db")) as store:
        return store.execute(query).fetchall()


def journal(meshag: Meshag) -> tuple[str, str]:
    """State and error of the one change there is, tried once."""
    ((state, error, attempts),) = stored(meshag, "SELECT state, coalesce(error, ''), attempts FROM change")
    assert attempts == 1, "it was not begun again"
    return state, error


@pytest.mark.parametrize("goes_on", [True, False], ids=["it can finish", "it cannot"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.slow
def test_the_line_goes_while_it_syncs_and_makes_an_index(
    way: str, goes_on: bool, advised: Database, meshag: Meshag, must: Must
) -> None:
    must("connections", "edit", "shop", "--interval", "1s")
    must("sync", "shop")  # from now on each second
    kind, gone = WAYS[way]
    with psycopg.connect(advised.socket_url) as writer:
        writer.execute("UPDATE orders SET note = 'held' WHERE id = 1")  # the index has to wait for its end
        with kind(meshag.command(), 80, 24, meshag.environment | {"TERM": "xterm-256color"}) as terminal:
            user = Eyes(terminal)
            user.until("SELECT id, note")
            user.press("4")
            user.until("Index orders (customer_id)")
            user.press("a")
            user.until("CREATE INDEX CONCURRENTLY")
            process = psutil.Process(terminal.process.pid)
            with a_sync_stopped(advised):
                soon(lambda: stored(meshag, SYNCING) == [(1,)], "no sync is running")
                run_it(user)
                soon(lambda: [each for each in advised.fetch(OURS) if each[1:] == WAITING], "nothing is being made")
                soon(lambda: stored(meshag, SYNCING) == [(1,)], "no sync is running any more")
                family = [process, *process.children(recursive=True)]
                begun = time.monotonic()
                gone(terminal)
                if isinstance(terminal, Terminal):
                    assert terminal.wait(20) == 129
                _, alive = psutil.wait_procs(family, 20)
                assert not alive, "nobody is left, so nobody spins"
                assert time.monotonic() - begun < 8, "2 s on a quiet machine"
        if goes_on:
            writer.rollback()
        soon(lambda: advised.fetch(OURS) == [], "our sessions go, the last when the server has ended its statement")
        assert journal(meshag)[0] == "running", "what was being applied is in the journal, as it was"
        made = NEW_INDEX in indexes(advised)  # in time, or it gave up after two seconds
        must("collect", "--once")
        state, error = journal(meshag)
        if goes_on:
            assert state == ("done" if made else "failed"), error
        else:
            assert not made and state == "unknown" and "an invalid index" in error and "will try again" in error
    must("collect", "--once")
    state, error = journal(meshag)
    assert state == ("done" if made else "failed"), error
    assert made or "MeshAG was stopped while it ran" in error
    left = advised.fetch(f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{NEW_INDEX}')")
    assert left == ([(True,)] if made else []), "nothing half made is left"
    assert {run["state"] for run in must("runs", "--limit", "100")} <= {"done", "failed", "interrupted"}
