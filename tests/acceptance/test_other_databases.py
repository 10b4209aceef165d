"""What other databases of a server do: counted, kept where that was chosen, and never mixed with a database's own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import Must
from tests.cli.conftest import Meshag
from tests.rig.mysql import Schema
from tests.rig.postgres import Database

Private = Callable[..., Any]
Run = Callable[..., None]


def on_postgres(database: Database) -> tuple[str, Run]:
    """Where a DBA connects to, and what runs a statement some times in another database of the server."""

    def elsewhere(statement: str, times: int) -> None:
        with psycopg.connect(database.server.dsn("postgres"), autocommit=True) as connection:
            for _ in range(times):
                connection.execute(statement)

    return database.monitor_url, elsewhere


def on_mysql(schema: Schema) -> tuple[str, Run]:
    """The same of MySQL and MariaDB."""
    schema.execute("CREATE DATABASE IF NOT EXISTS billing")

    def elsewhere(statement: str, times: int) -> None:
        schema.execute("USE billing", *[statement] * times)

    return schema.monitor_url, elsewhere


@pytest.fixture(params=["postgres", "mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> tuple[str, Run]:
    """A server of its own: what others do at the same time would be counted."""
    if request.param == "postgres":
        return on_postgres(request.getfixturevalue("private_pg")(18))
    return on_mysql(request.getfixturevalue("private_my")("MySQL" if request.param == "mysql" else "MariaDB"))


def counted(home: Path) -> dict[str, Any] | None:
    """What is known of them where they are only counted."""
    with closing(sqlite3.connect(home / "meshag.db")) as store:
        ((reading,),) = store.execute("SELECT reading FROM connection")
    found: dict[str, Any] | None = json.loads(reading).get("other_databases")
    return found


def texts(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["text"]: row for row in rows if row["text"] and "abroad" in row["text"].replace("`", "")}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_they_are_counted_kept_if_wanted_and_neither_explained_nor_advised_on(
    server: tuple[str, Run], meshag: Meshag, must: Must
) -> None:
    (url, elsewhere), home = server, meshag.home
    elsewhere("SELECT 1 AS abroad", 7)
    must("connections", "add", "shop", url)
    must("sync", "shop")
    others = counted(home)
    assert others is not None and others["databases"] >= 1 and others["statements"] >= 1 and others["calls"] >= 7
    assert others["time_ms"] > 0
    elsewhere("SELECT 1 AS abroad", 2)
    must("sync", "shop")
    again = counted(home)
    assert again is not None
    if url.startswith("postgresql"):
        assert again == others, "it costs a reading of all counters: once an hour"
    else:
        assert again["calls"] >= others["calls"] + 2
    assert not texts(must("queries", "shop", "--internal", "--limit", "500")), "they are only counted"

    assert must("connections", "edit", "shop", "--other-databases")["other_databases"] is True
    report = must("sync", "shop")
    assert report["events"] and {event["kind"] for event in report["events"]} == {"visibility"}
    elsewhere("SELECT 1 AS abroad", 3)
    elsewhere("SELECT 2 + 3 AS abroad", 4)
    report = must("sync", "shop")
    assert report["complete"], report["events"]
    assert counted(home) is None, "now each is"
    assert not texts(must("queries", "shop", "--limit", "500")), "they are set aside"
    assert not texts(must("queries", "shop", "--internal=own,utility,catalogue", "--limit", "500"))
    kept = texts(must("queries", "shop", "--internal=elsewhere", "--limit", "500"))
    assert sorted(row["calls"] for row in kept.values()) == [3, 4], "nothing from before they were kept is invented"
    said = meshag("queries", "shop").err
    assert "set aside: --internal shows them" in said

    for row in kept.values():
        told = meshag("explain", row["id"])
        assert told.code == 1 and "a connection to that can explain it" in told.err, told.err
    assert not [each for each in must("suggest", "shop", "--no-llm") if "abroad" in str(each)]

    must("connections", "edit", "shop", "--this-database")
    elsewhere("SELECT 1 AS abroad", 5)
    must("sync", "shop")
    must("sync", "shop")
    kept = texts(must("queries", "shop", "--internal=elsewhere", "--limit", "500"))
    assert sorted(row["calls"] for row in kept.values()) == [3, 4]
    assert counted(home) is not None


def test_kinds_that_are_none_are_one_clear_line(meshag: Meshag) -> None:
    told = meshag("queries", "shop", "--internal=own,foreign")
    assert told.code == 2
    assert "'foreign' is no kind of what is set aside: write own, utility, catalogue, elsewhere" in told.err
    # Without kinds what comes next is what it was: a name.
    assert "There is no connection" in meshag("queries", "--internal", "shop").err
