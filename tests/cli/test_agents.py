"""Agents from the command line: listed, made from a file, given a flow, and what is wrong is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meshag_tui.agents.flow import FORMAT
from tests.cli.conftest import Meshag
from tests.rig.pty import Terminal

AGENT = """
name = "Bloat watcher"
category = "tuning"
every = "6h"
tools = ["collect", "filter", "explain", "advise_rules", "notify"]
context = "orders is partitioned by month"
flow = "advise"
"""


def test_agents_are_made_from_files_and_do_what_a_document_says(
    meshag: Meshag, must: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(AGENT)
    made = must("agents", "add", "-f", str(file))
    assert made["id"].startswith("agnt_") and (made["every_s"], made["status"]) == (21_600, "ACTIVE")
    names = [row["name"] for row in must("agents", "list", "--category", "tuning")]
    assert names == ["Bloat watcher", "Index hunter"]
    document = must("flow", "export", "Bloat watcher")
    document["nodes"][-2]["parameters"]["text"] = "Look"
    changed = tmp_path / "flow.json"
    changed.write_text(json.dumps(document))
    unasked = meshag("flow", "import", "bloat watcher", str(changed))
    assert unasked.code == 2 and "Bloat watcher has a flow, version 1: say --replace" in unasked.err
    assert must("agents", "show", "Bloat watcher")["flow_version"] == 1
    assert must("flow", "import", "bloat watcher", str(changed), "--replace")["flow_version"] == 2
    assert must("flow", "import", "bloat watcher", str(changed))["flow_version"] == 2, "it is the same"
    assert must("flow", "export", "Bloat watcher", "--version", "1") != document == must("flow", "export", made["id"])
    first = must("flow", "export", "Bloat watcher", "--version", "1")
    older = {name: document[name] for name in ("nodes", "connections", "metadata")}  # says no format
    older["metadata"]["title"] = "Older"
    changed.write_text(json.dumps(older))
    assert must("flow", "import", "Bloat watcher", str(changed), "--replace")["flow_version"] == 3
    assert must("flow", "export", "Bloat watcher") == {**older, "format": FORMAT}
    assert must("flow", "export", "Bloat watcher", "--version", "1") == first
    changed.write_text(json.dumps({**older, "format": FORMAT + 1}))
    later = meshag("flow", "import", "Bloat watcher", str(changed), "--replace")
    assert later.code == 1 and f"this MeshAG knows {FORMAT}" in later.err
    document["metadata"]["title"] = "Another"
    changed.write_text(json.dumps(document))
    with Terminal(
        meshag.command("flow", "import", "Bloat watcher", str(changed)), 100, 30, meshag.environment
    ) as asked:
        asked.wait_for("[y/N]")  # somebody is there: it has a flow already
        asked.send("n", "enter")
        assert asked.wait(20) == 1 and "Replace what Bloat watcher does?" in asked.text
    assert must("agents", "show", "Bloat watcher")["flow_version"] == 3
    differs = must("flow", "diff", "Bloat watcher", "1")
    assert (differs["after"], must("flow", "diff", "Bloat watcher", "3")["lines"]) == (3, [])
    assert any(line.startswith("+") for line in differs["lines"])
    document["nodes"][3]["kind"] = "apply"
    changed.write_text(json.dumps(document))
    refused = meshag("flow", "import", "Bloat watcher", str(changed), "--replace")
    assert refused.code == 1 and "apply must come after an approval" in refused.err
    shown = meshag("agents", "show", "Bloat watcher")
    assert "├─╮" in shown.out and "orders" not in refused.out
    file.write_text(AGENT.replace('"collect"', '"dance"'))
    wrong = meshag("agents", "add", "-f", str(file))
    assert wrong.code == 2 and "no tool dance" in wrong.err
    assert must("agents", "status", "Bloat watcher", "PAUSED")["status"] == "PAUSED"
    assert must("stats")["agents"] == {"ACTIVE": 3, "PAUSED": 1}
