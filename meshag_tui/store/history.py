"""What the statements of a database did in a window of time, read from the store alone.

Sums are plain SUMs over the intervals that end in the window, means are Σtime/Σcalls, and None is what was not
measured. Statements with one fingerprint, run by one user in one database, are one row: a table made anew, or a list
of another length, gives a statement another key on the server, not another meaning.

Tables, indexes, plans and schemas are in rooms of their own, opened when they are first asked for: the statements are
what is on the screen first, and need none of them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.store import digests, history_queries, history_windows, models
from meshag_tui.store.history_queries import SORTS
from meshag_tui.store.history_rows import Overview, QueryDetail, QueryPage, QueryRow, Statement
from meshag_tui.store.history_windows import (
    Loss,
    Observed,
    Series,
    Trend,
    intervals,
    latest_window,
    load_of,
    load_series,
    observed_part,
    series,
    steps,
)
from meshag_tui.store.ids import query_uid
from meshag_tui.types import Aside, MeshagError, Window

if TYPE_CHECKING:
    from meshag_tui.store.history_objects import (
        Catalog,
        IndexRow,
        PlanFacts,
        TableRow,
        catalog,
        index_series,
        indexes,
        plan_facts,
        table_series,
        tables,
    )
    from meshag_tui.store.history_plans import (
        SchemaChange,
        SchemaVersion,
        StoredPlan,
        plans,
        save_plan,
        schema_diff,
        schema_versions,
    )

__all__ = [
    "SORTS",
    "Catalog",
    "IndexRow",
    "Loss",
    "Observed",
    "Overview",
    "PlanFacts",
    "QueryDetail",
    "QueryPage",
    "QueryRow",
    "SchemaChange",
    "SchemaVersion",
    "Series",
    "Statement",
    "StoredPlan",
    "TableRow",
    "Trend",
    "catalog",
    "index_series",
    "indexes",
    "intervals",
    "latest_window",
    "load_series",
    "observed_part",
    "overview",
    "plan_facts",
    "plans",
    "queries",
    "query",
    "query_series",
    "save_plan",
    "schema_diff",
    "schema_versions",
    "statement",
    "table_series",
    "tables",
]

SPARK_POINTS = 24
_OBJECTS = {
    "Catalog",
    "IndexRow",
    "PlanFacts",
    "TableRow",
    "catalog",
    "index_series",
    "indexes",
    "plan_facts",
    "table_series",
    "tables",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = "history_objects" if name in _OBJECTS else "history_plans"
    return getattr(importlib.import_module(f"meshag_tui.store.{room}"), name)


def queries(
    connection_id: str,
    window: Window,
    *,
    sort: str = "total_time",
    descending: bool = True,
    limit: int = 50,
    offset: int = 0,
    text: str | None = None,
    internal: bool | Collection[Aside] = False,
    slow_ms: float | None = None,
    by_longest: bool = False,
    trends: bool = True,
) -> QueryPage:
    """A page of the statements that ran in the window.

    Args:
        sort: one of `SORTS`; what was not measured comes last.
        text: only statements whose text holds this, in any case, or matches the expression after `~`; `!` before it
            turns it round.
        internal: show what is set aside, too: all of it, or what is for one of these reasons; else it is only counted.
        slow_ms: count those whose mean is this or more too.
        by_longest: count those of which one call took that long as well, and read the longest call of each.
        trends: read the sparkline of each row, which is most of the work.

    Raises:
        UsageError: an unknown sort, or a text that is no regular expression.
    """
    found = intervals(connection_id, window)
    source = digests.source(connection_id, window, found)
    page = history_queries.page(
        connection_id,
        window,
        sort=sort,
        descending=descending,
        limit=limit,
        offset=offset,
        text=text,
        internal=internal,
        slow_ms=slow_ms,
        by_longest=by_longest,
        source=source,
    )
    total_time = sum(each.time_ms for each in found)
    total = total_time or page.known_time_ms
    return QueryPage(
        rows=_rows(connection_id, window, found, page.ids, total, sort == "change", source, trends, by_longest),
        window=window,
        total_rows=page.matching,
        hidden=page.hidden,
        hidden_time_ms=page.hidden_time_ms,
        total_time_ms=total_time,
        calls=sum(each.calls for each in found),
        covered_share=min(1.0, page.known_time_ms / total_time) if total_time else None,
        complete=all(each.complete for each in found),
        events=history_windows.events(found),
        slow=page.slow,
    )


def overview(connection_id: str, window: Window, slow_ms: float, by_longest: bool = False) -> Overview:
    """The figures of a connection's header. `slow_ms`: the mean from which a statement is slow; `by_longest`: or the
    time of one call."""
    found = intervals(connection_id, window)
    row = models.Interval
    known = history_windows.within(connection_id, window) & row.sessions.is_null(False)
    sessions = history_windows.listed(row.select(row.sessions).where(known).order_by(row.end_at.desc()).limit(1))
    ran, slow = history_queries.counts(connection_id, window, slow_ms, by_longest)
    calls, time = sum(each.calls for each in found), sum(each.time_ms for each in found)
    timed = [each for each in found if each.timed and each.length_ms > 0]
    seconds = sum(each.length_ms for each in timed) / 1000
    return Overview(
        window=window,
        calls=calls,
        total_time_ms=time,
        mean_time_ms=time / calls if calls else None,
        calls_per_s=sum(each.calls for each in timed) / seconds if seconds else None,
        ms_per_s=sum(each.time_ms for each in timed) / seconds if seconds else None,
        statements=ran,
        slow=slow,
        sessions=sessions[0][0] if sessions else None,
        load=load_of(found, observed_part(found, window)),
        syncs=len(found),
        complete=all(each.complete for each in found),
        events=history_windows.events(found),
    )


def statement(query_id: int) -> Statement:
    """What a statement is.

    Raises:
        MeshagError: there is none of this id (any more).
    """
    query, text = models.Query, models.QueryText
    joined: Any = query.select(query, text.text.alias("statement")).join(text, "LEFT JOIN")
    found = joined.where(query.id == query_id).dicts().first()
    if found is None:
        raise MeshagError(f"There is no statement {query_uid(query_id)}: it may have been forgotten with its history")
    return Statement(
        id=query_id,
        uid=query_uid(query_id),
        connection_id=found["connection"],
        key=found["key"],
        fingerprint=found["fingerprint"],
        text=found["statement"],
        text_state=found["text_state"],
        kind=found["kind"],
        internal=bool(found["internal"]),
        aside=found["aside"],
        db_user=found["db_user"],
        database=found["db_name"],
        min_time_ms=found["min_time_ms"],
        max_time_ms=found["max_time_ms"],
        first_seen_at=found["first_seen_at"],
        last_seen_at=found["last_seen_at"],
    )


def query(query_id: int, window: Window, observed: tuple[Observed, ...] | None = None) -> QueryDetail:
    """One statement in a window, with all that is shown as one with it. `observed`: the window's intervals, if these
    are known: thousands lie in a long one.

    Raises:
        MeshagError: there is none of this id.
    """
    found = statement(query_id)
    members = _members(found)
    within = intervals(found.connection_id, window) if observed is None else observed
    total_time = sum(each.time_ms for each in within)
    source = digests.source(found.connection_id, window, within)
    rows = _rows(found.connection_id, window, within, members[:1], total_time, True, source, longest=True)
    return QueryDetail(
        statement=found,
        row=rows[0],
        members=members,
        window=window,
        complete=all(each.complete for each in within),
        events=history_windows.events(within),
    )


def query_series(
    query_id: int, window: Window, points: int = 120, observed: tuple[Observed, ...] | None = None
) -> Series:
    """What one statement did over the window, in at most `points` steps. `observed`: as for `query`.

    Raises:
        MeshagError: there is none of this id.
    """
    found = statement(query_id)
    within = intervals(found.connection_id, window) if observed is None else observed
    amounts, more = history_queries.by_interval(found.connection_id, window, _members(found))
    return series(steps(within, window, points), amounts, more)


def _members(found: Statement) -> tuple[int, ...]:
    """Ids of the statements that are shown as this one."""
    if found.fingerprint is None:
        return (found.id,)
    row = models.Query
    same = (row.connection == found.connection_id) & (row.fingerprint == found.fingerprint)
    for column, value in ((row.db_user, found.db_user), (row.db_name, found.database)):
        same &= column.is_null() if value is None else column == value
    return tuple(member for (member,) in history_windows.listed(row.select(row.id).where(same).order_by(row.id)))


def _rows(
    connection_id: str,
    window: Window,
    found: Sequence[Observed],
    ids: Sequence[int],
    total: float,
    compared: bool = False,
    source: digests.Source | None = None,
    trends: bool = True,
    longest: bool = False,
) -> tuple[QueryRow, ...]:
    """The rows of a page, in its order, with their texts and sparklines; `compared` with the window before, and where
    it is asked for with their longest calls."""
    shown = history_queries.shown_as(connection_id, ids)
    figures = history_queries.figures(connection_id, window, shown, source, longest)
    before = history_queries.figures(connection_id, history_queries.before_of(window), shown) if compared else {}
    texts = history_queries.texts(ids)
    over = steps(found, observed_part(found, window), SPARK_POINTS)
    spent = history_queries.time_by_step(connection_id, window, shown, found, over) if trends else {}
    rows = []
    for each in ids:
        spark = over.rates(spent[each]) if trends else ()
        rows.append(_row(figures[each], texts.get(each), total, _mean(before.get(each, {})), spark))
    return tuple(rows)


def _mean(values: Mapping[str, Any]) -> float | None:
    calls, time = values.get("calls"), values.get("time_ms")
    return time / calls if calls and time is not None else None


def _deviation(calls: float | None, time_ms: float | None, squares: float | None) -> float | None:
    """Of the calls whose squares were counted: how far their times are from the mean, ms."""
    if not calls or time_ms is None or squares is None:
        return None
    return math.sqrt(max(0.0, squares / calls - (time_ms / calls) ** 2))


def _row(
    values: Mapping[str, Any],
    text: str | None,
    total: float,
    mean_before: float | None,
    spark: tuple[float | None, ...],
) -> QueryRow:
    time = values["time_ms"] or 0.0
    return QueryRow(
        id=values["id"],
        uid=query_uid(values["id"]),
        key=values["key"],
        fingerprint=values["fingerprint"],
        text=text,
        text_state=values["text_state"],
        kind=values["kind"],
        internal=bool(values["internal"]),
        db_user=values["db_user"],
        database=values["db_name"],
        calls=values["calls"] or 0,
        total_time_ms=time,
        mean_time_ms=_mean(values),
        min_time_ms=values["min_time_ms"],
        max_time_ms=values["max_time_ms"],
        mean_before_ms=mean_before,
        rows=values["rows"],
        share=min(1.0, time / total) if total else 0.0,
        shared_hit=values["shared_hit"],
        shared_read=values["shared_read"],
        temp_read=values["temp_read"],
        temp_written=values["temp_written"],
        io_time_ms=values["io_time_ms"],
        wal_bytes=values["wal_bytes"],
        rows_examined=values["rows_examined"],
        no_index_calls=values["no_index_calls"],
        tmp_tables=values["tmp_tables"],
        tmp_disk_tables=values["tmp_disk_tables"],
        sort_merge_passes=values["sort_merge_passes"],
        lock_time_ms=values["lock_time_ms"],
        first_seen_at=values["first_seen_at"],
        last_seen_at=values["last_seen_at"],
        spark=spark,
        stddev_ms=_deviation(values["squared_calls"], values["squared_ms"], values["time_squares"]),
        longest_ms=values[digests.LONGEST],
    )
