"""A statement is shown whole, laid out and harmless, and copied as it was given."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import ComposeResult

from meshag_tui.text import sanitise, width_of
from meshag_tui.widgets.guarded import GuardedApp
from meshag_tui.widgets.page import folded
from meshag_tui.widgets.plan import PlanTree, TreeNode, flatten
from meshag_tui.widgets.sql import HIGHLIGHTED, SHOWN, SqlView, laid_out, pieces
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.table import Table
from tests.rig.screen import lines, shown

QUERY = (
    "SELECT o.id, sum(l.price) FROM orders o LEFT JOIN lines l ON l.order_id = o.id AND l.kind = 'a (b' "
    "WHERE o.at BETWEEN $1 AND $2 AND o.s IN (SELECT s.id FROM s WHERE s.open AND s.z) "
    "AND extract(year FROM o.at) = 2024 AND o.a IS DISTINCT FROM 3 GROUP BY o.id ORDER BY 2 DESC LIMIT 10"
)


def text_of(parts: list[tuple[str, str]]) -> str:
    return "".join(text for _, text in parts)


class Probe(GuardedApp):
    def __init__(self, *widgets: SqlView | PlanTree) -> None:
        super().__init__("dark")
        self.widgets = widgets
        self.copied: list[str] = []
        self.opened: list[str] = []

    def compose(self) -> ComposeResult:
        yield from self.widgets

    def on_page_copied(self, event: SqlView.Copied) -> None:
        self.copied.append(event.text)

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        self.opened.append(event.row.node.path)


def test_clauses_get_lines_of_their_own() -> None:
    assert text_of(laid_out(pieces(QUERY))).split("\n") == [
        "SELECT o.id, sum(l.price)",
        "FROM orders o",
        "LEFT JOIN lines l ON l.order_id = o.id",
        "  AND l.kind = 'a (b'",
        "WHERE o.at BETWEEN $1 AND $2",
        "  AND o.s IN (SELECT s.id",
        "  FROM s",
        "  WHERE s.open",
        "    AND s.z)",
        "  AND extract(year FROM o.at) = 2024",
        "  AND o.a IS DISTINCT FROM 3",
        "GROUP BY o.id",
        "ORDER BY 2 DESC",
        "LIMIT 10",
    ]


WORDS = ["SELECT", "FROM", "(", ")", "'it''s'", "--c\n", "AND", "BETWEEN", "a.b", "$1", "/*x*/", "数", ","]


@given(
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
    st.integers(1, 50),
    st.sampled_from(["postgres", "mysql"]),
)
@settings(deadline=None)
def test_nothing_of_a_statement_is_lost_or_too_wide(sql: str, width: int, dialect: str) -> None:
    parts = pieces(sanitise(sql), dialect)
    assert text_of(parts) == sanitise(sql)
    assert text_of(laid_out(parts)).split() == sanitise(sql).split()
    lines_folded = folded(laid_out(parts), width)
    assert "".join(text_of(line) for line in lines_folded) == text_of(laid_out(parts)).replace("\n", "")
    assert all(width_of(text_of(line)) <= max(2, width) for line in lines_folded)


HUGE = ["SELECT " + "x OR " * 250_000, "(" * 5000 + ")" * 5000, "数é" * 300_000, "'" + "x" * 20_000]


@pytest.mark.parametrize("sql", HUGE, ids=["ors", "parentheses", "wide", "open-string"])
def test_of_a_huge_statement_so_much_is_coloured_and_no_more(sql: str) -> None:
    sql = sanitise(sql)
    parts = pieces(sql)
    assert text_of(parts) == sql
    plain = sql[HIGHLIGHTED:]
    assert not plain or parts[-1] == ("", plain)
    shown = text_of(SqlView(sql)._to_show())
    assert len("".join(shown.split())) <= SHOWN + 100
    assert len(sql) <= SHOWN or "characters more; y copies all of it" in shown


async def test_it_is_shown_scrolled_and_copied_as_given() -> None:
    hostile = "SELECT 'a[/b]',\x1b[2J\n" + "\n".join(f"  c{n}," for n in range(60)) + "\n  z"
    app = Probe(SqlView(hostile))
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.query_one(SqlView)
        view.focus()
        await pilot.pause()
        assert lines(app)[0].startswith("SELECT 'a[/b]',␛[2J")
        await pilot.press("G")
        await pilot.pause()
        assert lines(app)[-1].strip() == "z"
        await pilot.press("y")
        await pilot.pause()
        assert app.copied == [hostile]
        view.set_sql("", state=State(Condition.FORBIDDEN, "text is hidden", "", "GRANT pg_read_all_stats TO app"))
        await pilot.pause()
        assert "Not allowed: text is hidden" in shown(app) and "GRANT pg_read_all_stats TO app" in shown(app)


def tree() -> TreeNode:
    scan = TreeNode("0.0.0", "Seq Scan on orders[/b]\x1b[2J", 0.82, 1_200_000, "Filter: a", ("reads every row", "x"))
    hash_node = TreeNode("0.0", "Hash", 0.03, 10, children=(scan,))
    index = TreeNode("0.1", "Index Scan", 0.15, 5)
    return TreeNode("0", "Hash Join", 0.0, 100, children=(hash_node, index))


async def test_a_plan_shows_where_its_cost_is_and_folds() -> None:
    app = Probe(PlanTree())
    async with app.run_test(size=(110, 10)) as pilot:
        plan = app.query_one(PlanTree)
        plan.focus()
        await pilot.pause()
        assert "no plan yet" in shown(app)
        plan.set_tree(tree())
        await pilot.pause()
        scan = next(line for line in lines(app) if "Seq Scan" in line)
        assert "◆" in scan and "82 %" in scan and "1.20 M" in scan and "▲ reads every row (+1)" in scan
        assert "  └─Seq Scan on orders[/b]␛[2J" in scan or "│ └─Seq Scan on orders[/b]␛[2J" in scan
        plan.hottest()
        assert plan.node is not None and plan.node.path == "0.0.0"
        await pilot.press("h")  # a leaf: to its parent
        assert plan.node.path == "0.0"
        await pilot.press("h")
        await pilot.pause()
        assert "Seq Scan" not in shown(app) and "▸ Hash" in shown(app)
        await pilot.press("l", "l", "enter")
        await pilot.pause()
        assert app.opened == ["0.0.0"]


def test_a_very_deep_plan_does_not_stop_it() -> None:
    node = TreeNode("0", "leaf", 0, 0)
    for n in range(5000):
        node = TreeNode(f"{n}.", "node", 0, 0, children=(node,))
    assert len(list(flatten(node))) == 5001


def test_a_name_goes_whole_to_the_next_line() -> None:
    parts = [
        ("", "date_trunc($2, o.placed_at) "),
        ("keyword", "AS "),
        ("", "month, sum("),
        ("", "customer_identifier)"),
    ]
    lines = ["".join(text for _, text in line) for line in folded(parts, 44)]
    assert lines == ["date_trunc($2, o.placed_at) AS month, sum(", "customer_identifier)"]
    assert [len("".join(text for _, text in line)) for line in folded([("", "x" * 100)], 44)] == [44, 44, 12]


def test_the_dot_of_a_name_is_no_number() -> None:
    found = pieces("SELECT o.id, 1.5 FROM shop.orders o")
    assert [text for part, text in found if part == "number"] == ["1.5"]
