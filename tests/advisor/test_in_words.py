"""Plans in plain words: a sentence for each node, and no figure in it that is not the node's own."""

from __future__ import annotations

import re

from meshag_tui.advisor.costs import weigh
from meshag_tui.advisor.in_words import in_words
from meshag_tui.figures import count
from tests.advisor.conftest import Connect
from tests.advisor.test_bottlenecks import SCHEMA
from tests.advisor.test_my_queries import LIBRARY
from tests.rig.mysql import Schema
from tests.rig.postgres import Database

STATEMENTS = (
    "SELECT c.name, count(*) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.total = 5 GROUP BY 1",
    "SELECT * FROM orders WHERE note = 'x' ORDER BY total LIMIT 3",
    "SELECT name FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = c.id)",
    "SELECT c.name FROM customers c WHERE c.id IN (SELECT customer_id FROM orders WHERE total < 3)",
    "UPDATE orders SET total = 0 WHERE id = 9",
)
MY_STATEMENTS = (
    "SELECT m.email, count(*) FROM loans l JOIN members m ON m.id = l.member_id WHERE l.due > '2024-09-01' GROUP BY 1",
    "SELECT id FROM loans WHERE note = 'x' ORDER BY due LIMIT 3",
)
FIGURE = re.compile(r"<?\d[\d,.]*(?: [kMG](?![A-Za-z]))?(?: %)?")


async def every_figure_is_a_nodes_own(
    connect: Connect, database: Database | Schema, statements: tuple[str, ...]
) -> None:
    async with connect(database) as session:
        for statement in statements:
            plan = await session.explain(statement)
            words = in_words(plan)
            assert set(words) == {node.path for node in plan.root.walk()}
            for one in weigh(plan):
                node, said = one.node, words[one.node.path]
                inner = node.children[0].rows if node.children else 0.0
                own = {count(node.rows), count(one.loops), count(inner)}
                for text in (*node.conditions.values(), *node.sort_keys, *node.group_keys, node.index, node.table):
                    said = said.replace(text or "\0", "")
                assert {figure.rstrip(".,") for figure in FIGURE.findall(said)} <= own, (said, own)
                assert said[0].isupper() and said.endswith(".")


async def test_figures_are_those_of_the_plan(connect: Connect, pg: Database) -> None:
    pg.execute(SCHEMA, "VACUUM ANALYZE")
    await every_figure_is_a_nodes_own(connect, pg, STATEMENTS)


async def test_figures_of_mysql_and_mariadb_too(connect: Connect, my: Schema) -> None:
    my.execute(*LIBRARY)
    await every_figure_is_a_nodes_own(connect, my, MY_STATEMENTS)
