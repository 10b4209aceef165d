"""Durable runs: once however many ask, resumed behind the last step after a kill, retried only when it may help."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from meshag_tui.engines.base import AuthenticationFailed, CannotConnect
from meshag_tui.store import database, executions, models
from meshag_tui.store.database import Store
from meshag_tui.types import ExecutionState
from meshag_tui.workflows.durable import Ended, Run, RunCancelled, RunFailed, Runner
from meshag_tui.workflows.notices import Notices
from tests.rig.statements import Sent

# Commits step "one" (a row of its own), says so, and hangs in step two.
DIES_IN_STEP_TWO = """
import asyncio, sys
from meshag_tui.store import remembered
from meshag_tui.store.database import Store
from meshag_tui.workflows.durable import Runner
from meshag_tui.workflows.notices import Notices

async def work(run):
    await run.commit("one", lambda: {"count": bump("ones")})
    print("one", flush=True)
    await asyncio.sleep(float(sys.argv[2]))
    return await run.commit("two", lambda: {"count": bump("twos")})

def bump(name):
    remembered.remember(name, (remembered.recall(name) or 0) + 1)
    return remembered.recall(name)

async def main():
    store = Store.open(sys.argv[1])
    runner = Runner(store, Notices(), lease_ms=int(sys.argv[3]))
    runner.register("work", work)
    outcome = await runner.submit("work", "k")
    print(outcome.state, outcome.joined, flush=True)
    store.close()

asyncio.run(main())
"""


def counting(store_name: str) -> Callable[[], dict[str, int]]:
    from meshag_tui.store import remembered

    def bump() -> dict[str, int]:
        remembered.remember(store_name, (remembered.recall(store_name) or 0) + 1)
        return {"count": remembered.recall(store_name)}

    return bump


async def two_steps(run: Run) -> Mapping[str, Any]:
    await run.commit("one", counting("ones"))
    return await run.commit("two", counting("twos"))


def counted(store: Store, name: str) -> int:
    from meshag_tui.store import remembered

    return store.run(remembered.recall, name) or 0


async def test_three_callers_one_run(store: Store, runner: Runner) -> None:
    async def slow(run: Run) -> Mapping[str, Any]:
        await asyncio.sleep(0.2)
        return await run.commit("one", counting("ones"))

    runner.register("work", slow)
    outcomes = await asyncio.gather(*(runner.submit("work", "k") for _ in range(3)))
    assert counted(store, "ones") == 1
    assert {outcome.execution_id for outcome in outcomes} == {outcomes[0].execution_id}
    assert [outcome.result["count"] for outcome in outcomes] == [1, 1, 1]
    assert sorted(outcome.joined for outcome in outcomes) == [False, True, True]
    again = await runner.submit("work", "k")
    assert again.execution_id != outcomes[0].execution_id and counted(store, "ones") == 2


async def test_a_run_of_another_process_is_joined(
    store: Store, runner: Runner, store_url: str, other_process: Callable[..., subprocess.Popen[str]]
) -> None:
    other = other_process(DIES_IN_STEP_TWO, store_url, "1.0", "1500")
    assert other.stdout is not None and await asyncio.to_thread(other.stdout.readline) == "one\n"
    runner.register("work", two_steps)
    outcome = await runner.submit("work", "k")
    assert outcome.joined and outcome.state is ExecutionState.DONE
    assert (counted(store, "ones"), counted(store, "twos")) == (1, 1)


async def test_kill_9_is_resumed_behind_the_last_step(
    store: Store, runner: Runner, store_url: str, other_process: Callable[..., subprocess.Popen[str]]
) -> None:
    other = other_process(DIES_IN_STEP_TWO, store_url, "60", "60000")
    assert other.stdout is not None and await asyncio.to_thread(other.stdout.readline) == "one\n"
    other.kill()
    other.wait()
    runner.register("work", two_steps)
    lease_until = store.run(lambda: models.Execution.select().get().lease_until)
    assert await runner.recover() == 1
    outcome = await runner.submit("work", "k")
    assert outcome.state is ExecutionState.DONE
    assert store.run(database.now_ms) < lease_until, "on one machine nobody waits for the lease of a dead process"
    assert (counted(store, "ones"), counted(store, "twos")) == (1, 1)
    assert store.run(executions.get, outcome.execution_id).attempts == 2


async def test_a_stopped_owner_writes_nothing_after_its_lease_is_lost(
    store: Store, runner: Runner, store_url: str, other_process: Callable[..., subprocess.Popen[str]]
) -> None:
    import signal

    other = other_process(DIES_IN_STEP_TWO, store_url, "0.3", "1500")
    assert other.stdout is not None and await asyncio.to_thread(other.stdout.readline) == "one\n"
    other.send_signal(signal.SIGSTOP)
    runner.register("work", two_steps)
    outcome = await runner.submit("work", "k")  # waits for the lease: the owner is alive, only stopped
    assert outcome.state is ExecutionState.DONE and counted(store, "twos") == 1
    other.send_signal(signal.SIGCONT)
    assert await asyncio.to_thread(other.stdout.readline) == "done True\n", "it finds that another process finished"
    assert (counted(store, "ones"), counted(store, "twos")) == (1, 1)


async def test_transient_errors_are_retried_and_others_are_not(store: Store, runner: Runner) -> None:
    tried: list[str] = []

    async def flaky(run: Run) -> Mapping[str, Any]:
        tried.append("flaky")
        if run.attempt < 3:
            raise CannotConnect("refused")
        return {"attempt": run.attempt}

    async def wrong_password(run: Run) -> Mapping[str, Any]:
        tried.append("wrong")
        raise AuthenticationFailed("wrong password", fix="give the right one")

    runner.register("flaky", flaky)
    runner.register("wrong", wrong_password)
    assert (await runner.submit("flaky", "k")).result["attempt"] == 3
    failed = await runner.submit("wrong", "k")
    assert tried == ["flaky", "flaky", "flaky", "wrong"]
    assert (failed.state, failed.error, failed.code) == (ExecutionState.FAILED, "wrong password", "authentication")
    with pytest.raises(RunFailed) as raised:
        failed.value()
    assert raised.value.fix == "give the right one"


async def test_retries_end(runner: Runner) -> None:
    async def down(run: Run) -> Mapping[str, Any]:
        raise CannotConnect(f"refused {run.attempt}")

    runner.register("down", down)
    outcome = await runner.submit("down", "k")
    assert (outcome.state, outcome.error) == (ExecutionState.FAILED, "refused 3")


async def test_cancel_ends_the_run_and_its_waiters(store: Store, runner: Runner) -> None:
    began = asyncio.Event()

    async def long(run: Run) -> Mapping[str, Any]:
        began.set()
        await asyncio.sleep(60)
        return {}

    runner.register("long", long)
    waiter = asyncio.create_task(runner.submit("long", "k"))
    await began.wait()
    (execution_id,) = runner.running
    assert await runner.cancel(execution_id)
    outcome = await waiter
    assert outcome.state is ExecutionState.CANCELLED
    with pytest.raises(RunCancelled):
        outcome.value()
    assert not await runner.cancel(execution_id), "it has ended"
    assert store.run(executions.get, execution_id).state is ExecutionState.CANCELLED


async def test_another_process_can_cancel(store: Store, runner: Runner) -> None:
    began = asyncio.Event()

    async def long(run: Run) -> Mapping[str, Any]:
        began.set()
        await asyncio.sleep(60)
        return {}

    runner.register("long", long)
    waiter = asyncio.create_task(runner.submit("long", "k"))
    await began.wait()
    await store(executions.cancel, runner.running[0])  # as another instance would
    assert (await asyncio.wait_for(waiter, 5)).state is ExecutionState.CANCELLED


async def test_closing_marks_what_runs_as_interrupted(store: Store) -> None:
    runner = Runner(store, Notices())
    began = asyncio.Event()

    async def long(run: Run) -> Mapping[str, Any]:
        began.set()
        await asyncio.sleep(60)
        return {}

    runner.register("long", long)
    waiter = asyncio.create_task(runner.submit("long", "k"))
    await began.wait()
    (execution_id,) = runner.running
    await runner.close()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert store.run(executions.get, execution_id).state is ExecutionState.INTERRUPTED


async def test_an_occasion_has_one_run(store: Store, runner: Runner) -> None:
    runner.register("work", two_steps)
    first = await runner.submit("work", "k", slot=7)
    second = await runner.submit("work", "k", slot=7)
    third = await runner.submit("work", "k", slot=8)
    assert first.execution_id == second.execution_id != third.execution_id
    assert second.joined and counted(store, "ones") == 2


async def test_an_interrupted_occasion_may_be_run_again(store: Store) -> None:
    runner = Runner(store, Notices())

    async def long(run: Run) -> Mapping[str, Any]:
        await asyncio.sleep(60)
        return {}

    runner.register("work", long)
    waiter = asyncio.create_task(runner.submit("work", "k", slot=7))
    while not runner.running:  # noqa: ASYNC110 - there is nothing to wait on
        await asyncio.sleep(0.01)
    await runner.close()
    await asyncio.gather(waiter, return_exceptions=True)
    fresh = Runner(store, Notices())
    fresh.register("work", two_steps)
    assert (await fresh.submit("work", "k", slot=7)).state is ExecutionState.DONE
    await fresh.close()


async def test_complete_is_all_or_nothing(store: Store, runner: Runner) -> None:
    async def breaks(run: Run) -> Ended:
        def write() -> Mapping[str, Any]:
            counting("ones")()
            raise RuntimeError("half way")

        return await run.complete(write)

    runner.register("work", breaks)
    outcome = await runner.submit("work", "k")
    assert outcome.state is ExecutionState.FAILED and "RuntimeError" in (outcome.error or "")
    assert counted(store, "ones") == 0


async def test_what_kills_every_owner_is_given_up(store: Store, runner: Runner) -> None:
    runner.register("work", two_steps)
    row = models.Execution

    def poison() -> str:
        execution_id, _ = executions.begin("work", "k", None, "gone", 1)
        row.update(attempts=9, lease_until=0).where(row.id == execution_id).execute()
        return execution_id

    execution_id = await store(poison)
    outcome = await runner.submit("work", "k")
    assert (outcome.execution_id, outcome.state) == (execution_id, ExecutionState.INTERRUPTED)
    assert counted(store, "ones") == 0


async def test_a_failing_subscriber_disturbs_nothing(store: Store) -> None:
    notices = Notices()
    heard: list[object] = []

    def broken(notice: object) -> None:
        raise ValueError("a screen's mistake")

    notices.subscribe(broken)
    end = notices.subscribe(heard.append)
    runner = Runner(store, notices)
    runner.register("work", two_steps)
    assert (await runner.submit("work", "k")).state is ExecutionState.DONE
    assert heard
    end()
    heard.clear()
    await runner.submit("work", "k")
    assert not heard
    await runner.close()


async def test_what_a_run_that_has_completed_does_after_that_needs_no_lease(store: Store, runner: Runner) -> None:
    async def tidies_up(run: Run) -> Ended:
        ended = await run.complete(counting("ones"))
        await asyncio.sleep(1.2)  # longer than two beats
        return ended

    runner.register("work", tidies_up)
    outcome = await runner.submit("work", "k")
    assert outcome.state is ExecutionState.DONE and not outcome.joined and outcome.value()["count"] == 1


async def test_a_run_that_takes_longer_sends_no_more_but_what_keeps_its_lease(store: Store, runner: Runner) -> None:
    sent: list[Sent] = []

    async def takes_its_time(run: Run) -> Ended:
        await asyncio.sleep(float(run.input["seconds"]))
        return await run.complete(counting("ones"))

    runner.register("work", takes_its_time)
    for seconds in (0.0, 0.0, 1.3):
        sent.append(Sent())
        await store(sent[-1].note)
        await runner.submit("work", "k", input={"seconds": seconds})
    _, short, long = sent
    assert long.statements == short.statements and long.statements
    assert short.renewals == 0 and 2 <= long.renewals <= 3
