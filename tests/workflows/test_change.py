"""Changes through the workbench: agreed once, carried out once, and looked after when a process dies with one."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import changes, executions, models, suggestions
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.types import (
    ChangeState,
    CreateIndex,
    EvidenceKind,
    ExecutionState,
    IndexColumn,
    IndexSpec,
    MeshagError,
    Risk,
    Suggestion,
    SuggestionPriority,
    SuggestionStatus,
    SuggestionType,
    Target,
)
from meshag_tui.workflows.durable import RunFailed
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database

SPEC = IndexSpec("public", "orders", (IndexColumn("customer"),), name="orders_customer")
ADVICE = Suggestion(
    rule="missing-index",
    identity="missing-index:orders:customer",
    type=SuggestionType.INDEX_OPTIMIZATION,
    priority=SuggestionPriority.HIGH,
    title="Index orders (customer)",
    text="",
    evidence_kind=EvidenceKind.STATED,
    evidence={"kind": "stated", "facts": [], "object": {}},
    confidence=0.5,
    risk=Risk.LOW,
    schema="public",
    table="orders",
    change=CreateIndex(SPEC),
    sql="CREATE INDEX …",
)

# Applies a suggestion and says when the server has begun; killed there by the test.
APPLIES = """
import asyncio, sys
from pathlib import Path
from meshag_tui.settings import Settings
from meshag_tui.workflows.workbench import Workbench

async def main():
    async with await Workbench.open(Settings(home=Path(sys.argv[1]), store_url=sys.argv[2])) as bench:
        review = await bench.hands.review(sys.argv[3])
        print("reviewed", flush=True)
        await bench.hands.apply(sys.argv[3], review.plan_hash)

asyncio.run(main())
"""


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Settings(home=home, store_url=store_url)


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Workbench]:
    async with await Workbench.open(settings) as bench:
        yield bench


async def suggested(bench: Workbench, pg: Database) -> StoredSuggestion:
    """A connection to `pg`, and in the store the suggestion to index orders (customer)."""
    pg.execute("CREATE TABLE orders AS SELECT g AS id, g % 100 AS customer FROM generate_series(1, 20000) g", "ANALYZE")
    info = await bench.connections.add("shop", Target.from_url(pg.url))
    await bench.sync(info.id)
    saved = await bench.store(suggestions.save, info.id, [ADVICE])
    return await bench.store(suggestions.get, saved.ids[0])


def indexes(pg: Database) -> list[tuple[str, bool]]:
    found = pg.fetch("SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'orders'::regclass")
    return [(name, valid) for name, valid in found]


async def test_applied_undone_and_told(bench: Workbench, pg18: Database) -> None:
    advice = await suggested(bench, pg18)
    review = await bench.hands.review(advice.id)
    row = await bench.hands.apply(advice.id, review.plan_hash, actor="ada")
    assert (row.state, row.actor, row.sql) == (ChangeState.DONE, "ada", review.sql)
    assert indexes(pg18) == [("orders_customer", True)]
    assert (await bench.store(suggestions.get, advice.id)).status is SuggestionStatus.APPLIED
    with pytest.raises(MeshagError, match="applied already"):
        await bench.hands.review(advice.id)
    undone = await bench.hands.undo(row.id)
    assert undone.undoes == row.id and indexes(pg18) == []
    assert (await bench.store(changes.get, row.id)).state is ChangeState.UNDONE
    assert (await bench.store(suggestions.get, advice.id)).status is SuggestionStatus.REVIEWED
    with pytest.raises(MeshagError):
        await bench.hands.undo(row.id)


async def test_what_was_not_reviewed_is_not_run(bench: Workbench, pg18: Database) -> None:
    advice = await suggested(bench, pg18)
    with pytest.raises(MeshagError, match="too old"):
        await bench.hands.apply(advice.id, "0" * 32)
    review = await bench.hands.review(advice.id)
    other = replace(ADVICE, identity="missing-index:other")
    (other_id,) = (await bench.store(suggestions.save, advice.connection_id, [other])).ids
    with pytest.raises(MeshagError, match="too old"):
        await bench.hands.apply(other_id, review.plan_hash)  # it was shown for another suggestion
    await bench.hands.apply(advice.id, review.plan_hash)
    with pytest.raises(MeshagError, match="too old"):
        await bench.hands.apply(advice.id, review.plan_hash)
    assert len(await bench.store(changes.listing)) == 1


async def test_a_yes_nobody_remembers_is_not_carried_out(bench: Workbench, pg18: Database) -> None:
    """The process died right after the yes, and the next one starts a day later."""
    advice = await suggested(bench, pg18)
    review = await bench.hands.review(advice.id)

    def agreed_yesterday() -> str:
        from meshag_tui.changes.apply import enter

        row = enter(review.change, review, actor="ada", suggestion_id=advice.id)
        models.Change.update(created_at=row.created_at - 86_400_000).execute()
        executions.begin("change_database", row.id, None, "gone", 1, connection=row.connection_id)
        models.Execution.update(lease_until=0).execute()
        return row.id

    change_id = await bench.store(agreed_yesterday)
    await bench.scheduler().once()
    assert indexes(pg18) == []
    assert (await bench.store(changes.get, change_id)).state is ChangeState.FAILED


async def test_a_change_left_by_kill_9_is_looked_after_and_never_run_twice(
    bench: Workbench,
    settings: Settings,
    pg18: Database,
    other_process: Callable[..., subprocess.Popen[str]],
) -> None:
    advice = await suggested(bench, pg18)
    with pg18.connect() as reader:
        # A transaction on another table holds the build up in its last phase.
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1 FROM pg_class LIMIT 1")
        other = other_process(APPLIES, str(settings.home), settings.store_url, advice.id)
        building = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()"
        async with asyncio.timeout(30):
            while (await asyncio.to_thread(pg18.fetch, building)) == [(0,)]:  # noqa: ASYNC110 - the server's state
                await asyncio.sleep(0.01)
        other.kill()
        other.wait()
        reader.execute("ROLLBACK")
    (row,) = await bench.store(changes.listing)
    assert row.state is ChangeState.RUNNING
    await bench.scheduler().once()
    (row,) = await bench.store(changes.listing)
    status = (await bench.store(suggestions.get, advice.id)).status
    if row.state is ChangeState.DONE:  # the server went on and finished it
        assert indexes(pg18) == [("orders_customer", True)] and status is SuggestionStatus.APPLIED
    else:  # its lock time-out came first: nothing half-made is left
        assert row.state is ChangeState.FAILED and indexes(pg18) == [] and status is SuggestionStatus.NEW
    runs = [run for run in await bench.executions() if run.kind == "change_database"]
    assert len(runs) == 1 and runs[0].state in (ExecutionState.DONE, ExecutionState.FAILED)
    started = pg18.fetch(
        "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query ILIKE 'create index conc%'"
    )
    assert started[0][0] <= 1


async def test_read_only_runs_nothing(settings: Settings, pg18: Database) -> None:
    async with await Workbench.open(settings) as bench:
        advice = await suggested(bench, pg18)
    async with await Workbench.open(settings._replace(read_only=True)) as bench:
        with pytest.raises(MeshagError, match="read-only"):
            await bench.hands.review(advice.id)


async def test_a_blocked_change_fails_with_its_gate(bench: Workbench, pg18: Database) -> None:
    advice = await suggested(bench, pg18)
    review = await bench.hands.review(advice.id)
    pg18.execute("CREATE INDEX orders_customer ON orders (customer)")  # somebody was quicker
    with pytest.raises(RunFailed):
        await bench.hands.apply(advice.id, review.plan_hash)
    (row,) = await bench.store(changes.listing)
    assert row.state is ChangeState.FAILED
    assert (await bench.store(suggestions.get, advice.id)).status is SuggestionStatus.NEW
