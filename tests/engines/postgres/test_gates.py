"""What lets a change through and what holds it up: each gate by its figures, without a server."""

from __future__ import annotations

import os
from typing import Any, cast

import pytest

from meshag_tui.engines.postgres import gates
from meshag_tui.engines.postgres.ddl import PostgresDdlSession
from meshag_tui.types import Target

HERE = Target.from_url("postgresql://app@127.0.0.1/shop")
AWAY = Target.from_url("postgresql://app@db.example.com/shop")
CORES = os.cpu_count() or 1


class Said:
    """A session to which the catalogue says these rows."""

    def __init__(self, *rows: tuple[Any, ...], target: Target = HERE) -> None:
        self.rows, self.target = list(rows), target

    async def fetch(self, *_: Any) -> list[tuple[Any, ...]]:
        return self.rows


def said(*rows: tuple[Any, ...], target: Target = HERE) -> PostgresDdlSession:
    return cast("PostgresDdlSession", Said(*rows, target=target))


@pytest.mark.parametrize(
    ("rows", "sees_all", "state", "words"),
    [
        ((), True, "pass", ""),
        ((("r1", "streaming", 0.4, 100),), True, "pass", ""),
        (
            (("r1", "streaming", 0.4, 100), ("r2", "streaming", 31.0, 100)),
            True,
            "block",
            "r2 (streaming) is 31 s behind",
        ),
        ((("r1", "streaming", None, None),), True, "block", "an unknown time"),
        ((("r1", "streaming", None, 900 * 1024 * 1024),), True, "block", "900 MB"),
        ((("r1", "streaming", 0.4, 100),), False, "block", "GRANT pg_monitor"),
    ],
)
async def test_a_replica_that_lags_or_whose_lag_is_not_known_blocks(
    rows: tuple[Any, ...], sees_all: bool, state: str, words: str
) -> None:
    gate = await gates._replicas(said(*rows), sees_all)
    assert (gate.name, gate.state) == ("replica lag", state) and words in gate.detail


def test_a_busy_server_blocks_where_its_cores_are_known_and_warns_elsewhere() -> None:
    assert gates._load(said(), 2 * CORES - 1, 8, True).state == "pass"
    busy = gates._load(said(), 3 * CORES, 8, True)
    assert (busy.name, busy.value, busy.state) == ("active sessions", str(3 * CORES), "block")
    assert gates._load(said(target=AWAY), 30, 8, True).state == "warn"
    assert gates._load(said(target=AWAY), 30, 8, False).state == "block"


def test_disk_that_is_not_known_must_be_gone_on_without_and_too_little_blocks(tmp_path: Any) -> None:
    assert gates._disk(AWAY, "/data", 1_000_000, None).state == "unknown"
    assert gates._disk(HERE, None, 1_000, None).value == "unknown"
    folder = str(tmp_path)
    assert gates._disk(HERE, folder, None, None).state == "unknown"
    bounded = gates._disk(HERE, folder, None, 1_000)
    assert bounded.state == "pass" and "3 × the table" in bounded.limit, "no index is larger than its table"
    assert gates._disk(HERE, folder, None, 10**15).state == "unknown"
    assert (
        gates._disk(HERE, folder, 1, None).state == "pass" and gates._disk(HERE, folder, 10**15, None).state == "block"
    )


async def test_an_autovacuum_gives_way_but_not_one_against_wraparound() -> None:
    for against_wraparound, state in ((False, "warn"), (True, "block")):
        row = (7, "ShareUpdateExclusiveLock", True, "autovacuum worker", "", "", against_wraparound)
        gate = await gates._locks(said(row), {"table_oid": 1})
        assert (gate.state, gate.value) == (state, "1") and "pid 7 (autovacuum worker) has" in gate.detail


def test_too_few_free_connections_block() -> None:
    assert gates._connections(said(), 100, 95, True).state == "block"
    assert gates._connections(said(), 100, 20, True).state == "pass"
