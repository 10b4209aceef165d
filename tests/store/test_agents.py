"""Agents are kept with all versions, change their status by hand as they may, and are due once, on either store."""

from __future__ import annotations

import pytest

from meshag_tui.store import agents, database, executions, models
from meshag_tui.store.database import Store
from meshag_tui.types import UsageError


def add(store: Store, name: str, **more: object) -> str:
    given = {"status": agents.ACTIVE, **more}
    return store.run(
        agents.add, name, "tuning", {"tools": ["a"]}, {"nodes": []}, "ada", checksums=("p1", "f1"), **given
    )


def test_versions_stay_and_runs_are_counted(store: Store, connection: str) -> None:
    one, other = add(store, "Hunter"), add(store, "Bloat  watcher", description="watches orders")
    with pytest.raises(UsageError, match="'Hunter' already"):
        add(store, "hunter")
    assert store.run(agents.new_profile, one, {"tools": ["b"]}, "p2", "bob") == 2
    assert store.run(agents.new_profile, one, {"tools": ["b"]}, "p2", "bob") == 2, "the same is no other version"
    assert store.run(agents.new_flow, one, {"nodes": [1]}, "f2", "bob") == 2
    assert store.run(agents.whole, one).profile == {"tools": ["b"]}
    old = store.run(agents.whole, one, 1, 1)
    assert (old.profile, old.flow) == ({"tools": ["a"]}, {"nodes": []})
    assert [each.actor for each in store.run(agents.versions, one)] == ["bob", "ada"]
    assert [each.checksum for each in store.run(lambda: agents.versions(one, of_flow=True))] == ["f2", "f1"]

    run, claimed = store.run(executions.begin, agents.RUN, f"{one}:{connection}", None, "me:1", 9_000)
    row = store.run(agents.find, "HUNTER")
    assert (row.id, row.runs, row.status, row.kept_status) == (one, 1, "RUNNING", "ACTIVE")
    assert [each.id for each in store.run(lambda: agents.page(status="RUNNING"))] == [one]
    assert claimed is not None
    with pytest.raises(UsageError, match="runs now"):
        store.run(agents.remove_flow, one)
    store.run(executions.finish, claimed, "done")
    store.run(agents.remove_flow, one)
    gone = store.run(agents.find, one)
    assert gone.status == "INACTIVE" and gone.flow_deleted_at is not None and gone.next_run_at is None
    assert store.run(agents.whole, one, 1, 1).flow == {"nodes": []}, "what ran is drawn still"
    with pytest.raises(UsageError, match="no flow any more"):
        store.run(agents.set_status, one, "ACTIVE")
    assert store.run(agents.new_flow, one, {"nodes": [1]}, "f2", "bob") == 2
    store.run(agents.set_status, one, "ACTIVE")
    assert store.run(agents.find, one).flow_deleted_at is None
    assert store.run(agents.find, one).status == "ACTIVE" and store.run(agents.find, one).last_run_at is not None
    store.run(agents.remove, one)
    assert store.run(agents.purge, -1_000) == (), "its run is kept, and shows its flow"
    store.run(agents.restore, one)
    assert [each.name for each in store.run(lambda: agents.page(text="orders"))] == ["Bloat watcher"]
    assert [each.id for each in store.run(lambda: agents.page(status="ACTIVE", category="tuning"))] == [other, one]
    assert run


def test_a_status_changes_as_it_may_and_what_is_removed_comes_back_or_is_forgotten(store: Store) -> None:
    one = add(store, "Hunter", every_s=60)
    for status in ("PAUSED", "ACTIVE", "INACTIVE"):
        store.run(agents.set_status, one, status)
    for status in ("PAUSED", "RUNNING", "ASLEEP"):
        with pytest.raises(UsageError, match=r"RUNNING|does not become"):
            store.run(agents.set_status, one, status)
    store.run(agents.remove, one)
    assert store.run(agents.page) == () and [row.id for row in store.run(lambda: agents.page(removed=True))] == [one]
    store.run(agents.restore, one)
    store.run(agents.edit, one, name="Huntress", every_s=None)
    assert store.run(agents.find, "huntress").next_run_at is None
    store.run(agents.remove, one)
    assert store.run(agents.purge, 60_000) == () and store.run(agents.purge, -1_000) == ("Huntress",)
    with pytest.raises(UsageError, match="no agent"):
        store.run(agents.find, one)


def test_a_schedule_is_due_once_and_what_was_missed_is_not_made_up_for(store: Store) -> None:
    due, paused = add(store, "Due", every_s=60), add(store, "Paused", every_s=60)
    store.run(agents.set_status, paused, "PAUSED")
    assert store.run(agents.take_due) == ()

    def long_ago() -> int:
        at = database.now_ms() - 600_000
        models.Agent.update(next_run_at=at).execute()
        return at

    at = store.run(long_ago)
    (found,) = store.run(agents.take_due)
    assert (found.agent_id, found.slot) == (due, at)
    assert store.run(agents.take_due) == ()
    next_at = store.run(agents.find, due).next_run_at
    assert next_at is not None and next_at > store.run(database.now_ms) and (next_at - at) % 60_000 == 0
