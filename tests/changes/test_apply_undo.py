"""Applied, confirmed by the catalogue, put back exactly, and all of it found again after a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from meshag_tui.store import suggestions
from meshag_tui.types import (
    Analyze,
    Change,
    ChangeState,
    CreateIndex,
    DropIndex,
    IndexColumn,
    IndexSpec,
    MeshagError,
    RestoreIndex,
    SuggestionStatus,
    Vacuum,
)
from meshag_tui.workflows.workbench import Workbench
from tests.changes.conftest import BY_CUSTOMER, Desk, catalogue, dump, invalid
from tests.rig.postgres import Database

Reopened = Callable[[], Awaitable[Workbench]]

SPECS = [
    BY_CUSTOMER.spec,
    IndexSpec("public", "orders", (IndexColumn("total", descending=True), IndexColumn("id")), include=("status",)),
    IndexSpec("public", "orders", (IndexColumn("lower(note)", is_expression=True),), where="status <> 'done'"),
    IndexSpec("public", "orders", (IndexColumn("note", opclass="text_pattern_ops"),), name='odd "name"; DROP'),
    IndexSpec("public", "orders", (IndexColumn("id"),), method="brin"),
]


async def test_made_indexes_are_undone_after_a_restart(desk: Desk, shop: Database, reopened: Reopened) -> None:
    before, dumped = catalogue(shop), dump(shop)
    rows = []
    for number, spec in enumerate(SPECS, start=1):
        row = await desk.apply(shop, CreateIndex(spec))
        assert row.state is ChangeState.DONE and row.actor == "ada"
        assert len(catalogue(shop)) == len(before) + number and invalid(shop) == []
        rows.append(row)
    later = await reopened()
    for row in rows:
        assert row.suggestion_id is not None
        applied = await later.store(suggestions.get, row.suggestion_id)
        assert applied.status is SuggestionStatus.APPLIED and applied.applied_at is not None
        undone, review = await later.hands.review_undo(row.suggestion_id)
        assert undone.id == row.id and review.sql == row.undo_sql and review.needs_name is not None
        put_back = await later.hands.undo(row.id, review.plan_hash, actor="bob")
        assert put_back.undoes == row.id and put_back.state is ChangeState.DONE
        assert (await later.store(suggestions.get, row.suggestion_id)).status is SuggestionStatus.REVIEWED
    assert catalogue(shop) == before and dump(shop) == dumped
    states = {each.state for each in await desk.journal() if each.undoes is None}
    assert states == {ChangeState.UNDONE}


DROPPED = r"""
CREATE INDEX plain ON public.orders (customer_id);
CREATE INDEX everything ON public.orders USING btree ((total * 2) DESC NULLS LAST, note text_pattern_ops,
    status COLLATE "C") INCLUDE (customer_id, id) WITH (fillfactor = 71, deduplicate_items = off)
    WHERE status <> 'it''s;
--' AND customer_id IS NOT NULL;
ALTER INDEX public.everything ALTER COLUMN 1 SET STATISTICS 777;
COMMENT ON INDEX public.everything IS 'kept for;
the \ yearly "report"';
CREATE INDEX clustered ON public.orders (total);
ALTER TABLE public.orders CLUSTER ON clustered;
COMMENT ON INDEX clustered IS $$';DROP TABLE orders;--$$;
CREATE INDEX words ON public.orders USING gin (to_tsvector('english', note)) WITH (fastupdate = off);
"""


async def test_dropped_indexes_are_put_back_exactly(desk: Desk, shop: Database, reopened: Reopened) -> None:
    shop.execute(DROPPED)
    before, dumped = catalogue(shop), dump(shop)
    names = ("plain", "everything", "clustered", "words")
    rows = [await desk.apply(shop, DropIndex("public", "orders", name)) for name in names]
    assert not {each[0] for each in catalogue(shop)} & set(names)
    later = await reopened()
    for row in reversed(rows):
        await later.hands.undo(row.id)
    assert catalogue(shop) == before and dump(shop) == dumped


async def test_a_tablespace_is_kept(desk: Desk, shop18: Database) -> None:
    with shop18.connect() as connection:
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute("CREATE TABLESPACE fast LOCATION ''")
    try:
        shop18.execute(
            "CREATE INDEX target ON public.orders (total) WITH (fillfactor = 50) TABLESPACE fast WHERE id > 1"
        )
        before = catalogue(shop18)
        row = await desk.apply(shop18, DropIndex("public", "orders", "target"))
        await desk.bench.hands.undo(row.id)
        assert catalogue(shop18) == before
    finally:
        shop18.execute("DROP INDEX IF EXISTS target", "DROP TABLESPACE fast")


@pytest.mark.parametrize(
    ("change", "column"),
    [(Analyze("public", "orders"), "last_analyze"), (Vacuum("public", "orders"), "last_vacuum")],
    ids=["analyze", "vacuum"],
)
async def test_upkeep_is_confirmed_and_has_no_undo(desk: Desk, shop: Database, change: Change, column: str) -> None:
    shop.execute("DELETE FROM public.orders WHERE id % 2 = 0")
    before = catalogue(shop)
    query = f"SELECT {column} FROM pg_stat_user_tables WHERE relname = 'orders'"
    ((earlier,),) = shop.fetch(query)
    row = await desk.apply(shop, change)
    assert row.state is ChangeState.DONE and row.undo_sql is None
    ((later,),) = shop.fetch(query)
    assert later is not None and (earlier is None or later > earlier)
    with pytest.raises(MeshagError, match="cannot be undone"):
        await desk.bench.hands.undo(row.id)
    assert catalogue(shop) == before


async def test_every_step_is_in_the_log_once(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    steps = ["change.planned", "change.gated", "change.running", "change.verifying", "change.applied"]
    assert await desk.log() == steps
    assert await desk.log("suggestion") == ["suggestion.applied"]
    await desk.bench.hands.undo(row.id)
    assert await desk.log() == [*steps, *steps[:-1], "change.undone"]
    assert await desk.log("suggestion") == ["suggestion.applied", "suggestion.reviewed"]


async def test_what_was_undone_can_be_applied_again(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    put_back = await desk.bench.hands.undo(row.id)
    for change_id in (row.id, put_back.id):
        with pytest.raises(MeshagError, match=r"undone already|has put"):
            await desk.bench.hands.undo(change_id)
    assert row.suggestion_id is not None
    review = await desk.bench.hands.review(row.suggestion_id)
    again = await desk.bench.hands.apply(row.suggestion_id, review.plan_hash)
    assert again.state is ChangeState.DONE
    await desk.bench.hands.undo(row.suggestion_id)
    assert "orders_by_customer" not in [each[0] for each in catalogue(shop18)]


async def test_an_index_that_is_another_by_now_is_not_dropped(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, BY_CUSTOMER)
    shop18.execute("DROP INDEX orders_by_customer", "CREATE INDEX orders_by_customer ON public.orders (total)")
    before = catalogue(shop18)
    with pytest.raises(MeshagError, match="not the one"):
        await desk.bench.hands.undo(row.id)
    assert catalogue(shop18) == before


async def test_an_index_that_was_rebuilt_is_still_undone(desk: Desk, shop18: Database) -> None:
    before = catalogue(shop18)
    row = await desk.apply(shop18, BY_CUSTOMER)
    shop18.execute("REINDEX INDEX CONCURRENTLY orders_by_customer")
    await desk.bench.hands.undo(row.id)
    assert catalogue(shop18) == before


async def test_an_undo_of_what_is_gone_says_so(desk: Desk, shop18: Database) -> None:
    made = await desk.apply(shop18, BY_CUSTOMER)
    shop18.execute("DROP INDEX orders_by_customer")
    with pytest.raises(MeshagError, match=r"There is no index public\.orders_by_customer"):
        await desk.bench.hands.undo(made.id)
    dropped = await desk.apply(shop18, DropIndex("public", "orders", "orders_status"))
    shop18.execute("CREATE INDEX orders_status ON public.orders (status)")
    with pytest.raises(MeshagError, match="taken"):
        await desk.bench.hands.undo(dropped.id)


async def test_a_restored_index_that_lacks_its_comment_is_completed(desk: Desk, shop18: Database) -> None:
    """A process that died between the index and its comment: what is missing is added, nothing is made twice."""
    from meshag_tui.changes import apply, record
    from meshag_tui.workflows import change as workflow

    shop18.execute("COMMENT ON INDEX orders_status IS 'first'", "ALTER TABLE orders CLUSTER ON orders_status")
    before = catalogue(shop18)
    dropped = await desk.apply(shop18, DropIndex("public", "orders", "orders_status"))
    _, review = await desk.bench.hands.review_undo(dropped.id)
    assert isinstance(review.change, RestoreIndex) and len(review.change.statements) == 3
    entered = await desk.bench.store(apply.enter, review.change, review, actor="ada", undoes=dropped.id)
    await desk.bench.store(record.gated, entered, [])
    await desk.bench.store(record.begun, entered.id, 999_999, 1)
    shop18.execute(review.change.statements[0])
    oid = shop18.fetch("SELECT 'orders_status'::regclass::oid")
    outcome = await desk.bench.runner.submit(workflow.KIND, entered.id, connection_id=entered.connection_id)
    outcome.value()
    assert catalogue(shop18) == before
    assert shop18.fetch("SELECT 'orders_status'::regclass::oid") == oid
