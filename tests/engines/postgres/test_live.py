"""What sessions do now, on real servers: chains of locks, idle transactions, what is hidden, and stopping them."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from meshag_tui.engines.base import EngineError, Limits, PermissionDenied
from meshag_tui.engines.postgres import PostgresEngine
from meshag_tui.live import Ending, LiveReading, LiveSession
from meshag_tui.types import Target
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import Database
from tests.rig.waiting import behind, until

CANARY = "canary-4711@example.com"


def named(reading: LiveReading, name: str) -> LiveSession:
    (found,) = [each for each in reading.sessions if each.application == name]
    return found


def update(database: Database, name: str, row: int) -> None:
    with database.connect(application_name=name) as connection:
        connection.execute(f"UPDATE stock SET note = '{CANARY}' WHERE id = {row}")


@pytest.fixture
def stock(pg: Database) -> Database:
    pg.execute("CREATE TABLE stock (id int PRIMARY KEY, note text)", "INSERT INTO stock VALUES (1), (2)")
    return pg


async def test_a_chain_of_three(stock: Database, open_session: Open) -> None:
    session = await open_session(stock.monitor_url)
    first = stock.connect(application_name="first")
    first.execute("BEGIN")
    first.execute(f"UPDATE stock SET note = '{CANARY}' WHERE id = 1")

    def second() -> None:
        with stock.connect(application_name="second") as connection:
            connection.execute("BEGIN")
            connection.execute("UPDATE stock SET note = 'x' WHERE id = 2")
            connection.execute("UPDATE stock SET note = 'y' WHERE id = 1")

    with behind(second, psycopg.Error):
        await until(session, lambda now: any(each.blocked_by for each in now.sessions))
        with behind(lambda: update(stock, "third", 2), psycopg.Error):
            reading = await until(session, lambda now: sum(bool(each.blocked_by) for each in now.sessions) == 2)
            first.rollback()
    first.close()
    holder, middle, last = (named(reading, name) for name in ("first", "second", "third"))
    assert (holder.state, holder.wait, holder.blocked_by) == ("idle in transaction", None, ())
    assert (middle.blocked_by, last.blocked_by) == ((holder.id,), (middle.id,))
    assert (middle.state, middle.wait, middle.event) == ("active", "lock", "Lock: transactionid")
    assert reading.active() == {"lock": 2}
    assert holder.text == "UPDATE stock SET note = $1 WHERE id = $2"
    assert holder.fingerprint == middle.fingerprint
    assert CANARY not in repr(reading)
    assert holder.transaction_ms is not None
    assert middle.statement_ms is not None
    assert 0 <= middle.statement_ms <= holder.transaction_ms


async def test_idle_sessions_only_where_asked_for_and_ours_never(stock: Database, open_session: Open) -> None:
    session = await open_session(stock.monitor_url)
    await open_session(stock.monitor_url, "other")
    with stock.connect(application_name="resting") as connection:
        connection.execute("SELECT 1")
        assert [each.application for each in (await session.live()).sessions] == []
        idle = await session.live(idle=True)
    found = named(idle, "resting")
    assert not [each for each in idle.sessions if each.application.startswith("meshag/")]
    assert (found.application, found.state, found.wait) == ("resting", "idle", None)
    before = session.wire.statements
    await session.live()
    assert session.wire.statements == before + 1


async def test_what_is_hidden_is_said_with_its_grant(stock: Database, open_session: Open) -> None:
    stock.execute("DROP ROLE IF EXISTS blind", "CREATE ROLE blind LOGIN PASSWORD 'blind'")
    url = stock.url.replace(stock.url.split("//")[1].split("@")[0], "blind:blind")
    session = await open_session(url)
    with stock.connect(application_name="seen") as connection:
        connection.execute("SELECT 1")
        reading = await session.live(vitals=True)
    assert reading.state == "insufficient privilege"
    assert reading.hidden >= 1
    assert reading.finding is not None
    assert reading.finding.fix == 'GRANT pg_read_all_stats TO "blind";'
    assert reading.vitals is not None
    assert reading.vitals["oldest_ms"].state == "insufficient privilege"
    assert reading.vitals["connections"].state == "ok"
    stock.execute("DROP ROLE blind")


@pytest.mark.slow
async def test_vitals_count_between_two_looks(stock: Database, open_session: Open) -> None:
    session = await open_session(stock.monitor_url)
    first = (await session.live(vitals=True)).vitals
    assert first is not None
    assert (first["hit_ratio"].state, first["temporary"].state) == ("no data", "no data")
    checkpoints = first["checkpoints"]
    assert checkpoints.state == "no data" or 0 <= (checkpoints.value or 0) <= (checkpoints.limit or 0)
    with stock.connect() as connection:
        connection.execute("CHECKPOINT")
        connection.execute("SET work_mem = '64kB'")
        connection.execute("SELECT count(*) FROM (SELECT g FROM generate_series(1, 50000) g ORDER BY -g) sorted")
        connection.execute("SELECT count(*) FROM stock, pg_class")
        second = (
            await until(
                session,
                lambda now: (
                    now.vitals and now.vitals["hit_ratio"].state == "ok" and bool(now.vitals["temporary"].value)
                ),
                vitals=True,
            )
        ).vitals
    assert second is not None
    assert 0 < (second["hit_ratio"].value or 0) <= 1
    assert (second["lag_ms"].state, second["age"].state) == ("no data", "ok")
    assert "files" in second["temporary"].detail
    assert (second["checkpoints"].value or 0) >= (checkpoints.value or 0) + 1
    connections = second["connections"]
    assert 0 < (connections.value or 0) < (connections.limit or 0)


async def test_cancel_leaves_the_session_and_terminate_ends_it(stock: Database, open_session: Open) -> None:
    session = await open_session(stock.monitor_url)
    engine, owner = PostgresEngine(), Target.from_url(stock.url)

    def sleep() -> None:
        with stock.connect(application_name="sleeper") as connection:
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(60)")
            connection.execute("SELECT pg_sleep(61)")

    def sleeping(now: LiveReading) -> bool:
        return any(each.event == "Timeout: PgSleep" for each in now.sessions)

    with behind(sleep, psycopg.Error) as raised:
        seen = named(await until(session, sleeping), "sleeper")
        assert (seen.state, seen.wait, seen.event) == ("active", "other", "Timeout: PgSleep")
        assert (await engine.end(owner, Limits(), Ending(seen, "cancel"))).outcome == "sent"
        again = named(
            await until(session, lambda now: sleeping(now) and named(now, "sleeper").begun != seen.begun), "sleeper"
        )
        assert again.began == seen.began
        assert (await engine.end(owner, Limits(), Ending(seen, "terminate"))).outcome == "changed"
        assert named(await session.live(), "sleeper") is not None
        assert (await engine.end(owner, Limits(), Ending(again, "terminate"))).outcome == "sent"
    assert [type(each) for each in raised] == [psycopg.errors.AdminShutdown]
    assert (await engine.end(owner, Limits(), Ending(again, "terminate"))).outcome == "gone"


async def test_who_may_not_stop_a_session_is_told_the_grant(stock: Database, open_session: Open) -> None:
    session = await open_session(stock.monitor_url)
    with stock.connect(application_name="mine") as connection:
        connection.execute("BEGIN")
        seen = named(await until(session, lambda now: now.sessions), "mine")
        with pytest.raises(PermissionDenied) as raised:
            await PostgresEngine().end(Target.from_url(stock.monitor_url), Limits(), Ending(seen, "terminate"))
        connection.execute("SELECT 1")
    assert "GRANT pg_signal_backend TO" in (raised.value.fix or "")


async def test_a_server_that_is_gone_is_an_error_not_an_empty_list(
    private_pg: Callable[..., Database], open_session: Open
) -> None:
    database = private_pg()
    session = await open_session(database.url, limits=Limits(call_s=1.0))
    with database.connect() as connection:
        connection.execute(sql.SQL("SELECT pg_terminate_backend({})").format(sql.Literal(session.wire.backend_pid)))
    with pytest.raises(EngineError):
        await session.live()
