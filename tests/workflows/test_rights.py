"""Roles and access keys hold at the doors of the workflows, whatever screen or command asks."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from meshag_tui.proposed import Suggestion
from meshag_tui.settings import Settings
from meshag_tui.store import access_keys, activity, answers, chain, ledger, suggestions, threads
from meshag_tui.store.database import Store
from meshag_tui.store.people import Forbidden
from meshag_tui.store.vault import Vault
from meshag_tui.types import (
    ChangeState,
    CreateIndex,
    EvidenceKind,
    IndexColumn,
    IndexSpec,
    Risk,
    Secret,
    SuggestionPriority,
    SuggestionType,
    Target,
)
from meshag_tui.workflows.advice import Advice
from meshag_tui.workflows.agents import Agents
from meshag_tui.workflows.alerting import Alerting
from meshag_tui.workflows.community import Community
from meshag_tui.workflows.connecting import Connections
from meshag_tui.workflows.durable import RunFailed
from meshag_tui.workflows.hands import Hands
from meshag_tui.workflows.models import Models
from meshag_tui.workflows.threads import Threads
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database

READS = {
    Advice: "model_preview compare_preview model_endpoints model_refusal model_consent open_suggestions",
    Agents: "page find get run_of",
    Alerting: "",
    Community: "users",
    Hands: "review review_basket left_of_basket migration review_undo review_rehearsal review_end review_reset",
    Models: "providers cache_only",
    Threads: "page get draft preview",
    Connections: "test watching doctor live",
    Workbench: "open load_rest close need executions",
}
"""What changes nothing, in the store or elsewhere: all other public methods ask for a right."""


@pytest.mark.parametrize("door", READS, ids=lambda door: door.__name__)
def test_every_door_asks_for_a_right(door: type) -> None:
    methods = dict(inspect.getmembers(door, inspect.iscoroutinefunction))
    free = {name for name, method in methods.items() if not hasattr(method, "__wrapped__") and name[0] != "_"}
    assert free == set(READS[door].split())


async def test_a_team_shares_a_store(pg18: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pg18.execute("CREATE TABLE orders (id int PRIMARY KEY, customer_id int)")
    settings = Settings(home=tmp_path, store_url=pg18.url)
    store = Store.open(pg18.url)
    vault = Vault.open(settings, {})

    def of(actor: str) -> Workbench:
        return Workbench(settings, store, vault, actor)

    ada, bo, cy, di = (of(name) for name in ("ada", "bo", "cy", "di"))
    try:
        shop = (await bo.connections.add("shop", Target.from_url(pg18.url))).id  # nobody was added yet
        for name, role in (("bo", "operator"), ("cy", "approver"), ("di", "viewer")):
            await ada.community.add_user(f"{name}@example.com", name, role)
        assert [who.role for who in await di.community.users()] == ["admin", "operator", "approver", "viewer"]

        for refused in (
            di.sync(shop),
            di.need("collect"),
            di.advice.suggest(shop),
            di.models.test("config"),
            bo.connections.add("more", Target.from_url(pg18.url)),
            bo.models.override("sub_1", 1, "because"),
            bo.models.add_provider("p", "ollama", ["m"]),
            bo.community.add_key("k", ("admin",)),
            cy.community.edit_user("cy", role="admin"),
            cy.agents.set_status("agnt_1", "PAUSED"),
            bo.agents.answer("exec_1", ()),
            of("eve").sync(shop),
        ):
            with pytest.raises(Forbidden):
                await refused
        assert (await bo.sync(shop)).statements is not None

        index = IndexSpec("public", "orders", (IndexColumn("customer_id"),), name="orders_customer")
        advice = Suggestion(
            *("missing-index", "t:1", SuggestionType.INDEX_OPTIMIZATION, SuggestionPriority.HIGH, "Make it", ""),
            evidence_kind=EvidenceKind.STATED,
            evidence={"facts": [], "object": {}, "size_bytes": 100_000},
            confidence=0.5,
            risk=Risk.LOW,
            schema="public",
            table="orders",
            change=CreateIndex(index),
            sql="as reviewed",
        )
        found = (await store(suggestions.save, shop, [advice])).ids[0]
        review = await bo.hands.review(found)
        assert [gate.name for gate in review.blocked_by] == ["approved by"] and "cy" in review.blocked_by[0].limit
        with pytest.raises(RunFailed, match="approved by is nobody"):
            await bo.hands.apply(found, review.plan_hash)
        await bo.advice.mark_reviewed(found)  # an operator agrees to nothing by it
        assert (await bo.hands.review(found)).blocked_by
        await store(lambda: suggestions.set_status(found, suggestions.SuggestionStatus.DISMISSED, "bo", "so"))
        await cy.advice.mark_reviewed(found)
        review = await bo.hands.review(found)
        assert not review.blocked_by
        with pytest.raises(Forbidden):
            await di.hands.apply(found, review.plan_hash)
        row = await bo.hands.apply(found, review.plan_hash)
        assert row.state is ChangeState.DONE and row.actor == "bo"

        made = await ada.community.add_key("cron", ("apply", "collect"), user="bo")
        monkeypatch.setenv("MESHAG_ACCESS_KEY", made.secret.reveal())
        given = settings.access_key()
        assert given == made.secret
        by_key = of(await store(access_keys.authenticate, given))
        assert by_key.actor == made.info.prefix
        _, undoing = await by_key.hands.review_undo(row.id)
        await ada.community.allow_key("cron", False)
        with pytest.raises(Forbidden, match="revoked"):
            await by_key.hands.undo(row.id, undoing.plan_hash)
        await ada.community.allow_key("cron", True)
        undone = await by_key.hands.undo(row.id, undoing.plan_hash)
        assert undone.actor == made.info.prefix
        with pytest.raises(Forbidden, match="may not ask language models"):
            await by_key.threads.begin(None)  # type: ignore[arg-type]
        await ada.community.edit_user("bo", role="viewer")
        with pytest.raises(Forbidden, match="no more than its owner"):
            await by_key.sync(shop)
        assert (await store(chain.verify)).whole
        (asked,) = await store(activity.recent, 1, kind="change.applied")
        assert asked.actor == "bo"
    finally:
        for bench in (ada, bo, cy, di):
            if "runner" in vars(bench):
                await bench.runner.close()
        store.close()


async def test_what_others_said_with_models_is_seen_by_them_and_by_admins(pg18: Database, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, store_url=pg18.url)
    store = Store.open(pg18.url)
    vault = Vault.open(settings, {})
    ada, bo, di = (Workbench(settings, store, vault, name) for name in ("ada", "bo", "di"))
    try:
        shop = (await ada.connections.add("shop", Target.from_url("postgresql://a@192.0.2.1/shop"))).id
        for name, role in (("bo", "operator"), ("di", "viewer")):
            await ada.community.add_user(f"{name}@example.com", name, role)
        row = threads.ThreadRow(
            *("", shop, "shop", None, None, "bo", "query", "qry_0000000001", "Why?", "", None, 0, 0, 0, None)
        )
        said = await bo.threads.begin(threads.Thread(row, {"text": "", "queries": []}, ()))
        for sees in (bo, ada):
            assert [each.id for each in await sees.threads.page()] == [said]
            assert (await sees.threads.get(said)).row.actor == "bo"
        assert await di.threads.page() == ()
        for refused in (di.threads.get(said), di.threads.edit(said, name="Mine"), di.threads.remove(said)):
            with pytest.raises(Forbidden):
                await refused
        for key, kind in (("k1", answers.THREAD), ("k2", "7")):
            given = (key, shop, "own", "m", kind, (), "the answer", {})
            await store(lambda given=given: answers.keep(*given, days=1, limit_bytes=1 << 20))
        assert [each.key for each in await store.read(answers.page, "di")] == ["k2"]
        assert {each.key for each in await store.read(answers.page, "ada")} == {"k1", "k2"}
        call = ledger.Call("own", "m", "thread", True, "bo", "hash", shop)
        used = await store(ledger.reserve, call)
        await store(ledger.keep_sent, "hash", "what bo asked")
        for sees in ("bo", "ada"):
            assert await store.read(ledger.sent, used, sees) == "what bo asked"
        with pytest.raises(Forbidden, match="asked by bo"):
            await store.read(ledger.sent, used, "di")
        await ada.community.edit_user("di", role="operator")
        for refused in (di.threads.get(said), di.threads.edit(said, name="Mine"), di.threads.remove(said)):
            with pytest.raises(Forbidden, match="bo's: an admin may read it"):
                await refused
    finally:
        store.close()


def test_a_secret_that_is_a_key_is_not_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MESHAG_ACCESS_KEY", "mk_00000000_canary")
    settings = Settings(home=tmp_path, store_url="")
    assert settings.access_key() == Secret("mk_00000000_canary") and "canary" not in repr(settings.access_key())
