"""A DBA's session on the command line, against real MySQL and MariaDB."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.demo.shop import mysql as planted
from meshag_tui.servers.mysqld import MARIADB, MYSQL
from meshag_tui.servers.place import ServerUnavailable
from tests.cli.conftest import Meshag
from tests.rig.mysql import Schema, on_path

Must = Callable[..., Any]


@pytest.fixture(params=["mariadb", "mysql", pytest.param("later_mariadb", marks=pytest.mark.soak)])
def shop(request: pytest.FixtureRequest) -> Schema:
    """Orders of customers, looked up by a column without an index, and an index twice."""
    my: Schema = request.getfixturevalue(request.param)
    customers = ", ".join(f"({n}, 'c{n % 50}')" for n in range(2_000))
    orders = ", ".join(f"({n}, {n % 10_000}, {n % 1_000})" for n in range(100_000))
    my.execute(
        "CREATE TABLE customers (id int PRIMARY KEY, country varchar(9), KEY one (country), KEY two (country))",
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total int)",
        f"INSERT INTO customers VALUES {customers}",
        f"INSERT INTO orders VALUES {orders}",
        "ANALYZE TABLE customers, orders",
    )
    return my


@pytest.mark.slow
def test_from_nothing_to_applied_and_undone(shop: Schema, must: Must, meshag: Meshag) -> None:
    def tables() -> list[tuple[Any, ...]]:
        return [shop.fetch(f"SHOW CREATE TABLE {name}")[0] for name in ("customers", "orders")]

    must("connections", "add", "shop", shop.owner_url)
    assert f"shop  {shop.flavour}" in meshag("connections", "list").out, "the test before saving told which it is"
    assert must("connections", "test", "shop")["engine"] == shop.flavour
    assert must("sync", "shop")["tables"] == 2
    shop.execute(*[f"SELECT * FROM orders WHERE customer_id = {customer}" for customer in range(30)])
    must("sync", "shop")

    queries = must("queries", "shop", "--window", "24h", "--sort", "total_time", "--limit", "50")
    (lookup,) = [row for row in queries if "customer_id = ?" in (row["text"] or "")]
    assert lookup["calls"] == 30 and lookup["rows"] == 300

    known = {row["index"]: row for row in must("indexes", "shop")}
    assert known["PRIMARY"]["primary"] and not known["one"]["primary"]
    assert known["PRIMARY"]["in_table"] and not known["one"]["in_table"]
    assert {known["one"]["duplicate_of"], known["two"]["duplicate_of"]} == {None, "one"}
    sizes = {row["table"]: row for row in must("tables", "shop")}
    assert set(sizes) == {"customers", "orders"}

    found = must("suggest", "shop", "--no-llm")
    (missing,) = [row for row in found if row["rule"] == "missing-index"]
    assert missing["table"] == "orders" and missing["query_ids"] == [lookup["id"]]
    (twin,) = [row for row in found if row["rule"] == "duplicate-index"]
    assert "DROP INDEX `two`" in twin["sql"], "an exact copy needs no trial"
    assert "not hidden first: every plan that could use it can use one" in twin["text"], "and it says why"

    before = tables()
    for suggestion in (missing, twin):
        shown = must("apply", suggestion["id"], "--dry-run")
        assert shown["sql"] == suggestion["sql"] and "LOCK=NONE" in shown["sql"] and not shown["blocked"]
        assert tables() == before
        assert must("apply", suggestion["id"], "--yes")["state"] == "done"
        assert tables() != before
        must("undo", suggestion["id"], "--yes")
        assert tables() == before

    (health,) = must("doctor", "shop")["connections"]
    assert not [finding for finding in health["findings"] if finding["severity"] in ("missing", "degraded")]
    must("connections", "edit", "shop", "--url", shop.monitor_url)
    must("sync", "shop")
    refused = meshag("apply", missing["id"], "--yes")
    assert refused.code == 1 and "GRANT" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize("flavour", [MARIADB, pytest.param(MYSQL, marks=pytest.mark.soak)])
def test_the_demo_finds_what_was_planted(must: Must, meshag: Meshag, tmp_path: Path, flavour: str) -> None:
    try:
        on_path(flavour, tmp_path)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    chosen = ("--server", str(tmp_path / "mysqld")) if flavour == MYSQL else ()
    found = must("demo", "--engine", flavour.lower(), *chosen, "--headless", "--seconds", "20", timeout_s=110)
    # Whether an index is used takes a month to know.
    rules = {problem.rule for problem in planted.PLANTED} - {"unused-index"}
    assert rules <= {row["rule"] for row in found["suggestions"]}
    assert found["executed"] > 50 and found["syncs"] >= 2 and found["queries"]
    assert must("connections", "list") == [], "the user's own store is left alone"


ON_A_BARE_MACHINE = """
from meshag_tui.cli.command import run
from meshag_tui.servers import mysqld

mysqld._FOLDERS = ()
raise SystemExit(run(["demo", "--engine", "mysql", "--headless"]))
"""


def test_the_demo_says_what_is_not_here(meshag: Meshag, tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", ON_A_BARE_MACHINE],
        env=meshag.environment | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 1 and answer.stderr.count("\n") == 1
    assert "install mysql-server (it need not run), or name the server's program by --server" in answer.stderr
    impostor = tmp_path / "mysqld"
    impostor.write_text("#!/bin/sh\necho Ver 10.11.18-MariaDB\n")
    impostor.chmod(0o755)
    for server, said in (
        (impostor, "mysqld is MariaDB 10.11.18: --engine is for MySQL"),
        (tmp_path / "no", "not run here"),
    ):
        refused = meshag("demo", "--engine", "mysql", "--headless", "--server", str(server))
        assert refused.code == 1 and said in refused.err and refused.err.count("\n") == 1
