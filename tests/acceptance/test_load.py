"""What the benchmarks of collecting measure over hours, for some seconds: nobody is left out and nothing left open.

Figures of time, CPU and memory are theirs (`python -m tests.benchmarks one twenty databases overhead holes`): here the
machine is crowded and the time too short for them.
"""

from __future__ import annotations

import pytest

from tests.benchmarks import collecting
from tests.benchmarks.terminal import Figure


def shown(groups: collecting.Groups) -> dict[str, Figure]:
    """The figures by what they are of; printed, for who looks."""
    ((title, rows),) = groups.items()
    print(title, *rows, sep="\n")
    return {row["what"]: row for row in rows}


@pytest.mark.slow
def test_silent_servers_cost_the_others_no_sync() -> None:
    found = shown(collecting.holes(12, number=12, interval_s=4, collectors=2))
    assert found["servers that answer, and were synced at no time"]["holds"]


@pytest.mark.slow
def test_servers_are_synced_in_time_and_nothing_is_left_open() -> None:
    found = shown(collecting.twenty(12, statements=500, interval_s=4, servers=3))
    assert found["servers that answer, and were synced at no time"]["holds"]
    assert found["syncs that began before the last had ended"]["holds"]
    before, after = found["files open at the beginning and at the end"]["measured"].split(", ")
    assert abs(int(after) - int(before)) <= 3, "a session or two may be opened or closed meanwhile"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_databases_of_one_server_have_two_sessions() -> None:
    found = shown(collecting.databases(120, number=150, interval_s=30))
    assert found["sessions at once"]["holds"]
    assert found["first round, with tables and indexes"]["holds"]
