"""Hypothetical indexes: what a plan would be, which of them it would use, and that nothing is left behind."""

from __future__ import annotations

import pytest

from meshag_tui.engines.base import EngineError, Refused
from meshag_tui.types import EvidenceKind, IndexColumn, IndexSpec
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import Database

SCHEMA = """
CREATE SCHEMA "my app";
CREATE TYPE "my app".state AS ENUM ('open', 'done');
CREATE TABLE "my app".orders (id bigint PRIMARY KEY, "Customer" int, state "my app".state, email varchar, doc jsonb);
INSERT INTO "my app".orders SELECT i, i % 5000, CASE WHEN i % 100 = 0 THEN 'open' ELSE 'done' END::"my app".state,
    'U' || i || '@example.com', '{}' FROM generate_series(1, 50000) i;
ANALYZE "my app".orders;
"""


def index(*columns: str | IndexColumn, **rest: object) -> IndexSpec:
    keys = tuple(column if isinstance(column, IndexColumn) else IndexColumn(column) for column in columns)
    return IndexSpec("my app", "orders", keys, **rest)  # type: ignore[arg-type]


@pytest.fixture
def database(pg15: Database) -> Database:
    if not pg15.hypopg:
        pytest.skip("HypoPG for PostgreSQL 15 is not installed (tests/run says how)")
    pg15.execute("CREATE SCHEMA IF NOT EXISTS hypo", SCHEMA)
    if not pg15.fetch("SELECT 1 FROM pg_extension WHERE extname = 'hypopg'"):
        pg15.execute("CREATE EXTENSION hypopg")
    pg15.execute("ALTER EXTENSION hypopg SET SCHEMA hypo")
    return pg15


async def test_an_index_that_helps_is_used_and_one_that_does_not_is_not(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url)
    what_if = await session.what_if()
    assert what_if is not None
    assert (what_if.method, what_if.evidence) == ("hypopg", EvidenceKind.PLANNED)
    statement = 'SELECT * FROM orders WHERE "Customer" = $1'
    now = await what_if.plan(statement, [])
    good, useless = index("Customer"), index("email")
    then = await what_if.plan(statement, [useless, good])
    assert then.used == (good,)
    assert then.plan.cost < now.plan.cost / 10
    assert then.size_bytes[good] > 100_000
    assert then.plan.parameters == now.plan.parameters
    again = await what_if.plan(statement, [])
    assert (again.plan.cost, again.used) == (now.plan.cost, ())
    assert what_if.calls >= 3


async def test_every_kind_of_btree(open_session: Open, database: Database) -> None:
    what_if = await (await open_session(database.monitor_url)).what_if()
    assert what_if is not None
    for statement, spec in [
        (
            "SELECT * FROM orders WHERE lower(email) = $1",
            index(IndexColumn("lower((email)::text)", is_expression=True)),
        ),
        (
            "SELECT id FROM orders WHERE state = 'open' AND \"Customer\" > $1",
            index("Customer", where="state = 'open'::state"),
        ),
        (
            'SELECT "Customer" FROM orders ORDER BY "Customer" DESC LIMIT $1',
            index(IndexColumn("Customer", descending=True)),
        ),
        ("SELECT * FROM orders WHERE email LIKE 'U1234%'", index(IndexColumn("email", opclass="varchar_pattern_ops"))),
    ]:
        answer = await what_if.plan(statement, [spec])
        assert answer.used == (spec,), statement
    covering = index("Customer", include=("id",))
    assert (await what_if.plan('SELECT id FROM orders WHERE "Customer" = $1', [covering])).used == (covering,)


async def test_what_cannot_be_is_an_error_and_the_next_call_works(open_session: Open, database: Database) -> None:
    what_if = await (await open_session(database.monitor_url)).what_if()
    assert what_if is not None
    statement = 'SELECT * FROM orders WHERE "Customer" = $1'
    for spec in [
        index("doc", method="gin"),
        index("nothing"),
        index(IndexColumn("pg_read_file(email)", is_expression=True)),
        index("Customer", where="(SELECT true)"),
        index('Customer"); SELECT pg_sleep(10); --'),
        index("Customer", method="btree (id); DROP TABLE x; --"),
    ]:
        with pytest.raises(EngineError):
            await what_if.plan(statement, [spec])
        assert (await what_if.plan(statement, [])).used == ()
    with pytest.raises(Refused):
        await what_if.plan("DROP TABLE orders", [])


async def test_nothing_is_left_in_the_catalogue_or_for_others(open_session: Open, database: Database) -> None:
    before = database.fetch("SELECT count(*) FROM pg_class")
    session = await open_session(database.monitor_url)
    what_if = await session.what_if()
    assert what_if is not None
    await what_if.plan('SELECT * FROM orders WHERE "Customer" = $1', [index("Customer")])
    assert await session.fetch("SELECT * FROM hypo.hypopg()") == []
    assert await session.fetch("SELECT name FROM pg_prepared_statements WHERE name LIKE 'meshag%%'", ()) == []
    assert database.fetch("SELECT count(*) FROM pg_class") == before


async def test_without_the_extension_there_is_no_what_if(open_session: Open, pg18: Database) -> None:
    assert await (await open_session(pg18.monitor_url)).what_if("hypopg") is None
