"""What runs and what was done: live, with phases and log, cancelled by a key, marked when its process died."""

from __future__ import annotations

import asyncio
from unittest import mock

from meshag_tui.screens import runs, runs_filter
from meshag_tui.store import activity, bulk, database, executions
from meshag_tui.store.executions import Claimed
from meshag_tui.types import DbType, ExecutionState, MeshagError, Target
from meshag_tui.widgets.page import Page
from meshag_tui.workflows.durable import Ended, Run
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.screens.conftest import Open

NOWHERE = Target(DbType.POSTGRES, "192.0.2.1", 5432, "shop", "watcher")


async def test_a_sync_is_listed_with_its_phases_and_rows(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    pg18.execute("CREATE TABLE goods (id int PRIMARY KEY)")
    info = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    async with at_desk(bench) as desk:
        await desk.press("5")
        await desk.until("nothing has run yet")
        await bench.sync(info.id)
        await desk.until("✓ done")
        said = await desk.until("phases")
        assert "✓ done" in said and "1 table" in said
        for phase in ("connect", "collect", "texts", "store"):
            assert phase in said.split("phases", 1)[1]


async def test_a_run_is_shown_while_it_works_and_cancelled_by_a_key(bench: Workbench, at_desk: Open) -> None:
    info = await bench.connections.add("shop", NOWHERE)
    at_work = asyncio.Event()

    async def count_sheep(run: Run) -> Ended:
        async with run.phase("counting"):
            await run.log("info", "the first sheep is over")
            run.progress("counting", 1, 4_000)
            at_work.set()
            await asyncio.sleep(30)
        return await run.complete(lambda: {})

    bench.runner.register("count_sheep", count_sheep)
    async with at_desk(bench) as desk:
        await desk.press("5")
        work = asyncio.create_task(bench.runner.submit("count_sheep", info.id, connection_id=info.id))
        await at_work.wait()
        said = await desk.until("running")
        assert "count sheep: counting 1/4,000" in said
        await desk.until("the first sheep is over")
        await desk.press("x")
        await desk.until(lambda screen: "– cancelled" in screen.splitlines()[3])
        await work
        await desk.press("x")
        assert "this run has ended" in desk.screen


async def test_a_long_log_is_shown_by_pages_and_a_run_is_noted_on(bench: Workbench, at_desk: Open) -> None:
    """Ten thousand lines: two hundred of them are read and drawn at a time, the newest first."""
    info = await bench.connections.add("shop", NOWHERE)

    async def say_much(run: Run) -> Ended:
        def lines() -> None:
            rows = [(run.id, number, "warning", f"sheep {number}") for number in range(1, 10_001)]
            with database.atomic():
                bulk.insert("execution_log", ("execution_id", "at", "level", "message"), rows)

        await bench.store(lines)
        return await run.complete(lambda: {})

    bench.runner.register("count_sheep", say_much)
    await bench.runner.submit("count_sheep", info.id, connection_id=info.id)
    async with at_desk(bench) as desk:
        await desk.press("5", "enter", "G")
        await desk.until("sheep 10000")
        page = desk.app.front_pane().query_one("#whole", Page)
        assert page.copy_text.count("sheep ") == 201 and "lines 9,801 to 10,000 of 10,000" in page.copy_text
        await desk.press("O")
        assert "these are the newest lines" in desk.screen
        await desk.press("o", "o", "G")
        await desk.until("sheep 9600")
        assert page.copy_text.count("sheep ") == 201 and "sheep 9601" not in page.copy_text
        await desk.press("O")
        await desk.until(lambda _: "lines 9,601 to 9,800" in page.copy_text)
        await desk.press("N", *"looked", "enter")
        await desk.press("O")
        await desk.until(lambda _: f"note: {bench.actor}: looked" in page.copy_text)
        (noted,) = await bench.store.read(activity.recent, 1, kind="note")
        assert (noted.message, noted.about) == ("looked", info.id) and noted.subject.startswith("exec_")


async def test_what_failed_says_why_here_and_in_the_detail(bench: Workbench, at_desk: Open) -> None:
    info = await bench.connections.add("shop", NOWHERE)

    async def fail(run: Run) -> Ended:
        await run.log("warning", "the disk is filling")
        raise MeshagError("the disk is full")

    bench.runner.register("fill_disk", fail)
    await bench.runner.submit("fill_disk", info.id, connection_id=info.id)
    async with at_desk(bench) as desk:
        await desk.press("5", "enter")
        said = await desk.until("warning: the disk is filling")
        assert "✗ failed" in said and "✗ the disk is full" in said
        await desk.press("escape")
        await desk.until("Outcome")


async def test_a_run_whose_process_died_is_marked(bench: Workbench, at_desk: Open) -> None:
    info = await bench.connections.add("shop", NOWHERE)

    def leave_behind() -> Claimed | None:
        _, claimed = executions.begin("long_gone", info.id, None, "otherhost:1:abc", 1, connection=info.id)
        return claimed

    await bench.store(leave_behind)
    await asyncio.sleep(0.05)
    await bench.store(executions.mark_interrupted, ["long_gone"])
    async with at_desk(bench) as desk:
        await desk.press("5")
        said = await desk.until("▲ interrupted")
        assert "its process ended before it was done" in said
        found = await bench.store(executions.listing)
        assert found[0].state is ExecutionState.INTERRUPTED


async def test_the_activity_log_names_who_did_what(bench: Workbench, at_desk: Open) -> None:
    await bench.connections.add("shop", NOWHERE)
    async with at_desk(bench) as desk:
        await desk.press("7")
        said = await desk.until("connection.added")
        assert bench.actor in said and "watcher@192.0.2.1:5432/shop" in said
        info = desk.app.connections[0]
        await bench.connections.edit(info.id, interval_s=30)
        await desk.until("connection.edited")


async def test_f_asks_the_store_for_some_of_the_runs(bench: Workbench, at_desk: Open) -> None:
    """By state and kind, however many newer ones there are; "All runs" shows all again."""
    info = await bench.connections.add("shop", NOWHERE)

    async def fail(run: Run) -> Ended:
        raise MeshagError("the disk is full")

    async def succeed(run: Run) -> Ended:
        return await run.complete(lambda: {})

    bench.runner.register("keep_store", fail)
    bench.runner.register("verify_change", succeed)
    await bench.runner.submit("keep_store", info.id, connection_id=info.id)
    for number in range(3):
        await bench.runner.submit("verify_change", str(number), connection_id=info.id)
    with mock.patch.object(runs, "_LISTED", 3):
        async with at_desk(bench) as desk:
            await desk.press("5")
            assert "✗ failed" not in await desk.until("the newest 3"), "it is older than those listed"
            await desk.press("f", *"failed", "enter")
            said = await desk.until("shown: failed")
            assert "✗ failed" in said and "✓ done" not in said
            await desk.press("f", *"verify", "enter")
            assert "failed, verify" in await desk.until("no such run")
            await desk.press("f", *"allruns", "enter")
            await desk.until(lambda screen: "✓ done" in screen and "shown:" not in screen)


def test_a_kept_filter_that_means_nothing_any_more_shows_all() -> None:
    wanted = runs_filter.Wanted(state="failed", kind="keep_store", age="7d")
    assert runs_filter.wanted_from(wanted.key) == wanted
    for key in ("", "open", "state=gone", "age=1y", "colour=red"):
        assert runs_filter.wanted_from(key) == runs_filter.ALL
