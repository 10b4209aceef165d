"""Indexes on the rows whose columns compare as every call asks: on what, how large, at what price in joins."""

from __future__ import annotations

import pytest

from meshag_tui.advisor import rows_alike
from meshag_tui.engines.base import ColumnStatistics
from meshag_tui.engines.postgres.whatif import _only_table
from meshag_tui.plan import Predicate
from meshag_tui.types import CreateIndex
from tests.advisor.conftest import Connect, Watch, by_rule
from tests.rig.postgres import Database

BOTH = '"due" < "got" AND "sent" < "due"'


def test_conditions_are_read_from_a_predicate_of_such_alone() -> None:
    assert rows_alike.conditions(BOTH) == (("due", "<", "got"), ("sent", "<", "due"))
    assert rows_alike.each(BOTH) == ('"due" < "got"', '"sent" < "due"')
    assert rows_alike.conditions('"a ""b"" AND" <> "c"') == (('a "b" AND', "<>", "c"),)
    for other in (None, '"due" IS NULL', "\"state\" = 'open'", f"{BOTH} AND \"state\" = 'x'"):
        assert rows_alike.conditions(other) == ()


def test_a_condition_of_a_plan_is_taken_out_whichever_way_round_it_stands() -> None:
    text = "((l.sent < l.due) AND (l.got > l.due) AND (l.id < 7))"
    assert rows_alike.without(text, "l", BOTH) == "( AND  AND (l.id < 7))"
    assert rows_alike.without(text, "other", BOTH) == text


def test_columns_are_compared_by_what_statistics_say_of_each() -> None:
    def column(name: str, kind: str, values: tuple[str, ...]) -> ColumnStatistics:
        return ColumnStatistics(name, kind, 0.0, -1.0, 4, histogram=values)

    numbers = {
        name: column(name, "integer", tuple(map(str, range(at, at + 100)))) for name, at in (("a", 0), ("b", 50))
    }
    assert rows_alike.share('"a" < "b"', numbers) == pytest.approx(0.87, abs=0.01)
    assert rows_alike.share('"b" < "a"', numbers) == pytest.approx(0.12, abs=0.01)
    texts = {name: column(name, "text", ("x", "y")) for name in "ab"}
    assert rows_alike.share('"a" < "b"', texts) == rows_alike.UNKNOWN_SHARE  # their order is the collation's
    assert rows_alike.share('"a" = "b"', numbers | {"a": ColumnStatistics("a", "integer", 0.5, 10, 4)}) == 0.05


def test_an_index_needs_columns_of_one_type() -> None:
    made = [Predicate("s", "t", "t", None, text, "row", "<") for text in rows_alike.each(BOTH)]
    kinds = {"due": "date", "got": "timestamp with time zone", "sent": "date"}
    assert list(rows_alike.wheres(made, kinds)) == ['"sent" < "due"']
    assert list(rows_alike.wheres(made, dict.fromkeys(kinds, "date"))) == [BOTH, *rows_alike.each(BOTH)]


def test_hypopg_is_given_no_index_on_some_rows_but_for_a_table_read_alone_by_its_name() -> None:
    """Its condition would be about the relation named first, and a view between can bring the server down."""
    assert _only_table("SELECT * FROM s.lines WHERE due < got") == ("s", "lines")
    assert _only_table("UPDATE lines SET got = due WHERE due < got") == ("", "lines")
    for other in (
        "SELECT * FROM heads JOIN lines ON head = id WHERE due < got",
        "SELECT * FROM lines a, lines b WHERE a.due < b.got",
        "SELECT * FROM (SELECT * FROM lines) l WHERE due < got",
        "WITH l AS (SELECT * FROM lines) SELECT * FROM l",
        "SELECT * FROM lines WHERE id IN (SELECT 1)",
        "INSERT INTO lines SELECT * FROM heads",
    ):
        assert _only_table(other) is None, other


async def test_rows_that_every_call_asks_for_are_indexed_alone_in_joins_too(
    watch: Watch, pg15: Database, connect: Connect
) -> None:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute(
        "CREATE EXTENSION hypopg",
        "CREATE TABLE heads (id int PRIMARY KEY, kind int NOT NULL, note text NOT NULL)",
        "INSERT INTO heads SELECT g, g % 40, repeat('h', 40) FROM generate_series(1, 30000) g",
        "CREATE TABLE lines (id int PRIMARY KEY, head int NOT NULL, mode int NOT NULL, sent date NOT NULL, "
        "due date NOT NULL, got date NOT NULL, note text NOT NULL)",
        "INSERT INTO lines SELECT g, 1 + g % 30000, g % 7, d + g % 60, d + g * 79 % 70, d + g % 60 + g % 20, "
        "repeat('l', 60) FROM generate_series(1, 120000) g, LATERAL (SELECT date '2020-01-01' + g * 31 % 900 AS d) r",
        "SET default_statistics_target = 400",  # all rows are looked at: a sample's figures differ from run to run
        "VACUUM ANALYZE",
        "VACUUM",
    )
    late = (
        "SELECT h.kind, count(*) FROM heads h JOIN lines l ON l.head = h.id WHERE l.mode = 3 AND l.due < l.got "
        "AND l.sent < l.due AND l.got >= '2021-03-01' AND l.got < '2021-09-01' GROUP BY 1"
    )
    shop = watch(pg15)
    await shop.work(late, times=5)
    advice = await shop.advice(budget_bytes=2_000_000)
    ((found, spec),) = [
        (one, one.change.spec)
        for one in by_rule(advice, "missing-index")
        if isinstance(one.change, CreateIndex) and one.table == "lines"
    ]
    assert spec.where == BOTH and spec.columns[0].name == "mode"
    assert "Only rows with due < got and sent < due are in it" in found.text
    assert any("by an index on all rows" in fact for fact in found.evidence["facts"])
    pg15.execute((found.sql or "").replace("CONCURRENTLY ", ""))
    async with connect(pg15) as session:
        plan = await session.explain(late)
    made = next(node for node in plan.root.walk() if node.index is not None and node.index.startswith("lines_"))
    size = int(pg15.fetch("SELECT pg_relation_size(%s::regclass)", (made.index,))[0][0])
    (priced,) = found.evidence["statements"]
    assert plan.cost < 0.5 * priced["cost_before"]
    assert 0.5 < priced["cost_after"] / plan.cost < 2 and 0.5 < found.evidence["size_bytes"] / size < 2.5
