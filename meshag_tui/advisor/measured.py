"""Troubles of a plan that was run: what its actual figures (EXPLAIN ANALYZE) show and estimates cannot.

Each cites its node. A wrong estimate is cited where it begins, not at every node above that inherits it, with what
would mend it; a spill with the memory that would have avoided it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from meshag_tui.advisor.costs import Weighed, enough
from meshag_tui.figures import count, duration, percent, size
from meshag_tui.plan import Bottleneck, Plan, PlanNode

WRONG_BY = 10.0
LEAST_ROWS = 100.0
"""Rows below which a wrong estimate decides nothing."""
FEW_LOOPS = 1_000
NOTABLE_SHARE = 0.10
NOTABLE_JIT = 0.20
BYTES_A_PAGE = 64
"""What a bitmap takes for each page it names row by row: an entry of 48 bytes and two pointers."""
_ON_DISK_SMALLER = 2.5  # rows on disk are packed; in memory they take about this much more
_COMPARED = re.compile(r'(?<![\w.")])(?:"?\w+"?\.)?"?([A-Za-z_]\w*)"?\)?(?:::[\w ]+)?\s*(?:=|<|>|~~|IS\b)')
_CALLED = re.compile(r"(?<![\w.])([a-z_]\w*)\(")


def measured(plan: Plan, nodes: tuple[Weighed, ...], work_mem: int | None) -> Iterator[Bottleneck]:
    """What running the plan has shown; nothing for a plan of estimates alone.

    Args:
        nodes: of `costs.weigh`.
        work_mem: the server's setting in bytes, None when unknown.
    """
    if "Actual Rows" not in plan.root.actual:
        return
    for one in nodes:
        if not one.node.actual.get("Actual Loops", 1.0):
            continue  # never executed
        yield from _wrong_estimate(one)
        yield from _misjudged_loop(one)
        yield from _sorted_on_disk(one)
        yield from _hashed_on_disk(one)
        yield from _lossy(one, work_mem)
        yield from _heap_fetches(one)
        yield from _rows_removed(one)
        yield from _too_few_workers(one)
    yield from _compiled(plan)


def _wrong(node: PlanNode) -> float:
    """How many times the actual rows are the expected ones; below 1 where fewer came."""
    return max(node.actual.get("Actual Rows", 0.0), 1.0) / max(node.rows, 1.0)


def _off(ratio: float) -> float:
    return max(ratio, 1.0 / ratio)


def _wrong_estimate(one: Weighed) -> Iterator[Bottleneck]:
    """Rows ten times off, at the node where the error begins."""
    node = one.node
    ratio = _wrong(node)
    if _off(ratio) < WRONG_BY or max(node.rows, node.actual["Actual Rows"]) < LEAST_ROWS:
        return
    if ratio < 1 and (one.read < 1 or node.kind in ("Limit", "Materialize", "Memoize")):
        return  # nobody asked for the rest
    inherited = [_off(_wrong(child)) for child in node.children if child.actual.get("Actual Loops")]
    if any(each >= _off(ratio) / 3 for each in inherited):
        return
    yield Bottleneck(
        "row-estimate",
        node.path,
        "high" if _off(ratio) >= 100 and one.share >= 0.2 else "medium",
        one.share,
        f"{_name(node)} was expected to give {count(node.rows)} rows and gave {count(node.actual['Actual Rows'])}: "
        f"{count(_off(ratio))} times {'more' if ratio > 1 else 'fewer'}. {_mended_by(node)}",
    )


def _mended_by(node: PlanNode) -> str:
    """What statistics would have let the planner know."""
    if node.kind in ("Aggregate", "Group", "Unique") and len(node.group_keys) > 1:
        keys = ", ".join(key.split(".")[-1] for key in node.group_keys)
        return (
            f"How many different combinations of ({keys}) there are is guessed: CREATE STATISTICS (ndistinct) on them"
        )
    text = " ".join(text for name, text in node.conditions.items() if name in ("Filter", "Index Cond", "Recheck Cond"))
    columns = list(dict.fromkeys(_COMPARED.findall(text)))
    called = [name for name in _CALLED.findall(text) if name not in columns]
    if node.table is None:
        return "The columns joined are not what the planner takes them for: ANALYZE the tables below, then look again"
    if called:
        return f"{called[0]}() has no statistics: CREATE STATISTICS on the expression, then ANALYZE {node.table}"
    if len(columns) > 1:
        return (
            f"The planner takes {', '.join(columns)} for independent: CREATE STATISTICS (dependencies) on them, then "
            f"ANALYZE {node.table}, tells it that they are not"
        )
    which = f" of {columns[0]}" if columns else ""
    return f"ANALYZE {node.table}; if that does not mend it, raise the statistics target{which}"


def _misjudged_loop(one: Weighed) -> Iterator[Bottleneck]:
    """A nested loop that was chosen for a few rows and ran for many: the join order or method was wrong."""
    node = one.node
    if node.kind != "Nested Loop" or len(node.children) < 2:
        return
    outer, inner = node.children[0], node.children[1]
    loops = inner.actual.get("Actual Loops", 0.0)
    if _wrong(outer) < WRONG_BY or loops < FEW_LOOPS:
        return
    yield Bottleneck(
        "join-misjudged",
        node.path,
        "high",
        one.share,
        f"Nested Loop was chosen for {count(outer.rows)} outer rows and got {count(outer.actual['Actual Rows'])}, so "
        f"{_name(inner)} ran {count(loops)} times. With a right estimate of {_name(outer)} the planner would have "
        "joined in another order, or by hash",
    )


def _sorted_on_disk(one: Weighed) -> Iterator[Bottleneck]:
    node = one.node
    used = node.extra.get("Sort Space Used")
    if node.extra.get("Sort Space Type") != "Disk" or not isinstance(used, int | float):
        return
    written = used * 1024.0
    yield Bottleneck(
        "sort-spill",
        node.path,
        "high" if one.share >= 0.3 else "medium",
        one.share,
        f"{_name(node)} did not fit in work_mem and sorted {size(written)} on disk ({node.extra.get('Sort Method')}): "
        f"{percent(one.share)} of the time. work_mem of {enough(written * _ON_DISK_SMALLER)} would hold it",
    )


def _hashed_on_disk(one: Weighed) -> Iterator[Bottleneck]:
    node = one.node
    batches = float(node.extra.get("Hash Batches") or node.extra.get("HashAgg Batches") or 1)
    peak = float(node.extra.get("Peak Memory Usage") or 0) * 1024.0
    disk = float(node.extra.get("Disk Usage") or 0) * 1024.0
    if batches <= 1 or (node.kind == "Aggregate" and not disk):
        return
    needed = peak + disk * _ON_DISK_SMALLER if disk else peak * batches
    yield Bottleneck(
        "hash-spill",
        node.path,
        "high" if one.share >= 0.3 or batches > 8 else "medium",
        one.share,
        f"{_name(node)} did not fit in memory and went through temporary files in {count(batches)} batches. "
        f"{enough(needed)} (work_mem × hash_mem_multiplier) would hold it",
    )


def _lossy(one: Weighed, work_mem: int | None) -> Iterator[Bottleneck]:
    node = one.node
    lossy, exact = (float(node.extra.get(name) or 0) for name in ("Lossy Heap Blocks", "Exact Heap Blocks"))
    if lossy <= 0:
        return
    have = "" if work_mem is None else f" ({size(work_mem)})"
    yield Bottleneck(
        "lossy-bitmap",
        node.path,
        "medium",
        one.share,
        f"{_name(node)}: the bitmap of {count(lossy + exact)} pages did not fit in work_mem{have}, so {count(lossy)} "
        f"pages were read whole and {count(float(node.extra.get('Rows Removed by Index Recheck') or 0))} rows "
        f"rechecked for nothing. work_mem of {enough((lossy + exact) * BYTES_A_PAGE)} would name them row by row",
    )


def _heap_fetches(one: Weighed) -> Iterator[Bottleneck]:
    node = one.node
    fetches = float(node.extra.get("Heap Fetches") or 0)
    rows = node.actual["Actual Rows"] * node.actual.get("Actual Loops", 1.0)
    if node.kind != "Index Only Scan" or fetches < LEAST_ROWS or fetches < 0.2 * rows:
        return
    yield Bottleneck(
        "heap-fetches",
        node.path,
        "high" if one.share >= 0.5 else "medium",
        one.share,
        f"{_name(node)} had to look {count(fetches)} of {count(rows)} rows up in the table all the same: their pages "
        f"are not marked all-visible. VACUUM {node.table} marks them",
    )


def _rows_removed(one: Weighed) -> Iterator[Bottleneck]:
    """Rows an index or a join brought and a filter threw away; of a Seq Scan another rule speaks."""
    node = one.node
    loops, by_join = node.actual.get("Actual Loops", 1.0), float(node.extra.get("Rows Removed by Join Filter") or 0)
    by_filter = 0.0 if node.kind == "Seq Scan" else float(node.extra.get("Rows Removed by Filter") or 0)
    removed, kept = (by_join + by_filter) * loops, node.actual["Actual Rows"] * loops
    if removed < 1_000 or removed < 10 * max(kept, 1.0) or one.share < NOTABLE_SHARE:
        return
    condition = node.conditions.get("Join Filter" if by_join > by_filter else "Filter", "")
    yield Bottleneck(
        "rows-removed",
        node.path,
        "high" if one.share >= 0.5 else "medium",
        one.share,
        f"{_name(node)} threw away {count(removed)} rows and kept {count(kept)}: {percent(one.share)} of the time. "
        f"Condition: {condition}",
    )


def _too_few_workers(one: Weighed) -> Iterator[Bottleneck]:
    node = one.node
    planned, launched = node.extra.get("Workers Planned"), node.extra.get("Workers Launched")
    if not isinstance(planned, int) or not isinstance(launched, int) or launched >= planned:
        return
    yield Bottleneck(
        "parallel-shortfall",
        node.path,
        "high" if launched == 0 else "medium",
        one.share,
        f"{_name(node)} was planned for {planned} workers and got {launched}: all others were busy. Raise "
        "max_parallel_workers (and max_worker_processes), or lower max_parallel_workers_per_gather so that each "
        "statement asks for fewer",
    )


def _compiled(plan: Plan) -> Iterator[Bottleneck]:
    """Compiling the plan (JIT) took a notable part of its time."""
    entry = plan.document[0] if isinstance(plan.document, list) and plan.document else plan.document
    jit = entry.get("JIT") if isinstance(entry, dict) else None
    if not isinstance(jit, dict) or not isinstance(jit.get("Timing"), dict):
        return
    spent, whole = float(jit["Timing"].get("Total") or 0), float(entry.get("Execution Time") or 0)
    if whole <= 0 or spent < 10 or spent / whole < NOTABLE_JIT:
        return
    share = min(1.0, spent / whole)
    yield Bottleneck(
        "jit-overhead",
        plan.root.path,
        "high" if share >= 0.5 else "medium",
        share,
        f"Compiling {count(float(jit.get('Functions') or 0))} functions (JIT) took {duration(spent)} of the "
        f"{duration(whole)} that {_name(plan.root)} took in all: {percent(share)}. The plan's cost "
        f"({count(plan.cost)}) is above jit_above_cost, its time is too short to win that back: raise jit_above_cost, "
        "or SET jit = off for this statement",
    )


def _name(node: PlanNode) -> str:
    return f"{node.kind} on {node.table}" if node.table else node.kind
