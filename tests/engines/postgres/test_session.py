"""A read-only session: what it starts with, what it refuses, and what each failed connect says."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback

import psycopg
import pytest
from psycopg import sql

from meshag_tui.engines.base import (
    AuthenticationFailed,
    CannotConnect,
    DeadlinePassed,
    EngineError,
    Limits,
    LockTimeout,
    NoSuchDatabase,
    PermissionDenied,
    ServerFault,
)
from meshag_tui.engines.marker import MARKER, marked
from meshag_tui.types import Secret
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import MONITOR, Database

CANARY = "canary-4711-p@ss"


async def test_the_session_is_read_only_and_bounded(pg: Database, open_session: Open) -> None:
    session = await open_session(pg.monitor_url, "sync", Limits(call_s=10))
    shown = await session.fetch(
        "SELECT current_setting('default_transaction_read_only'), current_setting('statement_timeout'),"
        " current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),"
        " current_setting('application_name'), current_setting('search_path')"
    )
    assert shown == [("on", "9s", "500ms", "10s", "meshag/sync", "pg_catalog,pg_temp")]
    pg.execute("CREATE TABLE victim (a int)", f"GRANT ALL ON victim TO {MONITOR}")
    for text in (
        "INSERT INTO public.victim VALUES (1)",
        "SELECT 1; DROP TABLE public.victim",
        "COMMIT; BEGIN READ WRITE; DROP TABLE public.victim",
        "WITH w AS (INSERT INTO public.victim VALUES (1) RETURNING 1) SELECT * FROM w",
    ):
        with pytest.raises(ServerFault):
            await session.fetch(text)
    assert pg.fetch("SELECT count(*) FROM victim") == [(0,)]


async def test_facts_say_what_the_server_is(pg_all: Database, open_session: Open) -> None:
    session = await open_session(pg_all.monitor_url)
    facts = session.facts
    ((oid, identifier),) = pg_all.fetch(
        "SELECT d.oid, s.system_identifier::text FROM pg_database d, pg_control_system() s"
        " WHERE datname = current_database()"
    )
    assert facts.version_number // 10_000 == pg_all.major
    assert facts.version.split(".")[0] == str(pg_all.major)
    assert (facts.database, facts.database_oid, facts.user) == (pg_all.name, oid, MONITOR)
    assert (facts.superuser, facts.in_recovery, facts.epoch.role, facts.tls) == (False, False, "primary", None)
    assert facts.epoch.system_identifier == identifier
    assert facts.settings["shared_buffers"] == str(48 * 1024 * 1024), "sizes are bytes"
    assert facts.settings["track_io_timing"] == "on"
    assert "pg_stat_statements" in facts.extensions
    assert 0 < facts.latency_ms < 1_000
    assert abs(facts.observed_at - time.time() * 1000) < 10_000


async def test_identity_without_pg_control_system(private_pg, open_session: Open) -> None:
    database: Database = private_pg(18)
    database.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC, pg_monitor")
    session = await open_session(database.monitor_url)
    assert session.facts.epoch.system_identifier == f"127.0.0.1:{database.server.port}/{session.facts.database_oid}"
    assert "identity" in {finding.code for finding in await session.findings()}


async def test_a_socket_and_a_loopback_name_work(pg18: Database, open_session: Open) -> None:
    by_socket = await open_session(pg18.socket_url)
    by_name = await open_session(pg18.monitor_url.replace("127.0.0.1", "localhost"))
    assert by_socket.facts.epoch.system_identifier == by_name.facts.epoch.system_identifier


async def test_names_that_need_quoting(pg18: Database, open_session: Open) -> None:
    name, role, password = "postgres' OR 1=1-- \\", 'o\'b "x" @:/', "p@ss:/w' \\%"
    with pg18.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
        )
    try:
        session = await open_session(pg18.monitor_url, database=name, user=role, password=Secret(password))
        assert (session.facts.database, session.facts.user) == (name, role)
    finally:
        with pg18.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


async def test_the_environment_of_the_shell_changes_nothing(
    pg18: Database, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGHOST": "nowhere.invalid",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGPASSWORD": "wrong",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c statement_timeout=1",
        "PGSERVICE": "missing",
        "PGREQUIREAUTH": "none",
        "PGTARGETSESSIONATTRS": "standby",
        "PGTZ": "Asia/Kathmandu",
        "PGCONNECT_TIMEOUT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    session = await open_session(pg18.monitor_url)
    assert await session.fetch("SELECT current_setting('statement_timeout')") == [("13500ms",)]
    assert os.environ["PGPASSWORD"] == "wrong", "it is given back"
    with pytest.raises(AuthenticationFailed, match="none is stored"):
        await open_session(pg18.monitor_url, password=None)


async def refusal(open_session: Open, url: str, **changes: object) -> EngineError:
    """The error of a connect that must fail; the password must be nowhere in it."""
    try:
        await open_session(url, limits=Limits(connect_s=3), **changes)
    except EngineError as error:
        told = "".join(traceback.format_exception(error)) + str(error.fix) + repr(error)
        assert CANARY not in told
        return error
    raise AssertionError("it connected")


async def test_each_cause_has_its_own_words(pg: Database, open_session: Open, unused_tcp_port: int) -> None:
    canary = {"password": Secret(CANARY)}
    pg.execute(f"REVOKE CONNECT ON DATABASE {pg.name} FROM PUBLIC")
    other = pg.monitor_url.replace(f"/{pg.name}", "/blank")
    causes = {
        "wrong password": (await refusal(open_session, other, **canary), AuthenticationFailed, "does not accept"),
        "no password": (await refusal(open_session, other, password=None), AuthenticationFailed, "none is stored"),
        "no database": (await refusal(open_session, other, database="nope"), NoSuchDatabase, "no database nope"),
        "no right": (await refusal(open_session, pg.monitor_url), PermissionDenied, "may not connect to database"),
        "refused": (await refusal(open_session, other, port=unused_tcp_port, **canary), CannotConnect, "refused"),
        "no host": (await refusal(open_session, other, host="db.invalid", **canary), CannotConnect, "not known"),
        "no socket": (
            await refusal(open_session, other, host="/nonexistent", **canary),
            CannotConnect,
            "no server socket",
        ),
    }
    for cause, (error, kind, words) in causes.items():
        assert type(error) is kind, (cause, error)
        assert words in str(error), cause
    assert len({str(error) for error, _, _ in causes.values()}) == len(causes)
    assert f'GRANT CONNECT ON DATABASE "{pg.name}" TO "{MONITOR}"' in str(causes["no right"][0].fix)


async def test_a_full_server_says_so(private_pg, open_session: Open) -> None:
    database: Database = private_pg(18, settings={"max_connections": "5", "superuser_reserved_connections": "2"})
    held = [psycopg.connect(database.server.dsn(database.name, MONITOR)) for _ in range(3)]
    try:
        error = await refusal(open_session, database.monitor_url)
        assert isinstance(error, CannotConnect)
        assert error.transient
        assert "no free connection slot" in str(error)
    finally:
        for connection in held:
            connection.close()


async def test_a_server_that_starts_or_stops_says_so(private_pg, open_session: Open) -> None:
    database: Database = private_pg(18)
    with psycopg.connect(database.url) as held:
        os.kill(database.server.pid, signal.SIGTERM)  # smart shutdown: it waits for the open session
        await asyncio.sleep(0.3)
        error = await refusal(open_session, database.monitor_url)
        held.close()
    assert isinstance(error, CannotConnect)
    assert "not taking connections now" in str(error)


async def test_statement_errors_are_told_apart(pg: Database, open_session: Open) -> None:
    session = await open_session(pg.monitor_url, limits=Limits(call_s=4))
    pg.execute("CREATE TABLE held (secret text)", "CREATE TABLE closed ()", "REVOKE ALL ON closed FROM PUBLIC")
    with pg.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE held")
        begin = time.monotonic()
        with pytest.raises(LockTimeout):
            await session.fetch("SELECT * FROM public.held")
        assert time.monotonic() - begin < 3
    with pytest.raises(DeadlinePassed, match="statement timeout"):
        await session.fetch("SELECT pg_sleep(10)")
    with pytest.raises(ServerFault, match="does not exist"):
        await session.fetch("SELECT * FROM public.nope")
    with pytest.raises(PermissionDenied):
        await session.fetch("SELECT pg_read_file('postgresql.conf')")
    assert await session.fetch("SELECT 1") == [(1,)], "the session lives on"


async def test_a_frozen_backend_ends_by_the_deadline(pg: Database, open_session: Open) -> None:
    session = await open_session(pg.monitor_url)
    pid = session.wire.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        with pytest.raises(DeadlinePassed, match="within 1 s"):
            await session.fetch("SELECT 1", deadline_s=1)
        assert time.monotonic() - begin < 8
        begin = time.monotonic()
        with pytest.raises(CannotConnect, match="is over"):
            await session.fetch("SELECT 1")
        await session.close()
        assert time.monotonic() - begin < 5
    finally:
        os.kill(pid, signal.SIGCONT)
    for _ in range(300):
        if pg.fetch("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)) == [(0,)]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the backend stayed")


async def test_cancelling_ends_at_once(pg18: Database, open_session: Open) -> None:
    session = await open_session(pg18.monitor_url)
    pid = session.wire.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await session.fetch("SELECT 1")
        assert time.monotonic() - begin < 5
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_killed_backend_is_a_lost_connection(pg18: Database, open_session: Open) -> None:
    session = await open_session(pg18.monitor_url)
    pg18.fetch("SELECT pg_terminate_backend(%s)", (session.wire.backend_pid,))
    with pytest.raises(CannotConnect, match="lost"):
        await session.fetch("SELECT 1")
    assert session.wire.gone is not None


async def test_no_descriptor_is_left(pg18: Database, open_session: Open) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        session = await open_session(pg18.monitor_url)
        await session.close()
        with pytest.raises(AuthenticationFailed):
            await open_session(pg18.monitor_url, password=Secret("no"))
    assert len(os.listdir("/proc/self/fd")) <= before + 1


async def test_everything_we_send_carries_our_marker(pg: Database, open_session: Open) -> None:
    session = await open_session(pg.monitor_url)
    snapshot = await session.collect()
    assert snapshot.statements is not None
    await session.texts([row[0] for row in snapshot.statements.rows])
    await session.findings()
    async with session.wire.transaction():
        await session.fetch("SELECT 1")
    ours = pg.fetch(
        "SELECT query FROM pg_stat_statements WHERE userid = %s::regrole AND dbid ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())",
        (MONITOR,),
    )
    assert len(ours) >= 8
    assert [query for (query,) in ours if MARKER not in query] == []


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("SELECT 1", "SELECT /* meshag */ 1"),
        ("  \n-- why\nEXPLAIN (COSTS) SELECT 1", "  \n-- why\nEXPLAIN /* meshag */ (COSTS) SELECT 1"),
        ("SELECT /* meshag */ 1", "SELECT /* meshag */ 1"),
    ],
)
def test_where_the_marker_goes(text: str, sent: str) -> None:
    assert marked(text.encode()) == sent.encode()


async def test_a_transaction_of_ours_leaves_nothing(pg: Database, open_session: Open) -> None:
    session = await open_session(pg.monitor_url)
    async with session.wire.transaction():
        assert await session.fetch("SELECT set_config('work_mem', '1MB', true)") == [("1MB",)]
    assert await session.fetch("SELECT current_setting('work_mem')") == [("4MB",)]


async def test_rows_are_shaped_without_holding_the_loop(pg18: Database, open_session: Open) -> None:
    session = await open_session(pg18.monitor_url)
    longest, running = 0.0, True

    async def watch() -> None:
        nonlocal longest
        while running:
            begin = time.thread_time()  # of this thread alone: other processes may take the processor for longer
            await asyncio.sleep(0.005)
            longest = max(longest, time.thread_time() - begin)

    watcher = asyncio.create_task(watch())
    rows = await session.fetch(
        "SELECT i, i * 2.5::float8, i, i, i, i, i, i, i, i FROM generate_series(1, 50000) i",
        shape=lambda chunk: [row[0] for row in chunk],
    )
    running = False
    await watcher
    assert len(rows) == 50_000
    assert longest < 0.1


async def test_bytes_of_any_encoding(private_pg, open_session: Open) -> None:
    database: Database = private_pg(18)
    database.execute(
        "CREATE DATABASE raw TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    raw = database.url.rpartition("/")[0] + "/raw"
    with psycopg.connect(raw, autocommit=True, client_encoding="SQL_ASCII") as connection:
        connection.execute(b'CREATE TABLE "caf\xe9" (a int)')
        connection.execute(b"CREATE TABLE \"gr\xc3\xbcn\" (a text DEFAULT 'x\xff')")
    session = await open_session(raw)
    snapshot = await session.collect()
    assert snapshot.tables is not None
    assert {table.name for table in snapshot.tables} == {"caf\\xe9", "grün"}
    latin = await open_session(database.url.rpartition("/")[0] + "/latin")
    assert await latin.fetch("SELECT chr(233)") == [("é",)]
