"""The activity log and the people of an installation, as its users ask for them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Meshag


def test_the_log_is_read_verified_written_and_brought_to_another_store(
    meshag: Meshag, must: Callable[..., Any], tmp_path: Path
) -> None:
    for text in ("first", "second", "third"):
        must("note", text)
    must("connections", "add", "shop", "postgresql://a@127.0.0.1:1/shop", "--no-test")
    found = must("activity", "list", "-n", "2", "--kind", "note")
    assert [entry["message"] for entry in found] == ["third", "second"]
    (added,) = must("activity", "list", "--connection", "shop", "--project", "Default")
    assert added["kind"] == "connection.added"
    assert must("activity", "list", "--text", "second", "--actor", found[0]["actor"])[0]["id"] == found[1]["id"]
    assert must("activity", "list", "--until", "2001-01-01 00:00") == []
    assert meshag("activity", "list", "--since", "soon").code == 2

    verdict = must("activity", "verify")
    assert verdict["whole"] and verdict["entries"] >= 4
    assert must("activity", "verify", "--known", verdict["head"])["whole"]
    file = tmp_path / "log.json"
    assert must("activity", "export", str(file))["entries"] == verdict["entries"]
    assert must("activity", "export", str(tmp_path / "log.csv"))["entries"] == verdict["entries"]
    assert (tmp_path / "log.csv").read_text().count("note") == 3 and meshag("activity", "export", str(file)).code == 1

    with sqlite3.connect(meshag.home / "meshag.db") as store:
        store.execute("UPDATE activity SET actor = 'bo' WHERE message = 'second'")
    store.close()
    answer = meshag("activity", "verify")
    assert answer.code == 1 and f"entry {found[1]['id']} is not as it was written" in answer.out

    other = {"MESHAG_STORE": str(tmp_path / "other.db")}
    assert must("activity", "bring", str(file), environment=other)["brought"] == verdict["entries"]
    assert must("activity", "bring", str(file), environment=other)["brought"] == 0
    assert must("activity", "verify", environment=other)["whole"]
    document = json.loads(file.read_text())
    document["entries"][0]["message"] = "another"
    file.write_text(json.dumps(document))
    assert meshag("activity", "bring", str(file), environment={"MESHAG_STORE": str(tmp_path / "third.db")}).code == 2


@pytest.mark.slow
def test_people_keys_and_projects_by_commands(meshag: Meshag, must: Callable[..., Any]) -> None:
    (me,) = must("user", "list")
    assert me["role"] == "admin" and must("user", "list") == [me]
    bo = must("user", "add", "--email", "bo@example.com", "--name", "Bo", "--role", "viewer")
    again = meshag("user", "add", "--email", "bo@example.com", "--name", "Other", "--role", "viewer")
    assert again.code == 1 and "The email bo@example.com is Bo's already" in again.err
    assert len(must("user", "list")) == 2
    assert must("user", "set", "bo", "--role", "approver")["role"] == "approver"
    assert "whoever opens it" in meshag("user", "add", "--email", "c@x.org", "--name", "C", "--role", "viewer").err
    assert meshag("user", "remove", "bo").code == 2, "nobody is there to type the e-mail"
    assert meshag("user", "remove", me["email"], "--yes").code == 2, "the last admin"
    must("connections", "add", "shop", "postgresql://a@127.0.0.1:1/shop", "--no-test", "--project", "Web")

    made = must("access", "add", "cron", "--may", "read, analyze", "--expires", "30d", "--rate", "60")
    by = {"MESHAG_ACCESS_KEY": made["secret"]}
    assert made["permissions"] == ["read", "analyze"] and made["user"] == me["name"]
    assert "never again" in meshag("access", "rotate", "cron").err
    assert made["secret"] not in (meshag.home / "meshag.db").read_bytes().decode("latin1")
    assert made["secret"] not in meshag.log
    (shown,) = [key for key in must("access", "list") if key["id"] == made["id"]]
    assert "secret" not in shown and shown["prefix"] == made["prefix"]
    assert must("note", "by a key", environment=by) and must("activity", "list")[0]["actor"] == made["prefix"]
    for words in (("sync", "shop"), ("collect", "--once"), ("access", "list", "--json")):
        answer = meshag(*words, environment=by)
        assert answer.code == (0 if words[0] == "access" else 1), answer.err
    refused = meshag("sync", "shop", "--json", environment=by)
    assert refused.document["error"]["code"] == "forbidden"
    assert meshag("connections", "list", environment={"MESHAG_ACCESS_KEY": "mk_nobody"}).code == 77
    must("access", "revoke", made["prefix"])
    rejected = meshag("connections", "list", environment=by)
    assert rejected.code == 77 and "revoked" in rejected.err and made["secret"] not in rejected.err
    assert must("access", "allow", made["prefix"])["active"]
    must("connections", "list", environment=by)

    web = must("project", "set", "Web", "--cloud", "off", "--bell", "off", "--colour", "red")
    assert web["settings"] == {"no_cloud": True, "bell": False, "colour": "red"}
    assert must("project", "set", "Web", "--bell", "on", "--colour", "none")["settings"] == {"no_cloud": True}
    folder = meshag.home.parent / "exports"
    folder.mkdir()
    shown = must(
        *("project", "add", "Shop", "--path", str(folder), "--theme", "dark", "--notify", "on", "--voice", "off")
    )
    assert shown["settings"] == {"path": str(folder), "theme": "dark", "bell": False}
    (read,) = [each for each in must("project", "list") if each["name"] == "Shop"]
    assert read["settings"] == shown["settings"]
    silent = must("project", "set", "Shop", "--notify", "off", "--webhook", "on", "--path", "none")["settings"]
    assert silent == {"theme": "dark", "toast": False, "bell": False, "osc9": False}
    assert "no folder" in meshag("project", "set", "Shop", "--path", "/nowhere").err
    must("project", "remove", "Shop", "--yes")
    whole = must("project", "show", "Web", "--include", "connections,costs,activities")
    assert whole["connections"] == ["shop"] and whole["costs"] == []
    assert whole["activities"][0]["kind"] == "connection.added"
    must("project", "add", "Empty", "--quiet", "22:00-07:00")
    assert {each["name"] for each in must("project", "list")} == {"Web", "Empty"}
    assert meshag("project", "remove", "Web").code == 2
    assert must("project", "remove", "Web", "--yes")["with"]["connections"] == 1
    assert must("connections", "list") == [] and must("user", "remove", bo["id"], "--yes")["removed"] == bo["id"]
    kinds = {entry["kind"] for entry in must("activity", "list", "-n", "100")}
    assert {"user.added", "user.changed", "user.removed", "key.added", "key.rotated", "key.revoked"} <= kinds
    assert {"project.added", "project.changed", "project.removed", "key.rejected"} <= kinds
    assert must("activity", "verify")["whole"]
