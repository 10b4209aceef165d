"""The SQL behind `history`: statements summed over a window, merged by meaning, filtered, sorted and paged.

Everything happens in the database: however many statements ran, only a page of them leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshag_tui.store import database, models
from meshag_tui.store.retention import LEVELS
from meshag_tui.types import UsageError, Window

SORTS: Mapping[str, str] = {
    "total_time": "time_ms",
    "mean": "mean_ms",
    "calls": "calls",
    "rows": "rows",
    "shared_read": "shared_read",
    "temp": "temp",
    "io": "io_time_ms",
    "wal": "wal_bytes",
    "max": "max_time_ms",
    "last_seen": "last_seen_at",
    "change": "lost_ms",
}
"""What a page can be sorted by. `change` is the time lost against the mean of the window before, ms."""

_COUNTS = ("calls", "rows", "shared_hit", "shared_read", "temp_read", "temp_written", "wal_bytes")
_TIMES = ("time_ms", "io_time_ms")
_WHAT = (
    "id",
    "key",
    "fingerprint",
    "text_state",
    "kind",
    "internal",
    "db_user",
    "db_name",
    "min_time_ms",
    "max_time_ms",
    "first_seen_at",
    "last_seen_at",
)
_COLUMNS = (*_WHAT, *_COUNTS, *_TIMES, "mean_ms", "mean_before_ms")
_SUMMARY = {"id": "matching", "calls": "hidden", "time_ms": "known", "io_time_ms": "hidden_time"}
"""The last row of the answer is not a statement: these columns hold figures of them all."""

_MERGED_BY = "COALESCE(q.fingerprint, q.key), q.db_user, q.db_name"


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as mappings, and figures of all that ran."""

    rows: tuple[Mapping[str, Any], ...]
    matching: int
    hidden: int
    known_time_ms: float
    hidden_time_ms: float


def page(
    connection_id: str,
    window: Window,
    *,
    sort: str = "total_time",
    descending: bool = True,
    limit: int = 50,
    offset: int = 0,
    text: str | None = None,
    internal: bool = False,
    members: Sequence[int] | None = None,
) -> Page:
    """One statement's worth of SQL: a page, and what it is a page of. `members` looks at these statements alone.

    Raises:
        UsageError: an unknown sort.
    """
    if sort not in SORTS:
        raise UsageError(f"Statements are sorted by one of {', '.join(SORTS)}")
    mark = models.database.param
    arguments: list[Any] = [connection_id, window.start, window.end]
    of_members = "" if members is None else f"AND query_id IN ({', '.join(str(int(each)) for each in members)})"
    earlier, before_join = "", "CAST(NULL AS DOUBLE PRECISION)"
    join = ""
    if sort == "change":
        arguments += [connection_id, window.start - window.span_ms, window.start]
        earlier = f"""earlier AS (
            SELECT query_id, SUM(calls) AS calls, SUM(time_ms) AS time_ms FROM query_statistics
            WHERE interval_id IN ({intervals_sql(mark)}) GROUP BY query_id
        ),"""  # noqa: S608
        before_join, join = "SUM(e.time_ms) / NULLIF(SUM(e.calls), 0)", "LEFT JOIN earlier e ON e.query_id = s.query_id"
    matches = _matches(text, mark, arguments)
    shown, hidden = ("1 = 1", "1 = 0") if internal else ("internal = 0", "internal = 1")
    statement = f"""
        WITH sums AS (
            SELECT query_id, {_sums("")} FROM query_statistics
            WHERE interval_id IN ({intervals_sql(mark)}) {of_members} GROUP BY query_id
        ),
        {earlier}
        merged AS (
            SELECT MIN(q.id) AS id, MIN(q.key) AS key, MIN(q.fingerprint) AS fingerprint,
                MIN(q.text_state) AS text_state, MIN(q.kind) AS kind,
                MIN(CASE WHEN q.internal THEN 1 ELSE 0 END) AS internal,
                MIN(q.db_user) AS db_user, MIN(q.db_name) AS db_name,
                MIN(q.min_time_ms) AS min_time_ms, MAX(q.max_time_ms) AS max_time_ms,
                MIN(q.first_seen_at) AS first_seen_at, MAX(q.last_seen_at) AS last_seen_at,
                {_sums("s.")}, {before_join} AS mean_before_ms
            FROM sums s JOIN query q ON q.id = s.query_id {join}
            GROUP BY {_MERGED_BY}
        ),
        matching AS (
            SELECT m.*, time_ms / NULLIF(calls, 0) AS mean_ms,
                COALESCE(temp_read, 0) + COALESCE(temp_written, 0) AS temp,
                time_ms - calls * mean_before_ms AS lost_ms
            FROM merged m WHERE {matches}
        ),
        page AS (
            SELECT ROW_NUMBER() OVER (ORDER BY {SORTS[sort]} {"DESC" if descending else "ASC"} NULLS LAST, id) AS place,
                {", ".join(_COLUMNS)}
            FROM matching WHERE {shown} ORDER BY place LIMIT {int(limit)} OFFSET {int(offset)}
        ),
        figures AS (
            SELECT COUNT(CASE WHEN {shown} THEN 1 END) AS matching, COUNT(CASE WHEN {hidden} THEN 1 END) AS hidden,
                SUM(CASE WHEN {hidden} THEN time_ms END) AS hidden_time, (SELECT SUM(time_ms) FROM sums) AS known
            FROM matching
        )
        SELECT place, {", ".join(_COLUMNS)} FROM page
        UNION ALL
        SELECT NULL, {", ".join(_SUMMARY.get(name, "NULL") for name in _COLUMNS)} FROM figures
        ORDER BY 1 ASC NULLS LAST
    """  # noqa: S608
    *rows, last = (dict(zip(_COLUMNS, row[1:], strict=True)) for row in _fetch(statement, arguments))
    figures = {figure: last[name] or 0 for name, figure in _SUMMARY.items()}
    return Page(
        rows=tuple(rows),
        matching=int(figures["matching"]),
        hidden=int(figures["hidden"]),
        known_time_ms=float(figures["known"]),
        hidden_time_ms=float(figures["hidden_time"]),
    )


def counts(connection_id: str, window: Window, slow_ms: float) -> tuple[int, int]:
    """How many statements ran, without internal ones, and how many of them were slow on average."""
    mark = models.database.param
    statement = f"""
        WITH sums AS (
            SELECT query_id, SUM(calls) AS calls, SUM(time_ms) AS time_ms FROM query_statistics
            WHERE interval_id IN ({intervals_sql(mark)}) GROUP BY query_id
        ),
        merged AS (
            SELECT SUM(s.time_ms) / NULLIF(SUM(s.calls), 0) AS mean_ms
            FROM sums s JOIN query q ON q.id = s.query_id WHERE NOT q.internal GROUP BY {_MERGED_BY}
        )
        SELECT COUNT(*), COUNT(CASE WHEN mean_ms >= {mark} THEN 1 END) FROM merged
    """  # noqa: S608
    ran, slow = _fetch(statement, [connection_id, window.start, window.end, slow_ms])[0]
    return int(ran), int(slow)


def texts(ids: Sequence[int]) -> dict[int, str]:
    """Texts of statements, of those that have one."""
    if not ids:
        return {}
    row = models.QueryText
    return dict(models.database.execute(row.select(row.query, row.text).where(row.query.in_(ids))).fetchall())


def shown_as(connection_id: str, ids: Sequence[int]) -> dict[int, int]:
    """For each statement that is merged into one of `ids`, which."""
    if not ids:
        return {}
    mark = models.database.param
    statement = f"""
        SELECT q.id, p.id FROM query p JOIN query q ON q.id = p.id OR (
            q.connection_id = {mark} AND q.fingerprint = p.fingerprint
            AND COALESCE(q.db_user, '') = COALESCE(p.db_user, '') AND COALESCE(q.db_name, '') = COALESCE(p.db_name, '')
        )
        WHERE p.id IN ({", ".join(str(int(each)) for each in ids)})
    """  # noqa: S608
    return dict(_fetch(statement, [connection_id]))


def amounts(connection_id: str, window: Window, shown: Mapping[int, int]) -> dict[int, dict[int, tuple[float, float]]]:
    """Calls and time by interval, for each statement that `shown` maps others to."""
    if not shown:
        return {}
    mark = models.database.param
    statement = f"""
        SELECT query_id, interval_id, calls, time_ms FROM query_statistics
        WHERE query_id IN ({", ".join(str(int(each)) for each in shown)}) AND interval_id IN ({intervals_sql(mark)})
    """  # noqa: S608
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for query_id, interval_id, calls, time_ms in _fetch(statement, [connection_id, window.start, window.end]):
        of_one = found.setdefault(shown[query_id], {})
        known = of_one.get(interval_id, (0, 0.0))
        of_one[interval_id] = (known[0] + calls, known[1] + time_ms)
    return found


def intervals_sql(mark: str) -> str:
    """The ids of a connection's intervals that end in a window: three arguments."""
    levels = ", ".join(map(str, LEVELS))  # all of them: named so that the index serves the range of times
    return (
        f'SELECT id FROM "interval" WHERE connection_id = {mark} AND resolution_s IN ({levels}) '  # noqa: S608
        f"AND end_at > {mark} AND end_at <= {mark}"
    )


def _sums(prefix: str) -> str:
    """Sums of the counters: whole numbers stay whole on both databases."""
    whole = [f"CAST(SUM({prefix}{name}) AS BIGINT) AS {name}" for name in _COUNTS]
    return ", ".join(whole + [f"SUM({prefix}{name}) AS {name}" for name in _TIMES])


def _matches(text: str | None, mark: str, arguments: list[Any]) -> str:
    """The condition of a text filter; its argument goes to the end of `arguments`."""
    wanted = (text or "").removeprefix("!")
    if not text or not wanted:
        return "1 = 1"
    like = "ILIKE" if database.kind() == "postgresql" else "LIKE"
    for special in "~%_":
        wanted = wanted.replace(special, f"~{special}")
    arguments.append(f"%{wanted}%")
    found = f"EXISTS (SELECT 1 FROM query_text t WHERE t.query_id = m.id AND t.text {like} {mark} ESCAPE '~')"  # noqa: S608
    return f"NOT {found}" if text.startswith("!") else found


def _fetch(statement: str, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = models.database.execute_sql(statement, arguments).fetchall()
    return rows
