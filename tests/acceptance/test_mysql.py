"""MySQL and MariaDB by the command: what was counted, lost and restarted, and what the watched server sees of us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Must
from tests.cli.conftest import Meshag
from tests.rig.mysql import FLAVOURS, PFS_OFF, Schema

Private = Callable[..., Schema]
flavours = pytest.mark.parametrize("flavour", FLAVOURS, ids=str.lower)


def calls_of(must: Must, word: str) -> int:
    return sum(row["calls"] for row in must("queries", "shop", "--text", word))


def work(schema: Schema, times: int) -> None:
    with schema.connect() as connection, connection.cursor() as cursor:
        for number in range(times):
            cursor.execute(f"SELECT {number} AS counted")


def kinds(report: dict[str, Any]) -> set[str]:
    return {event["kind"] for event in report["events"]}


@pytest.mark.slow
@flavours
def test_a_server_counts_resets_restarts_and_crashes(
    private_my: Private, meshag: Meshag, must: Must, flavour: str
) -> None:
    schema = private_my(flavour, {"general-log": None, "log-output": "TABLE"})
    schema.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int, KEY used (a), KEY idle (a, id))",
        "INSERT INTO t VALUES (1, 1)",
        *["SELECT id FROM t FORCE INDEX (used) WHERE a = 1"] * 5,
    )
    must("connections", "add", "shop", schema.monitor_url)
    schema.execute("TRUNCATE mysql.general_log")
    first = must("sync", "shop")
    assert (first["tables"], first["indexes"], first["warnings"]) == (1, 3, [])
    assert first["server_statements"] <= 10
    work(schema, 41)
    report = must("sync", "shop")
    assert report["complete"] and not report["events"]
    must("sync", "shop")
    assert calls_of(must, "counted") == 41, "41 stay 41 after an idle sync"
    assert "lower bound" not in meshag("queries", "shop").err
    texts = " ".join(row["text"] or "" for row in must("queries", "shop", "--internal"))
    assert "events_statements_summary_by_digest" not in texts, "our own statements are nobody's"
    _seen_of_us(schema)

    before = _observed(must)
    schema.next_second()
    schema.execute("TRUNCATE performance_schema.events_statements_summary_by_digest")
    work(schema, 25)
    report = must("sync", "shop")
    assert not report["complete"] and kinds(report) == {"reset"}
    assert calls_of(must, "counted") == 66, "the entry says when it began: nothing of it is lost or doubled"
    assert "a lower bound: statistics were reset" in meshag("queries", "shop").err
    assert _observed(must) == before, "the use of indexes was not reset with it"

    schema.execute(
        "TRUNCATE performance_schema.table_io_waits_summary_by_index_usage",
        "SELECT id FROM t FORCE INDEX (used) WHERE a = 1",
    )
    work(schema, 4)
    assert "decrease" in kinds(must("sync", "shop"))
    assert _observed(must)["t", "idle"] > before["t", "idle"], "nobody knows of its use before"

    schema.next_second()
    schema.server.stop()
    schema.server.start()
    work(schema, 7)
    report = must("sync", "shop")
    assert not report["complete"] and "reset" in kinds(report)
    assert calls_of(must, "counted") == 77

    work(schema, 5)
    schema.server.stop(immediate=True)
    schema.server.start()
    work(schema, 3)
    report = must("sync", "shop")
    assert not report["complete"] and "reset" in kinds(report)
    assert calls_of(must, "counted") == 80, "the five died with the server, which is said"
    report = must("sync", "shop")
    assert report["complete"] and not report["events"]


def _seen_of_us(schema: Schema) -> None:
    """Every statement of ours is marked, and reads."""
    said = [
        text.decode() if isinstance(text, bytes) else text
        for (text,) in schema.fetch(
            "SELECT argument FROM mysql.general_log WHERE command_type = 'Query' AND user_host LIKE 'shop\\_monitor%'"
        )
    ]
    assert len(said) > 20
    assert all("/* meshag */" in text for text in said)
    assert {text.split(maxsplit=1)[0].upper() for text in said} <= {"SELECT", "SET"}
    assert not any("TRUNCATE" in text.upper() or "SET GLOBAL" in text.upper() for text in said)


def _observed(must: Must) -> dict[tuple[str, str], Any]:
    return {(row["table"], row["index"]): row["observed_since"] for row in must("indexes", "shop")}


def test_another_server_at_the_same_address(mysql: Schema, mariadb: Schema, must: Must) -> None:
    must("connections", "add", "shop", mysql.monitor_url)
    work(mysql, 5)
    must("sync", "shop")
    work(mariadb, 9)
    must("connections", "edit", "shop", "--url", mariadb.monitor_url)
    report = must("sync", "shop")
    assert "failover" in kinds(report) and report["active"] == 0
    work(mariadb, 2)
    must("sync", "shop")
    assert calls_of(must, "counted") == 2


def test_an_altered_table_ends_the_observation_of_its_own_indexes_alone(my: Schema, must: Must) -> None:
    for table in ("altered", "hidden", "other"):
        my.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, a int, b int, KEY used (a), KEY idle (b))",
            f"INSERT INTO {table} VALUES (1, 1, 1)",
            *[f"SELECT id FROM {table} WHERE a = 1"] * 3,
        )
    must("connections", "add", "shop", my.monitor_url)
    must("sync", "shop")
    before = _observed(must)
    my.next_second()
    word = "INVISIBLE" if my.flavour == "MySQL" else "IGNORED"
    my.execute("ALTER TABLE altered ADD KEY more (a, id)", f"ALTER TABLE hidden ALTER INDEX idle {word}")
    my.execute("SELECT id FROM other WHERE a = 1")
    assert not must("sync", "shop")["events"]
    after = _observed(must)
    assert after["other", "used"] == before["other", "used"]
    assert after["altered", "used"] > before["altered", "used"]
    assert after["hidden", "idle"] == before["hidden", "idle"], "hiding it is part of watching it"


def test_without_performance_schema_nothing_looks_empty(private_my: Private, meshag: Meshag, must: Must) -> None:
    schema = private_my("MariaDB", PFS_OFF)
    schema.execute("CREATE TABLE t (id int PRIMARY KEY, a int, KEY k (a))")
    must("connections", "add", "shop", schema.monitor_url)
    report = must("sync", "shop")
    assert (report["tables"], report["indexes"]) == (1, 2)
    assert [finding["code"] for finding in report["warnings"]] == ["performance-schema-off"]
    assert "\n    [mysqld]\n    performance_schema = ON\n" in meshag("sync", "shop").out, "each line of what mends it"
    told = meshag("queries", "shop")
    assert told.code == 0 and "performance_schema is off" in told.out and "No statement ran" not in told.out
    assert "\n    performance_schema = ON\n" in told.out
    refused = meshag("reset", "shop", "--yes")
    assert refused.code == 1 and "has nothing to count anew" in refused.err, "the server would say that it is done"
    told = meshag("queries", "shop", "--json")
    assert told.document == [] and "performance_schema is off" in told.err
    assert not any(row["unused"] for row in must("indexes", "shop"))
    told = meshag("doctor", "shop", "--json")
    assert told.code == 1, "something is missing"
    (connection,) = told.document["connections"]
    codes = {finding["code"]: finding for finding in connection["findings"]}
    assert "performance_schema = ON" in codes["performance-schema-off"]["fix"]
