"""A mistake of our own in anything that works beside the screens: its run failed, the log has it, all else goes on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.settings import CollectSettings, Settings
from meshag_tui.store import connections, executions, outcomes
from meshag_tui.types import ConnectionStatus, ExecutionState, Target
from meshag_tui.workflows import change, durable, sampling, scheduler
from meshag_tui.workflows.notices import Notices
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.rig.stores import put_store

SECRET = "s3cret-in-a-local"
FIRST = "fails the first time"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = Settings(home=home, store_url=put_store(tmp_path / "store.db"), collect=CollectSettings(interval_s=600))
    async with await Workbench.open(settings) as bench:
        yield bench


def failing_once(what: str, works: Callable[..., Any]) -> Callable[..., Any]:
    """`works`, but for its first call, which raises with a secret in a local variable."""
    calls = []

    def hook(*args: Any, **options: Any) -> Any:
        password = SECRET
        calls.append(len(password))
        if len(calls) == 1:
            raise RuntimeError(f"{what} {FIRST}")
        return works(*args, **options)

    async def awaited(*args: Any, **options: Any) -> Any:
        return await hook(*args, **options)

    return awaited if inspect.iscoroutinefunction(works) else hook


async def test_a_mistake_in_any_workflow_fails_its_run_alone(
    bench: Workbench, pg18: Database, caplog: pytest.LogCaptureFixture
) -> None:
    shop = (await bench.connections.add("shop", Target.from_url(pg18.monitor_url))).id
    kinds = dict(bench.runner._workflows)
    assert len(kinds) >= 6
    for kind, workflow in kinds.items():
        bench.runner.register(kind, failing_once(kind, workflow))
        outcome = await bench.runner.submit(kind, shop, connection_id=shop)
        assert (outcome.state, outcome.result["code"]) == (ExecutionState.FAILED, "internal"), kind
        assert "RuntimeError" in str(outcome.error) and "the log has the details" in str(outcome.error)
        assert f"RuntimeError: {kind} {FIRST}" in caplog.text
    assert "Traceback" in caplog.text
    assert SECRET not in caplog.text
    assert (await bench.sync(shop)).statements is not None, "the next one is as good as ever"


async def test_a_mistake_in_what_the_scheduler_does_does_not_end_it(
    bench: Workbench, pg18: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.connections.add("shop", Target.from_url(pg18.monitor_url), interval_s=1)
    for name in ("LOOK_EVERY_S", "RECOVER_EVERY_S", "RECONCILE_EVERY_S", "VERIFY_EVERY_S"):
        monkeypatch.setattr(scheduler, name, 0.05)
    working = bench.scheduler()
    working._upkeep_at = 0.0
    parts = [
        (scheduler, "_listing_now"),
        (bench.runner, "recover"),
        (change, "left_behind"),
        (outcomes, "due"),
        (working, "_due_of"),
        (working, "_sync"),
        (working, "_set_next"),
        (working, "_advise_if_due"),
        (working, "_tidy"),
    ]
    for home, name in parts:
        monkeypatch.setattr(home, name, failing_once(name, getattr(home, name)))
    task = asyncio.create_task(working.run())
    # All that works beside the loop goes through one door, which catches; what is new is found here by itself.
    assert (
        inspect.getsource(scheduler).count("create_task(")
        == 1
        == inspect.getsource(working._begin).count("create_task(")
    )
    beside = [
        name for name, found in inspect.getmembers(scheduler.Scheduler, inspect.iscoroutinefunction) if name[0] == "_"
    ]
    assert {"_sync", "_advise", "_verify", "_look_after", "_tidy"} <= set(beside)
    for name in beside:
        if (working, name) not in parts:
            parts.append((working, name))
            working._begin(f"probe of {name}", failing_once(name, getattr(working, name))())
    async with asyncio.timeout(60):
        while not all(f"RuntimeError: {name} {FIRST}" in caplog.text for _, name in parts):
            assert not task.done()
            await asyncio.sleep(0.05)
        caplog.clear()
        before = (await bench.store(connections.find, "shop")).last_sync_at
        while True:
            if (await bench.store(connections.find, "shop")).last_sync_at not in (None, before):
                break
            await asyncio.sleep(0.05)
    working.stop()
    await asyncio.wait_for(task, 30)
    assert SECRET not in caplog.text


async def test_a_mistake_in_sampling_does_not_end_it(
    bench: Workbench, pg18: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = (await bench.connections.add("shop", Target.from_url(pg18.monitor_url))).id
    await bench.store(connections.set_status, shop, ConnectionStatus.ACTIVE)
    for name, soon in (("_AGAIN_S", (0.01,)), ("_LIST_EVERY_S", 0.05), ("SPAN_S", 0.0), ("IDLE_SPAN_S", 0.0)):
        monkeypatch.setattr(sampling, name, soon)
    sampler = bench.sampler
    monkeypatch.setattr(sampler, "_settings", bench.settings._replace(collect=CollectSettings(sample_s=0.05)))
    parts = ("_keep_to", "_sample", "_look", "_is_due", "_keep", "_pause")
    for name in parts:
        monkeypatch.setattr(sampler, name, failing_once(name, getattr(sampler, name)))
    task = asyncio.create_task(sampler.run())
    async with asyncio.timeout(60):
        while not all(f"RuntimeError: {name} {FIRST}" in caplog.text for name in parts) or sampler.latest(shop) is None:
            assert not task.done()
            await asyncio.sleep(0.05)
    assert SECRET not in caplog.text
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_mistake_in_the_beat_of_a_run_does_not_cost_the_run(
    bench: Workbench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten = asyncio.Event()
    failing = failing_once("renew", executions.renew)

    def renew(claimed: executions.Claimed) -> bool:
        if beats:
            loop.call_soon_threadsafe(beaten.set)
        beats.append(claimed)
        return bool(failing(claimed))

    beats: list[executions.Claimed] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(executions, "renew", renew)
    runner = durable.Runner(bench.store, Notices(), lease_ms=600)

    async def work(run: durable.Run) -> dict[str, Any]:
        await asyncio.wait_for(beaten.wait(), 60)
        return {}

    runner.register("work", work)
    assert (await runner.submit("work", "k")).state is ExecutionState.DONE
    assert f"RuntimeError: renew {FIRST}" in caplog.text and SECRET not in caplog.text
