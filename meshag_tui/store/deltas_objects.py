"""What tables and indexes did between two readings, and whether their use may have been lost from sight. Pure.

In: how the readings stand to each other, and cumulative counters by object. Out: deltas of what was active.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from meshag_tui.snapshot import Epoch
from meshag_tui.store.readings import Continuity, Event, Reading, event


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
