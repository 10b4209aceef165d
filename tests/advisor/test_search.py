"""The search for a workload's indexes: what a storage budget changes, what is asked of the planner, what fits calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from meshag_tui.advisor.budget import Budget, OutOfBudget
from meshag_tui.advisor.combinations import combined
from meshag_tui.advisor.corrections import left_out, unshared
from meshag_tui.advisor.costs import weigh
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.generate import Advice
from meshag_tui.advisor.seek import seek, weighed
from meshag_tui.advisor.statistics import Tables, tables_of
from meshag_tui.advisor.upkeep import upkeep
from meshag_tui.advisor.verdicts import why
from meshag_tui.snapshot import ForeignKey
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


def test_the_clock_of_a_budget_stands_while_nothing_can_be_asked() -> None:
    late = Budget(5, -1.0)
    assert late.over
    late.give(60.0)
    assert not late.over
    late.spend()
    assert late.part(3, 10.0).left == 3 and late.left == 4


def test_what_a_budget_keeps_is_there_at_the_end() -> None:
    asked = Budget(10, 60.0).part(5, 60.0)
    asked.keep(2, 0.5)
    for _ in range(3):
        asked.spend()
    with pytest.raises(OutOfBudget):
        asked.spend()
    assert asked.spent == 3 and asked.left == 0 and not asked.over
    asked.keep(0, 0)
    asked.spend()
    assert asked.left == 1
    asked.keep(0, 1.0)
    assert asked.over
    with pytest.raises(OutOfBudget):
        asked.spend()
    assert asked.spent == 4


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


async def test_look_ups_share_no_more_pages_than_they_find(watch: Watch, shop15: Database, connect: Connect) -> None:
    """Where other joins leave few look-ups, each is priced as where the planner knows that they are few."""
    shop15.execute(
        "CREATE TABLE cities (id int PRIMARY KEY, name text NOT NULL)",
        "INSERT INTO cities SELECT g, 'city ' || g FROM generate_series(0, 199) g",
        "CREATE INDEX by_buyer ON sales (buyer)",
        "VACUUM ANALYZE",
    )
    shop = watch(shop15)
    await shop.sync()
    sold = "SELECT sum(s.price) FROM sales s JOIN buyers b ON b.id = s.buyer"
    async with connect(shop15) as session:
        columns = {("public", name): await session.column_statistics("public", name) for name in ("sales", "buyers")}
        tables, costs = tables_of(shop.catalog(), columns), session.facts.costs
        known = await session.explain(f"{sold} WHERE b.city = 9")
        unknown = await session.explain(f"{sold} JOIN cities c ON c.id = b.city WHERE c.name = 'city 9'")
    assert unshared(known, tables, costs) == 0
    few, shared = [next(one for one in weigh(plan) if one.node.index == "by_buyer") for plan in (known, unknown)]
    assert few.loops == shared.loops == 20
    cost = [(one.parent if one.node.table is None and one.parent else one.node).total_cost for one in (few, shared)]
    assert cost[1] < 0.8 * cost[0]  # what the planner says
    assert cost[1] + unshared(unknown, tables, costs) / shared.loops == pytest.approx(cost[0], rel=0.1)


@pytest.mark.slow
async def test_no_index_slows_another_statement_more_than_it_saves(watch: Watch, shop15: Database) -> None:
    """Look-ups that the planner takes for cheap would have a report visit every page by chance instead of in order."""
    shop15.execute(
        "CREATE TABLE regions (id int PRIMARY KEY, name text NOT NULL)",
        "INSERT INTO regions SELECT g, 'region ' || g FROM generate_series(0, 3) g",
        "CREATE TABLE orders (id int PRIMARY KEY, buyer int NOT NULL, price int NOT NULL, note text NOT NULL)",
        "INSERT INTO orders SELECT g, g * 7919 % 4000, g % 900, repeat('n', 380) FROM generate_series(1, 60000) g",
        "UPDATE buyers SET city = city % 4",
        f"ALTER DATABASE {shop15.name} SET random_page_cost = 4",
        "VACUUM ANALYZE",
    )
    report = (
        "SELECT sum(length(o.note)) FROM regions r JOIN buyers b ON b.city = r.id JOIN orders o ON o.buyer = b.id "
        "WHERE r.name = 'region 2'"
    )
    looked_up = "SELECT note FROM orders WHERE buyer = 44"
    often, seldom = watch(shop15), watch(shop15)
    await often.work(looked_up, times=800)
    await often.work(report, times=1)
    await seldom.work(looked_up, times=1)
    await seldom.work(report, times=20)

    def keys(advice: Advice) -> set[str]:
        return {spec.columns[0].name for spec in specs(advice) if spec.table == "orders"}

    assert "buyer" in keys(await often.advice())
    assert "buyer" not in keys(await seldom.advice(budget_bytes=UNLIMITED))


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


async def test_of_sample_values_that_fit_alike_those_are_taken_for_which_indexes_do_neither_most_nor_least(
    watch: Watch, shop15: Database, connect: Connect
) -> None:
    shop = watch(shop15)
    await shop.work("SELECT sum(price) FROM sales WHERE sold_on < '2022-06-01'", times=4)
    (query,) = [one for one in shop.workload() if one.text and "FROM sales" in one.text]
    async with connect(shop15) as session:
        plan = await session.explain(query.text)
        columns = {("public", "sales"): await session.column_statistics("public", "sales")}
        tables = tables_of(shop.catalog(), columns)
        taken = set()
        for variant in plan.variants:
            chosen = replace(variant, variants=plan.variants)
            one = Examined(query, 1.0, chosen, session.predicates(chosen))
            found = await seek([one], shop.catalog(), tables, session, shop.settings, None, Budget(500, 60), [])
            taken.add(found.statements[0].plan.parameters)
    by_value = sorted(variant.parameters for variant in plan.variants)
    assert len(by_value) == 5 and taken == {by_value[2]}


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


async def test_columns_that_refer_to_a_key_together_hold_no_more_combinations_than_it(
    watch: Watch, pg15: Database, connect: Connect
) -> None:
    """Whether a foreign key says so, or only what statements join on, through other tables too."""
    pg15.execute(
        "CREATE TABLE offers (part int, seller int, price int, PRIMARY KEY (seller, part))",
        "INSERT INTO offers SELECT g % 5000, g * 7919 % 997, g FROM generate_series(1, 20000) g",
        "CREATE TABLE parts (id int PRIMARY KEY, name text)",
        "INSERT INTO parts SELECT g, repeat('p', 60) FROM generate_series(0, 4999) g",
        "CREATE TABLE bought (id int PRIMARY KEY, part int NOT NULL, seller int NOT NULL, day int NOT NULL)",
        "INSERT INTO bought SELECT g, o.part, o.seller, g % 50 FROM generate_series(1, 120000) g "
        "JOIN offers o ON o.price = 1 + g::bigint * 7919 % 20000",
        "VACUUM ANALYZE",
    )
    shop = watch(pg15)
    await shop.sync()
    joining = (
        "SELECT sum(o.price) FROM bought b JOIN parts p ON p.id = b.part "
        "JOIN offers o ON o.part = p.id AND o.seller = b.seller WHERE p.name LIKE '%q%'"
    )
    async with connect(pg15) as session:
        statistics = {
            ("public", name): await session.column_statistics("public", name) for name in ("bought", "offers")
        }
        plain = tables_of(shop.catalog(), statistics)
        conditions = session.predicates(await session.explain(joining))
    key = ForeignKey("f", "public", "bought", ("part", "seller"), "public", "offers", ("part", "seller"))
    spec = IndexSpec("public", "bought", (IndexColumn("part"), IndexColumn("seller")))
    pg15.execute("CREATE INDEX b ON bought (part, seller)")
    real = int(pg15.fetch("SELECT pg_relation_size('b')")[0][0])

    def reckoned(tables: Tables) -> float:
        view = tables.view("public", "bought")
        return view.index_bytes(spec) / real if view is not None else 0.0

    assert reckoned(plain) > 1.5
    assert 0.85 < reckoned(combined(plain, [], [conditions])) < 1.15
    assert 0.85 < reckoned(combined(plain, [key], [])) < 1.15


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
    # Each further one on a table takes more; those on different tables, and on few rows, hardly crowd.
    others = [replace(on_sales, columns=(IndexColumn(name),)) for name in ("shop", "buyer")]
    assert kept.crowd_ms([on_sales]) == kept.crowd_ms([on_sales, on_buyers]) == 0
    assert kept.crowd_ms([on_sales, others[0]]) == pytest.approx(kept.ms(on_sales))
    assert kept.crowd_ms([on_sales, *others]) == pytest.approx(3 * kept.ms(on_sales))
    await shop.work("UPDATE sales SET shop = shop + 1 WHERE id <= 20000", times=1)
    written = replace(upkeep((), tables_of(shop.catalog(), {}), 0.0), expected_ms=64.0)
    assert written.ms(on_sales) == written.seen_ms(on_sales) > 60
