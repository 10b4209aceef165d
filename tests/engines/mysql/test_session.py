"""Getting in and talking: accounts, sockets, names, what a session may do and how it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from decimal import Decimal

import pytest

from meshag_tui.engines.base import (
    AuthenticationFailed,
    CannotConnect,
    DeadlinePassed,
    EngineError,
    Limits,
    LockTimeout,
    NoSuchDatabase,
    PermissionDenied,
    Refused,
    ServerFault,
)
from meshag_tui.engines.marker import MARKER
from meshag_tui.engines.mysql.errors import number
from meshag_tui.engines.mysql.wire import flavour_and_version
from meshag_tui.engines.rehearsal import CopyLimits
from meshag_tui.servers import mysqld
from meshag_tui.types import Secret, Target, TlsMode
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import BINARY_LOG, FLAVOURS, PASSWORD, Schema


async def test_facts(my: Schema, open_session: Open) -> None:
    session = await open_session(my.monitor_url)
    facts = session.facts
    assert facts.engine == my.flavour == session.wire.flavour
    assert facts.version == my.fetch("SELECT VERSION()")[0][0].partition("-")[0]
    assert facts.version_number == sum(n * f for n, f in zip(session.wire.version, (10_000, 100, 1), strict=True))
    assert (facts.database, facts.user, facts.superuser, facts.in_recovery) == (
        my.name,
        f"{my.name}_monitor",
        False,
        False,
    )
    assert (facts.block_size, facts.replicas, facts.hides_indexes) == (16384, 0, True)
    assert facts.epoch.system_identifier
    assert abs(facts.observed_at - time.time() * 1000) < 60_000
    assert facts.epoch.started_at < facts.observed_at
    assert int(facts.settings["max_connections"]) > 0
    my.execute("FLUSH STATUS")
    again = await open_session(my.url)
    assert again.facts.superuser
    assert facts.epoch.ran and again.facts.epoch.ran and again.facts.epoch.ran > facts.epoch.ran, "nobody resets it"
    assert again.facts.epoch.started_at == facts.epoch.started_at, "to the second, whenever it is asked"
    assert again.facts.epoch.system_identifier == facts.epoch.system_identifier


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_replicas_are_seen_without_the_right_to_see_sessions(
    private_my: Callable[..., Schema], open_session: Open, flavour: str
) -> None:
    schema = private_my(flavour, BINARY_LOG)
    url = schema.user("SELECT ON performance_schema.*", f"SELECT ON `{schema.name}`.*")
    assert (await open_session(url)).facts.replicas == 0
    with schema.replica():
        assert (await open_session(url)).facts.replicas == 1


async def test_the_session_reads_only_and_has_its_own_settings(my: Schema, open_session: Open) -> None:
    my.execute("CREATE TABLE t (a int)")
    session = await open_session(my.owner_url, limits=Limits(call_s=10))
    assert session.server.settings_taken
    with pytest.raises(ServerFault, match="READ ONLY") as caught:
        await session.fetch(f"INSERT INTO {my.name}.t VALUES (1)")
    assert number(caught.value) == 1792
    with pytest.raises(ServerFault, match="READ ONLY"):
        await session.fetch(f"DROP TABLE {my.name}.t")
    with pytest.raises(ServerFault, match="syntax"):
        await session.fetch("SELECT 1; SELECT 2")
    ((mode, zone, lock, charset),) = await session.fetch(
        "SELECT @@sql_mode, @@time_zone, @@lock_wait_timeout, @@character_set_results"
    )
    assert (mode, zone, lock, charset) == ("", "+00:00", 1, "utf8mb4")
    deadline = "max_execution_time" if my.flavour == "MySQL" else "max_statement_time"
    ((limit,),) = await session.fetch(f"SELECT @@{deadline}")
    assert float(limit) == pytest.approx(9000 if my.flavour == "MySQL" else 9)


async def test_the_server_knows_who_we_are(my: Schema, open_session: Open) -> None:
    session = await open_session(my.monitor_url, purpose="sync")
    rows = my.fetch(
        "SELECT ATTR_VALUE FROM performance_schema.session_connect_attrs WHERE PROCESSLIST_ID = %s AND ATTR_NAME = %s",
        (session.wire.connection_id, "program_name"),
    )
    assert rows == [("meshag/sync",)]
    waiting = asyncio.ensure_future(session.fetch("SELECT SLEEP(30)", deadline_s=60))
    for _ in range(1_000):
        await asyncio.sleep(0.02)
        if shown := my.fetch(
            "SELECT DB, INFO FROM information_schema.PROCESSLIST WHERE ID = %s AND INFO IS NOT NULL",
            (session.wire.connection_id,),
        ):
            break
    assert shown[0] == ("information_schema", f"SELECT {MARKER} SLEEP(30)"), "no schema of yours is ours"
    waiting.cancel()


async def test_values_and_texts_of_every_kind(my: Schema, open_session: Open) -> None:
    session = await open_session(my.monitor_url)
    hostile = "ü'\"\\`%s{}\n\0€😀"
    assert await session.fetch("SELECT %s", [hostile]) == [(hostile,)]
    assert await session.fetch("SELECT 1 WHERE 'b' IN %(names)s", {"names": ("a", "b'")}) == []
    assert await session.fetch("SELECT 1 WHERE 'b' IN %(names)s", {"names": ["a", "b"]}) == [(1,)]
    assert await session.fetch("SELECT 1 WHERE 'b' IN %(names)s", {"names": []}) == []
    assert await session.fetch("SELECT x'ff00', 1.50, NULL, '10%'") == [(b"\xff\x00", Decimal("1.50"), None, "10%")]
    assert await session.fetch("SELECT a FROM (SELECT 1 AS a) t WHERE false") == []
    with pytest.raises(ServerFault, match="half a character"):
        await session.fetch("SELECT %s", ["\ud800"])


async def test_bytes_that_are_no_text_are_shown(my: Schema, open_session: Open) -> None:
    """A column of one character set that holds bytes of another: the session goes on."""
    my.execute(
        "CREATE TABLE broken (a varchar(10) CHARACTER SET latin1)",
        "INSERT INTO broken VALUES (x'e9')",
        "SET NAMES utf8mb4",
    )
    session = await open_session(my.monitor_url)
    await session.fetch("SET character_set_results = NULL")  # the server then sends what it has
    assert await session.fetch(f"SELECT a FROM {my.name}.broken") == [("\\xe9",)]
    assert await session.fetch("SELECT 1") == [(1,)]


async def test_refusals_have_their_own_words(my: Schema, open_session: Open) -> None:
    canary = "wr0ng-canary"
    with pytest.raises(AuthenticationFailed, match="does not accept") as caught:
        await open_session(my.monitor_url, password=Secret(canary))
    assert canary not in f"{caught.value}{caught.value.fix}"
    with pytest.raises(AuthenticationFailed, match="none is stored"):
        await open_session(my.monitor_url, password=None)
    with pytest.raises(AuthenticationFailed):
        await open_session(my.monitor_url, user="nobody-of-that-name")
    with pytest.raises(NoSuchDatabase, match="no database elsewhere"):
        await open_session(my.monitor_url, database="elsewhere")
    session = await open_session(my.monitor_url)
    with pytest.raises(PermissionDenied, match=r"lacks a right"):
        await session.fetch("SELECT * FROM mysql.user")
    with pytest.raises(ServerFault, match=r"\(1146\)"):
        await session.fetch(f"SELECT * FROM {my.name}.nothing")
    assert await session.fetch("SELECT 1") == [(1,)], "a refused statement ends nothing"


async def test_locked_out_accounts(my: Schema, open_session: Open) -> None:
    locked = my.user(name=f"{my.name}_locked")
    my.execute(f"ALTER USER '{my.name}_locked'@'%' ACCOUNT LOCK")
    with pytest.raises(AuthenticationFailed, match="keeps"):
        await open_session(locked)
    elsewhere = f"{my.name}_elsewhere"
    my.execute(f"CREATE USER '{elsewhere}'@'192.0.2.1' IDENTIFIED BY 'x'")
    with pytest.raises(AuthenticationFailed):
        await open_session(my.monitor_url, user=elsewhere, password=Secret("x"))
    my.execute(f"DROP USER '{elsewhere}'@'192.0.2.1'")


async def test_no_free_connection(private_my: Callable[..., Schema], open_session: Open) -> None:
    full = private_my("MariaDB", {"max-connections": "10"})
    held = []
    try:
        with pytest.raises(CannotConnect, match="no free connection") as caught:
            for _ in range(12):
                held.append(await open_session(full.monitor_url))
        assert caught.value.transient
    finally:
        for session in held:
            await session.close()


@pytest.mark.parametrize("tls", [TlsMode.DISABLE, TlsMode.REQUIRE])
async def test_caching_sha2_cold_and_warm(mysql: Schema, open_session: Open, tls: TlsMode) -> None:
    """Cold, the server asks for the password itself (by TLS, or sealed by its key), warm for a proof of it."""
    url = mysql.user(plugin="caching_sha2_password")
    for _ in range(2):
        session = await open_session(url, tls=tls, database="")
        assert (session.facts.tls is not None) == (tls is TlsMode.REQUIRE)
    mysql.execute("FLUSH PRIVILEGES")  # cold again
    session = await open_session(url, tls=tls, database="")
    assert await session.fetch("SELECT 1") == [(1,)]


@pytest.mark.parametrize("password", [PASSWORD, "", "latin-1 é", "x" * 200, "quote ' back \\ slash ` 😀"])
async def test_passwords(my: Schema, open_session: Open, password: str) -> None:
    url = my.user(password=password)
    session = await open_session(url, password=Secret(password) if password else None, database="")
    assert session.facts.user == Target.from_url(url).user


async def test_over_the_socket(my: Schema, open_session: Open) -> None:
    session = await open_session(my.socket_url)
    assert session.facts.tls is None
    socket = str(my.server.socket)
    await open_session(my.monitor_url, host=socket)
    folder = (
        await open_session(my.monitor_url, host=os.path.dirname(socket))
        if os.path.basename(socket)
        in (
            "mysqld.sock",
            "mysql.sock",
        )
        else session
    )
    assert await folder.fetch("SELECT 1") == [(1,)]
    with pytest.raises(CannotConnect, match="no server socket"):
        await open_session(my.monitor_url, host="/tmp/no-such-folder")


@pytest.mark.parametrize("name", ["t-é 😀`'\"\\ %s", "select", "a/b.c#d"])
async def test_hostile_database_names(my: Schema, open_session: Open, name: str) -> None:
    if "😀" in name:
        name = name.replace("😀", "")  # identifiers hold three bytes a character
    quoted = "`" + name.replace("`", "``") + "`"
    my.execute(f"CREATE DATABASE {quoted}")
    try:
        my.execute(f"CREATE TABLE {quoted}.{quoted} ({quoted} int PRIMARY KEY, b int, KEY {quoted} (b))")
        session = await open_session(my.url, database=name)
        snapshot = await session.collect()
        assert snapshot.tables is not None and snapshot.indexes is not None and snapshot.schema is not None
        assert [(table.schema, table.name) for table in snapshot.tables] == [(name, name)]
        assert {index.name for index in snapshot.indexes} == {"PRIMARY", name}
        assert [column.name for column in snapshot.schema.columns[f"{name}.{name}"]] == [name, "b"]
        assert not snapshot.warnings
    finally:
        my.execute(f"DROP DATABASE {quoted}")


async def test_a_statement_that_takes_too_long(my: Schema, open_session: Open) -> None:
    session = await open_session(my.monitor_url)
    begin = time.monotonic()
    with pytest.raises(DeadlinePassed, match="given up"):
        await session.fetch("SELECT SLEEP(20)", deadline_s=0.5)
    assert time.monotonic() - begin < 8
    with pytest.raises(CannotConnect, match="is over"):
        await session.fetch("SELECT 1")


async def test_the_server_ends_a_statement_before_we_do(my: Schema, open_session: Open) -> None:
    session = await open_session(my.monitor_url, limits=Limits(call_s=1))
    slow = (
        "SELECT COUNT(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b, information_schema.COLUMNS c"
    )
    with pytest.raises(DeadlinePassed):
        await session.fetch(slow)
    assert session.wire.gone is None, "the session lives on"
    assert await session.fetch("SELECT 1") == [(1,)]


async def test_cancelling_ends_the_session_at_once(my: Schema, open_session: Open) -> None:
    session = await open_session(my.monitor_url)
    task = asyncio.ensure_future(session.fetch("SELECT SLEEP(20)"))
    await asyncio.sleep(0.1)
    task.cancel()
    begin = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begin < 5
    assert session.wire.gone


async def test_a_killed_session_is_told(my: Schema, open_session: Open) -> None:
    session = await open_session(my.monitor_url)
    my.execute(f"KILL {session.wire.connection_id}")
    with pytest.raises(CannotConnect) as caught:
        await session.fetch("SELECT 1")
    assert caught.value.transient
    assert session.wire.gone


async def test_a_locked_table_is_not_waited_for(my: Schema, open_session: Open) -> None:
    my.execute("CREATE TABLE held (a int)")
    session = await open_session(my.monitor_url)
    with my.connect() as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLES held WRITE")
        with pytest.raises(LockTimeout):
            await session.fetch(f"SELECT * FROM {my.name}.held")
    assert await session.fetch(f"SELECT * FROM {my.name}.held") == []


async def test_closing_is_told_to_the_server_and_leaves_nothing(my: Schema, open_session: Open) -> None:
    aborted = "SHOW GLOBAL STATUS LIKE 'Aborted_clients'"
    before, files = my.fetch(aborted)[0][1], len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        session = await open_session(my.monitor_url)
        await session.close()
    await asyncio.sleep(0.2)
    assert my.fetch(aborted)[0][1] == before
    assert len(os.listdir("/proc/self/fd")) <= files + 1


async def test_names_fold_where_the_server_folds_them(private_my: Callable[..., Schema], open_session: Open) -> None:
    schema = private_my("MariaDB", {"sql-mode": "ANSI_QUOTES"}, lower_case_table_names=1)
    schema.execute("CREATE TABLE Orders (Id int PRIMARY KEY)", "SELECT * FROM orders", "SELECT * FROM ORDERS")
    session = await open_session(schema.url, database="SHOP")
    snapshot = await session.collect()
    assert session.facts.database == "shop"
    assert snapshot.tables is not None and [table.key for table in snapshot.tables] == ["shop.orders"]
    texts = {text.text for text in await session.texts(None)}
    assert any("FROM orders" in (text or "") for text in texts)
    assert not snapshot.warnings


@pytest.mark.parametrize(
    ("said", "flavour", "version"),
    [
        ("8.0.36", "MySQL", (8, 0, 36)),
        ("9.7.4-2", "MySQL", (9, 7, 4)),
        ("8.0.31-google", "MySQL", (8, 0, 31)),
        ("8.0.mysql_aurora.3.04.0", "MySQL", (8, 0, 0)),
        ("5.5.5-10.11.18-MariaDB-0+deb12u1", "MariaDB", (10, 11, 18)),
        ("11.8.2-MariaDB-log", "MariaDB", (11, 8, 2)),
        ("nonsense", "MySQL", (0, 0, 0)),
    ],
)
def test_versions_as_servers_say_them(said: str, flavour: str, version: tuple[int, int, int]) -> None:
    assert flavour_and_version(said) == (flavour, version)


async def test_a_failed_connect_says_nothing_secret(my: Schema, open_session: Open) -> None:
    with pytest.raises(EngineError) as caught:
        await open_session(my.monitor_url, port=1)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str.lower)
async def test_over_ipv6(private_my: Callable[..., Schema], open_session: Open, flavour: str) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:  # containers often have none
        return
    schema = private_my(flavour, {"bind-address": "::1"})
    session = await open_session(schema.monitor_url.replace("127.0.0.1", "[::1]"))
    assert session.wire.target.host == "::1"
    assert (await session.collect()).schema is not None


async def test_without_a_server_of_its_kind_there_is_no_sandbox_and_it_says_so(
    my: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await open_session(my.monitor_url)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(mysqld, "_FOLDERS", ())
    with pytest.raises(Refused, match=f"no sandbox here: there is no {session.facts.engine} server") as refused:
        await session.copy_plan(["SELECT 1"], CopyLimits(1, 1, 1.0))
    assert "[rehearsal] server" in (refused.value.fix or "")
