"""What the watched server sees of us: reading only, marked as ours, nothing made, nothing left."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg

from tests.acceptance.conftest import Must, shop, work
from tests.cli.conftest import Meshag
from tests.rig.postgres import MONITOR, Database

READING = {
    "SELECT",
    "SET",
    "SHOW",
    "EXPLAIN",
    "WITH",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE",
    "DEALLOCATE",
    "EXECUTE",
}
WRITING = re.compile(
    r"\b(INSERT|UPDATE|DELETE|TRUNCATE|CREATE|ALTER|DROP|GRANT|COPY|LOCK|VACUUM|REINDEX|CHECKPOINT|pg_\w*_reset)\b(?!_)"
)
CATALOGUES = (
    *("pg_class", "pg_proc", "pg_type", "pg_extension", "pg_namespace", "pg_attribute", "pg_constraint", "pg_index"),
    *("pg_rewrite", "pg_trigger", "pg_description", "pg_depend", "pg_default_acl", "pg_statistic_ext", "pg_roles"),
    *("pg_auth_members", "pg_database", "pg_db_role_setting", "pg_tablespace", "pg_largeobject_metadata"),
)


def catalogue(database: Database) -> dict[str, list[tuple[str, ...]]]:
    """Every row of every catalogue in which something made would show, and the settings of the server."""
    rows = {
        name: database.fetch(f"SELECT c::text FROM {name} c ORDER BY 1")
        for name in CATALOGUES
        if name not in ("pg_class", "pg_database")
    }
    # Statistics of tables and the age of databases move by themselves.
    rows["pg_class"] = database.fetch(
        "SELECT oid::text, relname, relkind::text, relfilenode::text FROM pg_class ORDER BY 1"
    )
    rows["pg_database"] = database.fetch("SELECT datname, datacl::text FROM pg_database ORDER BY 1")
    rows["pg_file_settings"] = database.fetch("SELECT name, setting FROM pg_file_settings ORDER BY 1")
    return rows


def everything(meshag: Meshag, must: Must, database: Database, name: str = "shop") -> list[dict[str, Any]]:
    """All that looks at a server and changes nothing."""
    must("connections", "add", name, database.monitor_url, "--again")
    must("sync", name)
    work_seen = must("sync", name)
    assert work_seen["statements"] > 0
    assert meshag("doctor", name).code in (0, 1)
    (query, *_) = [row for row in must("queries", name, "--internal") if row["kind"] == "select" and row["text"]] or [
        None
    ]
    if query is not None:
        must("explain", query["id"])
    return must("suggest", name, "--no-llm")


def statements(database: Database) -> list[tuple[str, str, str]]:
    """(application, user, statement) of the server's log, each statement on one line."""
    log = (database.server.root / "log").read_text(errors="replace")
    entry = re.compile(
        r"^<([^|>]*)\|([^|>]*)\|[^>]*> LOG: +(?:statement|execute [^:]*): (.*(?:\n(?:\t.*|))*)", re.MULTILINE
    )
    return [(found[1], found[2], " ".join(found[3].split())) for found in entry.finditer(log)]


def test_the_server_sees_reading_alone_and_its_catalogue_is_as_before(
    logged: Database, meshag: Meshag, must: Must
) -> None:
    shop(logged)
    work(logged)
    before = catalogue(logged)
    found = everything(meshag, must, logged)
    assert must("apply", found[0]["id"], "--dry-run")["sql"]
    assert catalogue(logged) == before
    ours = [(application, text) for application, user, text in statements(logged) if user == MONITOR]
    assert len(ours) > 20
    for application, text in ours:
        bare = re.sub(r"/\*.*?\*/", " ", text).strip()
        assert application.startswith("meshag/"), text
        assert "/* meshag" in text or bare.split()[0] in ("BEGIN", "COMMIT", "ROLLBACK", "SET"), text
        assert bare.split()[0].upper() in READING, text
        # A statement that is explained is somebody's own; a name in quotes is a name.
        told = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"", " ", bare)
        assert bare.startswith(("EXPLAIN", "PREPARE")) or not WRITING.search(told), text
    assert not [text for _, text in ours if "pg_read_file" in text or "pg_ls_dir" in text or "dblink" in text]
    deadline = time.monotonic() + 60
    counted = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'meshag/%'"
    while logged.fetch(counted) != [(0,)] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert logged.fetch(counted) == [(0,)], "no session is left"


def test_a_server_that_forbids_writing_is_watched_all_the_same(
    private_pg: Callable[..., Database], meshag: Meshag, must: Must
) -> None:
    database = private_pg(18)
    database.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    with database.connect(options="-c default_transaction_read_only=off") as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, customer_id int)")
        connection.execute("INSERT INTO orders SELECT g, g % 1000 FROM generate_series(1, 20000) g")
        connection.execute("ANALYZE")
        for customer in range(9):
            connection.execute(f"SELECT * FROM orders WHERE customer_id = {customer}")
    everything(meshag, must, database)


def test_a_standby_is_watched_and_advised_but_never_changed(
    private_pg: Callable[..., Database], meshag: Meshag, must: Must
) -> None:
    database = private_pg(18, durable=True)
    shop(database)
    must("connections", "add", "shop", database.monitor_url)
    must("sync", "shop")
    work(database)
    must("sync", "shop")
    missing = next(row for row in must("suggest", "shop", "--no-llm") if row["sql"])
    database.execute("CHECKPOINT")
    data = database.server.root / "data"
    database.server.stop()
    signal_file = data / "standby.signal"
    signal_file.touch()
    os.chown(signal_file, data.stat().st_uid, data.stat().st_gid)
    database.server.start()
    report = must("sync", "shop")
    assert "failover" in {event["kind"] for event in report["events"]}, "its counters are not the primary's"
    everything(meshag, must, database, "replica")
    refused = meshag("apply", missing["id"], "--yes")
    assert refused.code == 1 and "primary" in refused.err + refused.out


def test_a_killed_program_leaves_no_session_for_long(pg18: Database, meshag: Meshag, must: Must) -> None:
    """Killed while the server works for it: the server notices within half a minute."""
    must("connections", "add", "shop", pg18.monitor_url)
    counted = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'meshag/%' AND datname = current_database()"
    )
    with psycopg.connect(pg18.socket_url) as blocker:  # every sync waits here for its lock
        blocker.execute("LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE")
        process = meshag.start("sync", "shop")
        deadline = time.monotonic() + 60
        count = "SELECT count(*) FROM pg_stat_get_activity(NULL) a WHERE a.application_name LIKE 'meshag/%'"
        while blocker.execute(count).fetchone() == (0,) and time.monotonic() < deadline:
            blocker.execute("SELECT pg_stat_clear_snapshot()")
            time.sleep(0.02)
        assert blocker.execute(count).fetchone() != (0,)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        blocker.rollback()
    deadline = time.monotonic() + 30
    while pg18.fetch(counted) != [(0,)] and time.monotonic() < deadline:
        time.sleep(0.2)
    assert pg18.fetch(counted) == [(0,)]
