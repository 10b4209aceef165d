"""Windows of time over the intervals of a connection: which lie in it, what was lost in them, and series over it.

An interval belongs to the window it ends in, whatever its resolution: what happened is in exactly one interval, raw or
rolled up, so neighbouring windows neither share nor miss a call.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from meshag_tui.store import database, models
from meshag_tui.store.models import LEVELS
from meshag_tui.types import Window

_UNTIMED = frozenset({"gap", "clock", "unread"})
"""Events after which an interval's counts say nothing of a rate: it is a gap in every series."""

_AHEAD_MS = 60_000
"""How far the clocks of two machines may differ before one of them is wrong."""


class Loss(NamedTuple):
    """Something that happened to an interval; `lossy` if counts were lost by it. `at` is its end, epoch ms."""

    at: int
    kind: str
    detail: str


class Observed(NamedTuple):
    """One interval. Times are epoch ms; `start_at` None: nothing is known of what came before."""

    id: int
    start_at: int | None
    end_at: int
    complete: bool
    calls: int
    time_ms: float
    events: tuple[Loss, ...]
    timed: bool  # its length says something of a rate
    objects_since: int | None  # start of what its table and index deltas are of; None: they were not read

    @property
    def length_ms(self) -> int:
        return 0 if self.start_at is None else max(0, self.end_at - self.start_at)


class Series(NamedTuple):
    """Figures over time; `times` are the ends of equal steps, epoch ms. None: nothing was observed, a gap."""

    times: tuple[int, ...]
    step_ms: int
    calls_per_s: tuple[float | None, ...]
    mean_ms: tuple[float | None, ...]
    ms_per_s: tuple[float | None, ...]  # time spent by all, ms in each second
    rows_per_s: tuple[float | None, ...] = ()  # returned or written; this and what follows: () where nobody counts it
    blocks_per_s: tuple[float | None, ...] = ()  # read from disk or the system's cache
    examined_per_s: tuple[float | None, ...] = ()  # rows that the server read to answer


class Trend(NamedTuple):
    """Rates of counters of a table or index over time, by counter, per second; sizes as they were. None is a gap."""

    times: tuple[int, ...]
    step_ms: int
    rates: Mapping[str, tuple[float | None, ...]]
    size_bytes: tuple[int | None, ...]


def listed(query: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, documents read."""
    return list(query.tuples())


def within(connection_id: str, window: Window) -> Any:
    """The condition on `Interval` that it lies in the window."""
    interval = models.Interval
    return (
        (interval.connection == connection_id)
        & interval.resolution_s.in_(LEVELS)  # all of them: named so that the index serves the range of times
        & (interval.end_at > window.start)
        & (interval.end_at <= window.end)
    )


def intervals(connection_id: str, window: Window) -> tuple[Observed, ...]:
    """The intervals of a window in the order of time."""
    columns = "id, start_at, end_at, complete, calls, time_ms, CAST(events AS TEXT), resolution_s, objects_since"
    return tuple(_observed(*each) for each in _fetched(columns, connection_id, window))


def interval_ends(connection_id: str, window: Window) -> list[tuple[int, int]]:
    """Id and end of the intervals of a window in the order of time."""
    return _fetched("id, end_at", connection_id, window)


def _fetched(columns: str, connection_id: str, window: Window) -> list[Any]:
    """As text, and without Peewee: a window of a month has thousands of intervals, and hardly one of them an event."""
    levels, mark = ", ".join(map(str, LEVELS)), models.database.param
    statement = f"""
        SELECT {columns} FROM "interval" WHERE connection_id = {mark} AND resolution_s IN ({levels})
            AND end_at > {mark} AND end_at <= {mark} ORDER BY end_at, id
    """  # noqa: S608
    rows: list[Any] = models.database.execute_sql(statement, (connection_id, window.start, window.end)).fetchall()
    return rows


def _observed(
    interval_id: int,
    start_at: int | None,
    end_at: int,
    complete: Any,
    calls: int,
    time_ms: float,
    events: str,
    resolution: int,
    objects_since: int | None,
) -> Observed:
    told: tuple[Loss, ...] = ()
    if events != "[]":
        told = tuple(Loss(end_at, event["kind"], event["detail"]) for event in json.loads(events))
    return Observed(
        id=interval_id,
        start_at=start_at,
        end_at=end_at,
        complete=bool(complete),
        calls=calls,
        time_ms=time_ms,
        events=told,
        timed=start_at is not None and (not told or resolution > 0 or all(each.kind not in _UNTIMED for each in told)),
        objects_since=start_at if resolution > 0 else objects_since,
    )


def observed_part(found: Sequence[Observed], window: Window) -> Window:
    """The window from where its first interval begins: the trend of an hour is not lost in the width of a month."""
    starts = [each.start_at for each in found if each.start_at is not None]
    return Window(min(max(window.start, min(starts, default=window.start)), window.end - 1), window.end)


def latest_window(connection_id: str, span_ms: int) -> Window:
    """The window of this length that ends with the last sync; with now, if there was none.

    A sync made while the clock was ahead ends in a future that may be years away: then the last written one counts.
    """
    row = models.Interval
    mine = (row.connection == connection_id) & row.resolution_s.in_(LEVELS)
    found = listed(row.select(row.end_at).where(mine).order_by(row.end_at.desc()).limit(1))
    now = database.now_ms()
    if found and found[0][0] > now + _AHEAD_MS:
        raw = (row.connection == connection_id) & (row.resolution_s == 0)
        found = listed(row.select(row.end_at).where(raw).order_by(row.id.desc()).limit(1)) or found
    end = int(found[0][0]) if found else now
    return Window(end - span_ms, end)


class Steps(NamedTuple):
    """A window in equal steps: their ends, their length, how long each was observed, and what goes into which."""

    times: tuple[int, ...]
    step_ms: int
    seconds: tuple[float, ...]  # observed in each step; 0 is a gap
    parts: Mapping[int, tuple[tuple[int, float], ...]]  # by interval id: (step, share of the interval)

    def spread(self, amounts: Mapping[int, float]) -> list[float | None]:
        """Amounts by interval id, laid over the steps; None in gaps. An observed interval without one is 0."""
        found: list[float | None] = [0.0 if seconds else None for seconds in self.seconds]
        for interval_id, amount in amounts.items():
            for number, share in self.parts.get(interval_id, ()):
                found[number] = (found[number] or 0.0) + amount * share
        return found

    def rates(self, spread: Sequence[float | None]) -> tuple[float | None, ...]:
        """What was spread, per second."""
        pairs = zip(spread, self.seconds, strict=True)
        return tuple(None if amount is None else amount / seconds for amount, seconds in pairs)


def steps(found: Sequence[Observed], window: Window, points: int) -> Steps:
    """At most `points` steps, no shorter than most intervals: a point is never finer than what was measured."""
    timed = [(each.id, each.end_at, length) for each in found if each.timed and (length := each.length_ms) > 0]
    lengths = sorted(length for _, _, length in timed)
    usual = lengths[len(lengths) // 2] if lengths else window.span_ms  # the median
    count = max(1, min(points, round(window.span_ms / usual))) if usual else 1
    step = max(1, -(-window.span_ms // count))
    edges = [window.end - step * (count - number) for number in range(count + 1)]
    observed = [0] * count
    parts: dict[int, tuple[tuple[int, float], ...]] = {}
    for interval_id, end, length in timed:
        start = end - length
        first = max(0, (start - edges[0]) // step)
        last = min(count - 1, (end - 1 - edges[0]) // step)
        shares = []
        for number in range(first, last + 1):
            overlap = min(end, edges[number + 1]) - max(start, edges[number])
            observed[number] += overlap
            shares.append((number, overlap / length))
        parts[interval_id] = tuple(shares)
    return Steps(tuple(edges[1:]), step, tuple(length / 1000 for length in observed), parts)


def load_series(connection_id: str, window: Window, points: int = 120) -> Series:
    """What all statements of a connection did, those hidden from us too where the server counts them."""
    return load_of(intervals(connection_id, window), window, points)


def load_of(found: Sequence[Observed], window: Window, points: int = 120) -> Series:
    """As `load_series`, of intervals that are read already."""
    return series(steps(found, window, points), {each.id: (each.calls, each.time_ms) for each in found})


def series(
    over: Steps, amounts: Mapping[int, tuple[float, float]], more: Mapping[str, Mapping[int, float]] | None = None
) -> Series:
    """Calls and time by interval id as rates over steps; `more`: the same of others, by name of the field."""
    calls = over.spread({interval_id: amount[0] for interval_id, amount in amounts.items()})
    times = over.spread({interval_id: amount[1] for interval_id, amount in amounts.items()})
    means = tuple(
        time / number if number and time is not None else None for number, time in zip(calls, times, strict=True)
    )
    others = {name: over.rates(over.spread(counted)) for name, counted in (more or {}).items()}
    return Series(over.times, over.step_ms, over.rates(calls), means, over.rates(times), **others)


def trend(over: Steps, found: Sequence[Observed], rows: Mapping[int, Mapping[str, Any]], names: Iterable[str]) -> Trend:
    """Counters of one object by interval id as rates; the size is the last one known at each step."""
    rates = {
        name: over.rates(over.spread({interval_id: row[name] or 0 for interval_id, row in rows.items()}))
        for name in names
    }
    known = [(each.end_at, rows[each.id]["size_bytes"]) for each in found if each.id in rows]
    known = [(at, size) for at, size in known if size is not None]
    sizes: list[int | None] = []
    passed = 0
    for end in over.times:
        while passed < len(known) and known[passed][0] <= end:
            passed += 1
        sizes.append(known[passed - 1][1] if passed else None)
    return Trend(over.times, over.step_ms, rates, tuple(sizes))


def of_objects(found: Iterable[Observed]) -> tuple[Observed, ...]:
    """The same as seen by tables and indexes, which may be read at every few syncs only."""
    return tuple(
        each._replace(start_at=each.objects_since, timed=True) for each in found if each.objects_since is not None
    )


def events(found: Iterable[Observed]) -> tuple[Loss, ...]:
    """All events of intervals, oldest first."""
    return tuple(event for each in found for event in each.events)
