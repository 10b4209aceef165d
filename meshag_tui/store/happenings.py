"""What else happened in a window, on one time line: other plans, another schema, settings, sizes, changes, losses.

A figure that moved has a reason more often than not, and it stands near it in time. Sources: plans and schema versions
as they were stored when they changed, the events of intervals, the sizes of tables, and the journal of changes.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from meshag_tui.figures import count, size
from meshag_tui.store import digests, digests_objects, history_plans, history_queries, models
from meshag_tui.store.history_windows import events, intervals, listed
from meshag_tui.store.ids import query_uid
from meshag_tui.text import one_line
from meshag_tui.types import ChangeState, Window

GREW_BYTES = 10 * 2**20
"""A table that became larger or smaller by less than this is not mentioned."""
_MOST_TABLES = 10
_MOST_PARTS = 3  # of one schema change that are named; the others are counted

Kind = Literal["plan", "schema", "setting", "size", "change", "event"]


class Happening(NamedTuple):
    """One thing on the time line. `at` is when it was seen, epoch ms: it may have happened up to a sync before."""

    at: int
    kind: Kind
    what: str
    query_id: int | None = None
    plans: tuple[int, int] | None = None  # ids of the plan before and of this one
    subject: str | None = None  # prefixed id of what it is about


def happenings(connection_id: str, window: Window) -> tuple[Happening, ...]:
    """What happened, the newest first."""
    found = [
        *plans(connection_id, window),
        *_schemas(connection_id, window),
        *_events(connection_id, window),
        *_sizes(connection_id, window),
        *_changes(connection_id, window),
    ]
    return tuple(sorted(found, key=lambda each: -each.at))


def plans(connection_id: str, window: Window) -> list[Happening]:
    """Statements that were planned otherwise than before, as their plans were kept; the oldest first."""
    mark = models.database.param
    statement = f"""
        SELECT id, query_id, taken_at, mode, cost, before_id, before_cost FROM (
            SELECT p.id, p.query_id, p.taken_at, p.mode, p.cost,
                LAG(p.id) OVER kept AS before_id, LAG(p.cost) OVER kept AS before_cost
            FROM plan p JOIN query q ON q.id = p.query_id WHERE q.connection_id = {mark}
            WINDOW kept AS (PARTITION BY p.query_id, p.mode ORDER BY p.id)
        ) each_plan
        WHERE before_id IS NOT NULL AND taken_at > {mark} AND taken_at <= {mark} ORDER BY id
    """  # noqa: S608
    rows = history_queries.fetch(statement, [connection_id, window.start, window.end])
    texts = history_queries.texts([row[1] for row in rows])
    found = []
    for plan_id, query_id, taken_at, mode, cost, before_id, before_cost in rows:
        said = one_line(texts.get(query_id) or query_uid(query_id), 200, " ")
        what = f"another {mode} plan, cost {count(before_cost)} before, {count(cost)} now: {said}"
        found.append(Happening(taken_at, "plan", what, query_id, (before_id, plan_id), query_uid(query_id)))
    return found


def _schemas(connection_id: str, window: Window) -> list[Happening]:
    found = []
    for version, changes in history_plans.schema_changes(connection_id, window):
        named = [f"{each.kind} {each.part} {each.name}" for each in changes if not _implied(each, changes)]
        more = f", and {len(named) - _MOST_PARTS} more" if len(named) > _MOST_PARTS else ""
        found.append(Happening(version.taken_at, "schema", ", ".join(named[:_MOST_PARTS]) + more))
    return found


def _implied(change: history_plans.SchemaChange, changes: tuple[history_plans.SchemaChange, ...]) -> bool:
    """Whether it is a column of a table that came or went as a whole."""
    table = change.name.rpartition(".")[0]
    return change.part == "column" and any(
        each.part == "table" and each.name == table and each.kind == change.kind for each in changes
    )


def _events(connection_id: str, window: Window) -> list[Happening]:
    return [
        Happening(each.at, "setting" if each.kind == "setting" else "event", each.detail)
        for each in events(intervals(connection_id, window))
    ]


def _sizes(connection_id: str, window: Window) -> list[Happening]:
    ranked = digests_objects.ranked_sql(digests_objects.TABLES, digests.source(connection_id, window))
    statement = f"""
        WITH seen AS (
            SELECT table_id, {digests_objects.ENDS}, MAX(CASE WHEN from_last = 1 THEN end_at END) AS at
            FROM ({ranked}) r GROUP BY table_id
        )
        SELECT t.schema_name, t.name, s.first_bytes, s.size_bytes, s.at
        FROM seen s JOIN monitored_table t ON t.id = s.table_id
        WHERE ABS(s.size_bytes - s.first_bytes) >= {GREW_BYTES}
        ORDER BY ABS(s.size_bytes - s.first_bytes) DESC LIMIT {_MOST_TABLES}
    """  # noqa: S608
    rows = history_queries.fetch(statement, [])
    return [Happening(at, "size", f"{schema}.{name}: {_grew(before, now)}") for schema, name, before, now, at in rows]


def _grew(before: int, now: int) -> str:
    share = f" ({(now - before) / before:+.0%})" if before else ""
    return f"{size(before)} before, {size(now)} now{share}"


def _changes(connection_id: str, window: Window) -> list[Happening]:
    row = models.Change
    within: Any = (row.finished_at > window.start) & (row.finished_at <= window.end)
    chosen = row.select(row.id, row.finished_at, row.state, row.sql, row.undoes).where(
        (row.connection == connection_id) & within
    )
    words = {ChangeState.DONE: "applied", ChangeState.FAILED: "failed"}
    found = []
    for change_id, at, state, sql, undoes in listed(chosen):
        word = "put back" if undoes and state == ChangeState.DONE else words.get(state, str(state).lower())
        found.append(Happening(at, "change", f"{word}: {one_line(sql, 200, ' ')}", subject=change_id))
    return found
