"""The activity log's chain: what seals an entry, what appends to it, and what finds an entry that is not as it was.

Each entry has the hash of the one before and one of its own, over that and all it says; numbers follow each other, and
the store remembers the last. So an entry that was altered, taken out, put in or moved is found and named, also the last
one. Several processes append one after the other: on PostgreSQL they wait for the row that remembers the end.

This shows what was done to single rows, by a mistake or by somebody in a hurry. Whoever may write the store can write
the whole log anew: who must rule that out keeps the end's hash elsewhere, and has `verify` look for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from meshag_tui.store import database, models

HEAD = "activity.head"
_SAID = ("id", "at", "actor", "kind", "about", "subject", "message", "details", "origin")
_AT_ONCE = 5_000
_MOST_FAULTS = 100


class Fault(NamedTuple):
    """What is not as it was written. `entry` is the first that it is about."""

    entry: int
    what: str


class Verdict(NamedTuple):
    """What was found. `head` is the last entry's hash; at most 100 faults are named."""

    entries: int
    head: str
    faults: tuple[Fault, ...]

    @property
    def whole(self) -> bool:
        return not self.faults


def append(drafts: Sequence[Mapping[str, Any]]) -> None:
    """Append entries in one transaction; each says actor, kind, about, subject, message, details, and may say the
    rest: `at` (epoch ms, else now) and `origin`."""
    activity, setting = models.Activity, models.Setting
    with database.atomic():
        head, now = _head(lock=True)
        before, rows = str(head["hash"]), []
        for number, draft in enumerate(drafts, int(head["id"]) + 1):
            row = {"at": now, "origin": None, **draft, "id": number, "connection": draft["about"]}
            row |= {"prev_hash": before, "hash": seal(row, before)}
            before = row["hash"]
            rows.append(row)
        for first in range(0, len(rows), 500):
            activity.insert_many(rows[first : first + 500]).execute()
        end = {"id": int(head["id"]) + len(rows), "hash": before}
        setting.update(value=end).where(setting.key == HEAD).execute()


def verify(known: str | None = None) -> Verdict:
    """Read the whole log and compare; `known` is the hash of an end of before that must be in it."""
    head, _ = _head()
    found, faults = _walked(_entries(int(head["id"])))
    if head["id"] and not models.Setting.select().where(models.Setting.key == HEAD).exists():
        faults.append(Fault(int(head["id"]), "what the end was is not remembered: entries may be missing there"))
    last, before = found
    if last < head["id"]:
        faults.append(Fault(last + 1, f"{_span(last + 1, int(head['id']))} missing at the end"))
    elif before != head["hash"]:
        faults.append(Fault(last, f"entry {last} is not the one that was written last"))
    activity = models.Activity
    now, _ = _head()
    behind: Any = activity.select(activity.id).where(activity.id > now["id"]).limit(_MOST_FAULTS).tuples()
    faults += [Fault(number, f"entry {number} was put in behind the end") for (number,) in behind]
    if known is not None and not activity.select().where(activity.hash == known).exists():
        faults.append(Fault(1, f"no entry has the hash {known}: the log was written anew"))
    count = activity.select().where(activity.id <= head["id"]).count()
    return Verdict(count, str(head["hash"]), tuple(faults[:_MOST_FAULTS]))


def verify_entries(entries: Iterable[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """The same for entries that are not in this store, in their order; they may begin in the middle of a log."""
    return tuple(_walked(iter(entries), begun=False)[1][:_MOST_FAULTS])


def seal(entry: Mapping[str, Any], before: str) -> str:
    """The hash of an entry that follows one with the hash `before` ("" for the first)."""
    text = json.dumps([before, *(_even(entry[name]) for name in _SAID)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _even(value: Any) -> Any:
    """Numbers as either database gives them back: PostgreSQL makes 1e3 to 1000, and 1.0 stays what it was."""
    if isinstance(value, Mapping):
        return {str(key): _even(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_even(each) for each in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value) if abs(value) < 2**53 and int(value) == value else float(value)
    return value


def _head(lock: bool = False) -> tuple[Mapping[str, Any], int]:
    """The end of the log and the store's clock. `lock`: nobody else appends until the transaction ends."""
    setting = models.Setting
    query = setting.select(setting.value, database.clock()).where(setting.key == HEAD)
    if lock and database.kind() == "postgresql":
        query = query.for_update()
    found: Any = query.tuples().first()
    if found is None:  # a new store, or one whose settings were emptied: the end is what is last
        activity = models.Activity
        last: Any = activity.select(activity.id, activity.hash).order_by(activity.id.desc()).tuples().first()
        known = {"id": 0, "hash": ""} if last is None else {"id": last[0], "hash": last[1] or ""}
        if not lock:
            return known, database.now_ms()
        setting.insert(key=HEAD, value=known).on_conflict_ignore().execute()
        return _head(lock)
    return found[0], int(found[1])


def _entries(until: int) -> Iterator[Mapping[str, Any]]:
    activity = models.Activity
    last = 0
    while True:
        query = activity.select().where((activity.id > last) & (activity.id <= until)).order_by(activity.id)
        rows: Any = list(query.limit(_AT_ONCE).dicts())
        if not rows:
            return
        yield from rows
        last = rows[-1]["id"]


def _walked(entries: Iterator[Mapping[str, Any]], begun: bool = True) -> tuple[tuple[int, str], list[Fault]]:
    """The last entry's number and hash, and what is wrong on the way. `begun`: the first entry must be the log's."""
    last, before, faults = 0, "", []
    for entry in entries:
        number = int(entry["id"])
        given = entry["prev_hash"]
        if given is None or entry["hash"] is None:
            faults.append(Fault(number, f"entry {number} was put in past the log"))
            continue
        if begun and given != before:
            gap = number > last + 1
            faults.append(Fault(last + 1 if gap else number, _broken(last, number)))
        if seal(entry, given) != entry["hash"]:
            faults.append(Fault(number, f"entry {number} is not as it was written"))
        last, before, begun = number, str(entry["hash"]), True
    return (last, before), faults


def _broken(last: int, number: int) -> str:
    if number > last + 1:
        return f"{_span(last + 1, number - 1)} missing"
    return f"entry {number} does not follow entry {last} as that is now"


def _span(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
