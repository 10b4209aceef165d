"""The SQL behind `history`: statements summed over a window, merged by meaning, filtered, sorted and paged.

Everything happens in the database: however many statements ran, only a page of them leaves it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from meshag_tui.store import database, digests, models, text_filter
from meshag_tui.store.history_windows import Observed, Steps
from meshag_tui.store.models import LEVELS
from meshag_tui.types import Aside, UsageError, Window

# Calls, and their time, of which the squares of times were counted too.
_SQUARED_CALLS = "CASE WHEN time_squares IS NOT NULL THEN calls END"
_SQUARED_MS = "CASE WHEN time_squares IS NOT NULL THEN time_ms END"
_OF_STATISTICS = {
    "calls": "calls AS amount",
    "rows": "rows AS amount",
    "shared_read": "shared_read AS amount",
    "temp": "COALESCE(temp_read, temp_written) + COALESCE(temp_written, temp_read) AS amount",
    "io": "io_time_ms AS amount",
    "wal": "wal_bytes AS amount",
    "rows_examined": "rows_examined AS amount",
    "tmp_tables": "tmp_tables AS amount",
    "tmp_disk_tables": "tmp_disk_tables AS amount",
    "rows_per_call": "rows AS amount",
    "examined_per_call": "rows_examined AS amount",
    "no_index_share": "no_index_calls AS amount",
    "sort_merge_passes": "sort_merge_passes AS amount",
    "lock_time": "lock_time_ms AS amount",
    "hit_ratio": "shared_hit AS hit, shared_hit + shared_read AS amount",
    "stddev": f"CAST({_SQUARED_CALLS} AS DOUBLE PRECISION) AS squared, {_SQUARED_MS} AS squared_ms, "
    "time_squares AS amount",
}
"""What is counted of a statement that it can be sorted by."""
_OF_QUERY = {
    "max": "q.max_time_ms",
    "spread": "q.max_time_ms",
    "last_seen": "q.last_seen_at",
    "text": "(SELECT LOWER(SUBSTR(t.text, 1, 200)) FROM query_text t WHERE t.query_id = q.id)",
}
"""What is known of it."""
_A_CALL = "SUM(s.amount) * 1.0 / NULLIF(SUM(s.calls), 0)"
_SQUARED_MEAN = "SUM(s.squared_ms) / NULLIF(SUM(s.squared), 0)"
_MERGED = {
    "total_time": "SUM(s.time_ms)",
    "mean": "SUM(s.time_ms) / NULLIF(SUM(s.calls), 0)",
    "max": "MAX(s.amount)",
    "spread": "MAX(s.amount) - SUM(s.time_ms) / NULLIF(SUM(s.calls), 0)",
    "last_seen": "MAX(s.amount)",
    "text": "MIN(s.amount)",
    "change": "SUM(s.time_ms) - SUM(s.calls) * (SUM(s.time_before) / NULLIF(SUM(s.calls_before), 0))",
    "rows_per_call": _A_CALL,
    "examined_per_call": _A_CALL,
    "no_index_share": _A_CALL,
    "hit_ratio": "SUM(s.hit) * 1.0 / NULLIF(SUM(s.amount), 0)",
    "stddev": f"SUM(s.amount) / NULLIF(SUM(s.squared), 0) - {_SQUARED_MEAN} * ({_SQUARED_MEAN})",  # its square
}
"""What statements that are shown as one are sorted by, where that is not the sum of what was counted."""
SORTS = (
    *("total_time", "mean", "calls", "rows", "shared_read", "temp", "io", "wal", "max", "last_seen", "change"),
    *("rows_per_call", "hit_ratio", "rows_examined", "examined_per_call", "no_index_share"),
    *("tmp_tables", "tmp_disk_tables", "sort_merge_passes", "lock_time", "stddev", "spread", "text"),
)
"""What a page can be sorted by. `change` is the time lost against the mean of the window before, ms."""

_COUNTS = (
    *("calls", "rows", "shared_hit", "shared_read", "temp_read", "temp_written", "wal_bytes"),
    *("rows_examined", "no_index_calls", "tmp_tables", "tmp_disk_tables", "sort_merge_passes"),
)
_TIMES = ("time_ms", "io_time_ms", "time_squares", "lock_time_ms")
_SQUARED = {
    "squared_calls": f"CAST(SUM({_SQUARED_CALLS}) AS DOUBLE PRECISION)",
    "squared_ms": f"SUM({_SQUARED_MS})",
}
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
MERGED_BY = "COALESCE(q.meaning, -q.id)"
"""What statements that mean the same have in common. A number: comparing texts would be a third of the reading."""


class Page(NamedTuple):
    """Ids of the statements of a page, and figures of all that ran."""

    ids: tuple[int, ...]
    matching: int
    hidden: int
    known_time_ms: float
    hidden_time_ms: float
    slow: int | None = None  # of those that match and are shown; None: nobody asked


def _slowness(by_longest: bool) -> str:
    """What of a statement is compared with the time from which it is slow, ms: its mean, or its longest call."""
    mean = _MERGED["mean"]
    longest = f"MAX(s.{digests.LONGEST})"
    return f"CASE WHEN {longest} > {mean} THEN {longest} ELSE {mean} END" if by_longest else mean


def _rows_and_sums(source: digests.Source, by_longest: bool) -> tuple[str, list[str]]:
    """The rows of a source, and of them the greatest of the longest calls, which is read only where it is asked for."""
    if not by_longest:
        return source.rows_sql(), []
    longest = digests.LONGEST
    return source.rows_sql((*digests.COUNTERS, longest)), [f"MAX({longest}) AS {longest}"]


def _hidden(internal: bool | Collection[Aside]) -> str:
    """The condition on `query` that a statement is hidden: set aside, and not for one of these reasons."""
    if isinstance(internal, bool) or not internal:
        return "q.internal"
    reasons = ", ".join(f"'{each}'" for each in sorted(internal))
    return f"(q.internal AND q.aside NOT IN ({reasons}))"


def page(
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
    source: digests.Source | None = None,
) -> Page:
    """Which statements are on a page, in one SQL statement that sums no more than what they are sorted by.

    Statements that mean the same are one, known by the least of their ids. Those that are `alone` (see `models.Query`),
    nearly all, need not be looked at for that. With `slow_ms`, those whose mean is at or above it are counted;
    `by_longest`: also those of which one call took that long. `source` is where the counts of the window are, if that
    is known.

    Raises:
        UsageError: an unknown sort, or a filter that is no regular expression.
    """
    if sort not in SORTS:
        raise UsageError(f"Statements are sorted by one of {', '.join(SORTS)}")
    mark = models.database.param
    arguments: list[Any] = [connection_id]
    amount = _MERGED.get(sort, "SUM(s.amount)")
    slowness = "NULL" if slow_ms is None else _slowness(by_longest)
    counted = ["time_ms"] + ["calls"] * ("s.calls" in amount + slowness)
    if slow_ms is not None and by_longest:
        counted.append(digests.LONGEST)
    if sort in _OF_STATISTICS:
        counted.append(_OF_STATISTICS[sort])
    found = source or digests.source(connection_id, window)
    before = digests.source(connection_id, before_of(window)) if sort == "change" else None
    every, mixed = (
        _spent(sort, counted, found, before, which) for which in ("1 = 1", "query_id IN (SELECT id FROM mixed)")
    )
    ran = f"""
        SELECT s.query_id AS id, 0 AS internal, SUM(s.time_ms) AS time_ms, {amount} AS amount, {slowness} AS slow_ms
        FROM ({every}) s GROUP BY s.query_id HAVING s.query_id NOT IN (SELECT id FROM mixed)
        UNION ALL
        SELECT MIN(m.id), MIN(CASE WHEN m.internal THEN 1 ELSE 0 END), SUM(s.time_ms), {amount}, {slowness}
        FROM ({mixed}) s JOIN mixed m ON m.id = s.query_id GROUP BY m.same
    """  # noqa: S608
    passes = matches(connection_id, text, mark, arguments)
    if text:  # looked at once for each
        ran = f"SELECT merged.*, CASE WHEN {passes} THEN 1 ELSE 0 END AS passes FROM ({ran}) merged"  # noqa: S608
        passes = "passes = 1"
    shown, hidden = (passes, "1 = 0") if internal is True else (f"{passes} AND internal = {n}" for n in (0, 1))
    slow = "NULL"
    if slow_ms is not None:
        slow = f"COUNT(CASE WHEN {shown} AND slow_ms >= {mark} THEN 1 END)"
        arguments.append(slow_ms)
    order = f"amount {'DESC' if descending else 'ASC'} NULLS LAST, id"
    statement = f"""
        WITH mixed AS MATERIALIZED (
            SELECT id, {_hidden(internal)} AS internal, {MERGED_BY} AS same FROM query q
            WHERE connection_id = {mark} AND NOT alone
        ),
        ran AS MATERIALIZED ({ran}),
        page AS (SELECT id, amount FROM ran WHERE {shown} ORDER BY {order} LIMIT {int(limit)} OFFSET {int(offset)})
        SELECT 0 AS part, ROW_NUMBER() OVER (ORDER BY {order}) AS place, id, NULL, NULL, NULL, NULL FROM page
        UNION ALL
        SELECT 1, 0, COUNT(CASE WHEN {shown} THEN 1 END), COUNT(CASE WHEN {hidden} THEN 1 END),
            SUM(CASE WHEN {hidden} THEN time_ms END), SUM(time_ms), {slow} FROM ran
        ORDER BY 1, 2
    """  # noqa: S608
    *places, figures = fetch(statement, arguments)
    return Page(
        ids=tuple(row[2] for row in places),
        matching=int(figures[2]),
        hidden=int(figures[3]),
        hidden_time_ms=float(figures[4] or 0.0),
        known_time_ms=float(figures[5] or 0.0),
        slow=None if figures[6] is None else int(figures[6]),
    )


def _spent(sort: str, counted: Sequence[str], source: digests.Source, before: digests.Source | None, which: str) -> str:
    """A SELECT of what some statements spent: query_id, `counted`, and what else they are sorted by.

    One row for each part that a statement ran in; or one for each statement, where more is read beside it.
    """
    if before is None and sort not in _OF_QUERY:
        return source.rows_sql(counted, which)
    sums = ", ".join(f"{'MAX' if name == digests.LONGEST else 'SUM'}({name}) AS {name}" for name in counted)
    spent = f"(SELECT query_id, {sums} FROM ({source.rows_sql(counted, which)}) r GROUP BY query_id) n"  # noqa: S608
    if before is None:
        return f"SELECT n.*, {_OF_QUERY[sort]} AS amount FROM {spent} JOIN query q ON q.id = n.query_id"  # noqa: S608
    return f"""
        SELECT n.*, e.calls_before, e.time_before FROM {spent} LEFT JOIN (
            SELECT query_id, SUM(calls) AS calls_before, SUM(time_ms) AS time_before
            FROM ({before.rows_sql(("calls", "time_ms"), which)}) b GROUP BY query_id
        ) e ON e.query_id = n.query_id
    """  # noqa: S608


def before_of(window: Window) -> Window:
    """The window of the same length before."""
    return Window(window.start - window.span_ms, window.start)


def figures(
    connection_id: str,
    window: Window,
    shown: Mapping[int, int],
    source: digests.Source | None = None,
    longest: bool = False,
) -> dict[int, dict[str, Any]]:
    """What statements are and what they did in a window, merged as `shown` maps their ids; all counters by column, and
    with `longest` the time of the longest call."""
    if not shown:
        return {}
    rows, greatest = _rows_and_sums(source or digests.source(connection_id, window), longest)
    members = ", ".join(str(int(each)) for each in shown)
    sums = ", ".join(
        [f"CAST(SUM({name}) AS BIGINT) AS {name}" for name in _COUNTS]
        + [f"SUM({name}) AS {name}" for name in _TIMES]
        + [f"{expression} AS {name}" for name, expression in _SQUARED.items()]
        + greatest
    )
    columns = (*_COUNTS, *_TIMES, *_SQUARED)
    read = (*columns, digests.LONGEST) if longest else columns
    statement = f"""
        SELECT query_id, {sums} FROM ({rows}) r WHERE query_id IN ({members}) GROUP BY query_id
    """  # noqa: S608
    found = {row[0]: dict(zip(read, row[1:], strict=True)) for row in fetch(statement, [])}
    merged: dict[int, dict[str, Any]] = {}
    # As text, like the rest: Peewee would make an object of each of the ids.
    described = fetch(f"SELECT {', '.join(_WHAT)} FROM query WHERE id IN ({members})", [])  # noqa: S608
    for row in described:
        values = dict(zip(_WHAT, row, strict=True)) | dict.fromkeys((*columns, digests.LONGEST)) | found.get(row[0], {})
        known = merged.setdefault(shown[values["id"]], values)
        if known is not values:
            _merge(known, values, columns)
    for target, values in merged.items():
        values["id"] = target
    return merged


def _merge(into: dict[str, Any], other: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Add what another statement did to one that means the same; what it is comes from the older."""
    for name in columns:
        into[name] = _of_known(lambda a, b: a + b, into[name], other[name])
    for name in ("min_time_ms", "first_seen_at"):
        into[name] = _of_known(min, into[name], other[name])
    for name in ("max_time_ms", digests.LONGEST, "last_seen_at"):
        into[name] = _of_known(max, into[name], other[name])
    if other["id"] < into["id"]:
        into |= {name: other[name] for name in ("id", "key", "text_state", "kind")}
    into["internal"] = into["internal"] and other["internal"]


def _of_known(choose: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else choose(a, b)


def counts(connection_id: str, window: Window, slow_ms: float, by_longest: bool = False) -> tuple[int, int]:
    """How many statements ran, without internal ones, and how many of them were slow, as by `page`."""
    mark = models.database.param
    rows, greatest = _rows_and_sums(digests.source(connection_id, window), by_longest)
    summed = ", ".join(["SUM(calls) AS calls", "SUM(time_ms) AS time_ms", *greatest])
    statement = f"""
        WITH sums AS (SELECT query_id, {summed} FROM ({rows}) r GROUP BY query_id),
        merged AS (
            SELECT {_slowness(by_longest)} AS slow_ms
            FROM sums s JOIN query q ON q.id = s.query_id WHERE NOT q.internal GROUP BY {MERGED_BY}
        )
        SELECT COUNT(*), COUNT(CASE WHEN slow_ms >= {mark} THEN 1 END) FROM merged
    """  # noqa: S608
    ran, slow = fetch(statement, [slow_ms])[0]
    return int(ran), int(slow)


def set_aside(connection_id: str, window: Window, text: str | None = None) -> dict[Aside, int]:
    """How many statements that ran are set aside, by why; of those whose text passes.

    Read beside a page, not with it: these are few, while a page sums all that ran.
    """
    arguments: list[Any] = []
    passes = matches(connection_id, text, models.database.param, arguments)
    ran = digests.source(connection_id, window).ran_sql("q.id")
    statement = f"""
        WITH merged AS (
            SELECT MIN(q.id) AS id, MIN(q.aside) AS aside FROM query q
            WHERE q.connection_id = {models.database.param} AND q.internal AND {ran} GROUP BY {MERGED_BY}
        )
        SELECT aside, COUNT(*) FROM merged WHERE {passes} GROUP BY aside
    """  # noqa: S608
    return dict(fetch(statement, [connection_id, *arguments]))


def slow_time(connection_id: str, window: Window, slow_ms: float) -> tuple[float, float]:
    """Time of all statements of a window without internal ones, and of those whose mean is `slow_ms` or more; ms."""
    mark = models.database.param
    rows = digests.source(connection_id, window).rows_sql()
    statement = f"""
        WITH sums AS (
            SELECT query_id, SUM(calls) AS calls, SUM(time_ms) AS time_ms FROM ({rows}) r GROUP BY query_id
        ),
        merged AS (
            SELECT SUM(s.time_ms) AS time_ms, SUM(s.time_ms) / NULLIF(SUM(s.calls), 0) AS mean_ms
            FROM sums s JOIN query q ON q.id = s.query_id WHERE NOT q.internal GROUP BY {MERGED_BY}
        )
        SELECT SUM(time_ms), SUM(CASE WHEN mean_ms >= {mark} THEN time_ms END) FROM merged
    """  # noqa: S608
    whole, slow = fetch(statement, [slow_ms])[0]
    return float(whole or 0.0), float(slow or 0.0)


def texts(ids: Sequence[int]) -> dict[int, str]:
    """Texts of statements, of those that have one."""
    if not ids:
        return {}
    chosen = ", ".join(str(int(each)) for each in ids)
    return dict(fetch(f"SELECT query_id, text FROM query_text WHERE query_id IN ({chosen})", []))  # noqa: S608


def each_text(connection_id: str, see: Callable[[str], None]) -> None:
    """Show each text of a connection's statements to `see`, and keep none."""
    row, known = models.QueryText, models.Query
    for (text,) in models.database.execute(row.select(row.text).join(known).where(known.connection == connection_id)):
        see(text)


def shown_as(connection_id: str, ids: Sequence[int]) -> dict[int, int]:
    """For each statement that is merged into one of `ids`, which."""
    if not ids:
        return {}
    mark = models.database.param
    chosen = ", ".join(str(int(each)) for each in ids)
    # COALESCE keeps SQLite from the index of the connection's keys: that of fingerprints finds the few that count.
    statement = f"""
        SELECT q.id, p.id FROM query p JOIN query q ON q.fingerprint = p.fingerprint
        WHERE p.id IN ({chosen}) AND COALESCE(q.connection_id, '') = {mark}
            AND COALESCE(q.db_user, '') = COALESCE(p.db_user, '') AND COALESCE(q.db_name, '') = COALESCE(p.db_name, '')
    """  # noqa: S608
    return {each: each for each in ids} | dict(fetch(statement, [connection_id]))


Amount = Literal["time_ms", "shared_read", "blocks", "rows_examined"]
_AMOUNTS = {"blocks": "shared_hit + shared_read"}


def amounts(
    connection_id: str, window: Window, shown: Mapping[int, int], what: Amount = "time_ms"
) -> dict[int, dict[int, tuple[float, float]]]:
    """Calls and time by interval, for each statement that `shown` maps others to.

    Args:
        what: time, or in its place what was read: blocks from disk, blocks from wherever, rows that were looked at;
            where the server does not count them there is nothing.
    """
    if not shown:
        return {}
    mark = models.database.param
    amount = _AMOUNTS.get(what, what)
    statement = f"""
        SELECT query_id, interval_id, calls, {amount} FROM query_statistics
        WHERE query_id IN ({", ".join(str(int(each)) for each in shown)}) AND interval_id IN ({intervals_sql(mark)})
          AND {amount} IS NOT NULL
    """  # noqa: S608
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for query_id, interval_id, calls, time_ms in fetch(statement, [connection_id, window.start, window.end]):
        of_one = found.setdefault(shown[query_id], {})
        known = of_one.get(interval_id, (0, 0.0))
        of_one[interval_id] = (known[0] + calls, known[1] + time_ms)
    return found


def time_by_step(
    connection_id: str, window: Window, shown: Mapping[int, int], found: Sequence[Observed], over: Steps
) -> dict[int, list[float | None]]:
    """Time over steps, ms, for each statement that `shown` maps others to; None in gaps, as by `Steps.spread`.

    What lies whole in a step is added up by the database, of hours and days where these do; what is left is little.
    """
    if not shown:
        return {}
    members = ", ".join(str(int(each)) for each in shown)
    sources, across = digests.by_step(connection_id, window, found, over)
    sums = {target: over.spread({}) for target in shown.values()}
    if sources:  # in one go: a server that sums with several processes starts these once
        statement = " UNION ALL ".join(
            f"""
            SELECT {step}, query_id, SUM(time_ms) FROM ({source.rows_sql(("time_ms",))}) r
            WHERE query_id IN ({members}) GROUP BY query_id
            """  # noqa: S608
            for step, source in sources.items()
        )
        for step, query_id, time_ms in fetch(statement, []):
            of_one = sums[shown[query_id]]
            of_one[step] = (of_one[step] or 0.0) + time_ms
    if across:
        ids = ", ".join(map(str, across))
        statement = f"""
            SELECT query_id, interval_id, time_ms FROM query_statistics
            WHERE query_id IN ({members}) AND interval_id IN ({ids})
        """  # noqa: S608
        for query_id, interval_id, time_ms in fetch(statement, []):
            of_one = sums[shown[query_id]]
            for step, share in over.parts[interval_id]:
                of_one[step] = (of_one[step] or 0.0) + time_ms * share
    return sums


_READS = {"rows_per_s": "rows", "blocks_per_s": "shared_read", "examined_per_s": "rows_examined"}


def by_interval(
    connection_id: str, window: Window, members: Sequence[int]
) -> tuple[dict[int, tuple[float, float]], dict[str, dict[int, float]]]:
    """What some statements did together: calls and time by interval; and rows, blocks read and rows read, by field of
    `Series` and interval, of which their server counts not all."""
    mark = models.database.param
    sums = ", ".join(f"SUM({column})" for column in ("calls", "time_ms", *_READS.values()))
    statement = f"""
        SELECT interval_id, {sums} FROM query_statistics
        WHERE query_id IN ({", ".join(str(int(each)) for each in members)}) AND interval_id IN ({intervals_sql(mark)})
        GROUP BY interval_id
    """  # noqa: S608
    found: dict[int, tuple[float, float]] = {}
    more: dict[str, dict[int, float]] = {}
    for interval_id, calls, time_ms, *counted in fetch(statement, [connection_id, window.start, window.end]):
        found[interval_id] = (float(calls), float(time_ms))
        for name, value in zip(_READS, counted, strict=True):
            if value is not None:
                more.setdefault(name, {})[interval_id] = float(value)
    return found, more


def intervals_sql(mark: str) -> str:
    """The ids of a connection's intervals that end in a window: three arguments."""
    levels = ", ".join(map(str, LEVELS))  # all of them: named so that the index serves the range of times
    return (
        f'SELECT id FROM "interval" WHERE connection_id = {mark} AND resolution_s IN ({levels}) '  # noqa: S608
        f"AND end_at > {mark} AND end_at <= {mark}"
    )


def matches(connection_id: str, text: str | None, mark: str, arguments: list[Any]) -> str:
    """The condition of a text filter; its argument goes to the end of `arguments`."""
    found = text_filter.parse(text or "")
    if not found.wanted:
        return "1 = 1"
    postgres = database.kind() == "postgresql"
    if found.expression:
        # Looked through here: both stores, and the other lists, understand the same expressions.
        ids = _matching(connection_id, text_filter.matcher(f"~{found.wanted}"))
        arguments.append(ids if postgres else json.dumps(ids))
        condition = f"id = ANY ({mark})" if postgres else f"id IN (SELECT value FROM json_each({mark}))"  # noqa: S608
        return f"NOT ({condition})" if found.inverted else condition
    like = "ILIKE" if postgres else "LIKE"
    wanted = found.wanted
    for special in "~%_":
        wanted = wanted.replace(special, f"~{special}")
    arguments.append(f"%{wanted}%")
    holding = f"SELECT query_id FROM query_text WHERE text {like} {mark} ESCAPE '~'"  # noqa: S608
    # An array is looked through once: without statistics PostgreSQL would search the texts again for every statement.
    condition = f"id = ANY (ARRAY({holding}))" if postgres else f"id IN ({holding})"
    return f"NOT ({condition})" if found.inverted else condition


def _matching(connection_id: str, holds: text_filter.Matcher) -> list[int]:
    """Ids of a connection's statements whose text passes."""
    row, known = models.QueryText, models.Query
    chosen = row.select(row.query, row.text).join(known).where(known.connection == connection_id)
    found = models.database.execute(chosen)
    return [query_id for query_id, text in found if holds(text)]


def fetch(statement: str, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = models.database.execute_sql(statement, arguments).fetchall()
    return rows
