"""Durable runs: asked for once, owned by one, resumed or marked after a death, never written twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest
from peewee import IntegrityError

from meshag_tui.store import executions, models
from meshag_tui.store.database import Store
from meshag_tui.store.executions import LostLease
from meshag_tui.types import ExecutionState, MeshagError

TTL = 60_000


def _claim(store: Store, owner: str = "me", ttl: int = TTL) -> executions.Claimed:
    claimed = store.run(executions.claim, ["sync"], owner, ttl)
    assert claimed is not None
    return claimed


def _let_lease_pass(store: Store) -> None:
    store.run(lambda: models.Execution.update(lease_until=1).execute())


def _note(store: Store, name: str) -> None:
    models.Setting.create(key=name, value=1)


def test_asked_for_once(store: Store, connection: str) -> None:
    first = store.run(lambda: executions.request("sync", connection, 5, connection=connection, input={"by": "hand"}))
    assert first is not None
    assert store.run(executions.request, "sync", connection, 5) is None
    assert store.run(executions.request, "sync", connection, 6) is None, "one of the same key is open"
    claimed = _claim(store)
    assert (claimed.id, claimed.input, claimed.attempts, claimed.done) == (first, {"by": "hand"}, 1, {})
    assert store.run(executions.begin, "sync", connection, 6, "you", TTL) == (first, None)
    store.run(executions.finish, claimed, ExecutionState.DONE, {"rows": 3})
    shown = store.run(executions.get, first)
    assert (shown.state, shown.result, shown.connection_name) == (ExecutionState.DONE, {"rows": 3}, "shop")
    assert shown.duration_ms is not None
    begun, mine = store.run(executions.begin, "sync", connection, 6, "you", TTL)
    assert mine is not None and (mine.id, mine.slot) == (begun, 6)
    store.run(executions.finish, mine, ExecutionState.DONE)
    assert store.run(executions.begin, "sync", connection, 6, "you", TTL) == (begun, None), "it has had its run"
    store.run(executions.begin, "sync", connection, None, "you", TTL)
    with pytest.raises(IntegrityError):  # whoever asks, and however: the database knows it too
        store.run(
            lambda: models.Execution.insert(
                id="exec_x", kind="sync", key=connection, slot=9, state="ready", created_at=1, updated_at=1
            ).execute()
        )


def test_not_before_its_time_nor_of_another_kind(store: Store) -> None:
    later = int(time.time() * 1000) + 3_600_000
    store.run(lambda: executions.request("sync", "a", 1, not_before=later))
    store.run(executions.request, "advise", "a", 1)
    assert store.run(executions.claim, ["sync"], "me", TTL) is None
    assert store.run(executions.claim, ["sync", "advise"], "me", TTL) is not None


def test_step_rows_and_checkpoint_are_one(store: Store) -> None:
    store.run(executions.request, "sync", "a", 1)
    claimed = _claim(store)
    store.run(executions.commit_step, claimed, "read", {"n": 1}, 10, lambda: _note(store, "rows"))

    def fails() -> None:
        _note(store, "half")
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        store.run(executions.commit_step, claimed, "write", None, 10, fails)
    assert store.run(lambda: [row.key for row in models.Setting.select()]) == ["rows"]
    _let_lease_pass(store)
    heir = _claim(store, "heir")
    assert (heir.done, heir.attempts, heir.fence) == ({"read": {"n": 1}}, 2, claimed.fence + 1)


def test_an_old_owner_writes_nothing(store: Store) -> None:
    store.run(executions.request, "sync", "a", 1)
    old = _claim(store, "old")
    _let_lease_pass(store)
    heir = _claim(store, "old")  # even under the same name
    for attempt in (
        lambda: executions.commit_step(old, "write", None, 1, lambda: _note(store, "late")),
        lambda: executions.renew(old),
        lambda: executions.finish(old, ExecutionState.DONE),
        lambda: executions.retry(old, 0, "x"),
    ):
        with pytest.raises(LostLease):
            store.run(attempt)
    assert store.run(models.Setting.select().count) == 0
    store.run(executions.finish, heir, ExecutionState.DONE)
    with pytest.raises(LostLease):
        store.run(executions.renew, heir)


def test_retry_keeps_steps_and_waits(store: Store) -> None:
    store.run(executions.request, "sync", "a", 1)
    claimed = _claim(store)
    store.run(executions.commit_step, claimed, "read", [1, 2], 10)
    later = int(time.time() * 1000) + 3_600_000
    assert store.run(executions.retry, claimed, later, "time-out") is ExecutionState.READY
    assert store.run(executions.claim, ["sync"], "me", TTL) is None
    store.run(lambda: models.Execution.update(not_before=0).execute())
    again = _claim(store)
    assert (again.done, again.attempts) == ({"read": [1, 2]}, 2)


def test_cancel_waiting_and_running(store: Store) -> None:
    waiting = store.run(executions.request, "sync", "a", 1)
    assert waiting is not None
    assert store.run(executions.cancel, waiting) is ExecutionState.CANCELLED
    store.run(executions.request, "sync", "a", 2)
    claimed = _claim(store)
    assert store.run(executions.renew, claimed) is False
    assert store.run(executions.cancel, claimed.id) is ExecutionState.RUNNING
    assert store.run(executions.renew, claimed) is True
    assert store.run(executions.retry, claimed, 0, "x") is ExecutionState.CANCELLED
    assert store.run(executions.cancel, claimed.id) is ExecutionState.CANCELLED
    with pytest.raises(MeshagError):
        store.run(executions.cancel, "exec_none")


def test_interrupted_runs_are_marked(store: Store) -> None:
    store.run(executions.request, "sync", "a", 1)
    claimed = _claim(store)
    assert store.run(executions.mark_interrupted, ["sync"]) == ()
    _let_lease_pass(store)
    assert store.run(executions.mark_interrupted, ["sync"]) == (claimed.id,)
    assert store.run(executions.get, claimed.id).state is ExecutionState.INTERRUPTED
    with pytest.raises(LostLease):
        store.run(executions.finish, claimed, ExecutionState.DONE)


def test_history_with_steps_and_log(store: Store, connection: str) -> None:
    store.run(lambda: executions.request("sync", connection, 1, connection=connection))
    claimed = _claim(store)
    store.run(executions.log, claimed.id, "info", "reading\0")
    store.run(executions.commit_step, claimed, "read", None, 10)
    shown = store.run(executions.get, claimed.id)
    assert [step.name for step in shown.steps] == ["read"]
    assert [(line.level, line.message) for line in shown.log] == [("info", "reading\ufffd")]
    assert store.run(lambda: executions.listing(states=[ExecutionState.DONE])) == ()
    (listed,) = store.run(lambda: executions.listing(connection_id=connection, kind="sync"))
    assert listed.id == claimed.id


def test_pages_stay_as_they_are_while_others_are_asked_for(store: Store, connection: str) -> None:
    """Each run that was there comes once, in order, whatever is put in between; filters hold on every page."""

    def ask(kind: str, *slots: int) -> list[str]:
        made = [
            store.run(lambda at=slot: executions.request(kind, f"k{at}", at, connection=connection)) for slot in slots
        ]
        return [each for each in made if each]

    there = ask("sync", *range(25)) + ask("advice", *range(5))
    wanted: dict[str, Any] = {"kind": "sync", "states": [ExecutionState.READY], "connection_id": connection, "since": 0}
    read: list[str] = []
    for turn in range(1, 10):
        last = read[-1] if read else None
        page = store.run(executions.listing, limit=4, before=last, **wanted)
        if not page:
            break
        read += [info.id for info in page]
        ask("sync", *range(100 * turn, 100 * turn + 3))  # newer ones, between any two pages
    assert read == there[:25][::-1]


def test_a_log_is_read_by_pages_from_its_end(store: Store, connection: str) -> None:
    store.run(lambda: executions.request("sync", connection, 1, connection=connection))
    claimed = _claim(store)
    for number in range(12):
        store.run(executions.log, claimed.id, "warning", f"line {number}")
    store.run(executions.log, claimed.id, "note", "ada: look at this")

    def page(*given: int | None) -> list[str]:
        found = store.run(executions.get, claimed.id, *given)
        assert found.log_lines == 13
        return [line.message.removeprefix("line ") for line in found.log]

    assert page() == [*map(str, range(12)), "ada: look at this"]
    assert page(5) == ["8", "9", "10", "11", "ada: look at this"]
    assert page(5, 5) == ["3", "4", "5", "6", "7"]
    assert page(5, 10) == ["0", "1", "2"]
    assert page(0) == []


WORKER = """
    import os, signal, sys
    from meshag_tui.store import executions, models
    from meshag_tui.store.database import Store
    url, fatal = sys.argv[1], sys.argv[2]
    store = Store.open(url)
    owner = executions.owner_name()
    while (claimed := store.run(executions.claim, ["sync"], owner, 300)) is not None:
        for step in ("read", "write"):
            if step in claimed.done:
                continue
            def rows():
                models.Activity.create(at=0, actor=owner, kind="t", message=f"{claimed.id}:{step}")
                if fatal == step:
                    os.kill(os.getpid(), signal.SIGKILL)
            store.run(executions.commit_step, claimed, step, None, 1, rows)
        store.run(executions.finish, claimed, "done")
    store.close()
"""


@pytest.mark.parametrize("fatal", ["read", "write"])
def test_killed_owner_is_resumed_by_another_process_without_doubling(store: Store, store_url: str, fatal: str) -> None:
    asked = [store.run(executions.request, "sync", f"k{n}", 1) for n in range(5)]

    def work(fatal: str) -> int:
        script = textwrap.dedent(WORKER)
        return subprocess.run([sys.executable, "-c", script, store_url, fatal], timeout=60).returncode

    assert work(fatal) == -signal.SIGKILL
    time.sleep(0.4)  # its lease passes
    assert work("never") == 0
    written = store.run(lambda: sorted(row.message for row in models.Activity.select()))
    assert written == sorted(f"{id_}:{step}" for id_ in asked for step in ("read", "write"))
    assert {each.state for each in store.run(executions.listing)} == {ExecutionState.DONE}


def test_three_processes_share_the_work(store: Store, store_url: str) -> None:
    asked = [store.run(executions.request, "sync", f"k{n}", 1) for n in range(40)]
    script = textwrap.dedent(WORKER).replace("300)", "60000)")
    workers = [subprocess.Popen([sys.executable, "-c", script, store_url, "never"]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    written = store.run(lambda: sorted(row.message for row in models.Activity.select()))
    assert written == sorted(f"{id_}:{step}" for id_ in asked for step in ("read", "write"))


def test_owner_names_differ() -> None:
    assert executions.owner_name() != executions.owner_name()
    assert str(os.getpid()) in executions.owner_name()


def test_a_run_is_parked_until_it_is_answered_and_one_that_failed_is_opened_again(store: Store) -> None:
    run, claimed = store.run(executions.begin, "loop", "a", None, "me:1", 9_000)
    assert claimed is not None and store.run(executions.newest, "loop", "a") == run
    with pytest.raises(MeshagError, match="does not wait"):
        store.run(executions.answer, run, "asked", {})
    assert store.run(executions.park, claimed, executions.FOREVER, "waits for ada") is ExecutionState.READY
    assert store.run(executions.claim, ("loop",), "me:1", 9_000) is None, "it is due when it is answered"
    assert store.run(executions.begin, "loop", "a", None, "me:1", 9_000) == (run, None), "and open meanwhile"
    store.run(executions.answer, run, "asked", {"way": "yes"})
    with pytest.raises(MeshagError, match="does not wait"):
        store.run(executions.answer, run, "asked", {"way": "no"})
    again = store.run(executions.claim, ("loop",), "me:1", 9_000)
    assert again is not None and (again.done, again.attempts) == ({"asked": {"way": "yes"}}, 1)
    with pytest.raises(MeshagError, match="nothing to go on with"):
        store.run(executions.reopen, run, ("loop",))
    store.run(executions.finish, again, ExecutionState.FAILED, None, "no luck")
    store.run(executions.reopen, run, ("loop",))
    third = store.run(executions.claim, ("loop",), "me:1", 9_000)
    assert third is not None and third.done == {"asked": {"way": "yes"}}
    store.run(executions.finish, third, ExecutionState.DONE)
    with pytest.raises(MeshagError, match="nothing to go on with"):
        store.run(executions.reopen, run, ("loop",))
