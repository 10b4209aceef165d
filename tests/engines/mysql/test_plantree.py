"""Documents of servers that are not here, from their manuals, and the pieces of which a tree is made."""

from __future__ import annotations

from typing import Any

import pytest

from meshag_tui.engines.mysql.conjuncts import conjuncts, sort_keys, together
from meshag_tui.engines.mysql.planscan import Surroundings
from meshag_tui.engines.mysql.plantree import is_nothing, read_tree
from meshag_tui.engines.mysql.reckoned import Size
from meshag_tui.engines.mysql.resolved import resolved, simple, without_literals
from meshag_tui.plan import PlanNode
from meshag_tui.snapshot import CostModel

COSTS = CostModel(random_page=1.0, sequential_page=0.25, row=0.1, index_entry=0.05, operator=0.05)
SIZES = {("d", "t1"): Size(1000, 160_000), ("d", "t2"): Size(5000, 800_000), ("d", "t3"): Size(10, 16_384)}


def tree(document: dict[str, Any], flavour: str, text: str | None = None, **more: Any) -> PlanNode:
    around = Surroundings(flavour, COSTS, resolved(text), SIZES, default_schema="d", **more)
    return read_tree({"query_block": document}, around)


def shape(root: PlanNode) -> list[str]:
    return [f"{'  ' * one.path.count('.')}{one.kind}{' ' + one.table if one.table else ''}" for one in root.walk()]


def test_mariadb_11_tells_costs_of_its_own_unit_which_are_kept_apart() -> None:
    document = {
        "select_id": 1,
        "cost": 0.30591184,
        "nested_loop": [
            {
                "table": {
                    "table_name": "t1",
                    "access_type": "ALL",
                    "loops": 1,
                    "rows": 1000,
                    "cost": 0.1671618,
                    "filtered": 100,
                    "attached_condition": "t1.a > 3",
                }
            },
            {
                "table": {
                    "table_name": "t2",
                    "access_type": "eq_ref",
                    "possible_keys": ["PRIMARY"],
                    "key": "PRIMARY",
                    "key_length": "4",
                    "used_key_parts": ["id"],
                    "ref": ["d.t1.t2_id"],
                    "loops": 1000,
                    "rows": 1,
                    "cost": 0.13875004,
                    "filtered": 100,
                }
            },
        ],
    }
    root = tree(document, "MariaDB")
    assert shape(root) == ["Nested Loop", "  Seq Scan t1", "  Index Scan t2"]
    first, second = root.children
    assert first.total_cost == pytest.approx(10 * 0.25 + 1000 * 0.1) and first.extra["Server Cost"] == 0.1671618
    assert first.conditions == {"Filter": "t1.a > 3"} and first.extra["Cost"] == "reckoned"
    assert second.conditions == {"Index Cond": "t2.id = t1.t2_id"}
    assert root.total_cost == pytest.approx(first.total_cost + 1000 * second.total_cost)


def test_mariadb_joins_by_hash_and_by_buffer() -> None:
    outer = {"table": {"table_name": "t1", "access_type": "ALL", "rows": 1000, "filtered": 100}}
    hashed = {
        "block-nl-join": {
            "table": {
                "table_name": "t2",
                "access_type": "hash_ALL",
                "key": "#hash#$hj",
                "key_length": "5",
                "used_key_parts": ["b"],
                "ref": ["d.t1.a"],
                "rows": 5000,
                "filtered": 10,
            },
            "buffer_type": "flat",
            "buffer_size": "256Kb",
            "join_type": "BNLH",
            "attached_condition": "t2.b = t1.a",
        }
    }
    root = tree({"select_id": 1, "nested_loop": [outer, hashed]}, "MariaDB")
    assert shape(root) == ["Hash Join", "  Seq Scan t1", "  Seq Scan t2"]
    assert root.conditions == {"Hash Cond": "t2.b = t1.a"} and root.children[1].index is None
    buffered = {"block-nl-join": {**hashed["block-nl-join"], "join_type": "BNL", "buffer_size": "1KiB"}}
    root = tree({"select_id": 1, "nested_loop": [outer, buffered]}, "MariaDB")
    assert root.kind == "Block Nested Loop" and root.extra["Passes"] > 100


def test_mysql_8_before_hash_joins_and_a_semi_join_by_weeding_out() -> None:
    def table(name: str, **more: Any) -> dict[str, Any]:
        cost = {"read_cost": "1.00", "eval_cost": "9.00", "prefix_cost": "10.00", "data_read_per_join": "1K"}
        return {
            "table": {
                "table_name": name,
                "access_type": "ALL",
                "rows_examined_per_scan": 100,
                "rows_produced_per_join": 100,
                "filtered": "100.00",
                "cost_info": cost,
            }
            | more
        }

    inner = table("t2", using_join_buffer="Block Nested Loop")
    inner["table"]["cost_info"] = {"read_cost": "2.00", "eval_cost": "1000.00", "prefix_cost": "1012.00"}
    document = {
        "select_id": 1,
        "cost_info": {"query_cost": "1012.00"},
        "nested_loop": [table("t1"), {"duplicates_removal": {"using_temporary_table": True, "nested_loop": [inner]}}],
    }
    root = tree(document, "MySQL")
    assert shape(root) == ["Block Nested Loop", "  Seq Scan t1", "  Seq Scan t2"]
    assert root.total_cost == pytest.approx(1012, rel=0.01)


def test_every_step_around_a_join_is_a_node() -> None:
    table = {
        "table_name": "x",
        "access_type": "ALL",
        "rows_examined_per_scan": 1000,
        "rows_produced_per_join": 1000,
        "filtered": "100.00",
        "cost_info": {"read_cost": "10.00", "eval_cost": "100.00", "prefix_cost": "110.00"},
    }
    document = {
        "select_id": 1,
        "cost_info": {"query_cost": "1110.00"},
        "ordering_operation": {
            "using_filesort": True,
            "cost_info": {"sort_cost": "1000.00"},
            "duplicates_removal": {
                "using_temporary_table": True,
                "grouping_operation": {"using_temporary_table": True, "using_filesort": False, "table": table},
            },
        },
    }
    text = (
        "/* select#1 */ select distinct `d`.`x`.`a` AS `a`,count(0) AS `n` from `d`.`t1` `x` group by `d`.`x`.`a` "
        "order by `n` desc,`d`.`x`.`a b` limit 5,10"
    )
    root = tree(document, "MySQL", text, memory={"sort_buffer_size": 1024, "tmp_table_size": 2048})
    assert shape(root) == ["Limit", "  Sort", "    Unique", "      Aggregate", "        Seq Scan t1"]
    limit, sort, _, aggregate, scan = root.walk()
    assert sort.sort_keys == ("count(*) DESC", "x.`a b`") and sort.extra["Memory Bytes"] == 1024
    assert aggregate.group_keys == ("x.a",) and aggregate.output == ("x.a", "count(*)")
    assert limit.rows == 10 and sort.total_cost - sort.children[0].total_cost == 1000
    assert (scan.schema, scan.table, scan.alias) == ("d", "t1", "x")


@pytest.mark.parametrize(
    ("document", "nothing"),
    [
        ({"select_id": 1, "message": "no matching row in const table"}, True),
        ({"select_id": 1, "table": {"message": "Impossible WHERE noticed after reading const tables"}}, True),
        ({"select_id": 1, "message": "Select tables optimized away"}, False),
        ({"select_id": 1, "message": "No tables used"}, False),
        ({}, False),
        ({"select_id": 1, "something_new": {"of": "a server"}}, False),
    ],
)
def test_what_needs_no_table_is_a_result(document: dict[str, Any], nothing: bool) -> None:
    for flavour in ("MySQL", "MariaDB"):
        root = tree(document, flavour)
        assert root.kind == "Result" and (is_nothing(root) is not None) == nothing


CONDITIONS = [
    ("((`d`.`t`.`a` = 'x and y') and (`d`.`t`.`b` between 1 and 2))", ["t.a = 'x and y'", "t.b between 1 and 2"]),
    ("t.a = 1 and (t.b = 2 or t.c = 3) and t.d like '%)'", ["t.a = 1", "t.b = 2 or t.c = 3", "t.d like '%)'"]),
    ("(t.a = 1) or (t.b = 2)", ["(t.a = 1) or (t.b = 2)"]),
    ("t.`a)b` = 'it\\'s (' and t.c is null", ["t.`a)b` = 'it\\'s ('", "t.c is null"]),
]


@pytest.mark.parametrize(("text", "parts"), CONDITIONS)
def test_conditions_are_taken_apart_and_put_together(text: str, parts: list[str]) -> None:
    assert conjuncts(simple(text)) == parts
    assert conjuncts(together(parts)) == parts


def test_names_are_readable_and_literals_gone() -> None:
    assert simple("(`s`.`o`.`Full Name` = 'x')", {"o": "o_1"}) == "(o_1.`Full Name` = 'x')"
    assert simple("a in (subquery#3)") == "a in (subquery_3)"
    assert without_literals("a = 'x' and b > 5 and c like 'abc%' and d like '%x'") == (
        "a = ? and b > ? and c like '?%' and d like '%?'"
    )
    assert sort_keys("t.a desc, concat(t.b,'x'), count(0)") == ("t.a DESC", "concat(t.b,'x')", "count(*)")
