"""No error looks like an empty list, and nothing lost looks like nothing done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import connections, history, history_queries
from meshag_tui.types import Target
from meshag_tui.workflows.workbench import Workbench
from tests.acceptance.conftest import Must
from tests.acceptance.test_journey_by_keys import Eyes
from tests.cli.conftest import Meshag
from tests.rig.postgres import MONITOR, Database
from tests.rig.pty import Terminal
from tests.rig.stores import put_store


def calls_of(must: Must, word: str) -> int:
    return sum(row["calls"] for row in must("queries", "shop", "--text", word))


@pytest.mark.parametrize("major", [15, 18])
def test_a_foreign_reset_is_told_and_nothing_is_invented(
    private_pg: Callable[..., Database], meshag: Meshag, must: Must, major: int
) -> None:
    database = private_pg(major)
    must("connections", "add", "shop", database.monitor_url)
    must("sync", "shop")

    def work(times: int) -> None:
        with database.connect() as connection:
            for number in range(times):
                connection.execute(f"SELECT {number} AS counted")

    work(10)
    must("sync", "shop")
    assert calls_of(must, "counted") == 10
    assert "lower bound" not in meshag("queries", "shop").err
    database.execute("SELECT pg_stat_statements_reset()")
    work(25)
    report = must("sync", "shop")
    assert not report["complete"] and "reset" in {event["kind"] for event in report["events"]}
    # Before 17 an entry that caught up may be taken for the old one: 15 of its 25 calls, marked as a lower bound.
    assert calls_of(must, "counted") in ({35} if major >= 17 else {25, 35})
    told = meshag("queries", "shop")
    assert "a lower bound: statistics were reset" in told.err
    for _ in range(2):
        database.execute("SELECT pg_stat_statements_reset()")
        report = must("sync", "shop")
    (often,) = [finding for finding in report["warnings"] if finding["code"] == "statistics-reset-often"]
    assert often["facts"] == {"resets": 3} and "reset 3 times" in often["title"]
    assert "reset 3 times in the last 24 hours" in meshag("queries", "shop").err
    must("sync", "shop")
    assert "reset 3 times" in meshag("queries", "shop").err, "a quiet sync does not end the warning"


EVERY_S = 30.0


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("major", [18, 15])
def test_resets_every_half_minute_for_ten_minutes(
    private_pg: Callable[..., Database], meshag: Meshag, must: Must, major: int
) -> None:
    """The same in real time, with the collector at work beside the one who resets."""
    database = private_pg(major)
    must("connections", "add", "shop", database.monitor_url, "--interval", "5s")
    must("sync", "shop")
    ran = resets = 0
    collector = meshag.start("collect")
    try:
        begun = time.monotonic()
        with database.connect() as connection:
            while (elapsed := time.monotonic() - begun) < 600:
                connection.execute(f"SELECT {ran} AS counted")
                ran += 1
                if elapsed >= EVERY_S * (resets + 1):
                    connection.execute("SELECT pg_stat_statements_reset()")
                    resets += 1
                time.sleep(0.1)
    finally:
        collector.terminate()
        collector.communicate()
    assert resets == 19
    report = must("sync", "shop")
    (often,) = [finding for finding in report["warnings"] if finding["code"] == "statistics-reset-often"]
    assert often["facts"] == {"resets": resets} and f"reset {resets} times" in often["title"]
    told = meshag("queries", "shop")
    assert f"reset {resets} times in the last 24 hours" in told.err and "a lower bound" in told.err
    # Lost is at most what ran between the last reading before each reset and the reset.
    counted = calls_of(must, "counted")
    assert 0.7 * ran <= counted <= ran
    with Terminal(meshag.command("--read-only"), 120, 40, meshag.environment | {"TERM": "xterm-256color"}) as terminal:
        user = Eyes(terminal)
        user.until("AS counted")
        user.until("incomplete")
        user.press("6")
        user.until(f"reset {resets} times")
        user.press("q")
        assert terminal.wait() == 0


def test_what_may_not_be_read_is_not_nothing(pg18: Database, meshag: Meshag, must: Must) -> None:
    pg18.execute(
        "CREATE TABLE t (id int PRIMARY KEY)", "REVOKE EXECUTE ON FUNCTION pg_stat_statements(boolean) FROM PUBLIC"
    )
    must("connections", "add", "shop", pg18.monitor_url)
    never = meshag("queries", "shop")
    assert "never synced" in never.out and not never.err.strip()
    must("sync", "shop")
    told = meshag("queries", "shop")
    assert told.code == 0 and "No privilege on pg_stat_statements" in told.out and "GRANT" in told.out
    assert "No statement ran" not in told.out
    told = meshag("queries", "shop", "--json")
    assert told.document == [] and "No privilege on pg_stat_statements" in told.err
    assert [row["table"] for row in must("tables", "shop")] == ["t"]
    pg18.execute(f"GRANT EXECUTE ON FUNCTION pg_stat_statements(boolean) TO {MONITOR}")
    must("sync", "shop")
    assert "No statement ran" in meshag("queries", "shop", "--text", "nothing like it").out
    assert "No privilege" not in meshag("queries", "shop", "--json").err


def test_a_server_that_is_down_keeps_what_was_read_and_says_so(
    private_pg: Callable[..., Database], meshag: Meshag, must: Must
) -> None:
    database = private_pg(18)
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    must("connections", "add", "shop", database.monitor_url)
    must("sync", "shop")
    database.server.stop()
    assert meshag("sync", "shop").code == 1
    for command in ("queries", "tables", "indexes"):
        told = meshag(command, "shop", "--json")
        assert told.code == 0 and "the last sync of shop failed" in told.err, command
    assert [row["table"] for row in must("tables", "shop")] == ["t"]


async def test_what_is_hidden_is_counted_and_a_users_pg_orders_is_not_hidden(pg18: Database, tmp_path: Path) -> None:
    pg18.execute("CREATE TABLE pg_orders (id int)")
    settings = Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"))
    async with await Workbench.open(settings) as bench:
        added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
        await bench.sync(added.id)
        with pg18.connect() as connection:
            for statement in ("SELECT * FROM pg_orders", "SELECT count(*) FROM pg_class", "SET work_mem = '5MB'"):
                connection.execute(statement)
        await bench.sync(added.id)
        window = await bench.store(history.latest_window, added.id, 3_600_000)
        shown = await bench.store(history.queries, added.id, window)
        every = await bench.store(history.queries, added.id, window, internal=True)
        assert [row.text for row in shown.rows] == ["SELECT * FROM pg_orders"]
        assert shown.hidden == every.total_rows - 1 >= 2 and every.hidden == 0
        assert "SELECT count(*) FROM pg_class" in {row.text for row in every.rows}
        kinds = await bench.store(history_queries.set_aside, added.id, window)
        assert kinds["utility"] >= 1 and kinds["catalogue"] >= 1 and sum(kinds.values()) == shown.hidden
        some = await bench.store(history.queries, added.id, window, internal=("utility",))
        assert {row.kind for row in some.rows} == {"select", "utility"} and some.hidden == kinds["catalogue"]
        # Ours never is in either: neither the role that watches, nor its marker.
        for _ in range(3):
            await bench.sync(added.id)
            await asyncio.sleep(0)
        window = await bench.store(history.latest_window, added.id, 3_600_000)
        every = await bench.store(history.queries, added.id, window, internal=True, limit=500)
        assert not [row.text for row in every.rows if row.text and "meshag" in row.text]
        assert (await bench.store(connections.get, added.id)).warnings == ()
