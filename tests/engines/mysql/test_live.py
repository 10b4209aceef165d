"""What sessions do now, on real servers: chains of locks, idle transactions, what is hidden, and stopping them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pymysql
import pytest

from meshag_tui.engines.base import EngineError, Limits, PermissionDenied
from meshag_tui.engines.mysql import MysqlEngine
from meshag_tui.live import Ending, LiveReading, LiveSession
from meshag_tui.types import Target
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import Schema
from tests.rig.waiting import behind, until

CANARY = "canary-4711@example.com"
Connection: TypeAlias = "pymysql.Connection[Any]"
Connect = Callable[[Schema], Connection]


def run(connection: Connection, *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def session_of(reading: LiveReading, connection: Connection) -> LiveSession:
    (found,) = [each for each in reading.sessions if each.id == connection.thread_id()]
    return found


@pytest.fixture
def connected() -> Iterator[Callable[[Schema], Connection]]:
    """Connect to a schema; whatever happens, closed at the end: a lock that is left would keep the schema."""
    opened: list[Connection] = []

    def connect(schema: Schema) -> Connection:
        opened.append(schema.connect(read_timeout=30))
        return opened[-1]

    yield connect
    for each in opened:
        if each.open:
            each.close()


@pytest.fixture
def stock(my: Schema) -> Schema:
    my.execute("CREATE TABLE stock (id int PRIMARY KEY, note text)", "INSERT INTO stock VALUES (1, ''), (2, '')")
    return my


async def test_a_chain_of_three(stock: Schema, open_session: Open, connected: Connect) -> None:
    session = await open_session(stock.monitor_url)
    first, second, third = (connected(stock) for _ in range(3))
    run(first, "BEGIN", f"UPDATE stock SET note = '{CANARY}' WHERE id = 1")
    run(second, "BEGIN", "UPDATE stock SET note = 'x' WHERE id = 2")
    with behind(lambda: run(second, "UPDATE stock SET note = 'y' WHERE id = 1"), pymysql.Error):
        await until(session, lambda now: any(each.blocked_by for each in now.sessions))
        with behind(lambda: run(third, f"UPDATE stock SET note = '{CANARY}' WHERE id = 2"), pymysql.Error):
            reading = await until(session, lambda now: sum(bool(each.blocked_by) for each in now.sessions) == 2)
            run(first, "ROLLBACK")
            await until(session, lambda now: session_of(now, second).state == "idle in transaction")
            second.rollback()
    holder, middle, last = (session_of(reading, each) for each in (first, second, third))
    assert (holder.state, holder.wait, holder.blocked_by) == ("idle in transaction", None, ())
    assert (middle.blocked_by, last.blocked_by) == ((holder.id,), (middle.id,))
    assert (middle.state, middle.wait) == ("active", "lock")
    assert reading.active() == {"lock": 2}
    assert (reading.state, reading.blockers) == ("ok", "ok")
    assert "UPDATE" in (middle.text or "").upper()
    assert middle.fingerprint == last.fingerprint
    assert CANARY not in repr(reading)
    assert holder.transaction_ms is not None
    assert middle.statement_ms is not None
    assert 0 <= middle.statement_ms <= holder.transaction_ms + 1000


async def test_a_table_that_is_altered_waits_for_a_reader(
    mysql: Schema, open_session: Open, connected: Connect
) -> None:
    mysql.execute("CREATE TABLE stock (id int PRIMARY KEY)", "INSERT INTO stock VALUES (1)")
    session = await open_session(mysql.monitor_url)
    reader, owner, later = (connected(mysql) for _ in range(3))
    await session.live()  # InnoDB tells the same again for a while, without what begins now
    run(reader, "BEGIN", "SELECT * FROM stock")
    with behind(lambda: run(owner, "ALTER TABLE stock ADD note int"), pymysql.Error):
        await until(session, lambda now: any(each.blocked_by for each in now.sessions))
        with behind(lambda: run(later, "SELECT * FROM stock"), pymysql.Error):
            reading = await until(session, lambda now: sum(bool(each.blocked_by) for each in now.sessions) == 2)
            reader.rollback()
    held, altering, waiting = (session_of(reading, each) for each in (reader, owner, later))
    assert (held.state, altering.blocked_by, waiting.blocked_by) == ("idle in transaction", (held.id,), (altering.id,))
    assert altering.event == "Waiting for table metadata lock"


async def test_idle_sessions_only_where_asked_for_and_ours_never(
    stock: Schema, open_session: Open, connected: Connect
) -> None:
    session = await open_session(stock.monitor_url)
    await open_session(stock.monitor_url, "other")
    resting = connected(stock)
    run(resting, "SELECT 1")
    ours = Target.from_url(stock.monitor_url).user
    await until(session, lambda now: resting.thread_id() not in {each.id for each in now.sessions})
    idle = await session.live(idle=True)
    found = session_of(idle, resting)
    assert (found.state, found.wait) == ("idle", None)
    assert ours not in {each.user for each in idle.sessions}
    before = session.wire.statements
    await session.live()
    assert session.wire.statements == before + 1


async def test_what_is_hidden_is_said_with_its_grant(my: Schema, open_session: Open, connected: Connect) -> None:
    session = await open_session(my.user(f"SELECT ON {my.name}.*"))
    working = connected(my)
    run(working, "SELECT 1")
    reading = await session.live(idle=True, vitals=True)
    assert working.thread_id() not in {each.id for each in reading.sessions}
    assert (reading.state, reading.blockers) == ("insufficient privilege", "insufficient privilege")
    assert reading.hidden >= 1
    assert reading.finding is not None
    assert (reading.finding.fix or "").startswith("GRANT PROCESS ON *.* TO")
    assert reading.vitals is not None
    assert reading.vitals["oldest_ms"].state == "insufficient privilege"
    assert reading.vitals["connections"].state == "ok"


async def test_vitals_count_between_two_looks(stock: Schema, open_session: Open) -> None:
    session = await open_session(stock.monitor_url)
    first = (await session.live(vitals=True)).vitals
    assert first is not None
    assert first["hit_ratio"].state == "no data"
    with stock.connect() as connection:
        run(connection, "SELECT COUNT(*) FROM stock")
        run(connection, "SELECT * FROM (SELECT DISTINCT TABLE_NAME FROM information_schema.TABLES) t")
        second = (
            await until(session, lambda now: now.vitals and now.vitals["hit_ratio"].state == "ok", vitals=True)
        ).vitals
    assert second is not None
    assert 0 < (second["hit_ratio"].value or 0) <= 1
    assert (second["lag_ms"].state, second["age"].state) == ("no data", "ok")
    assert second["age"].title == "history list"
    redo, temporary = second["checkpoints"], second["temporary"]
    assert redo.title and (redo.state == "unsupported" or 0 <= (redo.value or 0) <= (redo.limit or 0))
    assert (temporary.state, first["temporary"].state) == ("ok", "no data") and temporary.detail
    connections = second["connections"]
    assert 0 < (connections.value or 0) < (connections.limit or 0)


async def test_cancel_leaves_the_session_and_terminate_ends_it(
    stock: Schema, open_session: Open, connected: Connect
) -> None:
    session = await open_session(stock.monitor_url)
    engine, owner = MysqlEngine(), Target.from_url(stock.url)
    sleeper = connected(stock)
    number = sleeper.thread_id()

    def sleep() -> None:
        try:
            run(sleeper, "SELECT id, SLEEP(60) FROM stock")
        except pymysql.Error as error:
            assert error.args[0] in (1317, 1028)
        run(sleeper, "SELECT id, SLEEP(61) FROM stock")

    def there(now: LiveReading) -> list[LiveSession]:
        return [each for each in now.sessions if each.id == number and each.state == "active"]

    with behind(sleep, pymysql.Error) as raised:
        (seen,) = there(await until(session, there))
        assert (seen.wait, seen.event) == ("other", "User sleep")
        assert (await engine.end(owner, Limits(), Ending(seen, "cancel"))).outcome == "sent"
        (again,) = there(await until(session, lambda now: there(now) and there(now)[0].begun != seen.begun))
        assert again.began == seen.began
        assert (await engine.end(owner, Limits(), Ending(seen, "terminate"))).outcome == "changed"
        assert there(await session.live())
        assert (await engine.end(owner, Limits(), Ending(again, "terminate"))).outcome == "sent"
    assert [error.args[0] for error in raised] in ([2013], [1317], [1927], [1053])
    assert (await engine.end(owner, Limits(), Ending(again, "terminate"))).outcome == "gone"


async def test_who_may_not_stop_a_session_is_told_the_grant(
    stock: Schema, open_session: Open, connected: Connect
) -> None:
    session = await open_session(stock.monitor_url)
    mine = connected(stock)
    run(mine, "BEGIN", "UPDATE stock SET note = 'a'")
    seen = session_of(await until(session, lambda now: mine.thread_id() in {each.id for each in now.sessions}), mine)
    with pytest.raises(PermissionDenied) as raised:
        await MysqlEngine().end(Target.from_url(stock.monitor_url), Limits(), Ending(seen, "terminate"))
    run(mine, "ROLLBACK")
    assert "GRANT CONNECTION" in (raised.value.fix or "")


async def test_a_server_that_is_gone_is_an_error_not_an_empty_list(stock: Schema, open_session: Open) -> None:
    session = await open_session(stock.monitor_url, limits=Limits(call_s=1.0))
    stock.execute(f"KILL {session.wire.connection_id}")
    with pytest.raises(EngineError):
        await session.live()
