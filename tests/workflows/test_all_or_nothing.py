"""What writes more than one row writes all of them or none: each path is failed at every write it makes, in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from meshag_tui.agents import profiles
from meshag_tui.proposed import Suggestion
from meshag_tui.settings import Settings
from meshag_tui.store import activity, alerts, costs, executions, models, seed, suggestions, threads
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import EvidenceKind, Risk, Secret, SuggestionPriority, SuggestionType, Target
from meshag_tui.workflows.workbench import Workbench

NOWHERE = Target.from_url("postgresql://watcher:secret@192.0.2.1/shop")
ADVICE = Suggestion(
    *("no-primary-key", "t:1", SuggestionType.SCHEMA_OPTIMIZATION, SuggestionPriority.LOW, "Give it a key", ""),
    evidence_kind=EvidenceKind.COUNTED,
    evidence={"facts": []},
    confidence=0.5,
    risk=Risk.LOW,
    schema="public",
    table="orders",
    change=None,
    sql=None,
)
INVOICE = [costs.Line(str(number), number, "m1", 1_000, "USD", None) for number in range(3)]


class Planted(Exception):
    """The write that was made to fail."""


class World(NamedTuple):
    """An open workbench and what is in its store, by id."""

    bench: Workbench
    shop: str
    agent: str
    advice: str
    alert: str
    thread: str
    subscription: str
    removed: str  # an agent
    resting: str  # another, that is paused
    forgotten: str  # a thread that was removed
    cost: str
    price: str


@pytest.fixture
async def world(store_url: str, tmp_path: Path) -> AsyncIterator[World]:
    settings = Settings(home=tmp_path, store_url=store_url)
    store = Store.open(store_url)
    bench = Workbench(settings, store, Vault.open(settings, {}), "ada")
    shop = (await bench.connections.add("shop", NOWHERE)).id
    await bench.community.add_user("bo@example.com", "Bo", "operator")
    await bench.community.add_key("cron", ("collect",))
    await bench.models.add_provider("own", "ollama", ["m1"], key=Secret("sk-1"))
    await bench.models.add_provider("other", "ollama", ["m2"])
    await bench.models.add_plan("Team", "50")
    standing = await bench.models.subscribe("Team")
    await bench.models.add_plan("Spare", "10")
    cost = await bench.models.enter_cost("own", "1.50", "USD")
    price = await bench.models.put_price("own", "m9", 0, input="1", output="4")
    await bench.community.add_key("old", ("read",))
    await bench.community.allow_key("old", False)
    await bench.alerting.add_webhook("oncall", Secret("https://hooks.example.com/x"))
    alert = await store(alerts.put, shop, "lag", "It lags")
    thread = await bench.threads.begin(_draft(shop))
    advice = (await store(suggestions.save, shop, [ADVICE])).ids[0]
    agent = (await bench.agents.find("Index hunter")).id
    removed = (await bench.agents.remove((await bench.agents.find("Change reviewer")).id)).id
    resting = (await bench.agents.set_status((await bench.agents.find("Query explainer")).id, "PAUSED")).id
    forgotten = await bench.threads.begin(_draft(shop))
    await bench.threads.remove(forgotten)
    assert alert is not None
    yield World(
        *(bench, shop, agent, advice, alert.id, thread, standing.id, removed, resting, forgotten, cost.id, price.id)
    )
    store.close()


def _draft(shop: str) -> threads.Thread:
    row = threads.ThreadRow(
        *("", shop, "shop", None, None, "ada", "query", "qry_0000000001", "Why?", "", None, 0, 0, 0, None)
    )
    return threads.Thread(row, {"text": "", "queries": []}, ())


async def _run(world: World) -> None:
    def both() -> None:
        _, claimed = executions.begin("sync", world.shop, None, "me", 60_000, connection=world.shop)
        assert claimed is not None
        executions.commit_step(claimed, "read", {}, 0, lambda: executions.log(claimed.id, "info", "read"))
        executions.complete(claimed, dict)

    await world.bench.store.whole(both)


PATHS: dict[str, tuple[str, Callable[[World], Awaitable[Any]]]] = {
    "a connection is added, with its project": (
        "connection.added",
        lambda w: w.bench.connections.add("web", NOWHERE, project="Web"),
    ),
    "a connection is edited, with its project": (
        "connection.edited",
        lambda w: w.bench.connections.edit(w.shop, name="s", no_cloud=True),
    ),
    "a connection is removed": ("connection.removed", lambda w: w.bench.connections.remove(w.shop)),
    "a project is added": ("project.added", lambda w: w.bench.community.add_project("Web", theme="dark")),
    "a project is edited": ("project.changed", lambda w: w.bench.community.edit_project("Default", theme="light")),
    "a project is removed": ("project.removed", lambda w: w.bench.community.remove_project("Default")),
    "a user is added": ("user.added", lambda w: w.bench.community.add_user("cy@example.com", "Cy", "viewer")),
    "a user is edited": ("user.changed", lambda w: w.bench.community.edit_user("Bo", role="viewer")),
    "a user is removed": ("user.removed", lambda w: w.bench.community.remove_user("Bo")),
    "a key is made": ("key.added", lambda w: w.bench.community.add_key("backup", ("read",))),
    "a key is rotated": ("key.rotated", lambda w: w.bench.community.rotate_key("cron", 24)),
    "a key is revoked": ("key.revoked", lambda w: w.bench.community.allow_key("cron", False)),
    "an agent is made": (
        "agent.added",
        lambda w: w.bench.agents.add("Mine", profiles.Profile(tools=["collect"]), _collect()),
    ),
    "an agent is edited": (
        "agent.edited",
        lambda w: w.bench.agents.edit(
            w.agent, profiles.Profile(tools=list(profiles.TOOLS), context="monthly"), name="Hunter"
        ),
    ),
    "a flow is saved": ("flow.saved", lambda w: w.bench.agents.save_flow(w.agent, _collect())),
    "a flow is removed": ("flow.removed", lambda w: w.bench.agents.remove_flow(w.agent)),
    "an agent is paused": ("agent.paused", lambda w: w.bench.agents.set_status(w.agent, "PAUSED")),
    "an agent is removed": ("agent.removed", lambda w: w.bench.agents.remove(w.agent)),
    "an agent is purged": ("agent.purged", lambda w: w.bench.agents.purge(0)),
    "a provider is added": (
        "provider.added",
        lambda w: w.bench.models.add_provider("more", "ollama", ["m3"], key=Secret("sk-2")),
    ),
    "a provider is renamed": ("provider.edited", lambda w: w.bench.models.edit_provider("own", name="mine")),
    "providers are ordered": ("provider.order", lambda w: w.bench.models.order(["other", "own"])),
    "a provider is removed": ("provider.removed", lambda w: w.bench.models.remove_provider("own")),
    "a price is set": ("price.set", lambda w: w.bench.models.put_price("own", "m1", 0, input="2", output="8")),
    "the usual plans are made": ("plan.seeded", lambda w: w.bench.models.seed_plans()),
    "a plan is put in another's place": (
        "subscription.added",
        lambda w: w.bench.models.subscribe("Team", replace=True),
    ),
    "a subscription is cancelled": (
        "subscription.cancelled",
        lambda w: w.bench.models.cancel_subscription(w.subscription),
    ),
    "a budget is overridden": (
        "budget.override",
        lambda w: w.bench.models.override(w.subscription, 1 << 45, "because"),
    ),
    "a cost is entered": ("cost.entered", lambda w: w.bench.models.enter_cost("own", "2", "USD")),
    "an invoice is imported": ("invoice.imported", lambda w: w.bench.models.take_in("own", INVOICE)),
    "only kept answers are used": ("cache.only", lambda w: w.bench.models.set_cache_only(True)),
    "a thread is begun": ("thread.begun", lambda w: w.bench.threads.begin(_draft(w.shop))),
    "a thread is edited": ("", lambda w: w.bench.threads.edit(w.thread, name="Because")),
    "a thread is removed": ("thread.removed", lambda w: w.bench.threads.remove(w.thread)),
    "limits are set": ("limits.set", lambda w: w.bench.alerting.set_limits(w.shop, {"lag": (1, 2)})),
    "a webhook is changed": ("webhook.changed", lambda w: w.bench.alerting.edit_webhook("oncall", rules=["blocked"])),
    "a webhook is removed": ("webhook.removed", lambda w: w.bench.alerting.remove_webhook("oncall")),
    "an alert is taken note of": ("alert.noted", lambda w: w.bench.alerting.note(w.alert)),
    "a model is agreed to": ("model.consent", lambda w: w.bench.advice.give_model_consent(w.shop)),
    "advice is reviewed": ("suggestion.reviewed", lambda w: w.bench.advice.mark_reviewed(w.advice)),
    "advice is dismissed": ("suggestion.dismissed", lambda w: w.bench.advice.dismiss(w.advice, "so")),
    "a connection is switched off": ("connection.paused", lambda w: w.bench.connections.pause(w.shop)),
    "a connection is switched on": ("connection.resumed", lambda w: w.bench.connections.resume(w.shop)),
    "a paused agent is made active": ("agent.active", lambda w: w.bench.agents.set_status(w.resting, "ACTIVE")),
    "a removed thread is restored": ("thread.restored", lambda w: w.bench.threads.restore(w.forgotten)),
    "a revoked key is allowed": ("key.allowed", lambda w: w.bench.community.allow_key("old", True)),
    "a cost is removed": ("cost.removed", lambda w: w.bench.models.remove_cost(w.cost)),
    "a price is removed": ("price.removed", lambda w: w.bench.models.remove_price(w.price)),
    "a plan is removed": ("plan.removed", lambda w: w.bench.models.remove_plan("Spare")),
    "a removed agent is restored": ("agent.restored", lambda w: w.bench.agents.restore(w.removed)),
    "an agent is made inactive": ("agent.inactive", lambda w: w.bench.agents.set_status(w.agent, "INACTIVE")),
    "a plan is made": ("plan.added", lambda w: w.bench.models.add_plan("More", "70")),
    "a plan is changed": ("plan.edited", lambda w: w.bench.models.edit_plan("Team", cap="70")),
    "a webhook is added": (
        "webhook.added",
        lambda w: w.bench.alerting.add_webhook("more", Secret("https://hooks.example.com/y")),
    ),
    "kept answers are forgotten": ("cache.cleared", lambda w: w.bench.models.clear_cache()),
    "a note is written": ("note", lambda w: w.bench.note("look at this")),
    "a run goes through its step": ("", _run),
}


def _collect() -> Any:
    return profiles.templates()["collect"]


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for model in models.MODELS:
        rows: Any = model.select().tuples()
        found[model._meta.table_name] = sorted(rows, key=repr)
    return found


@contextmanager
def failing(store: Store, at: int) -> Iterator[list[str]]:
    """Let the write number `at` (from 0) fail, before the database gets it; the writes before it."""
    database: Any = getattr(store._database, "peewee", store._database)
    execute, seen = database.execute_sql, []

    def watched(sql: str, *args: Any, **kwargs: Any) -> Any:
        if sql.lstrip("( ").split(" ", 1)[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            if len(seen) == at:
                raise Planted(sql)
            seen.append(sql)
        return execute(sql, *args, **kwargs)

    database.execute_sql = watched
    try:
        yield seen
    finally:
        del database.execute_sql


@pytest.mark.parametrize("path", PATHS)
async def test_a_write_that_fails_leaves_nothing(world: World, path: str) -> None:
    kind, do = PATHS[path]
    store = world.bench.store
    before = await store(everything)
    for at in range(100):
        with failing(store, at) as writes:
            try:
                await do(world)
                break
            except Planted:
                pass
        left = await store(everything)
        assert left == before, f"after {writes}"
    assert at > 1, "it writes more than once"
    assert await store(everything) != before
    if kind:
        (entry,) = await store(activity.recent, 1)
        assert (entry.kind, entry.actor) == (kind, "ada")


async def test_seeding_is_all_or_nothing(store_url: str, tmp_path: Path) -> None:
    store = Store.open(store_url)
    vault = Vault.open(Settings(home=tmp_path, store_url=store_url), {})
    try:
        before = await store(everything)
        for at in (0, 3, 9, 15):
            with failing(store, at), pytest.raises(Planted):
                await store(seed.seed, vault)
            assert await store(everything) == before
        made = await store(seed.seed, vault)
        kinds = [entry.kind for entry in await store(activity.recent, 10)]
        assert kinds.count("store.seeded") == 1 and len(kinds) == made["activities"]
    finally:
        store.close()
