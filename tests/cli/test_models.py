"""Models from the command line: providers, prices, budget, ledger; keys are read from standard input alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Meshag
from tests.rig.llm import FakeLlm, Reply

Must = Callable[..., Any]

KEY = "sk-canary-key-0123456789"


@pytest.mark.slow
def test_a_provider_is_added_tested_priced_and_held_to_a_budget(meshag: Meshag, must: Must, fake_llm: FakeLlm) -> None:
    elsewhere = fake_llm.base_url.replace("127.0.0.1", "0.0.0.0")  # answers, and is no loopback address
    added = meshag(
        "providers",
        "add",
        "work",
        "openai",
        "--model",
        "m1",
        "--url",
        elsewhere,
        "--key-stdin",
        "--json",
        stdin=f"{KEY}\n",
    )
    assert added.code == 0 and added.document["last4"] == "6789"
    first, work = must("providers", "list")
    assert (first["name"], first["usable"]) == ("config", False)
    assert (work["name"], work["key"], work["supports"]) == ("work", "…6789", "json_schema")

    fake_llm.script = [Reply('{"ok": true}')]
    unpriced = must("providers", "test", "work")
    assert (unpriced["tokens_in"], unpriced["cost"]) == (11, None)
    must(
        "prices",
        "set",
        "work",
        "m1",
        "--input",
        "2",
        "--output",
        "8",
        "--from",
        "2026-01-01",
        "--source",
        "my contract",
    )
    fake_llm.script = [Reply('{"ok": true}')]
    assert must("providers", "test", "work")["cost"] == "0.000078"

    assert must("budget", "list") == []
    must("budget", "plan", "Team", "--cap", "0.00007")
    must("budget", "subscribe", "Team")
    fake_llm.script = [Reply('{"ok": true}')]
    must("providers", "test", "work")
    refused = meshag("providers", "test", "work")
    assert refused.code == 1 and "The budget of Team is used up" in refused.err
    (standing,) = must("budget", "list")
    assert standing["spent"] == "0.000078" and standing["share"] > 1
    must("budget", "override", standing["id"], "--reason", "outage")
    fake_llm.script = [Reply("Sorry"), Reply("no"), Reply("no")]
    nothing = meshag("providers", "test", "work")
    assert nothing.code == 1 and "gave no answer of the form asked for" in nothing.err

    rows = must("ledger", "list")
    assert [row["outcome"] for row in rows] == ["error", "blocked", "success", "success", "success"]
    assert {row["purpose"] for row in rows} == {"test"}
    (total,) = must("ledger", "sums", "--by", "provider")
    assert (total["calls"], total["failed"], total["unpriced"]) == (5, 2, 1)
    assert total["cost"] == "0.000390", "two tests and three forms that were tried in vain"
    assert must("providers", "remove", "work", "--yes")["removed"] == "work"
    assert len(must("ledger", "list")) == 5
    kept = b"".join(path.read_bytes() for path in meshag.home.rglob("*") if path.is_file())
    assert KEY.encode() not in kept
    assert KEY not in added.out + added.err + refused.err + nothing.err


def test_an_invoice_is_previewed_imported_once_and_compared(meshag: Meshag, must: Must) -> None:
    meshag.home.mkdir(mode=0o700, exist_ok=True)
    file = meshag.home / "invoice.json"
    file.write_text(json.dumps([{"external_id": "a", "date": "2026-03-01", "amount": "1.5", "model": "m1"}]))
    assert must("ledger", "import", "work", str(file), "--preview")["new"] == 1
    assert must("ledger", "import", "work", str(file))["new"] == 1
    assert must("ledger", "import", "work", str(file))["known"] == 1
    (gap,) = must("ledger", "reconcile", "work", "--window", "3650d")
    assert (gap["model"], gap["gap"], gap["share"]) == ("m1", "1.500000", 1.0)
    file.write_text("external_id,date\na,b\n")
    wrong = meshag("ledger", "import", "work", str(file))
    assert wrong.code == 2 and "no column 'amount'" in wrong.err


def test_what_cannot_be_is_said_in_one_line(meshag: Meshag) -> None:
    for arguments, says in (
        (("providers", "add", "x", "other", "--model", "m"), "has no usual address"),
        (("providers", "add", "x", "openai", "--model", "m", "--key-stdin"), "holds no key"),
        (("providers", "edit", "config", "--off"), "change it there"),
        (("providers", "test", "nobody"), "no provider 'nobody'"),
        (("budget", "subscribe", "nothing"), "no plan 'nothing'"),
        (("prices", "set", "a", "b", "--input", "-1", "--output", "1"), "not below 0"),
        (("prices", "set", "a", "b", "--input", "1", "--output", "1", "--from", "yesterday"), "no day"),
        (("providers", "compare", "a", "b", "qry_0000000001", "--preview"), "qry_0000000001"),
    ):
        answer = meshag(*arguments, stdin="")
        assert answer.code != 0 and says in answer.err, (arguments, answer.err)
        assert "Traceback" not in answer.err
