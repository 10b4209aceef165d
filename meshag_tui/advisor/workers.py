"""Large tables read by fewer processes than their size is worth, as a plan foretells.

PostgreSQL plans a worker more each time a table is three times larger, up to max_parallel_workers_per_gather. How many
it would plan and how many it does says what the setting, or the statement itself, costs. That workers were planned and
did not come is seen only when a plan is run (`measured`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from meshag_tui.advisor.costs import Weighed, memory_setting, number_setting
from meshag_tui.figures import count, percent, size
from meshag_tui.plan import Bottleneck

NOTABLE_SHARE = 0.3
SETUP, EACH_ROW = 1_000.0, 0.1
"""What starting workers and a row handed on by one costs, planner units: PostgreSQL's own figures."""
_GATHERS = frozenset({"Gather", "Gather Merge"})
_ONE_PROCESS = frozenset({"ModifyTable", "LockRows"})


def too_few_planned(
    scan: Weighed, nodes: tuple[Weighed, ...], table_bytes: float | None, settings: Mapping[str, str]
) -> Iterator[Bottleneck]:
    """A table scan that less than half of the workers its size is worth are planned for.

    Args:
        table_bytes: of the scanned table's own file; None when unknown.
        settings: of the server, as `ServerFacts` has them.
    """
    node, least = scan.node, memory_setting(settings, "min_parallel_table_scan_size")
    if node.kind != "Seq Scan" or scan.loops > 1 or not table_bytes or not least or scan.share < NOTABLE_SHARE:
        return
    above = _above(scan, nodes)
    if any(one.node.kind in _ONE_PROCESS for one in above):
        return
    wanted = 1 + math.floor(math.log(table_bytes / least, 3)) if table_bytes >= least else 0
    gather = next((one.node for one in above if one.node.kind in _GATHERS), None)
    planned = int(gather.extra.get("Workers Planned") or 0) if gather is not None else 0
    handed = above[0].node.rows if above and above[0].node.kind == "Aggregate" else node.rows
    if 2 * planned >= wanted or scan.cost * (wanted - planned) / (wanted + 1) < SETUP + EACH_ROW * handed:
        return
    allowed = int(number_setting(settings, "max_parallel_workers_per_gather", 2))
    if allowed > planned:
        why = (
            "Something in the statement keeps it in one process: most often a function that is not marked PARALLEL "
            "SAFE, as none is that is made without saying so"
        )
    else:
        why = f"max_parallel_workers_per_gather is {allowed}: SET it to {wanted} for statements like this one"
    yield Bottleneck(
        "parallel-shortfall",
        node.path,
        "medium",
        scan.share,
        f"{node.kind} on {node.table} reads {size(table_bytes)} with {count(planned)} workers, {percent(scan.share)} "
        f"of the cost; a table of this size is worth {wanted}. {why}",
    )


def _above(scan: Weighed, nodes: tuple[Weighed, ...]) -> list[Weighed]:
    """The nodes its rows go up through, the next one first."""
    path = scan.node.path
    return sorted((one for one in nodes if path.startswith(one.node.path + ".")), key=lambda one: -len(one.node.path))
