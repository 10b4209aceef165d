"""Two windows of a connection beside each other: which statements make the difference, and how much each of it.

The load of a statement is its time per second observed, so windows of other lengths, or half observed ones, compare.
Its difference is split without a rest into what its mean did (the change of the mean at today's rate) and what its
calls did (the change of the rate at the earlier mean). Everything is worked out in the database; only a page leaves it.
Source: the sums of `query_statistics` and their digests, merged by fingerprint, user and database as in `history`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, NamedTuple

from meshag_tui.store import digests, history_queries, models
from meshag_tui.store.history_windows import Loss, events, intervals
from meshag_tui.store.ids import query_uid
from meshag_tui.types import Window

NOTABLE = 1.2
"""From this ratio on, either way, a mean or a rate counts as another."""

Baseline = Literal["before", "yesterday", "last-week"]
BASELINES: dict[Baseline, str] = {
    "before": "the window before",
    "yesterday": "the same time yesterday",
    "last-week": "the same time a week ago",
}
_DAY_MS = 86_400_000


class Course(StrEnum):
    """What became of a statement. Of one that changed in both, the part that moved more time names it."""

    NEW = "new"  # first seen after the earlier window
    BACK = "back"  # known from before, not called in the earlier window
    GONE = "gone"
    SLOWER = "slower"
    FASTER = "faster"
    BUSIER = "busier"
    QUIETER = "quieter"
    STEADY = "steady"


class Amount(NamedTuple):
    """What a statement did in one window."""

    calls: int
    time_ms: float
    calls_per_s: float
    ms_per_s: float

    @property
    def mean_ms(self) -> float | None:
        return self.time_ms / self.calls if self.calls else None


class Difference(NamedTuple):
    """One statement in both windows. The last three are ms in each second, the first of them the sum of the others."""

    id: int
    uid: str
    text: str | None
    text_state: str
    db_user: str | None
    database: str | None
    course: Course
    now: Amount
    then: Amount
    by_ms_per_s: float
    by_mean_ms_per_s: float
    by_calls_ms_per_s: float


class Group(NamedTuple):
    """All statements of one course: how many, and what they add to the load, ms in each second."""

    course: Course
    statements: int
    by_ms_per_s: float


class Comparison(NamedTuple):
    """A page of differences, the greatest first, and what they are of. Seconds are those observed in each window.

    Where one of them was not observed at all there are none: everything would look new, or gone.
    """

    rows: tuple[Difference, ...]
    total_rows: int
    groups: tuple[Group, ...]
    now: Window
    then: Window
    now_s: float
    then_s: float
    now_ms_per_s: float
    then_ms_per_s: float
    complete: bool
    events: tuple[Loss, ...]  # of both windows

    @property
    def observed(self) -> bool:
        """Whether both windows were."""
        return self.now_s > 0 and self.then_s > 0


def baseline(window: Window, against: Baseline) -> Window:
    """The window that another is compared with."""
    if against == "before":
        return history_queries.before_of(window)
    back = _DAY_MS if against == "yesterday" else 7 * _DAY_MS
    return Window(window.start - back, window.end - back)


def compare(
    connection_id: str, now: Window, then: Window, *, limit: int = 200, offset: int = 0, text: str | None = None
) -> Comparison:
    """The statements of two windows by what they add to, or take from, the load; without internal ones.

    Args:
        limit: rows of the page.
        text: only statements whose text passes this filter, as in `history.queries`.

    Raises:
        UsageError: a filter that is no regular expression.
    """
    of_now, of_then = intervals(connection_id, now), intervals(connection_id, then)
    now_s, then_s = (sum(each.length_ms for each in part) / 1000 for part in (of_now, of_then))
    found: list[tuple[Any, ...]] = []
    if now_s and then_s:
        arguments: list[Any] = []
        statement = _statement(connection_id, now, then, (now_s, then_s), text, arguments, limit, offset)
        found = history_queries.fetch(statement, arguments)
    # Ordered again: no order is promised of what UNION ALL puts together.
    page = sorted((row for row in found if row[0] == 0), key=lambda row: (-abs(row[3]), row[2]))
    courses = [row for row in found if row[0] == 1]
    texts = history_queries.texts([row[2] for row in page])
    groups = sorted(
        (Group(Course(row[1]), int(row[2]), float(row[3])) for row in courses), key=lambda each: -abs(each.by_ms_per_s)
    )
    return Comparison(
        rows=tuple(_difference(row, texts.get(row[2]), now_s, then_s) for row in page),
        total_rows=sum(group.statements for group in groups),
        groups=tuple(sorted(groups, key=lambda each: -abs(each.by_ms_per_s))),
        now=now,
        then=then,
        now_s=now_s,
        then_s=then_s,
        now_ms_per_s=sum(float(row[5]) for row in courses),
        then_ms_per_s=sum(float(row[7]) for row in courses),
        complete=all(each.complete for each in (*of_now, *of_then)),
        events=events((*of_then, *of_now)),
    )


def _statement(
    connection_id: str,
    now: Window,
    then: Window,
    seconds: tuple[float, float],
    text: str | None,
    arguments: list[Any],
    limit: int,
    offset: int,
) -> str:
    """A page of statements (part 0) and what the statements of each course are together (part 1), in one statement."""
    rows_now = digests.source(connection_id, now).rows_sql()
    rows_then = digests.source(connection_id, then).rows_sql()
    now_s, then_s = seconds
    matches = history_queries.matches(connection_id, text, models.database.param, arguments)
    return f"""
        WITH sides AS (
            SELECT query_id, calls AS c1, time_ms AS t1, 0 AS c0, 0.0 AS t0 FROM ({rows_now}) a
            UNION ALL
            SELECT query_id, 0, 0.0, calls, time_ms FROM ({rows_then}) b
        ),
        sums AS (
            SELECT query_id, SUM(c1) AS c1, SUM(t1) AS t1, SUM(c0) AS c0, SUM(t0) AS t0 FROM sides GROUP BY query_id
        ),
        merged AS (
            SELECT MIN(q.id) AS id, MIN(q.first_seen_at) AS first_seen_at, MIN(q.text_state) AS text_state,
                MIN(q.db_user) AS db_user, MIN(q.db_name) AS db_name,
                SUM(s.c1) AS c1, SUM(s.t1) AS t1, SUM(s.c0) AS c0, SUM(s.t0) AS t0
            FROM sums s JOIN query q ON q.id = s.query_id WHERE NOT q.internal
            GROUP BY {history_queries.MERGED_BY}
        ),
        rates AS (
            SELECT id, first_seen_at, text_state, db_user, db_name, c1, t1, c0, t0,
                c1 / {now_s!r} AS r1, c0 / {then_s!r} AS r0,
                t1 / {now_s!r} AS l1, t0 / {then_s!r} AS l0,
                t1 / NULLIF(c1, 0) AS m1, t0 / NULLIF(c0, 0) AS m0
            FROM merged WHERE c1 + c0 > 0 AND {matches}
        ),
        parts AS (
            SELECT id, first_seen_at, text_state, db_user, db_name, c1, t1, c0, t0, r1, r0, l1, l0, m1, m0,
                l1 - l0 AS moved,
                COALESCE((m1 - m0) * r1, 0.0) AS of_mean, l1 - l0 - COALESCE((m1 - m0) * r1, 0.0) AS of_calls
            FROM rates
        ),
        named AS (
            SELECT id, text_state, db_user, db_name, c1, t1, c0, t0, l1, l0, moved, of_mean,
                {_course(then)} AS course
            FROM parts
        ),
        page AS (SELECT * FROM named ORDER BY ABS(moved) DESC, id LIMIT {int(limit)} OFFSET {int(offset)})
        SELECT 0 AS part, course, id, moved, c1, t1, c0, t0, of_mean, text_state, db_user, db_name FROM page
        UNION ALL
        SELECT 1, course, COUNT(*), SUM(moved), NULL, SUM(l1), NULL, SUM(l0), NULL, NULL, NULL, NULL
            FROM named GROUP BY course
    """  # noqa: S608


def _course(then: Window) -> str:
    """The name of what became of a statement, as an expression of SQL."""
    high, low = NOTABLE, 1 / NOTABLE
    return f"""CASE
        WHEN c0 = 0 THEN CASE WHEN first_seen_at > {int(then.end)} THEN '{Course.NEW}' ELSE '{Course.BACK}' END
        WHEN c1 = 0 THEN '{Course.GONE}'
        WHEN ABS(of_mean) >= ABS(of_calls) AND m1 >= m0 * {high!r} THEN '{Course.SLOWER}'
        WHEN ABS(of_mean) >= ABS(of_calls) AND m1 <= m0 * {low!r} THEN '{Course.FASTER}'
        WHEN r1 >= r0 * {high!r} THEN '{Course.BUSIER}'
        WHEN r1 <= r0 * {low!r} THEN '{Course.QUIETER}'
        WHEN m1 >= m0 * {high!r} THEN '{Course.SLOWER}'
        WHEN m1 <= m0 * {low!r} THEN '{Course.FASTER}'
        ELSE '{Course.STEADY}' END"""


def _difference(row: tuple[Any, ...], text: str | None, now_s: float, then_s: float) -> Difference:
    _, course, query_id, moved, calls, time_ms, calls_then, time_then, of_mean, text_state, user, name = row
    return Difference(
        id=query_id,
        uid=query_uid(query_id),
        text=text,
        text_state=text_state,
        db_user=user,
        database=name,
        course=Course(course),
        now=_amount(calls, time_ms, now_s),
        then=_amount(calls_then, time_then, then_s),
        by_ms_per_s=float(moved),
        by_mean_ms_per_s=float(of_mean),
        by_calls_ms_per_s=float(moved) - float(of_mean),
    )


def _amount(calls: Any, time_ms: Any, seconds: float) -> Amount:
    return Amount(int(calls), float(time_ms), float(calls) / seconds, float(time_ms) / seconds)
