"""Advice as a workflow: what it weighs, and that its figures are of the time that was watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshag_tui.settings import LlmSettings, Settings
from meshag_tui.store import history
from meshag_tui.types import Target
from meshag_tui.workflows.workbench import Workbench
from tests.rig.llm import FakeLlm
from tests.rig.postgres import Database


@pytest.fixture
async def bench(store_url: str, tmp_path: Path) -> AsyncIterator[Workbench]:
    """A workbench on an empty store, on either database in turn."""
    async with await Workbench.open(Settings(home=tmp_path, store_url=store_url)) as bench:
        yield bench


async def test_who_wishes_more_than_the_run_under_way_gets_a_run_of_its_own(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)
    plain = asyncio.create_task(bench.advice.suggest(added.id))
    same, wishing = bench.advice.suggest(added.id), bench.advice.suggest(added.id, budget_bytes=1_000)
    await asyncio.gather(plain, same, wishing)
    inputs = [run.input.get("budget_bytes") for run in await bench.executions() if run.kind == "generate_suggestions"]
    assert sorted(inputs, key=str) == [1_000, None], "those who wish the same share one"


async def test_a_gain_per_day_is_of_the_time_watched_not_of_the_window(bench: Workbench, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, note text)",
        "INSERT INTO orders SELECT n, n % 9000, repeat('x', 50) FROM generate_series(1, 100000) n",
    )
    pg18.execute("VACUUM ANALYZE orders")
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)
    for customer in range(12):
        pg18.execute(f"SELECT note FROM orders WHERE customer_id = {customer}")
    await bench.sync(added.id)
    found = [one for one in await bench.advice.suggest(added.id) if one.rule == "missing-index"]
    assert [one.table for one in found] == ["orders"]
    plans = await bench.store(history.plans, found[0].query_ids[0])
    assert len(plans) == 1, "what is dear is planned, to be compared with later"
    window = await bench.store(history.latest_window, added.id, 86_400_000)
    page = await bench.store(history.queries, added.id, window)
    spent = next(row.total_time_ms for row in page.rows if row.id in found[0].query_ids)
    # Watched for some seconds: a day of it costs thousands of times as much, less what the index leaves.
    assert found[0].gain_ms_per_day is not None and found[0].gain_ms_per_day > 100 * spent


async def test_a_model_is_not_asked_about_nothing(
    tmp_path: Path, store_url: str, fake_llm: FakeLlm, pg18: Database
) -> None:
    llm = LlmSettings(base_url=fake_llm.base_url, model="m1", timeout_s=5)
    async with await Workbench.open(Settings(home=tmp_path, store_url=store_url, llm=llm)) as bench:
        added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
        await bench.sync(added.id)
        await bench.advice.give_model_consent(added.id)
        await bench.advice.suggest(added.id, llm=True)
        (run,) = [run for run in await bench.executions() if run.kind == "generate_suggestions"]
    assert "no statement of the window can be shown" in str(run.result) and not fake_llm.requests
