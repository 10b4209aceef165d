"""Every command asks whoever runs it for a right: none is forgotten, and a new one must be listed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshag_tui.cli import parser
from meshag_tui.proposed import Suggestion
from meshag_tui.settings import Settings
from meshag_tui.store import alerts, ledger, models, suggestions, threads
from meshag_tui.store.database import Store
from meshag_tui.store.ids import query_uid
from meshag_tui.store.people import PERMISSIONS, ROLES
from meshag_tui.store.vault import Vault
from meshag_tui.types import (
    CreateIndex,
    EvidenceKind,
    IndexColumn,
    IndexSpec,
    Risk,
    SuggestionPriority,
    SuggestionType,
    Target,
)
from meshag_tui.workflows.workbench import Workbench
from tests.cli.conftest import Meshag
from tests.rig.postgres import Database

ACCOUNTS = {"viewer": "vi", "operator": "op", "approver": "ap"}
"""Who acts in which role; the account that runs the tests is the admin."""
ALONE = {
    *("connections setup-sql", "providers kinds", "completion", "flow templates", "flow schema", "flow check"),
    *("activity kinds", "paths"),
}
"""What opens no store."""
OTHERS_STORE = {"demo", "replay"}
"""What makes a store of its own, or opens a copy."""
LASTING = {"serve"}
"""What runs until it is stopped: see `test_serve`."""
LATE = {"benchmark"}
"""What asks once it has shown what would be read: see `test_rights`, where its door is among those that ask."""
COMMANDS: dict[str, tuple[str, str]] = {
    "connections add": ("admin", "more postgresql://a@127.0.0.1:1/x --no-test"),
    "connections list": ("read", ""),
    "connections test": ("collect", "shop"),
    "connections edit": ("admin", "shop --name other"),
    "connections remove": ("admin", "shop --yes"),
    "sync": ("collect", "shop"),
    "collect": ("collect", "--once"),
    "runs": ("read", ""),
    "queries": ("read", "shop"),
    "compare": ("read", "shop"),
    "indexes": ("read", "shop"),
    "sessions": ("read", "shop"),
    "tables": ("read", "shop"),
    "explain": ("analyze", "{query}"),
    "why": ("analyze", "{query}"),
    "suggest": ("analyze", "shop"),
    "suggestions": ("read", "shop"),
    "apply": ("apply", "{approved} --yes"),
    "migration": ("read", "{advice}"),
    "dismiss": ("analyze", "{advice} --reason so"),
    "review": ("analyze", "{advice}"),
    "undo": ("apply", "{applied} --yes"),
    "changes": ("read", "shop"),
    "verify": ("analyze", "chg_0"),
    "calibration": ("read", ""),
    "providers add": ("admin", "own ollama --model m"),
    "providers list": ("read", ""),
    "providers edit": ("admin", "own --off"),
    "providers test": ("llm", "own"),
    "providers remove": ("admin", "own --yes"),
    "providers order": ("admin", "own"),
    "providers score": ("llm", "own"),
    "providers scores": ("read", ""),
    "providers compare": ("llm", "own own {query} --consent"),
    "ledger list": ("read", ""),
    "ledger sums": ("read", ""),
    "ledger sent": ("admin", "{usage}"),  # of what others asked
    "ledger import": ("admin", "own {invoice}"),
    "ledger reconcile": ("read", "own"),
    "ledger enter": ("admin", "own 2"),
    "prices list": ("read", ""),
    "prices set": ("admin", "own m --input 1 --output 2"),
    "prices remove": ("admin", "prc_0"),
    "budget list": ("read", ""),
    "budget plans": ("read", ""),
    "budget plan": ("admin", "Team --cap 5"),
    "budget forget": ("admin", "Team"),
    "budget seed": ("admin", ""),
    "budget subscribe": ("admin", "Team"),
    "budget cancel": ("admin", "sub_0"),
    "budget override": ("admin", "sub_0 --reason so"),
    "cache list": ("read", ""),
    "cache clear": ("admin", ""),
    "cache only": ("admin", "on"),
    "health": ("read", "shop"),
    "limits": ("admin", "shop lag 30s 5min"),
    "alerts": ("read", ""),
    "report": ("read", "shop"),
    "settings": ("read", "shop"),
    "schema": ("read", "shop"),
    "record": ("read", "{folder}/record.db"),
    "stats": ("read", ""),
    "webhooks add": ("admin", "call"),
    "webhooks list": ("read", ""),
    "webhooks edit": ("admin", "call --off"),
    "webhooks test": ("admin", "call"),
    "webhooks remove": ("admin", "call"),
    "ask": ("llm", "{query} why --consent"),
    "threads list": ("read", ""),
    "threads show": ("admin", "{thread}"),  # of somebody else
    "threads edit": ("llm", "{thread} --name mine"),
    "threads remove": ("llm", "{thread}"),
    "threads restore": ("llm", "{thread}"),
    "run": ("analyze", "{agent} --connection shop"),
    "agents list": ("read", ""),
    "agents show": ("read", "{agent}"),
    "agents add": ("admin", "-f {agent_file}"),
    "agents edit": ("admin", "{agent} -f {agent_file}"),
    "agents status": ("admin", "{agent} PAUSED"),
    "agents remove": ("admin", "{agent}"),
    "agents restore": ("admin", "{agent}"),
    "agents purge": ("admin", ""),
    "flow export": ("read", "{agent}"),
    "flow import": ("admin", "{agent} {flow_file} --replace"),
    "flow diff": ("read", "{agent} 1"),
    "flow remove": ("admin", "{agent}"),
    "activity list": ("read", ""),
    "activity verify": ("read", ""),
    "activity export": ("read", "{folder}/log.json"),
    "activity bring": ("admin", "{log}"),
    "note": ("read", "seen"),
    "user add": ("admin", "--email x@example.com --name X --role viewer"),
    "user list": ("read", ""),
    "user set": ("admin", "vi --role admin"),
    "user remove": ("admin", "op@example.com --yes"),
    "access add": ("admin", "cron --may read"),
    "access list": ("read", ""),
    "access rotate": ("admin", "cron"),
    "access revoke": ("admin", "cron"),
    "access allow": ("admin", "cron"),
    "project add": ("admin", "Web"),
    "project list": ("read", ""),
    "project show": ("read", "Default"),
    "project set": ("admin", "Default --bell off"),
    "project remove": ("admin", "Default --yes"),
    "reset": ("apply", "shop --yes"),
    "doctor": ("read", "shop"),
    "store status": ("read", ""),
    "store migrate": ("read", ""),
    "store schema": ("read", ""),
    "store check": ("read", ""),
    "store browse": ("admin", "message"),
    "store backup": ("admin", "{folder}/copy.jsonl.gz"),
    "store restore": ("admin", "{log} --yes"),
    "store seed": ("admin", ""),
    "store reset": ("admin", "--yes"),
    "key rotate": ("admin", ""),
}
"""What each takes, and what it is tried with. Of what needs a right the highest role without it is refused."""
MORE = {
    "agents status, by its name": ("admin", "agents status {agent} INACTIVE"),
    "runs --cancel": ("collect", "runs {run} --cancel"),
    "runs --resume": ("analyze", "runs {run} --resume"),
    "connections edit --pause": ("collect", "connections edit shop --pause"),
    "cache only off": ("admin", "cache only off"),
    "alerts --note": ("analyze", "alerts {alert} --note"),
    "store browse, of tables": ("admin", "store browse"),
}


def _leaves(at: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[str]:
    groups = [each for each in at._actions if isinstance(each, argparse._SubParsersAction)]
    if not groups:
        yield " ".join(words)
    for group in groups:
        for name, one in group.choices.items():
            yield from _leaves(one, (*words, name))


def test_every_command_is_listed() -> None:
    listed = set(COMMANDS) | ALONE | OTHERS_STORE | LASTING | LATE
    assert set(_leaves(parser.build(["sync"]))) == listed
    assert {needed for needed, _ in COMMANDS.values()} == set(PERMISSIONS) - {"approve", "sandbox"}


@pytest.fixture
async def given(pg18: Database, meshag: Meshag, tmp_path: Path) -> dict[str, str]:
    """A shared store with people of every role, and something of each kind; what commands are tried with."""
    pg18.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, state text, at date)", "SELECT * FROM orders"
    )
    meshag.environment["MESHAG_STORE"] = pg18.url
    meshag.home.mkdir(mode=0o700)
    settings = Settings(home=meshag.home, store_url=pg18.url)
    store = Store.open(pg18.url)
    admin = Workbench(settings, store, Vault.open(settings, {}))
    try:
        made = await _filled(admin, pg18.url)
    finally:
        await admin.close()
    for name, text in (
        ("agent_file", 'name = "Mine"\n'),
        ("flow_file", made.pop("flow")),
        ("invoice", "external_id,date,amount,model\n1,2026-01-01,2,m\n"),
        ("log", '{"entries": []}'),
    ):
        (tmp_path / name).write_text(text)
        made[name] = str(tmp_path / name)
    return made | {"folder": str(tmp_path)}


async def _filled(admin: Workbench, url: str) -> dict[str, str]:
    shop = (await admin.connections.add("shop", Target.from_url(url))).id
    for role, account in ACCOUNTS.items():
        await admin.community.add_user(f"{account}@example.com", account, role)
    await admin.sync(shop)
    (run, *_) = await admin.executions(shop)
    query = await admin.store.read(lambda: models.Query.get(models.Query.kind == "select").id)
    found = [_index(column) for column in ("customer_id", "state", "at")]
    advice, applied, approved = (await admin.store(suggestions.save, shop, found)).ids
    for each in (applied, approved):
        await admin.advice.mark_reviewed(each)
    await admin.hands.apply(applied, (await admin.hands.review(applied)).plan_hash)
    about = threads.ThreadRow(
        *("", shop, "shop", None, None, admin.actor, "query", "qry_0000000001", "Why?", "", None, 0, 0, 0, None)
    )
    thread = await admin.threads.begin(threads.Thread(about, {"text": "", "queries": []}, ()))
    await admin.models.add_provider("own", "ollama", ["m"], base_url="http://127.0.0.1:1/v1")
    await admin.store(ledger.keep_sent, "one", "what the admin asked")
    call = ledger.Call("own", "m", "thread", local=True, actor=admin.actor, prompt_hash="one", connection_id=shop)
    alert = await admin.store(alerts.put, shop, "lag", "It lags")
    agent = await admin.agents.find("Index hunter")
    flow = (await admin.agents.get(agent.id)).flow
    return {
        "query": query_uid(query),
        "thread": thread,
        "advice": advice,
        "applied": applied,
        "approved": approved,
        "agent": agent.id,
        "usage": await admin.store(ledger.reserve, call),
        "alert": alert.id,
        "run": run.id,
        "flow": json.dumps(flow.document()),
    }


def _index(column: str) -> Suggestion:
    index = IndexSpec("public", "orders", (IndexColumn(column),), name=f"orders_{column}")
    return Suggestion(
        *("missing-index", column, SuggestionType.INDEX_OPTIMIZATION, SuggestionPriority.HIGH, "Make it", ""),
        evidence_kind=EvidenceKind.STATED,
        evidence={"facts": [], "object": {}, "size_bytes": 100_000},
        confidence=0.5,
        risk=Risk.LOW,
        schema="public",
        table="orders",
        change=CreateIndex(index),
        sql="as reviewed",
    )


def _highest_without(permission: str) -> str:
    return [role for role in ACCOUNTS if permission not in ROLES[role]][-1]


_IN_TURN = """
import contextlib, io, json, os, sys

from meshag_tui.cli import command

answers, typed = [], json.load(sys.stdin)
for account, words in typed:
    os.environ["LOGNAME"], sys.stdin = account, io.StringIO("https://hooks.example.com/x")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command.run(words)
    answers.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(answers))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)  # over a hundred commands, one after the other
def test_every_command_asks_for_its_right(meshag: Meshag, given: dict[str, str]) -> None:
    """Those that only read are done by a viewer; the others are refused to the highest role that may not."""
    tried = {name: (needed, f"{name} {words}") for name, (needed, words) in COMMANDS.items()} | MORE
    roles = {name: "viewer" if needed == "read" else _highest_without(needed) for name, (needed, _) in tried.items()}
    typed = [(ACCOUNTS[roles[name]], [*words.format(**given).split(), "--json"]) for name, (_, words) in tried.items()]
    ran = subprocess.run(
        [sys.executable, "-c", _IN_TURN],
        env=meshag.environment,
        input=json.dumps(typed),
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = []
    for (name, (needed, _)), (exit_code, out, err) in zip(tried.items(), json.loads(ran.stdout), strict=True):
        said = json.loads(out) if out else {}
        code = said.get("error", {}).get("code") if isinstance(said, dict) else None
        if (code, exit_code) != ("forbidden", 1) if needed != "read" else (code is not None or exit_code not in (0, 1)):
            wrong.append(f"{name}, {roles[name]}: {exit_code} {out[:200]} {err}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_a_key_is_asked_for_where_no_workbench_is_opened(meshag: Meshag) -> None:
    """Also of a file, where the account may do everything: a key may no more than what it was given."""
    made = json.loads(meshag("access", "add", "cron", "--may", "read", "--json").out)
    by = {"MESHAG_ACCESS_KEY": made["secret"]}
    for words in (
        ("store", "browse", "users"),
        ("store", "backup", str(meshag.home / "copy.db")),
        ("store", "reset", "--yes"),
        ("store", "restore", str(meshag.home / "meshag.db"), "--yes"),
        ("key", "rotate"),
    ):
        answer = meshag(*words, "--json", environment=by)
        assert answer.document["error"]["code"] == "forbidden", words
    assert meshag("store", "status", environment=by).code == 0
    meshag("access", "revoke", "cron")
    assert meshag("store", "status", environment=by).code == 77
    assert meshag("record", str(meshag.home / "away.db"), environment=by).code == 77
