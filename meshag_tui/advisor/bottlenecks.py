"""Named troubles of one plan, each citing the node it is at and that node's own share of the cost.

Works on estimates alone; where a plan carries actual figures, what only these show (`measured`) is named as well, and
takes the place of what was foretold of the same node. A plan without trouble gives an empty tuple: the costliest node
of a good plan is not a bottleneck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from meshag_tui.advisor.costs import Weighed, enough, memory_setting, number_setting, weigh
from meshag_tui.advisor.join_order import wrong_order
from meshag_tui.advisor.measured import BYTES_A_PAGE, measured
from meshag_tui.advisor.workers import too_few_planned
from meshag_tui.figures import count, number_of, percent, size
from meshag_tui.plan import Bottleneck, Plan, PlanNode

if TYPE_CHECKING:
    from meshag_tui.store.history import PlanFacts

MINIMUM_SHARE = 0.10
SMALL_PAGES = 8
MANY_LOOPS = 1_000
FAR_OFFSET = 1_000
UNSEEN_SHARE = 0.2
"""Share of a table's pages not marked all-visible from which an index-only scan is none."""
_ROW_OVERHEAD = 24  # bytes a sorted or hashed row takes beside its data


def bottlenecks(plan: Plan, known: PlanFacts | None = None) -> tuple[Bottleneck, ...]:
    """What is wrong in this plan, the largest share first.

    Args:
        plan: from EXPLAIN; costs in planner units.
        known: of the tables it reads, and server settings; without it, rules that need them stay silent.
    """
    found: list[Bottleneck] = []
    nodes = weigh(plan)
    facts = _Facts(known)
    for weighed in nodes:
        for rule in _RULES:
            found.extend(rule(weighed, nodes, facts))
    found.extend(wrong_order(plan, nodes, facts.settings))
    if "Actual Rows" in plan.root.actual:
        found = [one for one in found if one.rule not in _FORETOLD]
        found.extend(measured(plan, nodes, facts.work_mem))
    return tuple(sorted(found, key=lambda one: -one.share))


class _Facts:
    """The few figures that rules look up."""

    def __init__(self, known: PlanFacts | None) -> None:
        self._tables = {(table.schema, table.name): table for table in known.tables} if known else {}
        self.settings = known.facts.settings if known else {}
        self.block_size = known.facts.block_size if known else 0
        self.work_mem = memory_setting(self.settings, "work_mem")
        self.hash_mem = None
        if self.work_mem is not None:
            self.hash_mem = int(self.work_mem * number_setting(self.settings, "hash_mem_multiplier", 1.0))

    def rows(self, schema: str | None, table: str | None) -> float | None:
        found = self._tables.get((schema or "", table or ""))
        return found.rows_estimate if found is not None and found.rows_estimate >= 0 else None

    def pages(self, schema: str | None, table: str | None) -> int | None:
        found = self._tables.get((schema or "", table or ""))
        return found.pages if found is not None else None

    def unseen(self, schema: str | None, table: str | None) -> float | None:
        """Share of a table's pages that are not marked all-visible; None where nobody says."""
        found = self._tables.get((schema or "", table or ""))
        if found is None or found.all_visible_pages is None or found.pages < SMALL_PAGES:
            return None
        return max(0.0, 1.0 - found.all_visible_pages / found.pages)


_Rule = Callable[[Weighed, tuple[Weighed, ...], _Facts], Iterator[Bottleneck]]


def _severity(share: float) -> Literal["high", "medium", "low"]:
    return "high" if share >= 0.5 else "medium" if share >= 0.2 else "low"


def _name(weighed: Weighed) -> str:
    node = weighed.node
    return f"{node.kind} on {node.table}" if node.table else node.kind


def _filtered_scan(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    """A whole table read for few of its rows."""
    node = weighed.node
    if node.kind != "Seq Scan" or "Filter" not in node.conditions or weighed.share < MINIMUM_SHARE:
        return
    pages, rows = facts.pages(node.schema, node.table), facts.rows(node.schema, node.table)
    if pages is not None and pages < SMALL_PAGES:
        return
    kept = None if not rows else min(1.0, node.rows / rows)
    if kept is not None and kept > 0.5:
        return
    of = (
        f"{count(node.rows)} of {number_of(rows, 'row')} ({percent(kept)})"
        if kept is not None
        else number_of(node.rows, "row")
    )
    again = f", {count(weighed.loops)} times over" if weighed.loops > 1 else ""
    yield Bottleneck(
        "filtered-seq-scan",
        node.path,
        _severity(weighed.share),
        weighed.share,
        f"{_name(weighed)} reads the whole table{again} and keeps about {of}: {percent(weighed.share)} of the cost. "
        f"Filter: {node.conditions['Filter']}",
    )


def _sort_spill(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    node = weighed.node
    limited = weighed.parent is not None and weighed.parent.kind == "Limit"  # keeps only the first rows in memory
    memory = _memory(node, facts.work_mem)
    if node.kind != "Sort" or limited or memory is None:
        return
    needed = node.rows * (node.width + _ROW_OVERHEAD)
    if needed > memory[1]:
        yield _spill("sort-spill", weighed, needed, memory, "sorts")


def _hash_spill(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    node = weighed.node
    hashed = node.kind == "Hash" or (node.kind == "Aggregate" and node.extra.get("Strategy") == "Hashed")
    if not hashed or facts.hash_mem is None:
        return
    needed = node.rows * (node.width + _ROW_OVERHEAD)
    if needed > facts.hash_mem:
        yield _spill("hash-spill", weighed, needed, ("work_mem", facts.hash_mem), "hashes")


def _table_spill(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    """Groups or different rows kept in a temporary table that grows out of memory."""
    node = weighed.node
    memory = _memory(node, None)
    if node.kind not in ("Aggregate", "Unique") or memory is None:
        return
    needed = node.rows * (node.width + _ROW_OVERHEAD)
    if needed > memory[1]:
        yield _spill("temp-table-spill", weighed, needed, memory, "keeps in a temporary table")


def _memory(node: PlanNode, work_mem: int | None) -> tuple[str, int] | None:
    """The setting that says how much memory a node may have, and how much that is, bytes."""
    setting, memory = node.extra.get("Memory Setting"), node.extra.get("Memory Bytes")
    if isinstance(setting, str) and isinstance(memory, int):
        return setting, memory
    return None if work_mem is None else ("work_mem", work_mem)


def _join_buffer(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    """Rows gathered in a buffer and each compared with all of the next table, read anew for each filling."""
    node = weighed.node
    if node.kind != "Block Nested Loop" or len(node.children) < 2 or weighed.share < MINIMUM_SHARE:
        return
    outer, inner = node.children[0], node.children[1]
    compared = outer.rows * inner.rows
    if outer.rows < 10 or compared < MANY_LOOPS * 10:
        return
    passes = float(node.extra.get("Passes", 1.0))
    again = f", reading it {count(passes)} times" if passes > 1 else ""
    yield Bottleneck(
        "join-buffer",
        node.path,
        _severity(weighed.share),
        weighed.share,
        f"{_name(weighed)} compares {count(outer.rows)} rows with each of {count(inner.rows)} of "
        f"{inner.table or inner.kind}{again}: {percent(weighed.share)} of the cost. No index serves the join"
        + (f": {node.conditions['Join Filter']}" if "Join Filter" in node.conditions else ""),
    )


def _unusable_index(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    """The planner says that it could not use an index for what a column is compared with."""
    node = weighed.node
    found = node.extra.get("Index Not Usable")
    if not isinstance(found, dict) or weighed.share < MINIMUM_SHARE:
        return
    for column, why in found.items():
        yield Bottleneck(
            "index-not-usable",
            node.path,
            _severity(weighed.share),
            weighed.share,
            f"{_name(weighed)} cannot use the index on {column}: what it is compared with has another type or "
            f"collation ({why}), so the column is converted for every row",
        )


def _spill(rule: str, weighed: Weighed, needed: float, memory: tuple[str, int], verb: str) -> Bottleneck:
    node = weighed.node
    setting, limit = memory
    return Bottleneck(
        rule,
        node.path,
        "high" if needed > 4 * limit else "medium",
        weighed.share,
        f"{_name(weighed)} {verb} about {count(node.rows)} rows of {node.width} bytes, {size(needed)} in memory, and "
        f"may have {size(limit)} ({setting}): the rest goes to temporary files. {enough(needed)} would hold it",
    )


def _many_loops(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    node = weighed.node
    if node.kind != "Nested Loop" or len(node.children) < 2:
        return
    outer, inner = node.children[0], node.children[1]
    below = [one for one in nodes if one.node.path == inner.path or one.node.path.startswith(inner.path + ".")]
    share = min(1.0, sum(one.share for one in below))
    loops = max((one.loops for one in below), default=1.0)
    if loops < MANY_LOOPS or share < 0.3:
        return
    what = f"{inner.kind} on {inner.table}" if inner.table else inner.kind
    yield Bottleneck(
        "nested-loop-repeats",
        node.path,
        "high" if any(one.node.kind == "Seq Scan" for one in below) else _severity(share),
        share,
        f"Nested Loop runs {what} about {count(loops)} times, once for each of {count(outer.rows)} outer rows: "
        f"{percent(share)} of the cost",
    )


def _far_offset(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    """A LIMIT whose first row comes late: the rows of its OFFSET are read and thrown away."""
    node = weighed.node
    if node.kind != "Limit" or not node.children:
        return
    child = node.children[0]
    run = child.total_cost - child.startup_cost
    if run <= 0 or node.total_cost <= 0:
        return
    skipped = child.rows * (node.startup_cost - child.startup_cost) / run
    share = (node.startup_cost - child.startup_cost) / node.total_cost
    if skipped < FAR_OFFSET or skipped < 5 * node.rows:
        return
    yield Bottleneck(
        "large-offset",
        node.path,
        "high" if share >= 0.3 else "medium",
        min(1.0, share),
        f"Limit reads and throws away about {count(skipped)} rows before the {count(node.rows)} it returns: OFFSET",
    )


def _lossy_bitmap(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    node = weighed.node
    if node.kind != "Bitmap Heap Scan" or facts.work_mem is None or weighed.share < MINIMUM_SHARE:
        return
    pages = facts.pages(node.schema, node.table)
    if pages is None:
        return
    touched = min(pages, node.rows)
    if touched * BYTES_A_PAGE <= facts.work_mem:
        return
    yield Bottleneck(
        "lossy-bitmap",
        node.path,
        "medium",
        weighed.share,
        f"{_name(weighed)} touches about {count(touched)} pages, more than a bitmap of {size(facts.work_mem)} "
        f"(work_mem) can name row by row: whole pages are rechecked. {enough(touched * BYTES_A_PAGE)} would do",
    )


def _unbounded_index_scan(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    """An index walked from end to end, most of it filtered out afterwards."""
    node = weighed.node
    if node.kind not in ("Index Scan", "Index Only Scan") or "Filter" not in node.conditions:
        return
    rows = facts.rows(node.schema, node.table)
    if "Index Cond" in node.conditions or weighed.share < MINIMUM_SHARE or not rows or node.rows / rows > 0.1:
        return
    yield Bottleneck(
        "filtered-index-walk",
        node.path,
        _severity(weighed.share),
        weighed.share,
        f"{_name(weighed)} walks {node.index} in order and filters out all but about {percent(node.rows / rows)} of "
        f"{count(rows)} rows. Filter: {node.conditions['Filter']}",
    )


def _stale_visibility(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    """An index-only scan of a table whose pages are not marked all-visible looks its rows up in the table."""
    node = weighed.node
    unseen = facts.unseen(node.schema, node.table)
    if node.kind != "Index Only Scan" or unseen is None or unseen < UNSEEN_SHARE or weighed.share < MINIMUM_SHARE:
        return
    looked_up = weighed.rows_out * unseen
    if looked_up < MANY_LOOPS:
        return
    yield Bottleneck(
        "heap-fetches",
        node.path,
        _severity(weighed.share),
        weighed.share,
        f"{_name(weighed)} using {node.index} looks about {count(looked_up)} of {count(weighed.rows_out)} rows up in "
        f"the table all the same: {percent(unseen)} of its pages are not marked all-visible. VACUUM {node.table} "
        "marks them",
    )


def _few_workers(weighed: Weighed, nodes: tuple[Weighed, ...], facts: _Facts) -> Iterator[Bottleneck]:
    pages = facts.pages(weighed.node.schema, weighed.node.table)
    yield from too_few_planned(weighed, nodes, pages and pages * facts.block_size, facts.settings)


_FORETOLD = frozenset({"sort-spill", "hash-spill", "lossy-bitmap", "heap-fetches"})
"""Of a plan that was run, what happened is known."""

_RULES: tuple[_Rule, ...] = (
    _filtered_scan,
    _sort_spill,
    _hash_spill,
    _table_spill,
    _join_buffer,
    _unusable_index,
    _many_loops,
    _far_offset,
    _lossy_bitmap,
    _unbounded_index_scan,
    _stale_visibility,
    _few_workers,
)
