"""Texts that are huge, deep, private or not of this locale: stored safely, shown quickly, printed anywhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
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
from tests.rig.llm import FakeLlm, Reply
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
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
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


def personal(number: int) -> dict[str, str]:
    """What a person of this number would not want to find anywhere: each value is made up, and found by a pattern."""
    return {
        "email": f"petra.{number:03}@privat-{number:03}.example",
        "card": f"4929 {number:04} 1{number:03} 77{number % 100:02}",
        "phone": f"+49 30 55{number:05}",
        "iban": f"DE44 5001 {number:04} 5407 32{number:04}",
        "address": f"203.0.113.{number % 250}",
        "born": f"19{number % 80 + 10}-0{number % 9 + 1}-1{number % 9}",
    }


PATTERNS = {
    "email": rb"[\w.]+@privat-\d{3}\.example",
    "card": rb"4929[ -]?\d{4}[ -]?1\d{3}[ -]?77\d{2}",
    "phone": rb"\+49[ -]?30[ -]?55\d{5}",
    "iban": rb"DE44[ -]?5001[ -]?\d{4}[ -]?5407[ -]?32\d{4}",
    "address": rb"203\.0\.113\.\d{1,3}",
    "born": rb"19[1-8]\d-0[1-9]-1\d",
}
"""Looked for in bytes, by nothing of the product's."""


def found_in(content: bytes) -> set[bytes]:
    return {match for pattern in PATTERNS.values() for match in re.findall(pattern, content)}


def statements_of_people() -> list[str]:
    """Two hundred statements, some of which keep what they say on a server that normalises queries only."""
    forms = (
        "SELECT * FROM people WHERE email = '{email}' AND phone = '{phone}'",
        "SELECT count(*) FROM people WHERE card IN ('{card}', '{iban}') /* for {email} */",
        "UPDATE people SET phone = '{phone}', seen = '{address}' WHERE email = '{email}' -- born {born}",
        "INSERT INTO people (email, card, phone) VALUES ('{email}', '{card}', '{phone}')",
        "DELETE FROM people WHERE iban = '{iban}' AND born < date '{born}'",
        "SELECT * FROM people WHERE seen = inet '{address}' AND born = '{born}'",
        "COMMENT ON TABLE people IS 'as {email} said, {iban}'",
        "DO $x$ BEGIN PERFORM 1 FROM people WHERE card = '{card}'; END $x$",
        "SET application_name = 'desk of {email}'",
        "SELECT p.email FROM people p JOIN people q USING (iban) WHERE p.card LIKE '{card}%' OR q.phone = E'{phone}'",
    )
    return [forms[number % len(forms)].format(**personal(number)) for number in range(200)]


@pytest.mark.slow
def test_nothing_personal_of_two_hundred_statements_leaves_the_server(
    pg18: Database, meshag: Meshag, must: Must, fake_llm: FakeLlm, tmp_path: Path
) -> None:
    """Not into the store, the log at its most talkative, an export or a prompt; a second scan looks at the bytes."""
    meshag.environment |= {"MESHAG_LOG": "DEBUG", "OPENAI_API_KEY": "sk-0123456789"}
    meshag.home.mkdir(mode=0o700)
    (meshag.home / "config.toml").write_text(
        f'[llm]\nbase_url = "{fake_llm.base_url}"\nmodel = "m"\n[collect]\nsample_s = 0.5\n'
    )
    pg18.execute(
        "CREATE TABLE people (id serial PRIMARY KEY, email text, card text, phone text, iban text)",
        "ALTER TABLE people ADD born date, ADD seen inet",
        "INSERT INTO people (email, born) SELECT 'x' || g, date '2000-01-01' + g FROM generate_series(1, 5000) g",
        "ANALYZE people",
    )
    must("connections", "add", "people", pg18.monitor_url)
    must("sync", "people")
    said = statements_of_people()
    assert len(found_in("\n".join(said).encode())) > 400
    with pg18.connect() as connection:
        for statement in said:
            connection.execute(statement)
        connection.execute("COMMENT ON TABLE people IS NULL")  # what a table is described by is no statement's literal
        connection.execute("SET application_name = 'desk'")
        connection.execute("BEGIN")
        connection.execute(said[1])  # a session at rest, which the server shows with its last text
        outputs = [meshag("sessions", "people", "--json"), meshag("collect", "--seconds", "4", "--json")]
    must("sync", "people")
    fake_llm.script = [Reply('{"proposals": []}')]
    report, record = tmp_path / "people.html", tmp_path / "people.db"
    outputs += [
        meshag("queries", "people", "--internal", "--limit", "500", "--json"),
        meshag("suggest", "people", "--preview"),
        meshag("suggest", "people", "--consent", "--json"),
        meshag("sessions", "people", "--at", time.strftime("%H:%M"), "--json"),
        meshag("report", "people", "--out", str(report)),
        meshag("record", str(record)),
        meshag("activity", "list", "--json"),
    ]
    assert [answer.err for answer in outputs if answer.code] == []
    queries = [row["text"] or "" for row in outputs[2].document]
    assert len([text for text in queries if "people" in text]) >= 6, "they were read"
    fake_llm.script = [Reply("Because.")]
    (query,) = [row["id"] for row in outputs[2].document if (row["text"] or "").startswith("SELECT p.email")]
    outputs.append(meshag("ask", query, "Why is it slow?", "--consent"))
    assert len(fake_llm.requests) == 2, outputs[-1].err
    outbound = "\n".join(json.dumps(request.body, ensure_ascii=False) for request in fake_llm.requests).encode()
    assert b"people" in outbound
    places = {
        "the prompts": outbound,
        "the output": "".join(answer.out + answer.err for answer in outputs).encode(),
        "the report": report.read_bytes(),
        "the record": record.read_bytes(),
        "the store and the log": said_by(meshag.home),
    }
    assert {place: sorted(found_in(content))[:5] for place, content in places.items() if found_in(content)} == {}


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
    added = await bench.connections.add("shop", Target.from_url(my.monitor_url))
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
