"""What happened between two readings of cumulative counters: never invented, doubled or negative. Pure.

In: the last `Reading` (epoch, clocks, what was visible), the baselines kept in blocks of statements, and the new rows.
Out: deltas of what was active, new baselines, and events that say what was lost; with a loss it is not complete.

What proves a delta, strongest first:

* *The same life of an entry*: the key was there at the last reading, its `stats_since` (PostgreSQL 17+) is unchanged,
  or nothing of it fell. The difference is exact.
* *A life that began after the last reading*: `stats_since` is later than that reading on the server's own clock, or a
  counter fell, or the key was not among the rows of a reading that saw everything. The whole value happened in the
  interval. What the earlier life did after the last reading is lost: the interval is not complete.
* After a reset of everything both rules still hold for each entry. Before PostgreSQL 17 an entry that has already
  caught up with its old value cannot be told from one that went on: the difference is then a lower bound, and the
  interval is marked by the reset.
* Of a statement that was left out until now, as it took too little in all, nothing is known of before: its value is a
  baseline only. That is no loss worth an event: it did less than a statement that is read.
* *A maximum that moved* within one life, or that of a life that began, is the time of a call in the interval: it rises
  by a longer call, and falls only when the server is told to begin it anew, after which it is of the calls since. What
  stood still tells nothing but that no call took longer: then the longest call of the interval is not known.
* Nothing proves it (another server, another role, rows that were hidden before): the value is a baseline only.

Not visible to anybody, hence not flagged: an entry born and reset within one interval, and before PostgreSQL 17 the
reset of a single entry that caught up before the next reading with no lower minimum or higher maximum betraying it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, repeat
from operator import and_, itemgetter, sub
from typing import Any

from meshag_tui.figures import number_of
from meshag_tui.snapshot import LOCK_TIME, STATEMENT_COUNTERS, TIME_SQUARES, Statements
from meshag_tui.store.baselines import (
    BASELINE_COLUMNS,
    IS_FLOAT,
    NO_FLOAT,
    NO_INT,
    Block,
    has_holes,
    measured,
    pack,
    unpack,
)
from meshag_tui.store.readings import LOSSLESS, Continuity, Event, Reading, continuity, event

DELTA_COLUMNS = (
    "calls",
    "time_ms",
    "rows",
    "plan_time_ms",
    "shared_hit",
    "shared_read",
    "shared_dirtied",
    "temp_read",
    "temp_written",
    "io_time_ms",
    "wal_bytes",
    "rows_examined",
    "no_index_calls",
    "tmp_tables",
    "tmp_disk_tables",
    "sort_merge_passes",
    TIME_SQUARES,
    LOCK_TIME,
    "longest_ms",
)

_COUNTERS = len(STATEMENT_COUNTERS)
_AT = {name: position for position, name in enumerate(BASELINE_COLUMNS)}
_CALLS, _MIN, _MAX, _SINCE = _AT["calls"], _AT["min_time_ms"], _AT["max_time_ms"], _AT["stats_since"]
_IO_READ, _IO_WRITE, _SQUARES = _AT["io_read_ms"], _AT["io_write_ms"], _AT[TIME_SQUARES]
_NAMED = {"time_ms": "total_time_ms", "longest_ms": "max_time_ms"}
_STORED = tuple(_AT.get(_NAMED.get(name, name)) for name in DELTA_COLUMNS)  # None: io_time_ms


@dataclass(slots=True)
class Chunk:
    """Deltas of statements of a block, by the column in the order of `DELTA_COLUMNS`; None: nowhere measured."""

    block: Block
    chosen: Sequence[bool] | None  # which of the block's statements were active; None: all
    columns: Sequence[Sequence[Any] | None]

    def ids(self) -> Iterable[int]:
        """Ids of the active statements."""
        return self.block.ids if self.chosen is None else compress(self.block.ids, self.chosen)


@dataclass(slots=True)
class StatementDeltas:
    """What the statements did since the last reading."""

    active: list[Chunk] = field(default_factory=list)
    changed: list[Block] = field(default_factory=list)  # known blocks as they are now; empty ones are no more
    fresh: Block | None = None  # statements of no known block, sorted by key; their ids are to be found
    extremes: list[tuple[int, float | None, float | None]] = field(default_factory=list)  # id, min and max ms: moved
    seen: list[int] = field(default_factory=list)  # ids of those that ran, though nothing proves how much of it is new
    vanished: list[int] = field(default_factory=list)  # ids of those that are not on the server any more
    events: tuple[Event, ...] = ()
    complete: bool = True
    broken: bool = False  # nothing ties this reading to the last: baselines only
    calls: int = 0
    time_ms: float = 0.0  # of all statements, of those hidden from us too where the server says


@dataclass(slots=True)
class _Losses:
    """Counts of what was found wrong while going over the rows."""

    restarted: int = 0  # a known entry began a new life: its counters fell or it says so itself
    unproven: int = 0  # seen anew, with no proof that its value is of this interval, or all of it


@dataclass(frozen=True, slots=True)
class _Now:
    """The values of a block's statements now, by the column in the order of `BASELINE_COLUMNS`, and their bytes."""

    values: Sequence[Sequence[Any]]  # empty where measured nowhere
    data: Sequence[bytes]

    def row(self, place: int) -> tuple[Any, ...]:
        """The values of one statement, NO_INT or NO_FLOAT where not measured."""
        pairs = zip(self.values, IS_FLOAT, strict=True)
        return tuple(values[place] if values else NO_FLOAT if is_float else NO_INT for values, is_float in pairs)


@dataclass(slots=True)
class _Comparison:
    """How blocks are compared, and what was found so far."""

    previous: Reading | None  # None: with nothing, these are baselines only
    tie: Continuity
    keeps: bool  # what is missing may still be there: its baseline is kept, marked, and compared on return
    places: Sequence[int | None]  # where in a row the values of `BASELINE_COLUMNS` are
    losses: _Losses
    found: StatementDeltas


def statements(previous: Reading | None, known: Iterable[Block], read: Statements, reading: Reading) -> StatementDeltas:
    """Deltas of statement counters. The list of rows is empty afterwards: each is let go as it is compared.

    Args:
        previous: the last reading of statements, None at the first.
        known: the statements that were on the server then, or out of view.
        read: the new rows.
        reading: the new reading, as `Reading.of` makes it.
    """
    tie = continuity(previous, reading.epoch)
    compared = None if tie.state in ("first", "broken") else previous
    same_view = (
        previous is not None and previous.visibility == reading.visibility and previous.least_ms == reading.least_ms
    )
    keeps = compared is not None and not (same_view and reading.whole)
    names = {name: number for number, name in enumerate(read.columns, 1)}
    places = [names.get(name) for name in BASELINE_COLUMNS]
    losses, found = _Losses(), StatementDeltas(broken=tie.state == "broken")
    how = _Comparison(compared, tie, keeps, places, losses, found)
    rows: dict[str, Any] = dict(zip(map(itemgetter(0), read.rows), read.rows, strict=True))
    read.rows.clear()
    for block in known:
        _go_on(how, block, list(map(rows.pop, block.keys, repeat(None))))
    if rows:
        keys = sorted(rows)
        taken = list(map(rows.pop, keys))
        fresh = _read(taken, places)
        while taken:  # a thousand at a time: to free all of them at once would hold every thread until they are gone
            del taken[-1000:]
        found.fresh = Block(0, (), keys, fresh.data)
        if compared is not None:
            absence_proves = same_view and compared.whole and reading.hidden >= compared.hidden
            absence_proves = absence_proves and reading.least_ms is None
            _first_seen(how, found.fresh, fresh, compared.observed_at, absence_proves)
    if compared is None:
        found.events, found.complete = tie.events, not tie.events
        return found
    found.events = (*tie.events, *_explain(compared, reading, losses, len(found.vanished), same_view, tie))
    found.complete = all(each["kind"] in LOSSLESS for each in found.events)
    found.calls = sum(sum(chunk.columns[0] or ()) for chunk in found.active)
    found.time_ms = sum(sum(chunk.columns[1] or ()) for chunk in found.active)
    found.time_ms += _hidden_time(compared, reading, tie, same_view)
    return found


def _read(rows: Sequence[tuple[Any, ...]], places: Sequence[int | None]) -> _Now:
    """Rows by the column."""
    table = list(zip(*rows, strict=True))
    packed = [
        ((), b"") if place is None else pack(table[place], is_float)
        for place, is_float in zip(places, IS_FLOAT, strict=True)
    ]
    return _Now([values if data else () for values, data in packed], [data for _, data in packed])


def _go_on(how: _Comparison, block: Block, rows: list[Any]) -> None:
    """Find what the statements of a known block did; None among its rows is a statement that was not read."""
    found = how.found
    missing = [] if all(rows) else [place for place, row in enumerate(rows) if row is None]
    vanished, unseen = ([], frozenset(missing)) if how.keeps else (missing, frozenset[int]())
    if len(missing) == len(rows):
        now = _Now([block.values(number) for number in range(len(IS_FLOAT))], block.columns)
    else:
        now = _read(_filled(block, rows, missing, how.places) if missing else rows, how.places)
    moved = [number for number, (new, old) in enumerate(zip(now.data, block.columns, strict=True)) if new != old]
    if not moved and not vanished and unseen == block.unseen:
        return
    if how.previous is not None:
        returned = block.unseen.difference(missing)
        if moved or returned:
            _differ(how, how.previous.observed_at, block, now, moved, returned)
    elif _CALLS in moved:
        calls = zip(block.ids, now.values[_CALLS], block.values(_CALLS), strict=True)
        found.seen += [query_id for query_id, new, old in calls if new != old]
    if _MIN in moved or _MAX in moved:
        found.extremes += _moved_extremes(block, now)
    found.vanished += [block.ids[place] for place in vanished]
    changed = replace(block, columns=now.data, unseen=unseen)
    found.changed.append(changed.without(vanished) if vanished else changed)


def _filled(block: Block, rows: Sequence[Any], missing: Iterable[int], places: Sequence[int | None]) -> list[Any]:
    """Rows in which what is missing has not moved since the last reading."""
    columns = {place: number for number, place in enumerate(places) if place is not None}
    width = max(columns) + 1
    filled = [row and row[:width] for row in rows]
    for at in missing:
        before = block.row(at)
        filled[at] = tuple(before[columns[place]] if place in columns else None for place in range(width))
    return filled


def _moved_extremes(block: Block, now: _Now) -> Iterator[tuple[int, float | None, float | None]]:
    """Ids of statements with their least and greatest time, ms, where one of them moved."""
    before = zip(block.values(_MIN), block.values(_MAX), strict=True)
    lows, highs = (unpack(now.data[number], True, len(block)) for number in (_MIN, _MAX))
    for query_id, low, high, old in zip(block.ids, lows, highs, before, strict=True):
        if (low, high) != old:
            yield query_id, measured(low), measured(high)


def _differ(
    how: _Comparison, last_look: int, block: Block, now: _Now, moved: Sequence[int], returned: Iterable[int]
) -> None:
    """Deltas of entries that were there at the last reading, a column at a time: most of them simply went on."""
    losses, found = how.losses, how.found
    columns = [
        _differences(*of_column) for of_column in zip(now.values, now.data, block.columns, IS_FLOAT, strict=True)
    ]
    doubtful: set[int] = set()
    for number in moved:
        doubtful.update(_doubted(number, columns[number] or ()))
    for place in returned:
        since = now.row(place)[_SINCE]
        losses.unproven += since == NO_INT or since != block.row(place)[_SINCE]
    columns[_MAX] = _longest(block, now, columns[_CALLS]) if doubtful or _MAX in moved else None
    stored = _stored(columns)
    # Across a restart that kept the statistics a fall may also mean a copy of the server, with a past of its own.
    fall_proves = not how.tie.restarted or how.tie.state == "reset"
    for place in doubtful:
        row = tuple(None if column is None else column[place] for column in stored)
        proved = _doubtful(block.row(place), now.row(place), row, last_look, fall_proves, losses)
        if proved is None:
            found.seen.append(block.ids[place])
        for column, value in zip(stored, proved or (0,) * len(stored), strict=True):
            if column is not None:
                column[place] = value
    _add_active(found, block, stored, None)


def _add_active(
    found: StatementDeltas, block: Block, stored: Sequence[list[Any] | None], proved: Sequence[bool] | None
) -> None:
    """Add the deltas of those that did something, and of which it is proved, if that is said."""
    calls = stored[0]
    if proved is None and calls and None not in calls and min(calls) > 0:
        found.active.append(Chunk(block, None, list(map(_packed, stored))))
        return
    chosen = list(map(any, zip(*(column for column in stored if column is not None), strict=True)))
    if proved is not None:
        chosen = list(map(and_, chosen, proved))
    if any(chosen):
        columns = [None if column is None else _packed(list(compress(column, chosen))) for column in stored]
        found.active.append(Chunk(block, chosen, columns))


def _packed(column: list[Any] | None) -> Sequence[Any] | None:
    """A column as it is kept until it is written: in a quarter of the room, where every value was measured."""
    if not column:
        return column
    try:
        return array("q" if type(column[0]) is int else "d", column)
    except (TypeError, OverflowError):
        return column


def _differences(new: Sequence[Any], new_data: bytes, old_data: bytes, is_float: bool) -> list[Any] | None:
    """The difference of one column, None where it was not measured; None if it nowhere was."""
    if not new_data or not old_data:
        return None
    old = new if new_data == old_data else unpack(old_data, is_float, len(new))
    if has_holes(new, new_data, is_float) or has_holes(old, old_data, is_float):
        pairs = zip(map(measured, new), map(measured, old), strict=True)
        return [None if n is None or o is None else n - o for n, o in pairs]
    if old is new:
        return [0.0 if is_float else 0] * len(new)
    return list(map(sub, new, old))


def _longest(block: Block, now: _Now, calls: Sequence[int | None] | None) -> list[float | None] | None:
    """The time of the longest call of each statement since the last reading, ms, where its maximum moved with calls."""
    if calls is None or not now.data[_MAX] or not block.columns[_MAX]:
        return None
    moved = zip(now.values[_MAX], block.values(_MAX), calls, strict=True)
    # Of what was not measured NO_FLOAT is neither above 0 nor equal to itself.
    return [new if new > 0 and new != old and old == old and (made or 0) > 0 else None for new, old, made in moved]


def _doubted(number: int, differences: Sequence[Any]) -> Iterator[int]:
    """Places where the difference of a column says that the entry began a new life, or may have."""
    if number == _SINCE:
        yield from (place for place, change in enumerate(differences) if change)
    elif number == _MIN:  # within one life a minimum cannot rise nor a maximum fall, once there was a call
        yield from (place for place, change in enumerate(differences) if change is not None and change > 0)
    elif number != _SQUARES and any(differences) and min(filter(None, differences)) < 0:
        yield from (place for place, change in enumerate(differences) if change is not None and change < 0)


def _doubtful(
    before: Sequence[Any],
    values: Sequence[Any],
    row: tuple[Any, ...],
    last_look: int,
    fall_proves: bool,
    losses: _Losses,
) -> tuple[Any, ...] | None:
    """Deltas of an entry that may have begun a new life: its whole value, its difference, or None if nothing is proved.

    `row` is its difference.
    """
    fell = any(
        measured(n) is not None and measured(o) is not None and n < o
        for n, o in zip(values[:_COUNTERS], before[:_COUNTERS], strict=True)
    )
    proven = fall_proves
    if values[_SINCE] != NO_INT and before[_SINCE] != NO_INT:
        if values[_SINCE] != before[_SINCE]:
            proven = values[_SINCE] >= last_look
        elif not fell:
            return row
        elif values[_CALLS] >= before[_CALLS]:  # the same life: a counter went beyond its bits and began at 0
            losses.restarted += 1
            return tuple(None if change is None else max(change, 0) for change in row)
    elif not fell and not (before[_CALLS] and (values[_MIN] > before[_MIN] or values[_MAX] < before[_MAX])):
        return row
    losses.restarted += 1
    if not proven:
        return None
    # A counter that was not measured before is left alone: it may have counted from before this life.
    return _whole([n if measured(o) is not None else None for n, o in zip(values, before, strict=True)])


def _first_seen(how: _Comparison, block: Block, now: _Now, last_look: int, absence_proves: bool) -> None:
    """Whole values of entries that are proved to have begun after the last reading."""
    begun = now.values[_SINCE] or [NO_INT] * len(block)
    proved = [absence_proves if since == NO_INT else since >= last_look for since in begun]
    how.losses.unproven += proved.count(False)
    columns = [
        list(map(measured, values)) if data and has_holes(values, data, is_float) else list(values) or None
        for values, data, is_float in zip(now.values, now.data, IS_FLOAT, strict=True)
    ]
    if (most := columns[_MAX]) is not None:
        columns[_MAX] = [each or None for each in most]  # 0: begun anew since the last call
    _add_active(how.found, block, _stored(columns), proved)


def _explain(
    previous: Reading, reading: Reading, losses: _Losses, vanished: int, same_view: bool, tie: Continuity
) -> list[Event]:
    """Events for what was lost beyond what the epoch already says."""
    events: list[Event] = []
    old, new = previous.epoch.evictions, reading.epoch.evictions
    evicted = old is not None and new is not None and new != old
    if evicted and tie.state == "same":
        events.append(
            event("eviction", f"the server dropped its least used statements {abs((new or 0) - (old or 0))}×")
        )
    if not same_view or reading.whole != previous.whole:
        events.append(event("visibility", "what we may see changed; statements seen anew start at a baseline"))
    elif losses.unproven and reading.least_ms is None:  # else they only came to take as much as those that are read
        events.append(
            event(
                "visibility",
                f"{number_of(losses.unproven, 'statement')} came into view with counts from before this interval",
            )
        )
    if tie.state == "same" and losses.restarted and not evicted:
        events.append(event("decrease", f"{number_of(losses.restarted, 'statement')} began to count anew"))
    if tie.state == "same" and vanished and not evicted:
        why = "reset one by one" if new is not None else "evicted or reset"
        events.append(event("decrease", f"{number_of(vanished, 'statement')} disappeared: {why}"))
    return events


def _hidden_time(previous: Reading | None, reading: Reading, tie: Continuity, same_view: bool) -> float:
    """Time of rows the engine left out, ms: part of the server's total, though not ours to tell apart."""
    if previous is None or tie.state != "same" or not same_view or reading.whole != previous.whole:
        return 0.0
    return max(0.0, reading.hidden_time_ms - previous.hidden_time_ms)


def _stored(columns: Sequence[list[Any] | None]) -> list[list[Any] | None]:
    """Columns in the order of `DELTA_COLUMNS` from those in the order of `BASELINE_COLUMNS`."""
    reads, writes = columns[_IO_READ], columns[_IO_WRITE]
    io = reads if writes is None else writes if reads is None else list(map(_io, reads, writes))
    return [io if place is None else columns[place] for place in _STORED]


def _whole(values: Sequence[Any]) -> tuple[Any, ...]:
    """One row in the order of `DELTA_COLUMNS` from cumulative values."""
    found = [measured(value) for value in values]
    found[_MAX] = found[_MAX] or None  # 0: begun anew since the last call
    io = _io(found[_IO_READ], found[_IO_WRITE])
    return tuple(io if place is None else found[place] for place in _STORED)


def _io(read: float | None, write: float | None) -> float | None:
    return read if write is None else write if read is None else read + write
