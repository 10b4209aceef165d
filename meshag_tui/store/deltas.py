"""What happened between two readings of cumulative counters: never invented, doubled or negative. Pure.

In: the last `Reading` (epoch, clocks, what was visible), the baselines kept beside each statement, and the new rows.
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
* Nothing proves it (another server, another role, rows that were hidden before): the value is a baseline only.

Not visible to anybody, hence not flagged: an entry born and reset within one interval, and before PostgreSQL 17 the
reset of a single entry that caught up before the next reading with no lower minimum or higher maximum betraying it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import sub
from typing import Any

from meshag_tui.snapshot import STATEMENT_COUNTERS, Epoch, Statements
from meshag_tui.store.baselines import (
    BASELINE_COLUMNS,
    IS_FLOAT,
    NO_FLOAT,
    NO_INT,
    UNSEEN,
    Values,
    decode,
    encode,
    layout,
    measured,
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
)

_COUNTERS = len(STATEMENT_COUNTERS)
_AT = {name: position for position, name in enumerate(BASELINE_COLUMNS)}
_CALLS, _MIN, _MAX, _SINCE = _AT["calls"], _AT["min_time_ms"], _AT["max_time_ms"], _AT["stats_since"]
_IO_READ, _IO_WRITE = _AT["io_read_ms"], _AT["io_write_ms"]
_AT_ONCE = 1_000
"""Statements whose deltas are made together: enough to work by the column, few enough for the processor's cache."""
_STORED = tuple(_AT.get("total_time_ms" if name == "time_ms" else name) for name in DELTA_COLUMNS)  # None: io_time_ms


@dataclass(frozen=True, slots=True)
class StatementDeltas:
    """What the statements did since the last reading."""

    active: list[tuple[str, tuple[Any, ...]]]  # key, deltas in the order of DELTA_COLUMNS
    baselines: dict[str, str]  # new baselines by key: of new and changed statements only
    extremes: dict[str, tuple[float | None, float | None]]  # min and max time, ms, of the same statements
    vanished: list[str]  # known at the last reading, not on the server now: their baseline becomes ABSENT
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


def statements(
    previous: Reading | None, known: Mapping[str, str], read: Statements, reading: Reading
) -> StatementDeltas:
    """Deltas of statement counters.

    Args:
        previous: the last reading of statements, None at the first.
        known: baselines by key of the statements that were on the server then; `ABSENT` ones may be left out.
        read: the new rows.
        reading: the new reading, as `Reading.of` makes it.
    """
    tie = continuity(previous, reading.epoch)
    compared = previous is not None and tie.state not in ("first", "broken")
    losses = _Losses()
    baselines: dict[str, str] = {}
    extremes: dict[str, tuple[float | None, float | None]] = {}
    active: list[tuple[str, tuple[Any, ...]]] = []
    changed: list[tuple[str, Values, str]] = []  # with the baseline before
    fresh: list[tuple[str, Values]] = []
    matched = 0
    pick = layout(read.columns)
    for row in read.rows:
        values, baseline = encode(pick((*row, NO_INT, NO_FLOAT)))
        key = row[0]
        before = known.get(key)
        if before:
            matched += 1
            if before == baseline:
                continue
            if compared:
                changed.append((key, values, before))
                if len(changed) == _AT_ONCE and previous is not None:
                    active += _changes(changed, previous.observed_at, tie, losses)
                    changed = []
        else:
            fresh.append((key, values))
        baselines[key] = baseline
        low, high = values[_MIN], values[_MAX]
        extremes[key] = (low if low == low else None), (high if high == high else None)  # NaN is not measured
    vanished: list[str] = []
    if matched < len(known):
        present = {row[0] for row in read.rows}
        vanished = [key for key, baseline in known.items() if baseline and key not in present]
    if previous is None or not compared:
        return StatementDeltas([], baselines, extremes, vanished, tie.events, not tie.events, tie.state == "broken")

    same_view = previous.visibility == reading.visibility
    active += _changes(changed, previous.observed_at, tie, losses)
    active += _first_seen(fresh, previous, reading, same_view, losses)
    if not (same_view and reading.whole):
        # Out of view is not gone: the old baseline is kept, marked, and compared on return.
        baselines.update((key, UNSEEN + known[key]) for key in vanished if known[key][0] != UNSEEN)
        vanished = []
    events = (*tie.events, *_explain(previous, reading, losses, len(vanished), same_view, tie))
    return StatementDeltas(
        active=active,
        baselines=baselines,
        extremes=extremes,
        vanished=vanished,
        events=events,
        complete=all(each["kind"] in LOSSLESS for each in events),
        calls=sum(change[0] for _, change in active),
        time_ms=sum(change[1] for _, change in active) + _hidden_time(previous, reading, tie, same_view),
    )


def _changes(
    changed: Sequence[tuple[str, Values, str]], last_look: int, tie: Continuity, losses: _Losses
) -> list[tuple[str, tuple[Any, ...]]]:
    """Deltas of entries that were there at the last reading, a column at a time: most of them simply went on."""
    if not changed:
        return []
    before = decode(text for _, _, text in changed)
    new = list(zip(*(values for _, values, _ in changed), strict=True))
    old = list(zip(*before, strict=True))
    unmeasured = [None] * len(changed)
    columns = [_differences(n, o, is_float, unmeasured) for n, o, is_float in zip(new, old, IS_FLOAT, strict=True)]
    doubtful: set[int] = set()
    for column in columns[:_COUNTERS]:
        doubtful.update(_below_zero(column))
    if any(columns[_SINCE]):
        doubtful.update(number for number, moved in enumerate(columns[_SINCE]) if moved)
    # Within one life a minimum cannot rise nor a maximum fall, once there was a call.
    if max(filter(None, columns[_MIN]), default=0) > 0:
        doubtful.update(number for number, rise in enumerate(columns[_MIN]) if rise is not None and rise > 0)
    doubtful.update(_below_zero(columns[_MAX]))
    for number in [number for number, (_, _, text) in enumerate(changed) if text[0] == UNSEEN]:
        since = changed[number][1][_SINCE]
        losses.unproven += since == NO_INT or since != before[number][_SINCE]
    rows = _stored(columns, unmeasured)
    # Across a restart that kept the statistics a fall may also mean a copy of the server, with a past of its own.
    fall_proves = not tie.restarted or tie.state == "reset"
    if not doubtful:
        return [(entry[0], row) for entry, row in zip(changed, rows, strict=True) if any(row)]
    active = []
    for number, (key, values, _) in enumerate(changed):
        row: tuple[Any, ...] | None = rows[number]
        if number in doubtful:
            row = _doubtful(before[number], values, rows[number], last_look, fall_proves, losses)
        if row is not None and any(row):
            active.append((key, row))
    return active


def _doubtful(
    before: Values, values: Values, row: tuple[Any, ...], last_look: int, fall_proves: bool, losses: _Losses
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


def _first_seen(
    fresh: Sequence[tuple[str, Values]], previous: Reading, reading: Reading, same_view: bool, losses: _Losses
) -> list[tuple[str, tuple[Any, ...]]]:
    """Whole values of entries that are proved to have begun after the last reading."""
    absence_proves = same_view and previous.whole and reading.hidden >= previous.hidden
    active = []
    for key, values in fresh:
        since = values[_SINCE]
        if absence_proves if since == NO_INT else since >= previous.observed_at:
            row = _whole(values)
            if any(row):
                active.append((key, row))
        else:
            losses.unproven += 1
    return active


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
    elif losses.unproven:
        events.append(
            event("visibility", f"{losses.unproven} statements came into view with counts from before this interval")
        )
    if tie.state == "same" and losses.restarted and not evicted:
        events.append(event("decrease", f"{losses.restarted} statements began to count anew"))
    if tie.state == "same" and vanished and not evicted:
        why = "reset one by one" if new is not None else "evicted or reset"
        events.append(event("decrease", f"{vanished} statements disappeared: {why}"))
    return events


def _hidden_time(previous: Reading | None, reading: Reading, tie: Continuity, same_view: bool) -> float:
    """Time of rows the engine left out, ms: part of the server's total, though not ours to tell apart."""
    if previous is None or tie.state != "same" or not same_view or reading.whole != previous.whole:
        return 0.0
    return max(0.0, reading.hidden_time_ms - previous.hidden_time_ms)


def _differences(
    new: Sequence[Any], old: Sequence[Any], is_float: bool, unmeasured: Sequence[None]
) -> Sequence[int | float | None]:
    """The difference of one column, None where it was not measured; `unmeasured` itself where it nowhere was."""
    if is_float:
        if new.count(NO_FLOAT) == len(new):  # one object stands for them all
            return unmeasured
        if math.isnan(sum(new)) or math.isnan(sum(old)):
            return [None if n != n or o != o else n - o for n, o in zip(new, old, strict=True)]
    elif NO_INT in new or NO_INT in old:
        if new.count(NO_INT) == len(new):
            return unmeasured
        return [None if n == NO_INT or o == NO_INT else n - o for n, o in zip(new, old, strict=True)]
    if new == old:
        return [0.0 if is_float else 0] * len(new)
    return list(map(sub, new, old))


def _below_zero(column: Sequence[Any]) -> Iterator[int]:
    """Positions of negative values."""
    if any(column) and min(filter(None, column)) < 0:
        yield from (number for number, value in enumerate(column) if value is not None and value < 0)


def _stored(columns: Sequence[Sequence[Any]], unmeasured: Sequence[None]) -> list[tuple[Any, ...]]:
    """Rows in the order of `DELTA_COLUMNS` from columns in the order of `BASELINE_COLUMNS`."""
    io: Sequence[Any] = unmeasured
    if columns[_IO_READ] is not unmeasured or columns[_IO_WRITE] is not unmeasured:
        io = [_io(read, write) for read, write in zip(columns[_IO_READ], columns[_IO_WRITE], strict=True)]
    return list(zip(*(io if place is None else columns[place] for place in _STORED), strict=True))


def _whole(values: Values) -> tuple[Any, ...]:
    """One row in the order of `DELTA_COLUMNS` from cumulative values."""
    found = [measured(value) for value in values]
    io = _io(found[_IO_READ], found[_IO_WRITE])
    return tuple(io if place is None else found[place] for place in _STORED)


def _io(read: float | None, write: float | None) -> float | None:
    return read if write is None else write if read is None else read + write


# Tables and indexes


@dataclass(frozen=True, slots=True)
class ObjectDeltas:
    """What tables or indexes did: deltas by key (None per counter where unknown), of active ones only."""

    active: dict[str, dict[str, int | None]]
    fell: frozenset[str] = frozenset()  # keys whose counters fell
    survived: bool = False  # something that had counted still stands at exactly its old value: nothing zeroed them all


_LOOSE = frozenset({"blocks_read", "blocks_hit"})
"""Differences of two counters that are not read at one moment: they may fall by themselves."""


def objects(
    tie: Continuity,
    before: Mapping[str, Mapping[str, int | None]],
    now: Mapping[str, Mapping[str, int | None]],
    derived: Collection[str] = (),
    renewed: Collection[str] = (),
) -> ObjectDeltas:
    """Deltas of table or index counters.

    Counters of an object first seen are a baseline: an object may be missing from a reading because it was locked.

    Args:
        tie: how the two readings stand to each other.
        before: cumulative counters by key at the last reading.
        now: the same now.
        derived: keys whose counters are sums over partitions: they may fall when one is dropped, which means nothing.
        renewed: keys that began to count anew by themselves since (altered tables of MySQL): a fall there is their own.
    """
    if tie.state in ("first", "broken"):
        return ObjectDeltas({})
    active: dict[str, dict[str, int | None]] = {}
    fell: set[str] = set()
    survived = False
    for key, counters in now.items():
        old = before.get(key)
        if old is None:
            continue
        if old == counters:
            survived = survived or any(counters.values())
            continue
        change = {
            name: None if value is None or (was := old.get(name)) is None else value - was
            for name, value in counters.items()
        }
        fallen = {name for name, delta in change.items() if delta is not None and delta < 0}
        if fallen and fallen <= _LOOSE:
            change.update(dict.fromkeys(fallen))
        elif fallen:
            if key in derived:
                continue
            if key not in renewed:
                fell.add(key)
            if tie.restarted:
                continue  # it may be another node's counter: nothing ties it to this interval
            change = {name: None if old.get(name) is None else value for name, value in counters.items()}
        if any(change.values()):
            active[key] = change
    return ObjectDeltas(active, frozenset(fell), survived)


def observation_break(
    previous: Reading | None, epoch: Epoch, tie: Continuity, parts: Iterable[ObjectDeltas]
) -> Event | None:
    """Whether index use between the two readings may have been lost; the event that says why, else None.

    A crash zeroes table and index counters, and of all clocks only the statements' reset time shows it; the same time
    moves when somebody resets the statements alone. It was no crash if an object that had counted stands unchanged.
    A time that became known and lies before the last reading is that of the first count in a new database (up to 14).
    """
    if previous is None or tie.state == "first":
        return None
    if tie.state == "broken":
        return event("failover", "index use is observed anew")
    parts = tuple(parts)
    fell = sum(len(part.fell) for part in parts)
    if fell:
        return event("decrease", f"counters of {fell} tables and indexes fell: index use is observed anew")
    began = previous.epoch.objects_reset is None and (epoch.objects_reset or 0) <= previous.observed_at
    if epoch.objects_reset != previous.epoch.objects_reset and not began:
        return event("reset", "table and index counters were reset: index use is observed anew")
    # Where their own reset time is known, a crash would have moved it, or taken it away.
    if tie.state == "reset" and epoch.objects_reset is None and not any(part.survived for part in parts):
        return event("reset", "table and index counters may have been lost: index use is observed anew")
    return None
