"""The screens on a terminal resized without end, that cannot draw, or goes; what failed is on screen and in the log."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest

from meshag_tui.settings import Settings
from tests.acceptance.conftest import Must
from tests.acceptance.test_journey_by_keys import Ears, Eyes
from tests.cli.conftest import Meshag
from tests.rig.postgres import Database
from tests.rig.pty import Terminal
from tests.screens import shop as filled

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
