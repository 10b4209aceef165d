"""Statements that a change cannot have made slower: each of their calls reads what it read before, by the same plan.

In: a change, the two sides, and what statements are to it. Out: those whose time something else moved, the machine most
likely. Runs in a thread of the store and only reads.

What they read are the blocks that PostgreSQL counts, in memory and from disk, among them those of the indexes that a
write keeps up to date; a plan that is known must have the same nodes, by whatever index. MySQL and MariaDB count the
rows that were looked at alone: not the look-ups that an index saves which holds all columns, nor what a write does to
indexes. There a plan must be known to be the same, and of a writer nothing is known; unless the index that is gone was
an exact copy of another one, which serves as well and leaves a write less to do.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshag_tui.changes.effect import Side, Span
from meshag_tui.changes.verdicts import MATERIAL, Role, Watched
from meshag_tui.plan import Plan
from meshag_tui.store import history_plans, history_queries
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.outcomes import ChangeOutcome
from meshag_tui.types import DropIndex, HideIndex, Window, table_of

_COPY = "duplicate-index"
_Sides = tuple[Side, Side]


def unmoved(
    row: ChangeRow, outcome: ChangeOutcome, watched: Watched, both: Window, sides: Sequence[tuple[Span, ...]], now: int
) -> frozenset[int]:
    """Ids of the statements of `watched` that read as much as before.

    None are of a setting, which has more ways to make a statement slow than by what it reads.

    Args:
        both: the window that holds both sides.
        now: epoch ms, until when plans count as those of after the change.
    """
    if table_of(row.change) is None:
        return frozenset()
    ids = list(watched.roles)
    shown = history_queries.shown_as(row.connection_id, ids)

    def counted(what: history_queries.Amount) -> _Sides:
        found = history_queries.amounts(row.connection_id, both, shown, what)
        before, after = (Side(spans, found) for spans in sides)
        return before, after

    blocks, from_disk, rows = counted("blocks"), counted("shared_read"), counted("rows_examined")
    copy = outcome.rule == _COPY and isinstance(row.change, DropIndex | HideIndex)
    first = history_plans.planned(ids, 0, row.started_at or 0)
    second = history_plans.planned(ids, row.finished_at or 0, now)

    def same(each: int, role: Role) -> bool:
        plans = [found[each].plan for found in (first, second) if each in found]
        known = len(plans) == 2
        if known and not _alike(*plans):
            return False
        touched = blocks[0].mean_ms(each)
        if touched is not None:
            return _no_more(blocks, each, touched) and _no_more(from_disk, each, touched)
        if copy and role == "writer":
            return True
        if role == "writer" or not (copy or (known and plans[0].hash == plans[1].hash)):
            return False
        return _no_more(rows, each, rows[0].mean_ms(each))

    return frozenset(each for each, role in watched.roles.items() if same(each, role))


def _no_more(sides: _Sides, each: int, of: float | None) -> bool:
    """Whether a call counts no more than before, up to a share of `of`; not where nothing was counted."""
    before, after = (side.mean_ms(each) for side in sides)
    return bool(of) and before is not None and after is not None and after - before <= MATERIAL * (of or 0.0)


def _alike(one: Plan, other: Plan) -> bool:
    """Whether two plans have the same nodes over the same tables, by whatever index."""

    def nodes(plan: Plan) -> list[tuple[str | None, ...]]:
        return [(node.path, node.kind, node.schema, node.table, node.join_type) for node in plan.root.walk()]

    return one.hash == other.hash or nodes(one) == nodes(other)
