"""A plan as a tree: what it says of a node is what the finding at that node says, and all of it adds up."""

from __future__ import annotations

import pytest

from meshag_tui.advisor.bottlenecks import bottlenecks
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.screens.query_plan import node_pieces, tree
from meshag_tui.widgets.plan import TreeNode, flatten


def plan_of(root: PlanNode) -> Plan:
    return Plan(root, "literal", "h", {}, "SELECT 1")


@pytest.fixture
def repeated() -> Plan:
    """EXPLAIN of PostgreSQL 18: a table is read anew for each of 40 rows, 14.5 a pass of 620 in all."""
    outer = PlanNode("0.0", "Seq Scan", 0.0, 1.4, 40.0, 8, schema="public", table="regions")
    inner = PlanNode(
        "0.1", "Seq Scan", 0.0, 14.5, 1.0, 8, schema="public", table="shops", conditions={"Filter": "(region = r.id)"}
    )
    return plan_of(PlanNode("0", "Nested Loop", 0.0, 620.0, 40.0, 16, (outer, inner)))


def shares(root: TreeNode) -> dict[str, float]:
    return {row.node.path: row.node.share or 0.0 for row in flatten(root)}


def test_the_share_of_a_node_is_of_all_its_passes_as_in_the_finding(repeated: Plan) -> None:
    found = bottlenecks(repeated)
    assert [(one.rule, one.node_path) for one in found] == [("filtered-seq-scan", "0.1")]
    shown = shares(tree(repeated, found))
    assert shown["0.1"] == found[0].share == pytest.approx(40 * 14.5 / 620)
    assert sum(shown.values()) == pytest.approx(1.0)
    said = "".join(words for _, words in node_pieces(repeated, "0.1", found))
    assert "40 times over and keeps about 1 row: 94 % of the cost" in said
    assert "cost 14.5 a pass, 40 passes, own 580 (94 %)" in said


def test_what_a_limit_leaves_unread_is_not_counted() -> None:
    scan = PlanNode("0.0", "Index Scan", 0.0, 1_000.0, 10_000.0, 8, table="orders", index="orders_pkey")
    limited = plan_of(PlanNode("0", "Limit", 0.0, 2.0, 20.0, 8, (scan,)))
    assert shares(tree(limited, ())) == pytest.approx({"0": 0.0, "0.0": 1.0})
    said = "".join(words for _, words in node_pieces(limited, "0.0", ()))
    assert "cost 1,000, 0.2 % of it read, own 2 (100 %)" in said
