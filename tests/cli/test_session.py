"""A DBA's session on the command line, against a real server."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.store import models
from meshag_tui.store.database import Store
from tests.changes.conftest import catalogue
from tests.cli.conftest import Meshag
from tests.rig.llm import FakeLlm, Reply
from tests.rig.postgres import MONITOR_PASSWORD, Database
from tests.rig.pty import Terminal
from tests.rig.stores import one_version_older

Must = Callable[..., Any]
CANARY = "canary's p@ss/wörd"


def without_password(url: str) -> str:
    return re.sub(r":[^:@/]*@", "@", url)


@pytest.fixture
def shop(pg18: Database) -> Database:
    """Orders of customers, looked up by a column without an index, and an index twice."""
    pg18.execute(
        "CREATE TABLE customers (id int PRIMARY KEY, country text)",
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total int)",
        "INSERT INTO customers SELECT g, 'c' || g % 50 FROM generate_series(1, 2000) g",
        "INSERT INTO orders SELECT g, g % 20000, g % 1000 FROM generate_series(1, 200000) g",
        "CREATE INDEX country_one ON customers (country)",
        "CREATE INDEX country_two ON customers (country)",
        "ANALYZE",
    )
    return pg18


def work(shop: Database) -> None:
    for customer in range(30):
        shop.execute(f"SELECT * FROM orders WHERE customer_id = {customer}")


@pytest.fixture
def watched(shop: Database, must: Must) -> Database:
    """The shop, added as `shop`, synced before and after its work."""
    must("connections", "add", "shop", shop.url)
    must("sync", "shop")
    work(shop)
    must("sync", "shop")
    return shop


@pytest.mark.slow
def test_from_nothing_to_applied_and_undone(watched: Database, must: Must, meshag: Meshag) -> None:
    def indexes() -> set[str]:
        return {name for (name,) in watched.fetch("SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON "
                                                  "pg_class.oid = indrelid WHERE relnamespace = 'public'::regnamespace "
                                                  "AND indisvalid")}  # fmt: skip

    queries = must("queries", "shop", "--window", "24h", "--sort", "total_time", "--limit", "50")
    assert {"id", "fingerprint", "text", "calls", "total_time_ms", "mean_time_ms", "rows"} <= queries[0].keys()
    (lookup,) = [row for row in queries if "customer_id = $1" in (row["text"] or "")]
    assert lookup["calls"] == 30 and lookup["rows"] == 300

    known = {row["index"]: row for row in must("indexes", "shop")}
    keys = {"schema", "table", "index", "definition", "scans", "size_bytes", "unique", "primary", "valid", "unused"}
    assert keys | {"redundant_with", "duplicate_of"} <= known["orders_pkey"].keys()
    assert known["orders_pkey"]["primary"] and not known["country_one"]["primary"]
    assert {known["country_one"]["duplicate_of"], known["country_two"]["duplicate_of"]} == {None, "country_one"}
    assert {row["table"] for row in must("tables", "shop")} == {"customers", "orders"}

    found = must("suggest", "shop", "--no-llm")
    assert {row["id"] for row in found} == {row["id"] for row in must("suggestions", "shop")}
    (missing,) = [row for row in found if row["rule"] == "missing-index"]
    assert missing["table"] == "orders" and missing["query_ids"] == [lookup["id"]]
    (twin,) = [row for row in found if row["rule"] == "duplicate-index"]

    before = indexes()
    shown = must("apply", missing["id"], "--dry-run")
    assert shown["sql"] == missing["sql"] and not shown["blocked"] and indexes() == before
    asked = meshag("apply", missing["id"])
    assert asked.code == 2 and "--yes" in asked.err and indexes() == before

    change = must("apply", missing["id"], "--yes")
    assert change["state"] == "done" and len(indexes()) == len(before) + 1
    assert [row["id"] for row in must("suggestions", "shop", "--status", "APPLIED")] == [missing["id"]]
    meshag("sync", "shop")
    measured = must("verify", change["id"])
    assert measured["outcome"] == "waiting" and "not enough calls yet" in measured["said"]
    assert measured["forecast_ms_per_day"] == missing["gain_ms_per_day"] and measured["saved_ms_per_day"] is None
    assert must("changes", "shop") == [measured] and must("calibration") == []
    assert "waiting" in meshag("changes").out and "not measured" not in meshag("verify", change["id"]).out
    assert must("connections", "edit", "shop", "--undo-worse")["undo_worse"] is True
    assert must("connections", "edit", "shop", "--keep-worse")["undo_worse"] is False
    must("undo", missing["id"], "--yes")
    assert [(row["state"], row["next_look_at"]) for row in must("changes", "shop")] == [("undone", None)]
    assert indexes() == before
    again = meshag("undo", missing["id"], "--yes", "--json")
    assert again.code == 1 and "could be undone" in again.err

    must("dismiss", twin["id"], "--reason", "kept for the nightly report")
    must("review", missing["id"])
    assert twin["id"] not in {row["id"] for row in must("suggest", "shop", "--no-llm")}


def test_several_are_applied_in_one_run_or_written_as_files(
    watched: Database, must: Must, meshag: Meshag, tmp_path: Path
) -> None:
    found = {row["rule"]: row["id"] for row in must("suggest", "shop", "--no-llm")}
    ids = [found["duplicate-index"], found["missing-index"]]
    before = catalogue(watched)
    shown = must("apply", *ids, "--dry-run")
    assert [step["suggestion_id"] for step in shown["steps"]] == ids and not shown["blocked"]
    assert shown["needs_name"] == "country_two" and catalogue(watched) == before
    printed = must("migration", *ids)
    assert printed["files"] == [] and "CREATE INDEX CONCURRENTLY" in printed["up"]
    must("connections", "edit", "shop", "--protect")
    written = must("migration", *ids, "--out", str(tmp_path / "first"))
    must("connections", "edit", "shop", "--writable")
    assert written["files"] == [str(tmp_path / f"first.{way}.sql") for way in ("up", "down")]
    assert meshag("migration", *ids, "--out", str(tmp_path / "first")).code == 1, "no file is written over"
    watched.execute("COMMENT ON INDEX country_two IS 'changed between'")
    ran = must("apply", *ids, "--yes")
    assert [row["state"] for row in ran["done"]] == ["done", "done"] and ran["failed"] is None
    for row in reversed(ran["done"]):
        must("undo", row["id"], "--yes")
    watched.execute("COMMENT ON INDEX country_two IS NULL")
    assert catalogue(watched) == before
    again = meshag("apply", ids[0], "sug_nothing", "--yes")
    assert again.code == 1 and catalogue(watched) == before


def test_read_only_is_a_wall(watched: Database, must: Must, meshag: Meshag) -> None:
    (missing,) = [row for row in must("suggest", "shop", "--no-llm") if row["rule"] == "missing-index"]
    answer = meshag("--read-only", "apply", missing["id"], "--yes")
    assert answer.code == 1 and "read-only" in answer.err
    must("connections", "edit", "shop", "--protect")
    answer = meshag("apply", missing["id"], "--yes")
    assert answer.code == 1 and "--writable" in answer.err
    must("connections", "edit", "shop", "--writable")
    assert must("apply", missing["id"], "--dry-run")["sql"] == missing["sql"]


def test_text_for_people_has_no_escapes(watched: Database, meshag: Meshag) -> None:
    watched.execute('CREATE TABLE "\x1b]52;c;eA==\x07[/b]" (id int)')
    meshag("sync", "shop")
    for command in (["tables", "shop"], ["indexes", "shop"], ["queries", "shop"], ["connections", "list"], ["runs"]):
        answer = meshag(*command)
        assert answer.code == 0 and not set("\x1b\x07\x9b") & set(answer.out + answer.err), command
    assert "[/b]" in meshag("tables", "shop").out


def test_passwords_arrive_unseen(pg18: Database, meshag: Meshag, must: Must) -> None:
    url = without_password(pg18.monitor_url)
    assert MONITOR_PASSWORD not in url
    must("connections", "add", "piped", url, "--password-stdin", stdin=MONITOR_PASSWORD + "\n")
    given = {"MESHAG_PASSWORD": MONITOR_PASSWORD}
    must("connections", "add", "environment", url, "--again", environment=given)
    for name in ("piped", "environment"):
        assert must("connections", "test", name)["engine"] == "PostgreSQL"
    assert meshag("connections", "add", "none", url, "--password-stdin").code == 2


def test_a_database_is_not_saved_twice_by_accident(pg18: Database, meshag: Meshag, must: Must) -> None:
    must("connections", "add", "shop", pg18.monitor_url)
    for untested in ((), ("--no-test",)):
        refused = meshag("connections", "add", "store", pg18.monitor_url, "--json", *untested)
        assert (
            refused.code == 1 and "is monitored already as shop" in refused.err and MONITOR_PASSWORD not in refused.err
        )
    assert [each["name"] for each in must("connections", "list")] == ["shop"]
    must("connections", "edit", "shop", "--name", "store")
    must("connections", "add", "owner", pg18.url, "--no-test")  # another user may see more of it
    must("connections", "add", "twin", pg18.monitor_url, "--again")
    assert [each["name"] for each in must("connections", "list")] == ["owner", "store", "twin"]


def test_a_password_is_nowhere_to_be_found(pg18: Database, meshag: Meshag) -> None:
    from urllib.parse import quote, urlsplit

    parts = urlsplit(pg18.url)
    url = f"postgresql://{parts.username}:{quote(CANARY, safe='')}@{parts.hostname}:{parts.port}{parts.path}"
    answers = [
        meshag("connections", "add", "bad", url),
        meshag("connections", "add", "bad", url, "--no-test"),
        meshag("sync", "bad", "--json"),
        meshag("connections", "list", "--json"),
        meshag("doctor", "bad"),
        meshag("runs", "--json"),
        meshag("nonsense", url),
        meshag("connections", "add", "worse", url + "?nonsense=1"),
    ]
    assert [answer.code for answer in answers] == [1, 0, 1, 0, 1, 0, 2, 2]
    assert "prefer --password-stdin" in answers[1].err
    said = "".join(answer.out + answer.err for answer in answers)
    kept = b"".join(path.read_bytes() for path in meshag.home.rglob("*") if path.is_file())
    for form in {CANARY, quote(CANARY, safe=""), "canary"}:
        assert form not in said and form.encode() not in kept


def test_the_process_list_forgets_a_password(pg18: Database, meshag: Meshag) -> None:
    process = meshag.start("connections", "add", "slow", "postgresql://u:canary%20word@10.255.255.1:5432/d")
    try:
        end = time.monotonic() + 60
        listed = b""
        while time.monotonic() < end:
            listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            if b"*****" in listed:
                break
            time.sleep(0.02)
        assert b"canary" not in listed and b"u:*************@10.255.255.1" in listed
    finally:
        process.kill()
        process.communicate()


def test_one_bad_server_does_not_stop_the_others(pg18: Database, meshag: Meshag) -> None:
    closed = f"{pg18.name}_closed"
    pg18.execute(
        f"CREATE DATABASE {closed} TEMPLATE blank",
        f"REVOKE CONNECT ON DATABASE {closed} FROM PUBLIC",
        f"ALTER DATABASE {pg18.name} SET row_security = off",
        "CREATE TABLE guarded AS SELECT 1 AS id",
        "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
    )
    meshag("connections", "add", "good", pg18.monitor_url)
    meshag("connections", "add", "bad", "postgresql://u:p@127.0.0.1:1/d", "--no-test")
    meshag("connections", "add", "closed", pg18.monitor_url.replace(f"/{pg18.name}", f"/{closed}"), "--no-test")
    answer = meshag("sync", "--json")
    pg18.execute(f"DROP DATABASE {closed}")
    assert answer.code == 1
    by_name = {row["connection"]: row for row in answer.document}
    assert by_name["good"]["duration_ms"] > 0 and by_name["bad"]["error"]["code"] == "cannot-connect"
    assert by_name["good"]["tables"] == 1, "row security is about rows: ours is the catalogue"
    assert by_name["closed"]["error"]["fix"].startswith(f'GRANT CONNECT ON DATABASE "{closed}" TO ')
    listed = {row["name"]: row for row in meshag("connections", "list", "--json").document}
    assert [listed[name]["status"] for name in ("good", "bad", "closed")] == ["ACTIVE", "ERROR", "ERROR"]
    assert listed["bad"]["last_error"] and closed in listed["closed"]["last_error"]
    assert "cannot" in meshag.log or "refused" in meshag.log, "the failure is in the log as well"


@pytest.mark.slow
def test_collect_syncs_until_told_to_stop_and_makes_up_for_nothing(pg18: Database, meshag: Meshag, must: Must) -> None:
    must("connections", "add", "shop", pg18.monitor_url, "--interval", "1s")
    assert must("collect", "--once")["done"] == 1
    assert must("collect", "--seconds", "10")["done"] >= 1
    must("connections", "edit", "shop", "--pause")
    assert must("collect", "--once")["done"] == 0
    must("connections", "edit", "shop", "--resume")
    runs = partial(must, "runs", "--limit", "100")
    before = len(runs())

    def until_more_than(number: int) -> None:
        while len(runs()) <= number:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)

    process = meshag.start("collect")
    until_more_than(before)
    process.send_signal(signal.SIGSTOP)  # as a suspended laptop: four intervals pass
    stopped = len(runs())
    time.sleep(4)
    process.send_signal(signal.SIGCONT)
    until_more_than(stopped + 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    started = sorted(run["started_at"] for run in runs() if run["kind"] == "sync")
    last = pairwise(started[-4:])
    assert all(later - earlier > 700 for earlier, later in last), "what was missed is not made up for"
    states = {run["state"] for run in runs()}
    page = must("runs", "--limit", "1", "--state", "done")
    behind = must("runs", "--limit", "1", "--state", "done", "--before", page[0]["id"])
    assert behind[0]["id"] < page[0]["id"] and {page[0]["state"], behind[0]["state"]} == {"done"}
    assert {run["connection_name"] for run in must("runs", "--project", "Default")} == {"shop"}
    assert must("runs", "--since", "2099-01-01 00:00") == []
    assert states <= {"done", "interrupted"}


@pytest.mark.slow
def test_kill_9_leaves_a_whole_store_and_no_lost_run(pg18: Database, meshag: Meshag, must: Must) -> None:
    import sqlite3

    must("connections", "add", "shop", pg18.monitor_url, "--interval", "1s")
    for number in range(6):
        process = meshag.start("collect")
        time.sleep(0.9 + 0.13 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        store = sqlite3.connect(meshag.home / "meshag.db")
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        orphans = (
            "SELECT count(*) FROM query_statistics s LEFT JOIN interval i ON i.id = s.interval_id WHERE i.id IS NULL"
        )
        assert store.execute(orphans).fetchone() == (0,)
        store.close()
    must("sync", "shop")
    must("collect", "--once")
    assert {run["state"] for run in must("runs", "--limit", "200")} <= {"done", "interrupted"}
    left = pg18.fetch("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'meshag/%'")
    assert left == [(0,)]


def test_doctor_names_each_fault_and_its_cure(
    private_pg: Callable[..., Database], meshag: Meshag, must: Must, tmp_path: Path
) -> None:
    database = private_pg(18)
    database.execute("DROP EXTENSION pg_stat_statements")
    must("connections", "add", "shop", database.monitor_url)
    answer = meshag("doctor", "shop")
    assert answer.code in (0, 1) and "CREATE EXTENSION" in answer.out
    answer = meshag("reset", "shop")
    assert answer.code == 1 and "pg_stat_statements is not created" in answer.err
    database.execute("CREATE EXTENSION pg_stat_statements")
    answer = meshag("reset", "shop")
    assert answer.code == 1 and "GRANT EXECUTE ON FUNCTION" in answer.err
    must("connections", "edit", "shop", "--url", database.url)
    answer = meshag("reset", "shop")
    assert answer.code == 2 and "--yes" in answer.err, "nobody is there to type the name"
    assert answer.err.splitlines()[1].startswith("SELECT "), "what would run stands in a line of its own"
    assert "pg_stat_statements_reset(0, " in must("reset", "shop", "--dry-run")["sql"]
    assert must("reset", "shop", "--yes")["reset"] is True
    database.execute("DROP EXTENSION pg_stat_statements")
    database.server.stop()
    answer = meshag("doctor", "shop", "--json")
    assert answer.code == 1
    (row,) = answer.document["connections"]
    assert row["findings"][0]["code"] == "cannot-connect"

    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)
    answer = meshag("--store", str(broken), "doctor")
    assert answer.code == 1 and "damaged" in answer.out and "restore" in answer.out
    (meshag.home / "key").chmod(0o644)
    answer = meshag("doctor")
    assert answer.code == 1 and "chmod" in answer.out


def test_each_fault_of_the_store_has_words_of_its_own(meshag: Meshag, must: Must, store_url: str) -> None:
    """Nobody there, another schema, a table gone, a store that is not empty: on either database, in one line each."""
    meshag.environment["MESHAG_STORE"] = store_url
    must("store", "seed")
    said = {"seed": meshag("store", "seed"), "unreachable": meshag("--store", "postgresql://a@127.0.0.1:1/b", "doctor")}
    store = Store.open(store_url)
    store.run(lambda: models.database.execute_sql("DROP TABLE agent_version"))
    store.close()
    said |= {"gone": meshag("doctor"), "asked": meshag("agents", "show", "Index hunter")}
    store = Store.open(store_url)
    insert = "INSERT INTO schema_checksum VALUES ('9999_of_tomorrow', 'x')"
    try:
        store.run(lambda: models.database.execute_sql(insert))
    finally:
        store.close()
    said["newer"] = meshag("doctor")
    wanted = {
        "seed": "The store is not empty",
        "unreachable": "onnection refused",
        "gone": "there is no table agent_version",
        "asked": "lacks a part",
        "newer": "newer MeshAG",
    }
    for fault, words in wanted.items():
        answer = said[fault]
        text = answer.out + answer.err
        assert answer.code == 1 and words in text, (fault, text)
        assert "Traceback" not in text and [other for other in wanted.values() if other in text] == [words], fault
    assert "meshag store check" in said["asked"].err and "meshag store restore" in said["gone"].out


def test_the_store_is_backed_up_restored_reset_and_seeded(
    pg18: Database, meshag: Meshag, must: Must, tmp_path: Path, unmade_store_url: str
) -> None:
    meshag.environment["MESHAG_STORE"] = unmade_store_url
    must("connections", "add", "shop", pg18.monitor_url)
    copy = tmp_path / "copy.db"
    must("store", "backup", str(copy))
    assert meshag("store", "backup", str(copy)).code == 1, "nothing is overwritten"
    assert meshag("store", "seed").code == 1, "not into a store in use"
    must("store", "reset", "--yes")
    assert must("connections", "list") == []
    assert must("store", "seed")["projects"] == 3
    must("store", "restore", str(copy), "--yes")
    assert [row["name"] for row in must("connections", "list")] == ["shop"]
    assert must("store", "migrate")["applied"] == []
    rotated = must("key", "rotate")
    assert rotated["secrets"] == 1 and rotated["unreadable"] == 0
    assert must("connections", "test", "shop")["engine"] == "PostgreSQL"
    assert must("connections", "remove", "shop", "--yes")["removed"] == "shop"


@pytest.mark.slow
def test_a_model_is_asked_only_with_consent_and_once(
    watched: Database, meshag: Meshag, must: Must, fake_llm: FakeLlm
) -> None:
    (meshag.home / "config.toml").write_text(f'[llm]\nbase_url = "{fake_llm.base_url}"\nmodel = "m"\n')
    key = {"OPENAI_API_KEY": "sk-canary-key-0123456789"}
    without_key = meshag("suggest", "shop", "--json")
    assert without_key.code == 0 and "OPENAI_API_KEY" in without_key.err and not fake_llm.requests
    without_consent = meshag("suggest", "shop", "--json", environment=key)
    assert without_consent.code == 0 and "--consent" in without_consent.err and not fake_llm.requests
    preview = meshag("suggest", "shop", "--preview", "--json", environment=key).document
    assert not fake_llm.requests

    fake_llm.script = [Reply('{"proposals": []}')]
    agreed = meshag("suggest", "shop", "--consent", "--json", environment=key)
    assert agreed.code == 0, agreed.err
    (sent,) = fake_llm.requests
    messages = "\n\n".join(message["content"] for message in sent.body["messages"])
    assert messages == preview["text"], "what was shown is what is sent"
    assert meshag("suggest", "shop", "--json", environment=key).code == 0
    assert len(fake_llm.requests) == 1, "the same question is not bought twice"
    (run,) = [run for run in must("runs", "--limit", "50") if (run["result"] or {}).get("usage")][-1:]
    assert run["result"]["usage"]["tokens_in"] == 11
    kept = b"".join(path.read_bytes() for path in meshag.home.rglob("*") if path.is_file())
    assert b"sk-canary-key" not in kept

    work(watched)
    must("sync", "shop")
    fake_llm.script = [Reply(status=500)] * 9
    kept = meshag("suggest", "shop", "--json", environment=key)
    assert "kept from before: nothing was sent" in kept.err and len(fake_llm.requests) == 1, (
        "other figures, same advice"
    )
    down = meshag("suggest", "shop", "--fresh", "--json", environment=key, timeout_s=90)
    assert down.code == 0 and down.document, "a model that fails costs a line, not the advice"
    assert "No advice from m" in down.err
    calls = must("ledger", "list")
    assert [row["outcome"] for row in calls] == ["error", "cached", "cached", "success"]
    assert calls[-1]["tokens_in"] == 11 and calls[-1]["cost"] == "0.000000" and calls[-1]["query_ids"]
    assert must("ledger", "sent", calls[-1]["id"])["text"] == preview["text"], "it can be read again, byte for byte"


@pytest.mark.slow
def test_a_project_without_cloud_sends_nothing_elsewhere(
    watched: Database, meshag: Meshag, must: Must, fake_llm: FakeLlm
) -> None:
    elsewhere = fake_llm.base_url.replace("127.0.0.1", "0.0.0.0")  # answers, and is no loopback address
    (meshag.home / "config.toml").write_text(f'[llm]\nbase_url = "{elsewhere}"\nmodel = "m"\n')
    key = {"OPENAI_API_KEY": "sk-not-a-real-key"}
    assert must("connections", "edit", "shop", "--no-cloud")["no_cloud"] is True
    preview = meshag("suggest", "shop", "--preview", "--json", environment=key)
    assert preview.document["refused"] and "nothing of this may go to m" in preview.err
    refused = meshag("suggest", "shop", "--consent", "--json", environment=key)
    assert refused.code == 0 and "no model was asked: its project allows only models on this machine" in refused.err
    must("connections", "add", "twin", watched.monitor_url)
    assert {row["no_cloud"] for row in must("connections", "list")} == {True}, "it is of the whole project"
    assert not fake_llm.requests

    assert must("connections", "edit", "shop", "--cloud")["no_cloud"] is False
    fake_llm.script = [Reply('{"proposals": []}')]
    assert meshag("suggest", "shop", "--consent", "--json", environment=key).code == 0
    assert len(fake_llm.requests) == 1


@pytest.mark.slow
def test_the_demo_finds_what_was_planted(must: Must, meshag: Meshag) -> None:
    found = must("demo", "--headless", "--seconds", "6", timeout_s=110)
    rules = {row["rule"] for row in found["suggestions"]}
    assert {"missing-index", "duplicate-index", "redundant-index", "invalid-index", "stale-statistics"} <= rules
    assert found["executed"] > 50 and found["syncs"] >= 2 and found["queries"]
    assert must("connections", "list") == [], "the user's own store is left alone"


@pytest.mark.slow
def test_a_demo_that_is_killed_leaves_nothing(meshag: Meshag) -> None:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, whose name is too long for a socket in it
        place = Path(folder)
        place.chmod(0o711)  # the server does not run as root
        with Terminal(meshag.command("demo"), 80, 24, meshag.environment | {"TMPDIR": folder}) as terminal:
            terminal.wait_for("SELECT", 90)
            assert list(place.glob("*/home/key")), "it has a key and a store, and its server has a folder"
            assert len(list(place.iterdir())) == 2
            terminal.process.kill()
            until = time.monotonic() + 60
            while left := list(place.iterdir()):
                assert time.monotonic() < until, left
                time.sleep(0.1)


def test_what_changed_is_told_with_the_reason(watched: Database, must: Must, meshag: Meshag) -> None:
    for customer in range(5):
        watched.execute(f"SELECT sum(total) FROM orders WHERE customer_id <> {customer}")
    watched.execute("CREATE INDEX orders_total ON orders (total)")
    must("sync", "shop")
    told = must("compare", "shop", "--window", "1h")
    assert told["then"]["observed_s"] == 0 and told["statements"] == [], "nobody looked an hour ago"
    answer = meshag("compare", "shop", "--window", "1h")
    assert answer.code == 0 and "Nothing was observed from" in answer.out
    assert meshag("compare", "shop", "--against", "tomorrow").code == 2


def test_a_command_says_that_it_upgrades_the_store(meshag: Meshag, must: Must) -> None:
    must("connections", "list")
    name = one_version_older(meshag.home / "meshag.db")
    told = meshag("connections", "list", "--json")
    assert told.code == 0 and told.document == []
    assert told.err.splitlines() == [
        "meshag: upgrading the store: a copy of it first",
        f"meshag: upgrading the store, step 1 of 1: {name}",
    ]
    assert meshag("connections", "list", "--json").err == ""


@pytest.mark.parametrize(
    ("url", "sort", "says"),
    [
        ("mysql://ada@127.0.0.1:1/shop", "wal", "does not count wal: its own are examined_per_call"),
        (
            "postgresql://ada@127.0.0.1:1/shop",
            "lock_time",
            "PostgreSQL does not count lock_time: its own are",
        ),
    ],
)
def test_an_order_by_what_the_server_does_not_count_is_refused(
    meshag: Meshag, must: Must, url: str, sort: str, says: str
) -> None:
    must("connections", "add", "shop", url, "--no-test")
    told = meshag("queries", "shop", "--sort", sort)
    assert told.code == 2 and says in told.err, told.err
