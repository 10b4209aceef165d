"""Texts of statements: clean, capped, and never a reason for the counters to fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psycopg
import pytest

from meshag_tui.engines.base import Limits
from meshag_tui.engines.postgres.texts import LIMIT
from meshag_tui.snapshot import StatementText
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import Database

CANARY = "canary-hunter22"


async def keyed(open_session: Open, url: str) -> tuple[list[str], tuple[StatementText, ...]]:
    """The keys of a reading, and their texts."""
    session = await open_session(url)
    statements = (await session.collect()).statements
    assert statements is not None
    keys = [row[0] for row in statements.rows]
    return keys, await session.texts(keys)


async def test_only_what_was_asked_for_and_all_of_it(pg: Database, open_session: Open) -> None:
    pg.execute("SELECT 'one' AS a", "SELECT 'two' AS a, 2 AS b")
    session = await open_session(pg.monitor_url)
    found = {text.text: text for text in await session.texts(None)}
    one = found["SELECT $1 AS a"]
    assert (one.state, one.kind, one.database, one.user, one.aside) == ("ok", "select", pg.name, "app", None)
    assert one.fingerprint is not None
    gone = one.key.replace(one.key.split(".")[2], "12345")
    asked = await session.texts([gone, one.key])
    assert [(text.key, text.state) for text in asked] == [(gone, "unavailable"), (one.key, "ok")]
    assert await session.texts([]) == ()


async def test_passwords_never_leave_the_server_room(pg: Database, open_session: Open) -> None:
    pg.execute(
        f"CREATE ROLE secretive PASSWORD '{CANARY}'",
        f"ALTER ROLE secretive PASSWORD '{CANARY}x'",
        "DROP ROLE secretive",
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
    )
    _, texts = await keyed(open_session, pg.monitor_url)
    assert CANARY not in repr(texts)
    assert [text for text in texts if text.text and "secretive" in text.text.lower()]


async def test_a_long_text_is_cut(pg18: Database, open_session: Open) -> None:
    pg18.execute("SELECT 'long' /* " + "x" * (LIMIT + 5_000) + " */ AS huge")
    _, texts = await keyed(open_session, pg18.monitor_url)
    (cut,) = [text for text in texts if text.state == "cut"]
    assert len(cut.text or "") <= LIMIT


async def test_one_reading_takes_so_much_and_no_more(
    private_pg: Callable[..., Database], open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = private_pg(18)
    with database.connect() as connection:
        connection.execute("CREATE TABLE t (" + ", ".join(f"c{n} int" for n in range(30)) + ")")
        for n in range(30):
            connection.execute(f"SELECT c{n}, /* {'x' * 60_000} */ c0 FROM t")
    monkeypatch.setattr("meshag_tui.engines.postgres.texts.TOTAL", 600_000)
    keys, texts = await keyed(open_session, database.monitor_url)
    read = {text.key for text in texts}
    assert 5 <= len(read) < len(keys)
    session = await open_session(database.monitor_url)
    rounds = 1
    while missing := [key for key in keys if key not in read]:
        read |= {text.key for text in await session.texts(missing)}
        rounds += 1
    assert rounds <= 6


async def test_a_lost_file_of_texts_leaves_the_counters(
    private_pg: Callable[..., Database], open_session: Open
) -> None:
    database = private_pg(18)
    database.execute("SELECT 'kept' AS counted")
    file = database.server.root / "data" / "pg_stat_tmp" / "pgss_query_texts.stat"
    for damage in ("truncated", "garbage", "removed"):
        if damage == "truncated":
            file.write_bytes(b"")
        elif damage == "garbage":
            file.write_bytes(b"\xff\x00\xfe" * 40)
        else:
            file.unlink()
        keys, texts = await keyed(open_session, database.monitor_url)
        assert len(keys) >= 1, damage
        assert [text.key for text in texts] == keys, damage
        states = {text.state for text in texts}
        assert {"unavailable", "undecodable"} & states, damage
        assert states <= {"unavailable", "undecodable", "ok"}, damage


async def test_one_bad_byte_of_another_database(private_pg: Callable[..., Database], open_session: Open) -> None:
    database = private_pg(18)
    database.execute(
        "CREATE DATABASE raw TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'", "SELECT 'ours' AS a"
    )
    raw = database.url.rpartition("/")[0] + "/raw"
    with psycopg.connect(raw, autocommit=True, client_encoding="SQL_ASCII") as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute(b'SELECT 1 AS "caf\xe9"')
    keys, texts = await keyed(open_session, database.monitor_url)
    assert keys, "counters are read"
    assert {text.state for text in texts} == {"undecodable"}
    session = await open_session(database.monitor_url)
    (finding,) = [found for found in await session.findings() if found.code == "pgss-texts"]
    assert "(raw)" in finding.detail
    assert 'ALTER DATABASE "raw"' in str(finding.fix)
    _, there = await keyed(open_session, raw)
    (bad,) = [text for text in there if text.state == "undecodable"]
    assert "caf\\xe9" in str(bad.text)
    assert "ok" in {text.state for text in there}


async def test_texts_we_may_not_see(pg: Database, open_session: Open) -> None:
    pg.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    try:
        session = await open_session(pg.server.dsn(pg.name, "plain", "plain", tcp=True))
        assert "insufficient" not in repr(await session.texts(None))
    finally:
        pg.execute("DROP ROLE plain")


async def test_reading_texts_writes_no_temporary_file(private_pg: Callable[..., Database], open_session: Open) -> None:
    database = private_pg(18, settings={"log_temp_files": "0"})
    with database.connect() as connection:
        connection.execute("CREATE TABLE t (" + ", ".join(f"c{n} int" for n in range(30)) + ")")
        for n in range(800):
            connection.execute(f"SELECT c{n % 30}, c{n // 30}, /* {'x' * 7_000} */ c0 FROM t")
    begun = database.fetch("SELECT temp_files FROM pg_stat_database WHERE datname = current_database()")
    session = await open_session(database.monitor_url, limits=Limits(call_s=30))
    texts = await session.texts(None)
    assert len(texts) >= 750
    assert await session.fetch("SELECT current_setting('work_mem')") == [("4MB",)]
    assert database.fetch("SELECT temp_files FROM pg_stat_database WHERE datname = current_database()") == begun


@pytest.mark.slow
async def test_many_texts_do_not_hold_the_loop(private_pg: Callable[..., Database], open_session: Open) -> None:
    database = private_pg(18)
    with database.connect() as connection:
        connection.execute("CREATE TABLE t (" + ", ".join(f"c{n} int" for n in range(70)) + ")")
        for n in range(4_000):
            connection.execute(f"SELECT c{n % 70}, c{n // 70} FROM t WHERE c0 = 1")
    session = await open_session(database.monitor_url)
    longest, running = 0.0, True

    async def watch() -> None:
        nonlocal longest
        while running:
            begin = time.thread_time()  # of this thread alone: other processes may take the processor for longer
            await asyncio.sleep(0.005)
            longest = max(longest, time.thread_time() - begin)

    watcher = asyncio.create_task(watch())
    texts = await session.texts(None)
    running = False
    await watcher
    assert len(texts) > 4_000
    assert longest < 0.1
