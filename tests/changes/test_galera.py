"""A cluster of two real Galera nodes: what is said of it, what of a change is held up, and what the rest does to both.

The nodes are MariaDB's with Debian's galera-4. The second one begins with a copy of the first one's data at rest, so
that nothing has to be transferred.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshag_tui.servers.mysqld import MARIADB, EmbeddedMysql
from meshag_tui.servers.place import free_port
from meshag_tui.servers.rundir import DATA
from meshag_tui.types import (
    Analyze,
    Change,
    ChangeState,
    CreateIndex,
    HideIndex,
    IndexColumn,
    IndexSpec,
    MeshagError,
    Rebuild,
    SetSetting,
    Target,
)
from tests.changes.conftest import Desk
from tests.rig.mysql import Schema, installation, server
from tests.servers.test_postgres import wait_until

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")

pytestmark = pytest.mark.soak


def node(port: int, others: str = "") -> dict[str, str | None]:
    """The settings of a node that the others reach at a port of its own."""
    place = f"gmcast.listen_addr=tcp://127.0.0.1:{port};base_host=127.0.0.1;base_port={port};pc.recovery=false"
    return {
        "wsrep-on": "ON",
        "wsrep-provider": str(PROVIDER),
        "wsrep-provider-options": place,
        "wsrep-cluster-address": f"gcomm://{others}",
        "wsrep-node-address": "127.0.0.1",
        "binlog-format": "ROW",
        "innodb-autoinc-lock-mode": "2",
    }


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Schema, Schema]]:
    """The same schema on both."""
    if not PROVIDER.exists():
        pytest.skip("Galera is not on this machine: install galera-4")
    ports = free_port(), free_port()
    first = server(MARIADB, {**node(ports[0]), "wsrep-new-cluster": None})
    second = None
    try:
        shop = Schema(first, "shop").create()
        shop.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, a int, b int, KEY a (a))", "INSERT INTO orders VALUES (1, 1, 1)"
        )
        first.stop()
        copied = tmp_path_factory.mktemp("node") / DATA
        shutil.copytree(first.root / DATA, copied)
        first.start()
        # To begin anew was the one thing done since: who has it, too, is up to date and asks for nothing.
        state = copied / "grastate.dat"
        state.write_text(re.sub(r"seqno: .*", f"seqno: {said(shop, 'wsrep_last_committed')}", state.read_text()))
        joining = node(ports[1], f"127.0.0.1:{ports[0]}")
        second = EmbeddedMysql(installation(MARIADB), settings=joining, template=copied)
        second.password = first.password
        same = Schema(second.start(), "shop")
        for each in (shop, same):
            assert wait_until(lambda at=each: said(at, "wsrep_cluster_size") == "2", 60)  # type: ignore[misc]
            assert wait_until(lambda at=each: said(at, "wsrep_ready") == "ON", 60)  # type: ignore[misc]
        yield shop, same
    finally:
        first.close()
        if second is not None:
            second.close()


def said(schema: Schema, name: str) -> str:
    return str(schema.fetch(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1])


def definitions(nodes: tuple[Schema, Schema]) -> list[str]:
    return [str(each.fetch("SHOW CREATE TABLE orders")[0][1]) for each in nodes]


async def test_what_would_stop_all_nodes_is_not_begun_and_the_rest_is_on_both(
    desk: Desk, nodes: tuple[Schema, Schema]
) -> None:
    shop, _ = nodes
    report = await desk.bench.connections.test(Target.from_url(shop.monitor_url))
    assert "It is a node of a Galera cluster of 2" in str(report.findings) and report.facts.replicas == 1
    before = definitions(nodes)
    held_up: tuple[Change, ...] = (
        CreateIndex(IndexSpec("shop", "orders", (IndexColumn("b"),))),
        Rebuild("shop", "orders"),
    )
    for change in held_up:
        advice = await desk.suggest(shop, change)
        review = await desk.bench.hands.review(advice.id)
        (gate,) = [each for each in review.gates if each.name == "cluster"]
        assert review.blocked_by == (gate,) and (gate.state, gate.value) == ("block", "Galera, TOI")
        with pytest.raises(MeshagError, match="every node stands still"):
            await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert definitions(nodes) == before

    advice = await desk.suggest(shop, HideIndex("shop", "orders", "a"))
    review = await desk.bench.hands.review(advice.id)
    assert {each.name: each.state for each in review.gates}["cluster"] == "warn" and not review.blocked_by
    assert (await desk.bench.hands.apply(advice.id, review.plan_hash)).state is ChangeState.DONE
    assert wait_until(lambda: all("IGNORED" in each for each in definitions(nodes)), 20)
    await desk.bench.hands.undo(advice.id)
    assert wait_until(lambda: definitions(nodes) == before, 20)

    for change in (Analyze("shop", "orders"), SetSetting("long_query_time", "3")):
        advice = await desk.suggest(shop, change)
        review = await desk.bench.hands.review(advice.id)
        assert {each.name: each.state for each in review.gates}["cluster"] == "warn"
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert [each.fetch("SELECT @@GLOBAL.long_query_time")[0][0] for each in nodes] == [3.0, 10.0], "as it was said"

    shop.execute("SET GLOBAL wsrep_OSU_method = 'RSU'")
    advice = await desk.suggest(shop, HideIndex("shop", "orders", "a"))
    review = await desk.bench.hands.review(advice.id)
    (gate,) = review.blocked_by
    assert (gate.name, gate.value) == ("cluster", "Galera, RSU") and "this node alone is changed" in gate.detail
    assert definitions(nodes) == before
