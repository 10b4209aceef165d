"""Locks, lost servers, cancelling and killed processes: once at most, nothing half-made unreported, always an end."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from meshag_tui.changes import apply, record
from meshag_tui.engines.postgres import ddl
from meshag_tui.store import activity, changes, executions, suggestions
from meshag_tui.types import (
    Analyze,
    ChangeState,
    CreateIndex,
    DropIndex,
    ExecutionState,
    IndexColumn,
    IndexSpec,
    MeshagError,
    RestoreIndex,
    SuggestionStatus,
)
from meshag_tui.workflows import change as workflow
from meshag_tui.workflows.durable import RunCancelled, RunFailed
from meshag_tui.workflows.workbench import Workbench
from tests.changes.conftest import BY_CUSTOMER, SHOP, Desk, catalogue, invalid, until
from tests.rig.postgres import Database

Reopened = Callable[[], Awaitable[Workbench]]
Another = Callable[[str], subprocess.Popen[str]]

# An index that takes the server some seconds: it computes much for each of few rows.
SLOW = CreateIndex(
    IndexSpec(
        "public",
        "orders",
        (IndexColumn("md5(repeat(note, 15000))", is_expression=True),),
        name="orders_slow",
    )
)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock time-outs of one second and short pauses, so that five attempts end soon."""
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_MS", 1_000)
    monkeypatch.setattr(apply, "_pause_s", lambda attempt: 0.1)


def writing(database: Database, name: str = "a writer") -> psycopg.Connection[tuple[Any, ...]]:
    """A transaction that has written to orders and stays open."""
    connection = psycopg.connect(database.socket_url, application_name=name)
    connection.execute("UPDATE public.orders SET total = total + 1 WHERE id = 1")
    return connection


def building(database: Database) -> bool:
    """Whether an index is being made in this database."""
    query = "SELECT 1 FROM pg_stat_progress_create_index WHERE datname = current_database() AND index_relid <> 0"
    return bool(database.fetch(query))


def sessions(database: Database) -> list[tuple[Any, ...]]:
    """Our sessions on the server that are doing something."""
    return database.fetch(
        "SELECT pid, application_name, query FROM pg_stat_activity WHERE application_name LIKE 'meshag/%' "
        "AND datname = current_database() AND state = 'active'"
    )


# ---------------------------------------------------------------------------------------------- locks


@pytest.mark.usefixtures("impatient")
async def test_an_open_writer_is_named_and_its_index_made_when_it_ends(desk: Desk, shop18: Database) -> None:
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    with writing(shop18) as writer:
        applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
        pid = writer.info.backend_pid
        await until(lambda: any(row.attempts == 3 for row in desk.bench.store.run(changes.listing)))
        writer.commit()  # it was not cancelled, and can go on
        row = await applying
    assert row.state is ChangeState.DONE and row.attempts >= 3
    assert invalid(shop18) == []
    run = next(run for run in await desk.bench.executions() if run.kind == "change_database")
    log = (await desk.bench.store(executions.get, run.id)).log
    warned = [line.message for line in log if line.level == "warning"]
    assert warned and f"pid {pid} (app, a writer)" in warned[0]
    assert "change.running" in await desk.log()


@pytest.mark.usefixtures("impatient")
@pytest.mark.slow
async def test_after_five_attempts_it_gives_up_and_removes_its_index_when_it_can(
    desk: Desk, shop18: Database, reopened: Reopened
) -> None:
    before = catalogue(shop18)
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    with writing(shop18) as writer:
        with pytest.raises(RunFailed, match=r"locked.*a writer.*MeshAG will try again") as failed:
            await desk.bench.hands.apply(advice.id, review.plan_hash)
        assert failed.value.code == "lock-timeout"
        (row,) = await desk.journal()
        assert (row.state, row.attempts) == (ChangeState.UNKNOWN, 5)
        assert invalid(shop18) == ["orders_by_customer"]  # nobody can drop it without waiting for the writer
        writer.execute("SELECT 1")  # the writer was left alone
        writer.rollback()
    later = await reopened()
    await later.scheduler().once()
    assert catalogue(shop18) == before
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and "there is no index" in str(row.error)
    assert (await later.store(suggestions.get, advice.id)).status is SuggestionStatus.NEW
    assert (await desk.log())[-1] == "change.failed"


@pytest.mark.usefixtures("impatient")
async def test_a_drop_does_not_begin_while_the_table_is_in_use(desk: Desk, shop18: Database) -> None:
    before = catalogue(shop18)
    advice = await desk.suggest(shop18, DropIndex("public", "orders", "orders_status"))
    review = await desk.bench.hands.review(advice.id)
    with writing(shop18):
        await asyncio.sleep(1.1)
        with pytest.raises(RunFailed, match=r"a writer.*as before"):
            await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert catalogue(shop18) == before and invalid(shop18) == []
    (row,) = await desk.journal()
    assert (row.state, row.attempts) == (ChangeState.FAILED, 5)


# ---------------------------------------------------------------------------------------------- errors of the server


async def test_a_build_that_fails_on_the_data_leaves_nothing(desk: Desk, shop18: Database) -> None:
    shop18.execute("INSERT INTO public.orders VALUES (0, 1, 'x', 1, 'zero')")
    before = catalogue(shop18)
    advice = await desk.suggest(
        shop18, CreateIndex(IndexSpec("public", "orders", (IndexColumn("1 / id", is_expression=True),), name="inverse"))
    )
    review = await desk.bench.hands.review(advice.id)
    with pytest.raises(RunFailed, match=r"division by zero.*no index"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert catalogue(shop18) == before
    assert [row.state for row in await desk.journal()] == [ChangeState.FAILED]


async def test_a_unique_violation_leaves_nothing(desk: Desk, shop18: Database) -> None:
    """Restoring a unique index that was dropped as invalid, on rows that are not unique."""
    shop18.execute("INSERT INTO public.orders SELECT id + 10000, 1, 'x', 0, 'same' FROM public.orders LIMIT 5")
    with pytest.raises(psycopg.errors.UniqueViolation):
        shop18.execute("CREATE UNIQUE INDEX CONCURRENTLY by_note ON public.orders (note)")
    dropped = await desk.apply(shop18, DropIndex("public", "orders", "by_note"))
    before = catalogue(shop18)
    with pytest.raises(RunFailed, match="no index"):
        await desk.bench.hands.undo(dropped.id)
    assert catalogue(shop18) == before and invalid(shop18) == []
    undo, original = await desk.journal()
    assert isinstance(undo.change, RestoreIndex)
    assert (undo.state, original.state) == (ChangeState.FAILED, ChangeState.DONE)


async def test_a_server_that_stops_in_the_middle_is_asked_when_it_is_back(
    desk: Desk, private_pg: Callable[..., Database]
) -> None:
    database = private_pg(18)
    database.execute(SHOP)
    before = catalogue(database)
    advice = await desk.suggest(database, SLOW)
    review = await desk.bench.hands.review(advice.id)
    applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
    await until(lambda: building(database))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(database.server.stop, immediate=True)
    with pytest.raises(RunFailed, match="not known until the server answers"):
        await applying
    (row,) = await desk.journal()
    assert row.state is ChangeState.UNKNOWN and row.target["making"]
    await asyncio.to_thread(database.server.start)
    assert invalid(database) == ["orders_slow"]
    await desk.bench.hands.review(advice.id)  # looks after what was left before it looks at anything new
    assert catalogue(database) == before
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED
    assert (await desk.log())[-3:] == ["change.unknown", "change.verifying", "change.failed"]


# ---------------------------------------------------------------------------------------------- cancelling


async def test_cancelling_ends_it_on_the_server_and_leaves_no_invalid_index(desk: Desk, shop18: Database) -> None:
    before = catalogue(shop18)
    advice = await desk.suggest(shop18, SLOW)
    review = await desk.bench.hands.review(advice.id)
    applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
    await until(lambda: building(shop18))
    assert await desk.bench.cancel(desk.bench.runner.running[0])
    with pytest.raises(RunCancelled, match="Cancelled"):
        await applying
    assert catalogue(shop18) == before and sessions(shop18) == []
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and str(row.error).startswith("Cancelled: there is no index")
    assert (await desk.log())[-1] == "change.failed"


async def test_a_build_that_the_server_ends_leaves_nothing(desk: Desk, shop18: Database) -> None:
    """As a deadlock or a time-out does: an error in the middle, the session lives, half an index is there."""
    before = catalogue(shop18)
    advice = await desk.suggest(shop18, SLOW)
    review = await desk.bench.hands.review(advice.id)
    applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
    await until(lambda: building(shop18))
    shop18.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index")
    with pytest.raises(RunFailed):
        await applying
    assert catalogue(shop18) == before and invalid(shop18) == []
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and row.attempts == 1 and row.error


async def test_of_a_deadlock_the_build_is_the_victim_and_leaves_nothing(desk: Desk, shop18: Database) -> None:
    """The build waits for a transaction that then asks for a lock on its table; the other's own look comes late."""
    before = catalogue(shop18)
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    writer = writing(shop18)
    writer.execute("SET LOCAL deadlock_timeout = '1min'")
    applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'virtualxid'"
    await until(lambda: shop18.fetch(waits))
    await asyncio.to_thread(writer.execute, "LOCK TABLE public.orders IN SHARE UPDATE EXCLUSIVE MODE")
    writer.close()
    with pytest.raises(RunFailed, match="deadlock"):
        await applying
    assert catalogue(shop18) == before and invalid(shop18) == []
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and row.attempts == 1
    again = await desk.bench.hands.review(advice.id)
    assert (await desk.bench.hands.apply(advice.id, again.plan_hash)).state is ChangeState.DONE


async def test_advice_that_is_put_aside_while_it_is_applied_stays_aside(desk: Desk, shop18: Database) -> None:
    """The change has happened, and the log says why the advice does not say so."""
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    writer = writing(shop18)
    applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
    await until(lambda: shop18.fetch("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'virtualxid'"))
    await desk.bench.advice.dismiss(advice.id, "not now")
    writer.close()
    row = await applying
    assert row.state is ChangeState.DONE and "change.noted" in await desk.log()
    (noted,) = await desk.bench.store(lambda: activity.recent(1, kind="change.noted"))
    assert "keeps its status" in noted.message and noted.subject == row.id
    assert (await desk.bench.store(suggestions.get, advice.id)).status is SuggestionStatus.DISMISSED


async def test_a_table_that_was_given_away_since_it_was_looked_at_is_left_alone(desk: Desk, shop18: Database) -> None:
    owner = f"{shop18.name}_owner"
    shop18.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'let me'", f"GRANT pg_monitor TO {owner}")
    url = shop18.server.dsn(shop18.name, owner, "let me", tcp=True)
    try:
        shop18.execute(f"ALTER TABLE public.orders OWNER TO {owner}", f"GRANT ALL ON SCHEMA public TO {owner}")
        advice = await desk.suggest(shop18, BY_CUSTOMER, url)
        review = await desk.bench.hands.review(advice.id)
        shop18.execute("ALTER TABLE public.orders OWNER TO CURRENT_USER")
        before = catalogue(shop18)
        with pytest.raises((MeshagError, RunFailed), match="owner"):
            await desk.bench.hands.apply(advice.id, review.plan_hash)
        assert catalogue(shop18) == before and invalid(shop18) == []
        assert {row.state for row in await desk.journal()} <= {ChangeState.FAILED}
        assert not any(row.state is ChangeState.DONE for row in await desk.journal()), "there is nothing to undo"
    finally:
        shop18.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER", f"DROP OWNED BY {owner}", f"DROP ROLE {owner}")


@pytest.mark.usefixtures("impatient")
async def test_cancelling_between_two_attempts(desk: Desk, shop18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "_pause_s", lambda attempt: 30.0)
    before = catalogue(shop18)
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    with writing(shop18) as writer:
        applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
        await until(lambda: invalid(shop18))
        await until(lambda: not sessions(shop18), 10)
        await asyncio.sleep(0.3)
        writer.rollback()
    await desk.bench.cancel(desk.bench.runner.running[0])
    with pytest.raises(RunCancelled):
        await applying
    assert catalogue(shop18) == before
    assert [row.state for row in await desk.journal()] == [ChangeState.FAILED]


async def test_closing_meshag_leaves_it_to_the_server_and_the_next_one_finds_it_made(
    desk: Desk, shop18: Database, reopened: Reopened
) -> None:
    first = await reopened()
    advice = await desk.suggest(shop18, SLOW)
    review = await first.hands.review(advice.id)
    applying = asyncio.create_task(first.hands.apply(advice.id, review.plan_hash))
    await until(lambda: building(shop18))
    await first.runner.close()
    await asyncio.gather(applying, return_exceptions=True)
    (row,) = await desk.journal()
    assert row.state is ChangeState.RUNNING and building(shop18)
    await (await reopened()).scheduler().once()
    (row,) = await desk.journal()
    assert row.state is ChangeState.DONE and row.attempts == 1 and invalid(shop18) == []
    assert (await desk.bench.store(suggestions.get, advice.id)).status is SuggestionStatus.APPLIED


# ---------------------------------------------------------------------------------------------- killed processes


@dataclass
class Logged:
    """A shop whose DDL is in the server's log."""

    database: Database
    begin: int

    @property
    def ddl(self) -> list[str]:
        """The statements that made or dropped an index here so far."""
        log = (self.database.server.root / "log").read_bytes()[self.begin :].decode(errors="replace")
        return [line for line in log.splitlines() if " LOG:  execute" in line and "/* meshag */ INDEX" in line]


@pytest.fixture
def logged(shop18: Database) -> Logged:
    """See `Logged`."""
    shop18.execute(f"ALTER DATABASE {shop18.name} SET log_statement = 'ddl'")
    return Logged(shop18, (shop18.server.root / "log").stat().st_size)


async def started(another: Another, suggestion_id: str) -> subprocess.Popen[str]:
    """Another process that has reviewed the suggestion."""
    process = another(suggestion_id)
    assert process.stdout is not None
    assert (await asyncio.to_thread(process.stdout.readline)) == "reviewed\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    """Let it apply."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


async def test_killed_while_the_server_works_the_next_one_adopts_it(
    desk: Desk, logged: Logged, another: Another
) -> None:
    advice = await desk.suggest(logged.database, SLOW)
    process = await started(another, advice.id)
    go(process)
    await until(lambda: building(logged.database))
    await asyncio.sleep(0.3)
    process.kill()
    process.wait()
    assert building(logged.database), "the server goes on by itself"
    await desk.bench.scheduler().once()
    (row,) = await desk.journal()
    assert row.state is ChangeState.DONE and row.attempts == 1
    assert invalid(logged.database) == [] and len(logged.ddl) == 1
    assert (await desk.bench.store(suggestions.get, advice.id)).status is SuggestionStatus.APPLIED
    runs = [run for run in await desk.bench.executions() if run.kind == "change_database"]
    assert [run.state for run in runs] == [ExecutionState.DONE]
    log = "\n".join(line.message for line in (await desk.bench.store(executions.get, runs[0].id)).log)
    assert "from an earlier session" in log and "building index" in log


async def test_killed_and_then_failed_on_the_server_the_next_one_removes_what_was_left(
    desk: Desk, logged: Logged, another: Another
) -> None:
    before = catalogue(logged.database)
    advice = await desk.suggest(logged.database, BY_CUSTOMER)
    process = await started(another, advice.id)
    with writing(logged.database) as writer:
        go(process)
        await until(lambda: building(logged.database))
        await until(lambda: _making(desk), 5)
        process.kill()
        process.wait()
        await until(lambda: not sessions(logged.database), 10)  # its lock time-out comes, nobody hears it
        assert invalid(logged.database) == ["orders_by_customer"]
        writer.rollback()
    await desk.bench.scheduler().once()
    assert catalogue(logged.database) == before
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and row.attempts == 1 and len(logged.ddl) == 2  # made, and removed


async def test_an_invalid_index_that_nobody_saw_us_make_is_reported_and_left(desk: Desk, shop18: Database) -> None:
    advice = await desk.suggest(shop18, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    row = await desk.bench.store(apply.enter, review.change, review, actor="ada", suggestion_id=advice.id)
    await desk.bench.store(record.gated, row, [])
    await desk.bench.store(record.begun, row.id, 999_999, 1)
    shop18.execute(
        "CREATE INDEX orders_by_customer ON public.orders (customer_id)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_by_customer'::regclass",
    )
    with pytest.raises(RunFailed, match=r"an invalid index public\.orders_by_customer was left.*DROP INDEX"):
        (await desk.bench.runner.submit(workflow.KIND, row.id, connection_id=row.connection_id)).value()
    assert invalid(shop18) == ["orders_by_customer"]
    assert [each.state for each in await desk.journal()] == [ChangeState.FAILED]


@pytest.mark.parametrize("change", [BY_CUSTOMER, Analyze("public", "orders")], ids=lambda change: change.kind)
async def test_two_processes_apply_the_same_suggestion_and_one_executes(
    desk: Desk, logged: Logged, another: Another, change: CreateIndex | Analyze
) -> None:
    advice = await desk.suggest(logged.database, change)
    both = [await started(another, advice.id) for _ in range(2)]
    for process in both:
        go(process)
    said = sorted([await asyncio.to_thread(process.stdout.readline) for process in both])  # type: ignore[union-attr]
    assert [line.split()[0] for line in said] == ["applied", "refused"], said
    assert sorted(row.state for row in await desk.journal()) == [ChangeState.DONE, ChangeState.FAILED]
    assert invalid(logged.database) == []
    if isinstance(change, CreateIndex):
        assert len(logged.ddl) == 1
    else:
        assert logged.database.fetch("SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 'orders'") == [(2,)]


@pytest.mark.soak
async def test_killed_at_any_moment(
    desk: Desk, logged: Logged, another: Another, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty kills: never begun twice, nothing invalid unreported, always an end."""
    monkeypatch.setattr(workflow, "_ON_ITS_WAY_MS", 0)
    before = catalogue(logged.database)
    for round_ in range(40):
        begun = len(logged.ddl)
        advice = await desk.suggest(logged.database, BY_CUSTOMER)
        process = await started(another, advice.id)
        go(process)
        await asyncio.sleep(0.02 * round_)
        process.kill()
        process.wait()
        await desk.bench.scheduler().once()
        rows = [row for row in await desk.journal() if row.suggestion_id == advice.id]
        assert len(rows) <= 1
        for row in rows:
            assert row.state in (ChangeState.DONE, ChangeState.FAILED), row
        assert invalid(logged.database) == []
        assert len(logged.ddl) - begun <= 2
        if rows and rows[0].state is ChangeState.DONE:
            await desk.bench.hands.undo(rows[0].id)
        assert catalogue(logged.database) == before


def _making(desk: Desk) -> bool:
    return any(row.target.get("making") for row in desk.bench.store.run(changes.listing))


@pytest.mark.soak
async def test_cancelled_at_any_moment(desk: Desk, logged: Logged) -> None:
    """Forty cancellations: all of it there or nothing, and always an end."""
    before = catalogue(logged.database)
    for round_ in range(40):
        advice = await desk.suggest(logged.database, BY_CUSTOMER)
        review = await desk.bench.hands.review(advice.id)
        applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
        await asyncio.sleep(0.008 * round_)
        for execution_id in desk.bench.runner.running:
            await desk.bench.cancel(execution_id)
        await asyncio.gather(applying, return_exceptions=True)
        (row,) = [row for row in await desk.journal() if row.suggestion_id == advice.id]
        assert row.state in (ChangeState.DONE, ChangeState.FAILED), row
        assert invalid(logged.database) == []
        if row.state is ChangeState.DONE:
            await desk.bench.hands.undo(row.id)
        assert catalogue(logged.database) == before
        assert sessions(logged.database) == []
