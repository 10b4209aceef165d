"""The journal: each state committed before its step, and no step taken twice."""

from __future__ import annotations

import pytest

from meshag_tui.store import changes, connections, suggestions
from meshag_tui.store.database import Store
from meshag_tui.types import (
    Analyze,
    ChangeState,
    CreateIndex,
    DropIndex,
    IndexColumn,
    IndexSpec,
    MeshagError,
    RestoreIndex,
    Vacuum,
)
from tests.store.test_suggestions import MISSING

S = ChangeState


def _plan(store: Store, connection: str, change: object, **more: object) -> changes.ChangeRow:
    return store.run(
        lambda: changes.plan(
            connection,
            change,  # type: ignore[arg-type]
            "ANALYZE public.orders",
            actor="dba",
            plan_hash="abc",
            target={"host": "db"},
            **more,  # type: ignore[arg-type]
        )
    )


@pytest.mark.parametrize(
    "change",
    [
        Analyze("public", "orders"),
        Vacuum("public", "orders"),
        DropIndex("public", "orders", "i"),
        RestoreIndex("public", "orders", "i", ("CREATE INDEX i …", "COMMENT ON …")),
        CreateIndex(IndexSpec("s", "t", (IndexColumn("lower(a)", True, opclass="text_ops"),), "gin", where="b > 1")),
    ],
    ids=lambda change: change.kind,
)
def test_every_change_comes_back_as_it_was(store: Store, connection: str, change: object) -> None:
    assert _plan(store, connection, change).change == change


def test_a_life(store: Store, connection: str) -> None:
    planned = _plan(store, connection, Analyze("public", "orders"), gates=[{"name": "primary", "ok": True}])
    assert (planned.state, planned.started_at) == (S.PLANNED, None)
    assert store.run(changes.running) == ()
    store.run(changes.move, planned.id, S.PLANNED, S.GATED)
    running = store.run(changes.move, planned.id, S.GATED, S.RUNNING, backend_pid=42, attempts=1)
    assert (running.backend_pid, running.started_at is not None) == (42, True)
    assert [each.id for each in store.run(changes.running)] == [planned.id]
    with pytest.raises(MeshagError, match="being applied"):
        store.run(connections.remove, connection)
    with pytest.raises(changes.MovedElsewhere, match="running"):
        store.run(changes.move, planned.id, S.GATED, S.RUNNING)
    done = store.run(changes.move, planned.id, (S.RUNNING, S.VERIFYING), S.DONE)
    assert done.finished_at is not None
    assert store.run(changes.running) == ()
    assert store.run(changes.listing, connection) == (done,)
    with pytest.raises(TypeError):
        store.run(changes.move, planned.id, S.DONE, S.UNDONE, sql="DROP TABLE x")


def test_one_change_of_a_suggestion_at_a_time(store: Store, connection: str) -> None:
    (suggestion,) = store.run(suggestions.save, connection, [MISSING]).ids
    one, two = (_plan(store, connection, MISSING.change, suggestion_id=suggestion) for _ in range(2))
    store.run(changes.move, one.id, S.PLANNED, S.GATED)
    with pytest.raises(changes.MovedElsewhere, match="under way"):
        store.run(changes.move, two.id, S.PLANNED, S.GATED)
    store.run(changes.move, one.id, S.GATED, S.FAILED, error="lock timeout")
    assert store.run(changes.move, two.id, S.PLANNED, S.GATED).state is S.GATED
    assert {row.id for row in store.run(lambda: changes.listing(suggestion_id=suggestion))} == {one.id, two.id}
