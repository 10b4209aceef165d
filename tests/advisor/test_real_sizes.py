"""Indexes by the size they will have: what plans cost with them, which scan is taken, whom that slows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshag_tui.advisor.budget import Budget
from meshag_tui.advisor.configurations import DREADED, SLOWER, Answer, Known, Look, _Catalogue
from meshag_tui.advisor.in_memory import in_memory
from meshag_tui.advisor.narrowing import narrowed
from meshag_tui.advisor.planner import Planner
from meshag_tui.advisor.pricing import Statement
from meshag_tui.advisor.real_sizes import Sized, as_read, too_large
from meshag_tui.advisor.reckoner import Reckoner
from meshag_tui.advisor.statistics import tables_of
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.types import EvidenceKind, IndexColumn, IndexSpec
from tests.advisor.conftest import Connect, Watch
from tests.rig.postgres import Database

PARCELS = """
CREATE TABLE parcels (id int PRIMARY KEY, trip int NOT NULL, sender int NOT NULL, weight int NOT NULL,
    price int NOT NULL, sent_on date NOT NULL, note text NOT NULL);
INSERT INTO parcels SELECT g, g / 3, (hashint4(g) & 65535) % 200, g % 90, g % 700, date '2022-01-01' + g % 900,
    repeat('n', 80) FROM generate_series(1, 120000) g;
"""
REPORT = "SELECT trip, sum(price) FROM parcels GROUP BY trip HAVING sum(price) > 2090"
WIDE = IndexSpec(
    "public",
    "parcels",
    (IndexColumn("sender"), IndexColumn("sent_on"), IndexColumn("trip")),
    include=("price", "weight"),
)
MADE = "CREATE INDEX wide ON parcels (sender, sent_on, trip) INCLUDE (price, weight)"


@pytest.fixture
def parcels(pg15: Database) -> Database:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute("CREATE EXTENSION hypopg", PARCELS, "VACUUM ANALYZE", "VACUUM")
    pg15.execute(f"ALTER DATABASE {pg15.name} SET random_page_cost = 1.1")
    return pg15


async def test_a_wide_index_costs_what_its_own_pages_do(watch: Watch, parcels: Database, connect: Connect) -> None:
    shop = watch(parcels)
    await shop.sync()
    statement = "SELECT sum(price), max(trip) FROM parcels WHERE sender BETWEEN 20 AND 60"
    async with connect(parcels) as session:
        tables = tables_of(
            shop.catalog(), {("public", "parcels"): await session.column_statistics("public", "parcels")}
        )
        what_if = await session.what_if()
        assert what_if is not None
        answer = await what_if.plan(statement, [WIDE])
        sized = {answer.names[WIDE]: Sized(WIDE, answer.size_bytes[WIDE])}
        less = too_large(answer.plan, tables, session.facts.costs, sized)
        parcels.execute(MADE)
        real = (await session.explain(statement)).cost
    assert answer.plan.cost > 1.15 * real  # what HypoPG says
    assert answer.plan.cost - less == pytest.approx(real, rel=0.05)


async def test_an_index_that_is_read_whole_once_it_is_there(watch: Watch, parcels: Database, connect: Connect) -> None:
    """HypoPG has the table read; the server reads the index, in whose order each row is of another group."""
    shop = watch(parcels)
    await shop.sync()
    async with connect(parcels) as session:
        tables = tables_of(
            shop.catalog(), {("public", "parcels"): await session.column_statistics("public", "parcels")}
        )
        what_if, costs = await session.what_if(), session.facts.costs
        assert what_if is not None
        answer = await what_if.plan(REPORT, [WIDE])
        foretold, new = as_read(answer.plan, tables, costs, [WIDE])
        parcels.execute(MADE)
        real = await session.explain(REPORT)
    assert not answer.used and list(new.values()) == [WIDE]
    assert [node.kind for node in foretold.root.walk()] == [node.kind for node in real.root.walk()]
    assert "Index Only Scan" in [node.kind for node in real.root.walk()]
    assert foretold.cost == pytest.approx(real.cost, rel=0.05)
    today = in_memory(answer.plan, tables, costs).cost
    assert in_memory(foretold, tables, costs, new).cost > 1.1 * today  # cheaper to the planner, and slower


async def test_the_price_of_an_index_tells_that_it_slows_a_statement_it_was_not_made_for(
    watch: Watch, parcels: Database, connect: Connect
) -> None:
    shop = watch(parcels)
    await shop.work(REPORT, times=3)
    (query,) = [one for one in shop.workload() if one.text and "HAVING" in one.text]
    async with connect(parcels) as session:
        columns = await session.column_statistics("public", "parcels")
        tables, facts = tables_of(shop.catalog(), {("public", "parcels"): columns}), session.facts
        what_if = await session.what_if()
        assert what_if is not None
        planner = Planner(what_if, tables, Budget(10, 60.0), Reckoner(tables, facts), facts.costs)
        statement = Statement(query, await session.explain(REPORT), (), (), 1.0)
        today, price = [await planner.price(statement, frozenset(specs)) for specs in ((), (WIDE,))]
    assert today.times == pytest.approx(1.0) and not today.used
    assert price.used == {WIDE} and price.cost < today.cost
    assert price.times is not None and price.times > SLOWER


def test_a_statement_sees_of_an_index_what_it_needs() -> None:
    needs = {("public", "parcels"): frozenset({"sender", "trip", "price"})}
    seen = narrowed(WIDE, needs)
    assert [key.name for key in seen.columns] == ["sender"] and seen.include == ("price", "trip")
    assert narrowed(WIDE, {}) == WIDE


def test_of_plans_the_server_has_shown_the_one_that_is_cheapest_by_real_sizes_is_expected() -> None:
    """With both indexes it answered by the first; by real sizes it takes the plan it showed without it."""
    known = Known(_statement(), 0, _Catalogue())
    known.relevant = 0b11
    known.note(Answer(0b11, 0b01, 90.0, EvidenceKind.PLANNED, 100.0))
    known.note(Answer(0b10, 0b10, 80.0, EvidenceKind.PLANNED, 95.0))
    found = known.best(0b11)
    assert found is not None and found.used == 0b10


def test_an_index_that_slows_a_statement_with_other_values_costs_what_it_slows() -> None:
    """So does one that would be read likewise, until the server has said of it that it does not."""
    catalogue = _Catalogue()
    for spec in (WIDE, replace(WIDE, columns=WIDE.columns[:1], include=("note", "price")), replace(WIDE, include=())):
        catalogue.add(spec, 1_000_000)
    known = Known(_statement(), 0, catalogue)
    known.relevant, known.base = 0b111, 100.0
    known.needs.append((("public", "parcels"), frozenset({"price", "sender"})))
    for given, used, cost in ((0, 0, 100.0), (0b111, 0b001, 60.0)):
        known.note(Answer(given, used, cost, EvidenceKind.PLANNED, cost))
    before = [known.felt(mask) for mask in (0b001, 0b010, 0b100)]
    known.look(("other",), Look(0b101, 0b001, SLOWER + 0.5))
    assert known.harmed(0b001) and known.harmed(0b101) and not known.harmed(0b100)
    felt = [known.felt(mask) for mask in (0b001, 0b010, 0b100)]
    assert felt == pytest.approx([before[0] + 50 * DREADED, before[1] + 50 * DREADED, before[2]])
    known.look(("other",), Look(0b110, 0b010, 0.9))
    assert known.felt(0b010) == pytest.approx(before[1]) and known.harmed(0b001)


def _statement() -> Statement:
    root = PlanNode("0", "Seq Scan", 0.0, 100.0, 1.0, 8)
    return Statement(None, Plan(root, "custom", "", None, "", ("usual",)), (), (), 1.0)  # type: ignore[arg-type]
