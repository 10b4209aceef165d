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

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from meshag_tui.snapshot import STATEMENT_COUNTERS, STATEMENT_GAUGES, Epoch, Statements
from meshag_tui.store.readings import LOSSLESS, Continuity, Event, Reading, continuity, event

BASELINE_COLUMNS = STATEMENT_COUNTERS + STATEMENT_GAUGES
ABSENT = ""
"""Baseline of a statement that was not on the server at the last reading: its next value counts from zero."""
_UNSEEN = "?"
"""Begins the baseline of a statement that went out of view: it may have been dropped meanwhile, or not."""

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
    "tmp_disk_tables",
)

_COUNTERS = len(STATEMENT_COUNTERS)
_AT = {name: position for position, name in enumerate(BASELINE_COLUMNS)}
_MIN, _MAX, _SINCE = _AT["min_time_ms"], _AT["max_time_ms"], _AT["stats_since"]
_KEPT = tuple(_AT["total_time_ms" if name == "time_ms" else name] for name in DELTA_COLUMNS if name != "io_time_ms")
_IO = DELTA_COLUMNS.index("io_time_ms")
_IO_READ, _IO_WRITE = _AT["io_read_ms"], _AT["io_write_ms"]
_BEFORE_IO, _AFTER_IO = itemgetter(*_KEPT[:_IO]), itemgetter(*_KEPT[_IO:])
_FLOATS = frozenset({"total_time_ms", "plan_time_ms", "io_read_ms", "io_write_ms", "min_time_ms", "max_time_ms"})
_TYPES: tuple[Callable[[str], Any], ...] = tuple(float if name in _FLOATS else int for name in BASELINE_COLUMNS)
_TEXT = " ".join(["%s"] * len(BASELINE_COLUMNS))

Values = Sequence[Any]
"""Cumulative values, or deltas, of one statement in the order of `BASELINE_COLUMNS`; None is not measured."""


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
    pick = _layout(read.columns)
    losses = _Losses()
    active: list[tuple[str, tuple[Any, ...]]] = []
    baselines: dict[str, str] = {}
    extremes: dict[str, tuple[float | None, float | None]] = {}
    matched = 0
    first = tie.state in ("first", "broken")
    same_view = previous is not None and previous.visibility == reading.visibility
    absence_proves = same_view and previous is not None and previous.whole and reading.hidden >= previous.hidden
    last_look = previous.observed_at if previous is not None else 0
    # Across a restart that kept the statistics a fall may also mean a copy of the server, with a past of its own.
    fall_proves = not tie.restarted or tie.state == "reset"
    for row in read.rows:
        key = row[0]
        values = pick((*row, None))
        text = _TEXT % values
        before = known.get(key, ABSENT)
        if before:
            matched += 1
            if before == text:
                continue
        baselines[key] = text
        extremes[key] = values[_MIN], values[_MAX]
        if first:
            continue
        if before:
            if before[0] == _UNSEEN:
                before = before[1:]
                losses.unproven += values[_SINCE] is None or str(values[_SINCE]) != before.rsplit(" ", 1)[1]
            change = _known(decode(before), values, last_look, fall_proves, losses)
        elif (values[_SINCE] >= last_look) if values[_SINCE] is not None else absence_proves:
            change = list(values[:_COUNTERS])
        else:
            losses.unproven += 1
            continue
        if change is not None and any(change):
            active.append((key, _stored(change)))
    vanished: list[str] = []
    if matched < len(known):
        present = {row[0] for row in read.rows}
        vanished = [key for key, baseline in known.items() if baseline and key not in present]
    gone = vanished
    if not first and not (same_view and reading.whole):
        # Out of view is not gone: the old baseline is kept, marked, and compared on return.
        baselines.update((key, _UNSEEN + known[key]) for key in vanished if known[key][0] != _UNSEEN)
        gone = []
    events = list(tie.events)
    if previous is not None and not first:
        events += _explain(previous, reading, losses, len(gone), same_view, tie)
    return StatementDeltas(
        active=active,
        baselines=baselines,
        extremes=extremes,
        vanished=gone,
        events=tuple(events),
        complete=all(each["kind"] in LOSSLESS for each in events),
        broken=tie.state == "broken",
        calls=sum(change[0] for _, change in active),
        time_ms=sum(change[1] for _, change in active) + _hidden_time(previous, reading, tie, same_view),
    )


def _known(before: Values, values: Values, last_look: int, fall_proves: bool, losses: _Losses) -> list[Any] | None:
    """Deltas of an entry that was there at the last reading; None when nothing can be said of them."""
    since = values[_SINCE]
    change = [None if n is None or o is None else n - o for n, o in zip(values, before, strict=True)]
    if since is not None and before[_SINCE] is not None:
        new_life = since != before[_SINCE]
        proven = since >= last_look
    else:
        least, most = change[_MIN], change[_MAX]
        # Within one life a minimum cannot rise nor a maximum fall, once there was a call.
        new_life = bool(before[0]) and ((least is not None and least > 0) or (most is not None and most < 0))
        proven = fall_proves
    counters = change[:_COUNTERS]
    if not new_life:
        if min(filter(None, counters), default=0) >= 0:
            return counters
        proven = fall_proves
    losses.restarted += 1
    if not proven:
        return None
    # A counter that was not measured before is left alone: it may have counted from before this life.
    return [None if o is None else n for n, o in zip(values[:_COUNTERS], before, strict=False)]


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


def _stored(change: Sequence[Any]) -> tuple[Any, ...]:
    read, write = change[_IO_READ], change[_IO_WRITE]
    io = read if write is None else write if read is None else read + write
    calls, time_ms, *rest = _BEFORE_IO(change)
    return (calls or 0, time_ms or 0.0, *rest, io, *_AFTER_IO(change))


def _layout(columns: Sequence[str]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A getter of a row's values in the order of `BASELINE_COLUMNS` from (key, *values, None)."""
    places = {name: number for number, name in enumerate(columns, 1)}
    return itemgetter(*(places.get(name, len(columns) + 1) for name in BASELINE_COLUMNS))


def decode(baseline: str) -> list[Any]:
    """Cumulative values from a baseline's text, in the order of `BASELINE_COLUMNS`."""
    return [None if text == "None" else kind(text) for kind, text in zip(_TYPES, baseline.split(" "), strict=True)]


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
) -> ObjectDeltas:
    """Deltas of table or index counters.

    Counters of an object first seen are a baseline: an object may be missing from a reading because it was locked.

    Args:
        tie: how the two readings stand to each other.
        before: cumulative counters by key at the last reading.
        now: the same now.
        derived: keys whose counters are sums over partitions: they may fall when one is dropped, which means nothing.
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
    """
    if previous is None or tie.state == "first":
        return None
    if tie.state == "broken":
        return event("failover", "index use is observed anew")
    parts = tuple(parts)
    fell = sum(len(part.fell) for part in parts)
    if fell:
        return event("decrease", f"counters of {fell} tables and indexes fell: index use is observed anew")
    if epoch.objects_reset != previous.epoch.objects_reset:
        return event("reset", "table and index counters were reset: index use is observed anew")
    if tie.state == "reset" and not any(part.survived for part in parts):
        return event("reset", "table and index counters may have been lost: index use is observed anew")
    return None
