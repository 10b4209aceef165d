"""The rig's MySQL and MariaDB: what the fixtures promise is so."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import asyncmy
import pymysql
import pytest

from meshag_tui.servers.mysqld import MARIADB, MYSQL
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.types import Target
from tests.rig import certificates
from tests.rig.mysql import ANSI_QUOTES, BINARY_LOG, FLAVOURS, NO_TLS, PFS_OFF, SMALL_DIGESTS, Schema, server


async def fetch(url: str, query: str) -> list[tuple[object, ...]]:
    """Rows of one query by the product's driver, as the account of `url`."""
    target = Target.from_url(url)
    secret = target.password.reveal().encode() if target.password else b""
    where = {"unix_socket": f"{target.host}/mysqld.sock"} if target.host.startswith("/") else {"host": target.host}
    connection = await asyncmy.connect(**where, port=target.port, user=target.user, password=secret, db=target.database)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(query)
            return list(await cursor.fetchall())
    finally:
        connection.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_an_empty_schema(my: Schema, turn: int) -> None:
    my.execute("CREATE TABLE mine AS SELECT 1 AS n")
    assert my.fetch("SELECT n FROM mine") == [(1,)]


async def test_statements_are_counted_and_accounts_may_what_they_should(my: Schema) -> None:
    my.execute("CREATE TABLE counted (n int)", "INSERT INTO counted VALUES (1)")
    for url in (my.url, my.socket_url, my.owner_url, my.monitor_url):
        assert await fetch(url, "SELECT n FROM counted") == [(1,)]
    counted = (
        "SELECT SUM(COUNT_STAR) FROM performance_schema.events_statements_summary_by_digest"
        f" WHERE SCHEMA_NAME = '{my.name}' AND DIGEST_TEXT LIKE 'SELECT%counted%'"
    )
    assert await fetch(my.monitor_url, counted) == [(4,)]
    with pytest.raises(asyncmy.errors.OperationalError, match="denied"):
        await fetch(my.monitor_url, "INSERT INTO counted VALUES (2)")
    await fetch(my.owner_url, "ALTER TABLE counted ADD COLUMN m int")
    with pytest.raises(asyncmy.errors.OperationalError, match="denied"):
        await fetch(my.owner_url, "SELECT * FROM mysql.user")
    other = my.user("SELECT ON *.*", name="another", plugin="mysql_native_password" if my.flavour == MARIADB else "")
    assert await fetch(other, "SELECT n FROM counted") == [(1,)]


def test_a_private_server_keeps_its_data_and_place(private_my: Callable[..., Schema]) -> None:
    schema = private_my(MARIADB, {**PFS_OFF, **BINARY_LOG})
    assert schema.fetch("SELECT @@performance_schema, @@log_bin, @@server_id") == [(0, 1, 7)]
    schema.execute("CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)")
    port = schema.server.port
    schema.server.stop()
    with pytest.raises(pymysql.OperationalError):
        schema.connect()
    schema.server.start()
    assert schema.server.port == port
    schema.execute("INSERT INTO kept VALUES (2)")
    schema.server.stop(immediate=True)
    schema.server.start()
    assert schema.fetch("SELECT n FROM kept") == [(1,), (2,)]
    schema.server.freeze()
    with pytest.raises(pymysql.OperationalError):
        schema.connect(read_timeout=0.2, connect_timeout=0.2)
    schema.server.thaw()
    assert schema.fetch("SELECT COUNT(*) FROM kept") == [(2,)]


@pytest.mark.slow
def test_options_certificates_and_identity(tmp_path: Path, private_my: Callable[..., Schema]) -> None:
    theirs = certificates.files(tmp_path, certificates.authority(tmp_path, "ours"), ["127.0.0.1"])
    quoting = {**ANSI_QUOTES, **SMALL_DIGESTS, **BINARY_LOG}
    one = private_my(MYSQL, quoting, lower_case_table_names=1, tls=theirs)
    said = "SELECT @@lower_case_table_names, @@performance_schema_digests_size, @@log_bin, @@sql_mode LIKE 'ANSI%'"
    assert one.fetch(said) == [(1, 200, 1, 1)]
    context = ssl.create_default_context(cafile=str(theirs[0]))
    with one.connect(unix_socket=None, host="127.0.0.1", port=one.server.port, ssl=context) as connection:
        assert connection._secure  # pymysql has no public word for it
    other = private_my(MYSQL, NO_TLS)
    assert other.fetch("SHOW STATUS LIKE 'Ssl_version'") == [("Ssl_version", "")]
    with pytest.raises(pymysql.OperationalError):
        other.connect(unix_socket=None, host="127.0.0.1", port=other.server.port, ssl=context)
    assert one.fetch("SELECT @@server_uuid") != other.fetch("SELECT @@server_uuid")
    maria = private_my(MARIADB, {}, lower_case_table_names=1, tls=theirs)
    with maria.connect(unix_socket=None, host="127.0.0.1", port=maria.server.port, ssl=context) as connection:
        assert connection._secure


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nothing_is_left_behind(flavour: str) -> None:
    try:
        running = server(flavour)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    root, pid = running.root, running.pid
    running.close()
    assert not root.exists()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ServerUnavailable, match="no_such_option"):
        server(flavour, {"no_such_option": "1"})
