"""What a plan takes where its pages are in memory: by how often it goes to one, not by where the planner has them.

The planner prices a page as read from a disk, in order or at random, and every further visit to it as free. In memory
each visit takes the same, the first as the hundredth, and little beside a read: look-ups that go to a page for every
row are then dearer, and scans of whole tables cheaper, than the planner says. Whether pages were in memory the server
has counted: blocks found there and blocks read, or how long the reads took.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from meshag_tui.advisor.corrections import bare, pages_of, table_of
from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.advisor.statistics import Tables, TableView
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.snapshot import CostModel
from meshag_tui.types import IndexSpec

if TYPE_CHECKING:
    from meshag_tui.store.history import QueryRow

VISIT = 10.0
"""Rows handed up in the time that going to a page in memory takes: finding, pinning and locking it.

With the planner's defaults a tenth of what it takes a read page for, as is usual to set where all is in memory. Of 60
plans of reports on 0.5 GB, timed, those times fitted best of 0 to 50.
"""
HANDLED = 4.0
"""Times as dear as its price that work on rows is beside reading them: aggregates, sorts, joins by a large hash table.

A planner's unit is a page read from a disk, and what it reckons for a row is of old. With all in memory, fitted to the
processor time of 19 reports by four sets of indexes (0.5 GB): 4.0 and 4.2 for aggregates, 4.2 for joins by hash, 5.0
for sorts, where 1 is a visit to a page; rows of scans 1.2.
"""
LARGE_TABLE = 20_000.0
"""Rows or groups from which a table kept by hash is larger than what a processor has at hand: 1 MB and more.

A look-up in a smaller one takes about what the planner says.
"""
UNEXPECTED = 3.0
"""Times as many pages as reckoned: from there on the plan is another, or its rows are misjudged."""
_FANOUT = 256
_ENTRIES = 200.0  # in a leaf of a B-tree
_LEVEL = 50
_MAPPED = 32_672.0  # pages that one page of the visibility map speaks of
_EQUAL = re.compile(r'(?:"(?:[^"]|"")+"|\w+)\.("(?:[^"]|"")+"|\w+)\)?(?:::[\w ]+)? = ')
_COLUMN = re.compile(r'("(?:[^"]|"")+"|\w+)\.("(?:[^"]|"")+"|\w+)')


class InMemory(NamedTuple):
    """What a plan costs, and how often it goes to a page."""

    cost: float
    visits: float


def found_in_memory(query: QueryRow, visits: float) -> float:
    """Share of its time that a statement did not wait for pages, 0..1; 0 where nobody can tell.

    Args:
        visits: of a call, reckoned. Where far more were counted, its plan does more than the planner thinks.
    """
    if query.shared_hit is None or not query.calls:
        return 0.0
    seen = query.shared_hit + (query.shared_read or 0)
    if not seen or seen / query.calls > UNEXPECTED * visits:
        return 0.0
    if query.shared_read and query.io_time_ms and query.total_time_ms > 0:
        return max(0.0, 1.0 - query.io_time_ms / query.total_time_ms)
    return query.shared_hit / seen


def in_memory(
    plan: Plan, tables: Tables, costs: CostModel, names: Mapping[str, IndexSpec] = MappingProxyType({})
) -> InMemory:
    """The plan's cost in planner units where every page is in memory.

    Args:
        names: of indexes in the plan that are not there.
    """
    cost, visits = plan.cost, 0.0
    for one in weigh(plan):
        if (other := _scan(one, tables, costs, names)) is not None:
            again = one.loops * one.read
            cost += (other[0] + other[1] * VISIT * costs.row) * again - one.cost
            visits += other[1] * again
        elif _is_work(one.node):
            cost += one.cost * (HANDLED - 1)
            cost += _out_of_order(one, tables, names) * VISIT * costs.row
    return InMemory(max(cost, 1e-9), visits)


def _is_work(node: PlanNode) -> bool:
    if node.kind == "Hash Join":
        return len(node.children) > 1 and node.children[1].rows >= LARGE_TABLE
    # Where rows come sorted by their groups, one after the other is added up, as is priced.
    return node.kind == "Sort" or (node.kind == "Aggregate" and node.extra.get("Strategy") != "Sorted")


def _out_of_order(one: Weighed, tables: Tables, names: Mapping[str, IndexSpec]) -> float:
    """Rows of a scan that an aggregate meets in another order than its groups', each a visit to another part of its
    table in memory. The planner prices them alike, though in the order of the groups the part is the one at hand."""
    node = one.node
    if node.kind != "Aggregate" or node.extra.get("Strategy") != "Hashed" or len(node.children) != 1:
        return 0.0
    scan = node.children[0]
    view = tables.views.get((scan.schema or "", scan.table or ""))
    if view is None or not node.group_keys:
        return 0.0
    column = bare(node.group_keys[0].rpartition(".")[2])
    if scan.rows < LARGE_TABLE or view.distinct(column) < LARGE_TABLE:
        return 0.0
    if scan.index is None:
        return scan.rows * (1 - view.correlation(column) ** 2)
    keys, _ = _index(scan, view, names)
    if keys[:1] == (column,):
        return 0.0
    # By an index of other keys rows come in the order of a column as far as both lie in it.
    by = view.correlation(keys[0]) if keys else 1.0
    return scan.rows * (1 - by**2 * view.correlation(column) ** 2)


def entries_found(one: Weighed, view: TableView, costs: CostModel) -> float:
    """Entries of its index that a scan goes through in one pass."""
    node = one.node
    if node.kind == "Bitmap Index Scan":
        return node.rows
    descent, each = _prices(node, view, costs)
    whole = one.cost / max(one.loops * one.read, 1e-9)
    return _found(one, view, (whole - descent, each, _along(node, view, ())), costs)


def _prices(node: PlanNode, view: TableView, costs: CostModel) -> tuple[float, float]:
    """Of a scan of an index, what going down to a leaf is priced, and each entry."""
    height = max(0, math.ceil(math.log(max(2.0, view.rows), _FANOUT)) - 1)
    descent = costs.operator * (math.ceil(math.log2(max(2.0, view.rows))) + (height + 1) * _LEVEL)
    each = costs.index_entry + costs.operator * _checks(node)
    return descent, each if node.kind == "Bitmap Index Scan" else each + costs.row


def _scan(one: Weighed, tables: Tables, costs: CostModel, names: Mapping[str, IndexSpec]) -> tuple[float, float] | None:
    """Cost of one pass of a scan without its pages, and visits to pages; None for other nodes."""
    view, node = table_of(one, tables), one.node
    if view is None or node.kind == "ModifyTable":
        return None
    whole = one.cost / max(one.loops * one.read, 1e-9)
    if node.kind == "Seq Scan":
        return max(0.0, whole - view.pages * costs.sequential_page), view.pages
    if node.kind == "Bitmap Heap Scan":
        found = sum(child.rows for child in node.children)
        rows = min(whole, found * (costs.row + costs.operator * _checks(node)))
        return rows, pages_of(view, found)
    if node.kind not in ("Index Scan", "Index Only Scan", "Bitmap Index Scan"):
        return None
    height = max(0, math.ceil(math.log(max(2.0, view.rows), _FANOUT)) - 1)
    descent, each = _prices(node, view, costs)
    keys, pages = _index(node, view, names)
    along = _along(node, view, keys)
    found = _found(one, view, (whole - descent, each, along), costs)
    visits = height + 1 + found / view.rows * pages
    if node.kind == "Index Scan":
        visits += _heap(node, view, along, found)
    elif node.kind == "Index Only Scan":
        visits += _maps(view, keys, found)
    return descent + found * each, visits


def _found(one: Weighed, view: TableView, priced: tuple[float, float, float], costs: CostModel) -> float:
    """Entries of the index that a pass goes through, of which a filter may keep few.

    Args:
        priced: the pass without its descent, each entry without its page, and how far these lie as in the table.
    """
    node, (whole, each, along) = one.node, priced
    if "Filter" not in node.conditions:
        return node.rows
    condition = node.conditions.get("Index Cond", "")
    if not condition:
        return view.rows
    keys = {bare(name) for name in _EQUAL.findall(condition)}
    most = view.rows * math.prod((view.equal_share(key) for key in keys), start=1.0)
    if _one_key(condition):
        return max(node.rows, most)
    # A range: as many as the pass costs so much with, by itself.
    only = node.kind == "Index Only Scan"
    low, high = node.rows, max(node.rows, min(most, whole / each))
    for _ in range(20):
        middle = (low + high) / 2
        scattered = 0.0 if only else (1 - along) * pages_of(view, middle)
        in_order = 0.0 if only else along * middle / view.rows * view.pages
        pages = costs.random_page * (middle / _ENTRIES + scattered) + costs.sequential_page * in_order
        if middle * each + pages < whole:
            low = middle
        else:
            high = middle
    return low


def _one_key(condition: str) -> bool:
    """Whether a pass looks for the entries of one key: each part of the condition is a plain equality."""
    return " ANY " not in condition and len(_EQUAL.findall(condition)) == 1 + condition.count(" AND ")


def _along(node: PlanNode, view: TableView, keys: Sequence[str]) -> float:
    """How far rows lie in the table as a scan of the index meets them, 0..1."""
    condition = node.conditions.get("Index Cond", "")
    own = {bare(column) for name, column in _COLUMN.findall(condition) if bare(name) == bare(node.alias or "")}
    return max((view.correlation(name) ** 2 for name in {*own, *keys[:1]}), default=0.0)


def _heap(node: PlanNode, view: TableView, along: float, found: float) -> float:
    """Times a pass goes to a page of the table: rows that lie side by side on one are met without leaving it."""
    condition = node.conditions.get("Index Cond", "")
    # Entries of one key are in the order of the table: no page is met twice.
    apart = pages_of(view, found) if _one_key(condition) else found
    return along * math.ceil(found / view.rows * view.pages) + (1 - along) * apart


def _index(node: PlanNode, view: TableView, names: Mapping[str, IndexSpec]) -> tuple[tuple[str, ...], float]:
    """The keys of an index, and its pages; no keys where it is not known."""
    if (spec := names.get(node.index or "")) is not None:
        return tuple(key.name for key in spec.columns), view.index_bytes(spec) / view.block_size
    index = next((one for one in view.indexes if one.name == node.index), None)
    if index is None:
        return (), view.rows / _ENTRIES
    return tuple(key.column for key in index.keys if key.column is not None), (index.size_bytes or 0) / view.block_size


def _maps(view: TableView, keys: Sequence[str], found: float) -> float:
    """Times an index-only scan goes from one page of the visibility map to another: rows of one key lie in order."""
    maps = math.ceil(view.pages / _MAPPED)
    if maps < 2 or not keys:
        return 0.0
    along = view.correlation(keys[0]) ** 2
    of_a_key: float = max(1.0, view.rows * math.prod(view.equal_share(key) for key in keys))
    different = maps * (1 - math.pow(1 - 1 / maps, of_a_key))
    return (1 - along) * found / of_a_key * (1 - 1 / maps) * different


def _checks(node: PlanNode) -> int:
    return sum(1 + text.count(" AND ") for name, text in node.conditions.items() if name != "Recheck Cond")
