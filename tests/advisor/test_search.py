"""The search for a workload's indexes: what a storage budget changes, what is asked of the planner, what fits calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from meshag_tui.advisor.corrections import left_out
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.generate import Advice
from meshag_tui.advisor.seek import weighed
from meshag_tui.advisor.statistics import tables_of
from meshag_tui.advisor.upkeep import upkeep
from meshag_tui.advisor.verdicts import why
from meshag_tui.types import CreateIndex, IndexColumn, IndexSpec
from tests.advisor.conftest import Connect, Watch, by_rule
from tests.rig.postgres import Database

SALES = """
CREATE TABLE sales (id int PRIMARY KEY, buyer int NOT NULL, shop int NOT NULL, sold_on date NOT NULL,
    state text NOT NULL, price int NOT NULL, note text NOT NULL);
INSERT INTO sales SELECT g, g * 7919 % 4000, g * 31 % 150, date '2022-01-01' + g * 17 % 900,
    CASE WHEN g % 100 = 0 THEN 'open' ELSE 'done' END, g % 900, repeat('n', 60) FROM generate_series(1, 60000) g;
CREATE TABLE buyers (id int PRIMARY KEY, city int NOT NULL, name text NOT NULL);
INSERT INTO buyers SELECT g, g * 7919 % 200, repeat('x', 40) FROM generate_series(1, 4000) g;
"""
REPORTS = (
    "SELECT sum(price) FROM sales WHERE shop = 7 AND sold_on >= '2023-01-01' AND sold_on < '2023-03-01'",
    "SELECT sold_on, price FROM sales WHERE buyer = 44 ORDER BY sold_on DESC LIMIT 5",
    "SELECT b.name, sum(s.price) FROM buyers b JOIN sales s ON s.buyer = b.id WHERE b.city = 9 GROUP BY 1",
    "SELECT count(*) FROM sales WHERE state = 'open' AND sold_on > '2024-03-01'",
    "SELECT shop, max(price) FROM sales WHERE sold_on = '2023-05-05' GROUP BY 1",
)
UNLIMITED = 1 << 60


@pytest.fixture
def shop15(pg15: Database) -> Database:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute("CREATE EXTENSION hypopg", SALES, "VACUUM ANALYZE", "VACUUM")
    return pg15


def specs(advice: Advice) -> Sequence[IndexSpec]:
    return [one.change.spec for one in by_rule(advice, "missing-index") if isinstance(one.change, CreateIndex)]


async def test_a_budget_is_used_as_well_as_can_be_and_is_kept(watch: Watch, shop15: Database) -> None:
    shop = watch(shop15)
    await shop.work(*REPORTS, times=5)
    plain, wide, tight = [await shop.advice(budget_bytes=budget) for budget in (None, UNLIMITED, 700_000)]

    def found(advice: Advice) -> dict[str, float]:
        return dict(by_rule(advice, "missing-index")[0].evidence["search"])

    assert found(wide)["saved_share"] >= found(plain)["saved_share"] >= 0.3
    assert found(wide)["saved_share"] > found(tight)["saved_share"] > 0
    assert found(tight)["size_bytes"] <= 700_000 < found(wide)["size_bytes"]
    assert found(plain)["budget_bytes"] is None and found(tight)["budget_bytes"] == 700_000
    for advice in (plain, wide, tight):
        assert advice.planner_calls <= 400 and found(advice)["complete"]
        assert any("planner calls" in fact for fact in by_rule(advice, "missing-index")[0].evidence["facts"])
    names = [one.undo_sql for one in by_rule(wide, "missing-index")]
    assert len(set(names)) == len(names)
    before = int(shop15.fetch("SELECT sum(pg_relation_size(indexrelid))::bigint FROM pg_index")[0][0])
    for one in by_rule(wide, "missing-index"):
        shop15.execute(one.sql or "")
    made = int(shop15.fetch("SELECT sum(pg_relation_size(indexrelid))::bigint FROM pg_index")[0][0]) - before
    assert 0.75 * made <= found(wide)["size_bytes"] <= 1.35 * made  # sizes come true


async def test_out_of_calls_the_best_so_far_is_proposed(watch: Watch, shop15: Database) -> None:
    shop = watch(shop15)
    await shop.work(*REPORTS, times=5)
    whole, short = await shop.advice(), await shop.advice(planner_calls=20)
    assert specs(short) and len(specs(short)) <= len(specs(whole))
    assert short.planner_calls < whole.planner_calls and "missing-index" not in short.complete_rules
    assert any("as often as we allow" in note for note in short.notes)


async def test_prices_come_true(watch: Watch, shop15: Database, connect: Connect) -> None:
    """A price with hypothetical indexes, corrected, is what the planner says once they are there."""
    shop = watch(shop15)
    await shop.work(REPORTS[2], times=3)
    statement = REPORTS[2].replace("= 9", "= 11")
    spec = IndexSpec("public", "sales", (by := specs(await shop.advice()))[0].columns, include=by[0].include)
    tables = tables_of(shop.catalog(), {})
    async with connect(shop15) as session:
        what_if = await session.what_if()
        assert what_if is not None
        plan = (await what_if.plan(statement, [spec])).plan
        promised = plan.cost + left_out(plan, tables, session.facts.costs)
        keys, more = ", ".join(key.name for key in spec.columns), ", ".join(spec.include)
        shop15.execute(f"CREATE INDEX ON sales ({keys})" + (f" INCLUDE ({more})" if more else ""))
        real = (await session.explain(statement)).cost
    assert real == pytest.approx(promised, rel=0.1) and left_out(plan, tables, session.facts.costs) > 0


async def test_sample_values_are_those_that_fit_what_calls_returned(watch: Watch, shop15: Database) -> None:
    shop = watch(shop15)
    rare, common = (
        ["SELECT id, note FROM sales WHERE state = 'open'"],
        ["SELECT id, note FROM sales WHERE state = 'done'"],
    )
    await shop.work(*rare, times=4)
    assert [spec.columns[0].name for spec in specs(await shop.advice())] == ["state"]
    other = watch(shop15)
    await other.work(*common, times=4)
    assert specs(await other.advice()) == []


async def test_a_second_copy_of_a_table_is_made_only_for_a_budget(
    watch: Watch, shop15: Database, connect: Connect
) -> None:
    shop15.execute(
        "CREATE TABLE marks (id int PRIMARY KEY, grp int NOT NULL, mark int NOT NULL, note text NOT NULL)",
        "INSERT INTO marks SELECT g, g * 7919 % 30000, g * 31 % 999, md5(g::text) FROM generate_series(1, 60000) g",
        "VACUUM ANALYZE marks",
        "VACUUM marks",
        f"ALTER DATABASE {shop15.name} SET work_mem = '256kB'",  # its sorts spill
    )
    shop = watch(shop15)
    await shop.work("SELECT grp, note, sum(mark) FROM marks GROUP BY grp, note ORDER BY sum(mark) % 7 LIMIT 5", times=4)
    assert specs(await shop.advice()) == []
    (query,) = [one for one in shop.workload() if one.text and "FROM marks" in one.text]
    async with connect(shop15) as session:
        found = await why(query, shop.workload(), shop.catalog(), session, shop.settings)
    assert {one.why for one in found.verdicts if one.keys.startswith("grp, note")} == {
        "it would be read from end to end: a second copy of the table in another order"
    }
    (copy,) = specs(await shop.advice(budget_bytes=UNLIMITED))
    assert copy.table == "marks" and copy.columns[0].name == "grp"


async def test_the_size_of_an_index_on_an_uneven_column(watch: Watch, pg15: Database, connect: Connect) -> None:
    """Most of its values are rare, and a sample sees only some of these: an index has an entry for each."""
    pg15.execute(
        "SELECT setseed(0.5)",
        "CREATE TABLE visits (id int PRIMARY KEY, visitor int NOT NULL, page int NOT NULL, kind char(1) NOT NULL, "
        "paid numeric(9, 2) NOT NULL)",
        "INSERT INTO visits SELECT g, 1 + power(random(), 3) * 200000, g::bigint * 7919 % 30000, chr(97 + g % 3), "
        "g % 30000 FROM generate_series(1, 400000) g",
        "VACUUM ANALYZE visits",
    )
    visits = watch(pg15)
    await visits.sync()
    async with connect(pg15) as session:
        columns = await session.column_statistics("public", "visits")
    view = tables_of(visits.catalog(), {("public", "visits"): columns}).view("public", "visits")
    assert view is not None
    off = {}
    for keys, include in (("visitor", ()), ("page", ()), ("page, visitor", ()), ("page", ("kind", "paid"))):
        spec = IndexSpec("public", "visits", tuple(map(IndexColumn, keys.split(", "))), include=include)
        pg15.execute("DROP INDEX IF EXISTS v", f"CREATE INDEX v ON visits ({keys})" + _including(include))
        off[keys, include] = view.index_bytes(spec) / int(pg15.fetch("SELECT pg_relation_size('v')")[0][0])
    assert all(0.85 < ratio < 1.15 for ratio in off.values()), off


def _including(columns: Sequence[str]) -> str:
    return f" INCLUDE ({', '.join(columns)})" if columns else ""


async def test_times_of_few_calls_are_drawn_towards_what_the_plan_costs(
    watch: Watch, shop15: Database, connect: Connect
) -> None:
    shop = watch(shop15)
    await shop.work(REPORTS[0], times=1)
    (query,) = [one for one in shop.workload() if one.text and "shop = $" in one.text]
    async with connect(shop15) as session:
        plan = await session.explain(REPORTS[0])

    def weight_beside_others(calls: int) -> float:
        odd = query._replace(calls=calls, total_time_ms=90.0 * calls)
        usual = query._replace(calls=100, total_time_ms=10.0 * 100)
        return weighed([(Examined(one, 0.5), plan) for one in (odd, usual, usual)])[0] / calls

    assert weight_beside_others(1) == pytest.approx(30)  # between 90 ms, which was measured, and 10, the usual pace
    assert 85 < weight_beside_others(100) < 90


async def test_an_index_on_a_large_table_costs_something_though_nothing_was_written(
    watch: Watch, shop15: Database
) -> None:
    shop = watch(shop15)
    await shop.work(*REPORTS, times=2)
    tables = tables_of(shop.catalog(), {})
    on_sales, on_buyers = [IndexSpec("public", table, (IndexColumn("id"),)) for table in ("sales", "buyers")]
    kept = replace(upkeep((), tables, 0.0), expected_ms=64.0)
    assert kept.seen_ms(on_sales) == kept.seen_ms(on_buyers) == 0
    assert kept.ms(on_sales) == pytest.approx(60, rel=0.1) and kept.ms(on_buyers) == pytest.approx(4, rel=0.1)
    await shop.work("UPDATE sales SET shop = shop + 1 WHERE id <= 20000", times=1)
    written = replace(upkeep((), tables_of(shop.catalog(), {}), 0.0), expected_ms=64.0)
    assert written.ms(on_sales) == written.seen_ms(on_sales) > 60
