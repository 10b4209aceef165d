"""Texts that are huge, deep, private or not of this locale: stored safely, shown quickly, printed anywhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pymysql
import pytest
import pytest_asyncio

from meshag_tui.settings import Settings
from meshag_tui.store import history
from meshag_tui.types import Target
from meshag_tui.workflows.workbench import Workbench
from tests.acceptance.conftest import Must, said_by
from tests.cli.conftest import Meshag
from tests.rig.mysql import Schema
from tests.rig.postgres import Database
from tests.rig.pty import Terminal
from tests.rig.stores import put_store


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """A workbench on an empty SQLite store."""
    async with await Workbench.open(Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"))) as bench:
        yield bench


async def test_monsters_from_a_real_server_are_read_stored_and_planned_or_refused(
    bench: Workbench, pg18: Database
) -> None:
    """A text of 1 MB on one line, very many ORs, deep parentheses: none stops a sync or holds the event loop."""
    pg18.execute("CREATE TABLE t (a int, b text)")
    monsters = {
        "long": "SELECT '" + "x" * 1_000_000 + "' AS long, a FROM t",
        "names": "SELECT " + ", ".join(f"a AS names_{number:06}" for number in range(1_600)) + " FROM t",
        "ors": "SELECT a AS ors FROM t WHERE " + " OR ".join(f"a = {number}" for number in range(20_000)),
        "deep": "SELECT a AS deep FROM t WHERE " + "(" * 1_500 + "a = 1" + ")" * 1_500,
    }
    added = await bench.add_connection("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)
    with pg18.connect() as connection:
        for text in monsters.values():
            connection.execute(text)
    report = await bench.sync(added.id)
    assert report.complete and not [finding for finding in report.warnings if finding.severity != "info"]
    window = await bench.store(history.latest_window, added.id, 3_600_000)
    for name in monsters:
        page = await bench.store(history.queries, added.id, window, text=name)
        (row,) = page.rows
        assert row.calls == 1 and row.text is not None and len(row.text) <= 65_536, name
        assert row.text_state in ("ok", "cut")
        try:
            await bench.explain(row.id)
        except Exception as refused:  # a text that was cut cannot be planned, and must say so
            assert type(refused).__module__.startswith("meshag_tui"), (name, refused)
    assert await bench.advice.suggest(added.id) is not None


LITERALS = tuple(f"geheim{number:03}@example.org" for number in range(40))


def private_statements() -> list[str]:
    """Statements whose text keeps its literals on a server that normalises queries only."""
    forms = (
        "COMMENT ON TABLE people IS '{}'",
        "SET application_name = '{}'",
        "NOTIFY news, '{}'",
        "CREATE OR REPLACE VIEW v_people AS SELECT * FROM people WHERE email = '{}'",
        "DO $$ BEGIN PERFORM 1 FROM people WHERE email = '{}'; END $$",
        "INSERT INTO people VALUES ('{}')",
        "SELECT * FROM people WHERE email = '{}' /* {} */",
        "PREPARE p{n} AS SELECT * FROM people WHERE email = '{}'",
        "COPY (SELECT * FROM people WHERE email = '{}') TO STDOUT",
        "ALTER TABLE people ALTER email SET DEFAULT '{}'",
    )
    return [forms[at % len(forms)].replace("{}", value).replace("{n}", str(at)) for at, value in enumerate(LITERALS)]


@pytest.mark.parametrize("major", [15, 18])
def test_no_literal_of_a_statement_is_stored_printed_or_logged(
    request: pytest.FixtureRequest, meshag: Meshag, must: Must, major: int
) -> None:
    database: Database = request.getfixturevalue(f"pg{major}")
    meshag.environment["MESHAG_LOG"] = "DEBUG"
    database.execute("CREATE TABLE people (email text)")
    must("connections", "add", "shop", database.monitor_url)
    must("sync", "shop")
    with database.connect() as connection:
        for statement in private_statements():
            if statement.startswith("COPY"):
                with connection.cursor().copy(statement) as copy:
                    list(copy)
            else:
                connection.execute(statement)
        # Neither the default nor the view outlives this: what a table is made of is not a statement's literal.
        connection.execute("DROP VIEW v_people; ALTER TABLE people ALTER email DROP DEFAULT")
    must("sync", "shop")
    printed = meshag("queries", "shop", "--internal", "--limit", "500", "--json")
    rows = printed.document
    assert len([row for row in rows if "people" in (row["text"] or "")]) >= 3, "they were read"
    kept = said_by(meshag.home)
    leaked = [value for value in LITERALS if value in printed.out or value.encode() in kept]
    assert not leaked, sorted(
        {(row["text"] or "")[:90] for row in rows if any(v in (row["text"] or "") for v in leaked)}
    )


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "POSIX"}, {"LANG": "C", "PYTHONIOENCODING": "ascii"}],
    ids=["POSIX", "ascii"],
)
def test_names_beyond_ascii_are_printed_in_any_locale(
    pg18: Database, meshag: Meshag, must: Must, environment: dict[str, str]
) -> None:
    pg18.execute('CREATE TABLE "größe_注文_🐘" (id int PRIMARY KEY)')
    must("connections", "add", "läden", pg18.monitor_url)
    must("sync", "läden")
    for command in (["tables", "läden"], ["indexes", "läden"], ["connections", "list"]):
        answer = meshag.fresh(*command, environment=environment)
        assert answer.code == 0 and "Traceback" not in answer.err, (command, answer.err)
        assert "UnicodeEncodeError" not in answer.err + meshag.log
    tables = meshag.fresh("tables", "läden", "--json", environment=environment)
    assert tables.document[0]["table"] == "größe_注文_🐘"
    with Terminal(meshag.command(), 100, 30, meshag.environment | environment | {"TERM": "xterm"}) as terminal:
        terminal.wait_for("Nothing here", 60)
        terminal.settle(0.5)
        drawn = terminal.raw
        os.write(terminal.master, b"q")
        assert terminal.wait(20) == 0
    assert drawn.isascii(), "only ASCII is drawn where the locale knows no more"


def test_names_of_mysql_beyond_ascii_are_printed_in_any_locale(my: Schema, meshag: Meshag, must: Must) -> None:
    """And text in bytes that are nobody's, in a statement and in the name of a column."""
    my.execute("CREATE TABLE `größe_注文` (id int PRIMARY KEY)", "SELECT id AS `naïve €` FROM `größe_注文`")
    with my.connect(charset="latin1") as connection, contextlib.suppress(pymysql.MySQLError, UnicodeDecodeError):
        connection._execute_command(3, b"SELECT '\xff\xfe\x00' AS `\xe9\xff\xfe`")
        connection._read_query_result()
    must("connections", "add", "läden", my.monitor_url)
    must("sync", "läden")
    environment = {"LANG": "C", "LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}
    for command in (["tables", "läden"], ["queries", "läden", "--internal"]):
        answer = meshag.fresh(*command, environment=environment)
        assert answer.code == 0 and "Traceback" not in answer.err and answer.out.isascii(), (command, answer.err)
    tables = meshag.fresh("tables", "läden", "--json", environment=environment)
    assert tables.document[0]["table"] == "größe_注文"


async def test_monsters_from_mysql_are_read_stored_and_planned_or_refused(bench: Workbench, my: Schema) -> None:
    my.execute("CREATE TABLE t (a int, b text)")
    monsters = {
        "long": "SELECT '" + "x" * 1_000_000 + "' AS is_long, a FROM t",
        "names": "SELECT " + ", ".join(f"a AS names_{number:06}" for number in range(1_600)) + " FROM t",
        "ors": "SELECT a AS ors FROM t WHERE " + " OR ".join(f"a = {number}" for number in range(3_000)),
        "deep": "SELECT a AS deep FROM t WHERE " + "(" * 300 + "a = 1" + ")" * 300,
    }
    added = await bench.add_connection("shop", Target.from_url(my.monitor_url))
    await bench.sync(added.id)
    with my.connect() as connection, connection.cursor() as cursor:
        for text in (*monsters.values(), b"SELECT a AS nul FROM t WHERE b = 'x\x00y\xff\xfe'"):
            cursor.execute(text)
    report = await bench.sync(added.id)
    assert report.complete
    window = await bench.store(history.latest_window, added.id, 3_600_000)
    for name in ("is_long", "names", "ors", "deep", "nul"):
        page = await bench.store(history.queries, added.id, window, text=name)
        (row,) = page.rows
        assert row.calls == 1 and row.text is not None and len(row.text) <= 65_536, name
        assert row.text_state in ("ok", "cut") and "\0" not in row.text
        try:
            await bench.explain(row.id)
        except Exception as refused:  # a text that was cut cannot be planned, and must say so
            assert type(refused).__module__.startswith("meshag_tui"), (name, refused)
    assert await bench.advice.suggest(added.id) is not None
