"""A primary and a real replica of MySQL and of MariaDB: the replica is known for one, watched, and never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from meshag_tui.advisor.refusals import DAY_MS, refusals
from meshag_tui.changes.record import ChangeRefused
from meshag_tui.engines.base import Limits, Refused
from meshag_tui.engines.mysql.session import connect
from meshag_tui.live import Vital
from meshag_tui.screens.sessions_facts import vital_words
from meshag_tui.servers.mysqld import MARIADB, MYSQL
from meshag_tui.store import history
from meshag_tui.types import ChangeState, CreateIndex, IndexColumn, IndexSpec, Target, Window
from meshag_tui.workflows.durable import RunFailed
from tests.changes.conftest import Desk
from tests.rig.mysql import BINARY_LOG, PFS_OFF, Schema

Private = Callable[..., Schema]

ORDERS = (
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, day date, KEY by_day (day))",
    "INSERT INTO orders VALUES (1, 1, '2026-01-01'), (2, 2, '2026-01-02')",
)


@pytest.fixture(params=(MARIADB, MYSQL), ids=str.lower)
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def by_customer(schema: Schema) -> CreateIndex:
    return CreateIndex(IndexSpec(schema.name, "orders", (IndexColumn("customer_id"),), name="by_customer"))


async def kept_for(desk: Desk, primary: str) -> tuple[str, ...]:
    """Why `by_day`, that nobody uses on the primary, is not dropped, had all been watched for 40 days."""
    store = desk.bench.store
    catalog = await store(history.catalog, primary, Window(0, 2**53))
    now = catalog.facts.observed_at
    old = [replace(row, observed_since=now - 40 * DAY_MS) for row in catalog.indexes]
    standbys = [
        replace(each, indexes={k: replace(row, observed_since=now - 40 * DAY_MS) for k, row in each.indexes.items()})
        for each in catalog.standbys
    ]
    catalog = replace(catalog, indexes=tuple(old), standbys=tuple(standbys))
    return refusals(next(row for row in old if row.stats.name == "by_day"), catalog)


async def test_what_replicas_do_with_an_index_counts(private_my: Private, desk: Desk, flavour: str) -> None:
    primary = private_my(flavour, BINARY_LOG)
    primary.execute(*ORDERS)
    replica = private_my(flavour, {"read-only": "ON"}, of=primary)
    watched = await desk.connect(primary)
    await desk.bench.sync(watched)
    primary.execute("INSERT INTO orders VALUES (3, 3, NULL)", "SELECT * FROM orders")
    await desk.bench.sync(watched)
    assert await kept_for(desk, watched) == ("unknown replicas: 1 in its lists of threads and members, 0 monitored",)

    replica.caught_up(primary)
    following = (await desk.bench.connections.add("reports", Target.from_url(replica.url))).id
    await desk.bench.sync(following)
    replica.execute("SELECT * FROM orders")
    await desk.bench.sync(following)
    facts = (await desk.bench.store(history.catalog, following, Window(0, 2**53))).facts
    assert facts.in_recovery and facts.epoch.role == "replica" and not facts.replicas
    assert await kept_for(desk, watched) == (), "unused on both"
    assert "standby" in " ".join(await kept_for(desk, following)), "on the replica itself nothing is to be dropped"

    replica.execute("SELECT id FROM orders FORCE INDEX (by_day) WHERE day = '2026-01-02'")
    await desk.bench.sync(following)
    assert await kept_for(desk, watched) == ("we have seen it used on the standby reports",)


@pytest.mark.parametrize("state", ["writable", "stopped"])
async def test_a_replica_is_never_changed_though_it_takes_writes(
    private_my: Private, desk: Desk, flavour: str, state: str
) -> None:
    primary = private_my(flavour, BINARY_LOG)
    primary.execute(*ORDERS)
    replica = private_my(flavour, of=primary)
    if state == "stopped":
        replica.execute("STOP SLAVE" if flavour == MARIADB else "STOP REPLICA")
    advice = await desk.suggest(replica, by_customer(replica))
    with pytest.raises(Refused, match=r"is a replica of 127\.0\.0\.1:\d+: change that, its primary"):
        await desk.bench.hands.review(advice.id)
    assert len(replica.fetch("SHOW INDEX FROM orders")) == 2


async def test_a_primary_that_became_a_replica_is_refused(private_my: Private, desk: Desk, flavour: str) -> None:
    """What was looked at on a primary is not done on what it has become: a replica that still takes writes."""
    primary, other = private_my(flavour, BINARY_LOG), private_my(flavour, {**BINARY_LOG, "server-id": "9"})
    primary.execute(*ORDERS)
    advice = await desk.suggest(primary, by_customer(primary))
    review = await desk.bench.hands.review(advice.id)
    primary.follow(other)
    with pytest.raises(RunFailed, match="is a replica of"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert [row.state for row in await desk.journal()] == [ChangeState.FAILED]
    assert len(primary.fetch("SHOW INDEX FROM orders")) == 2


async def test_without_performance_schema_a_replica_is_known_too(private_my: Private, desk: Desk, flavour: str) -> None:
    """Also one that has stopped, and how far behind it is."""
    primary = private_my(flavour, BINARY_LOG)
    primary.execute(*ORDERS)
    replica = private_my(flavour, PFS_OFF, of=primary)
    advice = await desk.suggest(replica, by_customer(replica))
    with pytest.raises(Refused, match="is a replica of"):
        await desk.bench.hands.review(advice.id)
    replica.caught_up(primary)
    watching = Target.from_url(replica.monitor_url)
    async with connect(watching, "live", Limits()) as session:
        assert session.facts.in_recovery and session.facts.epoch.role == "replica"
        denied = (await session.live(vitals=True)).vitals["lag_ms"]
        assert denied.state == "insufficient privilege" and vital_words("lag_ms", denied) == "not allowed"
        (finding,) = [each for each in await session.findings() if each.code == "replica-lag"]
        assert finding.fix == denied.fix
        replica.execute(str(denied.fix).rstrip(";"))
    replica.execute("STOP SLAVE" if flavour == MARIADB else "STOP REPLICA")
    with pytest.raises(Refused, match=rf"is a replica of 127\.0\.0\.1:{primary.server.port}: change that"):
        await desk.bench.hands.review(advice.id)
    async with connect(watching, "live", Limits()) as session:
        assert session.facts.in_recovery, "one that has stopped and takes writes is one still"
        assert (await session.live(vitals=True)).vitals["lag_ms"].detail == "replication does not run"
        replica.execute("START SLAVE" if flavour == MARIADB else "START REPLICA")
        primary.execute("CREATE TABLE since (id int PRIMARY KEY)")  # what only a replica that is connected again has
        replica.caught_up(primary)
        lag = (await session.live(vitals=True)).vitals["lag_ms"]
        assert lag == Vital("ok", 0.0) and vital_words("lag_ms", lag) == "none", "as the overview says it"


async def test_a_mariadb_that_does_not_let_us_know_whether_it_is_a_replica_is_not_changed(
    private_my: Private, desk: Desk
) -> None:
    schema = private_my(MARIADB, PFS_OFF)
    schema.execute(*ORDERS)
    url = schema.user("PROCESS ON *.*", f"ALL ON {schema.name}.*", name="changer")
    advice = await desk.suggest(schema, by_customer(schema), url=url)
    with pytest.raises(Refused, match="a replica that has stopped cannot be known") as refused:
        await desk.bench.hands.review(advice.id)
    assert refused.value.fix == "GRANT SLAVE MONITOR ON *.* TO 'changer'@'%';"
    schema.execute(refused.value.fix)
    assert not (await desk.bench.hands.review(advice.id)).blocked_by


async def test_the_gate_of_a_primary_tells_of_its_replica_and_the_change_reaches_it(
    private_my: Private, desk: Desk, flavour: str
) -> None:
    primary = private_my(flavour, BINARY_LOG)
    primary.execute(*ORDERS)
    replica = private_my(flavour, {"read-only": "ON"}, of=primary)
    advice = await desk.suggest(primary, by_customer(primary))
    review = await desk.bench.hands.review(advice.id)
    (lag,) = [gate for gate in review.gates if gate.name == "replica lag"]
    assert (lag.state, lag.value) == ("unknown", "unknown, 1 replica") and "only themselves" in lag.detail
    with pytest.raises(ChangeRefused, match=r'replica lag is unknown.*--accept "replica lag"'):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    row = await desk.bench.hands.apply(advice.id, review.plan_hash, accept=["replica lag"])
    assert row.state is ChangeState.DONE
    replica.caught_up(primary)
    assert len(replica.fetch("SHOW INDEX FROM orders")) == 3
