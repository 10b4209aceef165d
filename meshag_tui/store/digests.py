"""Sums of closed hours and days, beside the intervals they are made from: what lets a window of a day or a week be read
in a moment however often the database was synced.

A digest holds what the intervals that end in its hour or day hold, whatever their resolution, and it can be made from
them again: the store's upkeep makes it some minutes after the hour. A window is read as the whole days in it, the whole
hours beside them, and the intervals at its edges and of what is not summed yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from meshag_tui.store import database, models
from meshag_tui.store.history_windows import Observed, Steps, interval_ends, listed, within
from meshag_tui.store.statistics import forget_digests
from meshag_tui.types import Window

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
KEPT_MS = {HOUR_MS: 8 * DAY_MS, DAY_MS: 400 * DAY_MS}
COUNTERS = (
    "calls",
    "time_ms",
    "rows",
    "shared_hit",
    "shared_read",
    "temp_read",
    "temp_written",
    "io_time_ms",
    "wal_bytes",
    "rows_examined",
    "no_index_calls",
    "tmp_tables",
    "tmp_disk_tables",
    "sort_merge_passes",
    "time_squares",
    "lock_time_ms",
)
LONGEST = "longest_ms"
"""What is kept beside the sums: the greatest of it, not its sum."""
_AT_ONCE = 24  # hours summed in one transaction at most
SETTLED_MS = 300_000
"""How long after its end an hour is summed: the last sync in it is written by then."""
_LATE_MS = 60_000


class Source(NamedTuple):
    """Where the counts of a window are: ids of intervals and of digests, which have nothing in common."""

    intervals: tuple[int, ...]
    digests: tuple[int, ...]

    def rows_sql(self, counters: Sequence[str] = COUNTERS, which: str = "1 = 1") -> str:
        """A SELECT of query_id and `counters`, one row for each part a statement ran in; `which`: a condition."""
        columns = ", ".join(counters)
        parts = []
        if self.intervals or not self.digests:
            ids = ", ".join(map(str, self.intervals)) or "NULL"
            parts.append(f"SELECT query_id, {columns} FROM query_statistics WHERE interval_id IN ({ids}) AND {which}")  # noqa: S608
        if self.digests:
            ids = ", ".join(map(str, self.digests))
            parts.append(f"SELECT query_id, {columns} FROM query_digest WHERE digest_id IN ({ids}) AND {which}")  # noqa: S608
        return " UNION ALL ".join(parts)

    def ran_sql(self, query_id: str) -> str:
        """The condition that the statement of an expression ran: of few statements quicker than reading all rows."""
        parts = []
        for table, part, ids in (
            ("query_digest", "digest", self.digests),
            ("query_statistics", "interval", self.intervals),
        ):
            if ids:
                among = f"r.{part}_id IN ({', '.join(map(str, ids))})"
                parts.append(f"EXISTS (SELECT 1 FROM {table} r WHERE {among} AND r.query_id = {query_id})")  # noqa: S608
        return f"({' OR '.join(parts)})" if parts else "1 = 0"


def source(connection_id: str, window: Window, ending: Iterable[Observed] | None = None) -> Source:
    """Where the counts of the intervals that end in the window are to be read; `ending`: these, if they are known."""
    chosen: list[tuple[int, int, int]] = []  # start, end, id
    if window.span_ms >= 2 * HOUR_MS:
        days: set[int] = set()
        for start, end_at, digest_id in _digests(connection_id, window):
            if end_at - start == DAY_MS:
                days.add(end_at)
            elif _ceiling(end_at, DAY_MS) in days:
                continue
            chosen.append((start, end_at, digest_id))
    hours = {end for start, until, _ in chosen for end in range(start + HOUR_MS, until + 1, HOUR_MS)}
    ids = interval_ends(connection_id, window) if ending is None else [(each.id, each.end_at) for each in ending]
    return Source(
        intervals=tuple(interval_id for interval_id, end_at in ids if _ceiling(end_at, HOUR_MS) not in hours),
        digests=tuple(digest_id for _, _, digest_id in chosen),
    )


def by_step(
    connection_id: str, window: Window, found: Sequence[Observed], over: Steps
) -> tuple[dict[int, Source], tuple[int, ...]]:
    """Where the counts of the intervals are that lie whole in a step, by step; and the ids of those that do not.

    `found` are the intervals of the window, `over` its steps; an interval whose length says nothing is in neither.
    """
    ends: dict[int, set[int | None]] = {}  # of an hour: the steps its intervals lie in, None: in several or in none
    alone: dict[int, int] = {}
    across = []
    for each in found:
        parts = over.parts.get(each.id, ())
        step = parts[0][0] if len(parts) == 1 else None
        if step is not None:
            alone[each.id] = step
        elif parts:
            across.append(each.id)
        ends.setdefault(_ceiling(each.end_at, HOUR_MS), set()).add(step)
    taken: dict[int, list[int]] = {}
    covered: set[int] = set()
    for start, end, digest_id in _digests(connection_id, window):
        hours = [hour for hour in range(start + HOUR_MS, end + 1, HOUR_MS) if hour in ends]
        steps = set().union(*(ends[hour] for hour in hours))
        if len(steps) == 1 and (step := steps.pop()) is not None and not covered & set(hours):
            taken.setdefault(step, []).append(digest_id)
            covered |= set(hours)
    left: dict[int, list[int]] = {}
    for each in found:
        if each.id in alone and _ceiling(each.end_at, HOUR_MS) not in covered:
            left.setdefault(alone[each.id], []).append(each.id)
    numbers = taken.keys() | left.keys()
    return {n: Source(tuple(left.get(n, ())), tuple(taken.get(n, ()))) for n in sorted(numbers)}, tuple(across)


def _digests(connection_id: str, window: Window) -> list[tuple[int, int, int]]:
    """Start, end and id of those that lie in a window, days first."""
    mark = models.database.param
    statement = f"""
        SELECT end_at - width_s * 1000, end_at, id FROM digest
        WHERE connection_id = {mark} AND end_at > {mark} AND end_at <= {mark} ORDER BY width_s DESC
    """  # noqa: S608
    found = models.database.execute_sql(statement, (connection_id, window.start, window.end)).fetchall()
    return [each for each in found if each[0] >= window.start]


def undo(connection_id: str, end_at: int, clock: int) -> None:
    """Called with each new interval: forgets the sums of the hour and the day it ends in, if they may have been made.

    That is, if a clock was set back or the sync took minutes: else the hour goes on, and nothing is sent.
    """
    if clock - _ceiling(end_at, HOUR_MS) >= _LATE_MS:
        row = models.Digest
        ends = [_ceiling(end_at, HOUR_MS), _ceiling(end_at, DAY_MS)]
        forget_digests((row.connection == connection_id) & row.end_at.in_(ends))


def close(connection_id: str, now: int | None = None) -> None:
    """Make what is missing of the hours that are over, and of the days, from the last hours back; forget what is older
    than is kept. `now` is epoch ms, by default the store's clock."""
    with database.atomic():
        now = database.now_ms() if now is None else now
        _close(connection_id, (now - SETTLED_MS) // HOUR_MS * HOUR_MS)


def _close(connection_id: str, closed: int) -> None:
    row, interval = models.Digest, models.Interval
    for width, kept in KEPT_MS.items():
        old = (row.width_s == width // 1000) & (row.end_at <= (closed - kept) // DAY_MS * DAY_MS)
        forget_digests((row.connection == connection_id) & old)
    digests = row.select(row.width_s, row.end_at, row.id).where(row.connection == connection_id)
    made = {(width_s * 1000, end): digest_id for width_s, end, digest_id in listed(digests)}
    recent = within(connection_id, Window(closed - KEPT_MS[HOUR_MS], closed))
    hours: dict[int, list[int]] = {}
    for interval_id, end_at in listed(interval.select(interval.id, interval.end_at).where(recent)):
        hours.setdefault(_ceiling(end_at, HOUR_MS), []).append(interval_id)
    missing = sorted((end for end in hours if (HOUR_MS, end) not in made), reverse=True)
    for end in missing[:_AT_ONCE]:
        made[HOUR_MS, end] = _write(connection_id, HOUR_MS, end, Source(tuple(hours[end]), ()))
    days: dict[int, list[int]] = {}
    for end in hours:
        days.setdefault(_ceiling(end, DAY_MS), []).append(end)
    first = min(days, default=0)  # its beginning may lie before what was looked at
    for day, ends in days.items():
        complete = first < day <= closed and all((HOUR_MS, end) in made for end in ends)
        if complete and (DAY_MS, day) not in made:
            _write(connection_id, DAY_MS, day, Source((), tuple(made[HOUR_MS, end] for end in ends)))


def _write(connection_id: str, width: int, end: int, parts: Source) -> int:
    from meshag_tui.store import digests_objects

    digest = int(models.Digest.insert(connection=connection_id, width_s=width // 1000, end_at=end).execute())
    columns = (*COUNTERS, LONGEST)
    sums = ", ".join(f"{'MAX' if name == LONGEST else 'SUM'}({name})" for name in columns)
    models.database.execute_sql(
        f"INSERT INTO query_digest(digest_id, query_id, {', '.join(columns)}) "  # noqa: S608
        f"SELECT {digest}, query_id, {sums} FROM ({parts.rows_sql(columns)}) parts GROUP BY query_id"
    )
    digests_objects.write(digest, parts)
    return digest


def _ceiling(end_at: int, width: int) -> int:
    """The end of the hour or day that a moment belongs to: a boundary belongs to what ends there."""
    return -(-end_at // width) * width
