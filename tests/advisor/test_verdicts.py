"""Why a statement gets an index suggestion or none: what was considered, at what price, and what stood in the way."""

from __future__ import annotations

import pytest

from meshag_tui.advisor.verdicts import Verdict, Why, unseen, why
from meshag_tui.screens.query_why import pieces
from tests.advisor.conftest import Connect, Watch, Watchable, Watched, filled
from tests.rig.mysql import Schema
from tests.rig.postgres import Database

ORDERS = """
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, placed_at timestamp NOT NULL,
    total int NOT NULL, note text NOT NULL);
INSERT INTO orders SELECT g, g * 7919 % 4000, 's' || g % 3, timestamp '2024-01-01' + g * interval '1 min', g % 900,
    repeat('n', 90) FROM generate_series(1, 60000) g;
CREATE TABLE states (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO states SELECT g, 'n' || g FROM generate_series(1, 30) g;
"""
BY_CUSTOMER = "SELECT id, total FROM orders WHERE customer_id = 7"
BY_STATUS = "SELECT count(DISTINCT note) FROM orders WHERE status = 's1'"
BY_KEY = "SELECT total FROM orders WHERE id = 9"
OF_FEW = "SELECT id FROM states WHERE name = 'n4'"
BY_DAY = "SELECT sum(total) FROM orders WHERE placed_at >= '2024-01-20' AND placed_at < '2024-01-21'"


async def asked(shop: Watched, connect: Connect, database: Watchable, words: str, room: int | None = None) -> Why:
    """The answer about the statement that has these words."""
    workload = shop.workload()
    query = next(one for one in workload if words in (one.text or "").replace("`", ""))
    async with connect(database) as session:
        return await why(query, workload, shop.catalog(), session, shop.settings, room)


def by_keys(found: Why) -> dict[str, Verdict]:
    return {one.keys: one for one in found.verdicts}


async def test_every_candidate_has_a_price_and_a_verdict(watch: Watch, pg15: Database, connect: Connect) -> None:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute("CREATE EXTENSION hypopg", ORDERS, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work(BY_CUSTOMER, BY_STATUS, BY_KEY, OF_FEW, BY_DAY, times=5)

    found = await asked(shop, connect, pg15, "customer_id =")
    chosen = by_keys(found)["customer_id"]
    assert chosen.chosen and chosen.why == "suggested" and (chosen.gain or 0) > 0.9
    assert found.method == "hypopg" and found.cost and (chosen.cost or 0) < found.cost / 5
    wider = by_keys(found)["customer_id include id, total"]
    assert not wider.chosen and "beside what is suggested already" in wider.why
    shown = "".join(text for _, text in pieces(found))
    assert "orders (customer_id)" in shown and "priced by HypoPG on the server" in shown

    status = await asked(shop, connect, pg15, "status =")
    assert not any(one.chosen for one in status.verdicts) and "No index is suggested for it" in " ".join(status.said)
    assert by_keys(status)["status"].why.startswith(("it saves", "the planner would not use it"))

    assert (
        "orders_pkey on orders already does what an index on (id) would."
        in (await asked(shop, connect, pg15, "WHERE id =")).said
    )
    few = await asked(shop, connect, pg15, "name =")
    assert any("smaller than 8 pages" in sentence for sentence in few.said) and few.verdicts == ()
    day = by_keys(await asked(shop, connect, pg15, "placed_at"))
    assert day["placed_at"].chosen and (day["brin: placed_at"].gain or 0) > 0.2
    assert day["brin: placed_at"].size_bytes < day["placed_at"].size_bytes

    tight = by_keys(await asked(shop, connect, pg15, "customer_id =", 100_000))
    assert "do not fit into the storage budget" in tight["customer_id"].why


async def test_without_a_planner_to_ask_it_is_reckoned_and_says_so(watch: Watch, my: Schema, connect: Connect) -> None:
    my.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total int NOT NULL)",
        filled("orders", 30_000, "n, n * 7919 % 6000, n % 900"),
        "ANALYZE TABLE orders",
    )
    shop = watch(my)
    await shop.work("SELECT id, total FROM orders WHERE customer_id = 37", "SELECT total FROM orders WHERE id = 7")
    found = await asked(shop, connect, my, "customer_id")
    (one,) = found.verdicts
    assert found.method == "reckoned" and one.chosen and one.keys == "customer_id"
    assert "priced by planner formulas and column statistics" in "".join(text for _, text in pieces(found))


async def test_what_has_no_index_to_wait_for_gets_an_answer_too(
    watch: Watch, pg15: Database, my: Schema, connect: Connect
) -> None:
    pg15.execute(
        "CREATE TABLE gone (x int); INSERT INTO gone SELECT g FROM generate_series(1, 3000) g",
        "CREATE FUNCTION counted(x int) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM pg_class'",
    )
    shop = watch(pg15)
    await shop.work("SELECT counted(4)", "SELECT 1", "DO $$ BEGIN PERFORM 1; END $$", "SELECT x FROM gone WHERE x = 4")
    pg15.execute("DROP TABLE gone")
    answers = {text: (await asked(shop, connect, pg15, text)).said[-1] for text in ("counted", "DO ", "gone")}
    assert "reads no table" in answers["counted"] and "functions do inside" in answers["counted"]
    assert "(utility) is not planned" in answers["DO "]
    assert "could not be explained" in answers["gone"] and '"gone" does not exist' in answers["gone"]

    my.execute("CREATE TABLE gone (x int)")
    other = watch(my)
    await other.work("SELECT SLEEP(0.001)", "SELECT x FROM gone WHERE x = 4", times=3)
    my.execute("DROP TABLE gone")
    assert "which EXPLAIN could run" in " ".join((await asked(other, connect, my, "SLEEP")).said)
    assert "There is no table" in " ".join((await asked(other, connect, my, "gone")).said)

    (row,) = (one for one in shop.workload() if "gone" in (one.text or ""))
    assert "did not run in the window" in unseen(row).said[0]
    assert "catalogue" in unseen(row._replace(internal=True)).said[0]
