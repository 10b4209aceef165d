"""The statements of one sync: what they did since the last one, and what the next will compare with.

In: rows an engine read. Out: rows of `query_statistics`, new statements and texts, and the blocks of baselines that
changed. What is done for every statement is done by the column or by one SQL statement; loops are for the few.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from operator import itemgetter
from typing import Any

from meshag_tui.snapshot import Statements as StatementRows
from meshag_tui.snapshot import StatementText
from meshag_tui.store import baselines, bulk, deltas, models
from meshag_tui.store.baselines import Block
from meshag_tui.store.documents import clean
from meshag_tui.store.readings import Reading

_SETTLED = ("ok", "cut", "undecodable")
_TEXT = ("text_state", "fingerprint", "kind", "internal", "aside", "db_name", "db_user", "meaning")
_EXTREMES = ("min_time_ms", "max_time_ms")
_CHANGE = ("last_seen_at", "gone_at", *_EXTREMES)
_NEW_QUERY = ("connection_id", "key", *_EXTREMES, "first_seen_at", "last_seen_at", *_TEXT)
_UNREAD = ("unread", None, "other", False, None, None, None, None)
_UNREAD_ELSEWHERE = ("unread", None, "other", True, "elsewhere", None, None, None)
Alike = Sequence[tuple[int, int | None]]
"""Ids and meanings of statements."""


@dataclass(frozen=True, slots=True)
class Statements:
    """What the statements of a sync come to, before anything is written."""

    connection_id: str
    blocks: Sequence[Block]  # as the last sync left them
    last_end_at: int | None  # of the last interval, epoch ms: it may lie ahead where a clock was set back
    found: deltas.StatementDeltas
    elsewhere: frozenset[str]  # keys of those of other databases

    @property
    def active(self) -> int:
        """How many did something."""
        return sum(len(chunk.columns[0] or ()) for chunk in self.found.active)

    def write(self, interval_id: int, end_at: int, texts: Sequence[StatementText], alike: Alike, at: int) -> int:
        """Write it all, in five statements at most; returns how many statements are new.

        `end_at` is the end of the interval, and `at` when they were read, epoch ms. `alike` are the statements known
        before that have a fingerprint of one of `texts`.
        """
        found = self.found
        read = {text.key: _description(text) for text in texts}
        entered = _Entered()
        if found.fresh is not None:
            entered = _enter(self.connection_id, found.fresh, read, at, self.elsewhere)
        for chunk in found.active:
            if chunk.block is found.fresh and entered.block is not None:
                chunk.block = entered.block  # now with ids
        if found.active:
            _write_active(interval_id, found.active)
        ids = self._ids(entered) if texts else {}
        told = {ids[key]: read[key] for key in ids.keys() & read.keys()}
        known = {ids[key]: read[key] for key in ids.keys() & read.keys() - entered.new}
        hidden = {entered.ids[key] for key in entered.new & self.elsewhere}
        self._write_changes(entered, known, _not_alone(told, alike) | hidden, end_at, at)
        rows = [(ids[each.key], clean(each.text)) for each in texts if each.text is not None and each.key in ids]
        if rows:
            bulk.upsert("query_text", ("query_id", "text"), rows, key=("query_id",), update=("text",))
        self._write_blocks(entered.block)
        return len(entered.new)

    def _ids(self, entered: _Entered) -> dict[str, int]:
        return entered.ids | {
            key: query_id for block in self.blocks for key, query_id in zip(block.keys, block.ids, strict=True)
        }

    def _write_changes(
        self, entered: _Entered, texts: Mapping[int, tuple[Any, ...]], not_alone: Iterable[int], end_at: int, at: int
    ) -> None:
        """What is new of statements: when they were last seen or went, their extremes, what their texts say, and which
        are not alone any more.

        Those that went are gone at the end of the last interval that can have them.
        """
        found = self.found
        changes: dict[int, tuple[Any, ...]] = {}
        for chunk in found.active:
            changes.update(dict.fromkeys(chunk.ids(), (at, bulk.EMPTY, None, None)))
        changes.update(dict.fromkeys(found.seen, (at, bulk.EMPTY, None, None)))
        changes.update(dict.fromkeys(found.vanished, (None, max(end_at, self.last_end_at or end_at), None, None)))
        nothing = (None,) * len(_CHANGE)
        for query_id, low, high in found.extremes:
            changes[query_id] = (*changes.get(query_id, nothing)[:2], low, high)
        for query_id, low, high in entered.returned:
            changes[query_id] = (at, bulk.EMPTY, low, high)
        columns: tuple[str, ...] = _CHANGE
        for names, values in ((_TEXT, texts), (("alone",), dict.fromkeys(not_alone, (False,)))):
            if values:
                so_far, unsaid = (None,) * len(columns), (None,) * len(names)
                columns += names
                changes = {
                    query_id: (*changes.get(query_id, so_far), *values.get(query_id, unsaid))
                    for query_id in changes.keys() | values.keys()
                }
        if changes:
            # In the order of the table, which is also one order for all who lock its rows.
            rows = ((query_id, *changes[query_id]) for query_id in sorted(changes))
            bulk.update("query", ("id",), columns, rows, emptied=("gone_at",))

    def _write_blocks(self, fresh: Block | None) -> None:
        changed = {block.number: block for block in self.found.changed}
        if fresh is not None:
            now = [changed.get(block.number, block) for block in self.blocks]
            changed |= {block.number: block for block in baselines.place(now, fresh)}
        # A block that nothing is left of stays, and is the first to be filled again. Texts are made as it is written.
        rows = (
            (self.connection_id, block.number, block.statements_text(), block.counters_text())
            for block in changed.values()
        )
        columns = ("connection_id", "number", "statements", "counters")
        if changed:
            bulk.upsert("baseline", columns, rows, key=columns[:2], update=columns[2:])


@dataclass(frozen=True, slots=True)
class _Entered:
    """Statements that came into a reading: `block` has them with their ids, those of `returned` we knew from before."""

    block: Block | None = None
    ids: dict[str, int] = field(default_factory=dict)
    new: frozenset[str] = frozenset()
    returned: list[tuple[int, float | None, float | None]] = field(default_factory=list)  # id, min and max ms


def prepare(
    connection_id: str,
    last: Reading | None,
    blocks: Sequence[Block],
    last_end_at: int | None,
    rows: StatementRows,
    now: Reading,
) -> Statements:
    """Compare what was read with what the last sync left: its blocks, and the end of the last interval (epoch ms).

    The list of `rows` is empty afterwards.
    """
    return Statements(
        connection_id, blocks, last_end_at, deltas.statements(last, blocks, rows, now), rows.elsewhere or frozenset()
    )


def unread_texts(connection_id: str, keys: Iterable[str]) -> list[str]:
    """Those of `keys` whose text we do not have, in their order: never read, or not to be had when last asked for."""
    query = models.Query
    settled = (query.connection == connection_id) & query.text_state.in_(_SETTLED)
    have = {key for (key,) in models.database.execute(query.select(query.key).where(settled))}
    return [key for key in keys if key not in have]


def _enter(
    connection_id: str, fresh: Block, read: Mapping[str, tuple[Any, ...]], at: int, elsewhere: frozenset[str]
) -> _Entered:
    """Find the statements of no known block among those of before, and add the others."""
    lows, highs = (fresh.values(baselines.BASELINE_COLUMNS.index(name)) for name in _EXTREMES)

    def extremes() -> Iterator[tuple[str, float | None, float | None]]:
        for key, low, high in zip(fresh.keys, lows, highs, strict=True):
            yield key, baselines.measured(low), baselines.measured(high)

    # They are in the order of the index they go into.
    rows = (
        (connection_id, key, low, high, at, at, *read.get(key, _UNREAD_ELSEWHERE if key in elsewhere else _UNREAD))
        for key, low, high in extremes()
    )
    ids, before = dict.fromkeys(fresh.keys, 0), set()
    for key, query_id, first_seen_at in bulk.enter(
        "query", _NEW_QUERY[:2], _NEW_QUERY, rows, ("key", "id", "first_seen_at")
    ):
        ids[key] = query_id
        if first_seen_at != at:
            before.add(key)
    new = frozenset(key for key in fresh.keys if key not in before)
    block = replace(fresh, ids=[ids[key] for key in fresh.keys])
    return _Entered(block, ids, new, [(ids[key], low, high) for key, low, high in extremes() if key in before])


def _write_active(interval_id: int, active: Sequence[deltas.Chunk]) -> None:
    """Deltas, without the columns that none of them has: most servers count half of them."""
    columns = [
        number
        for number in range(len(deltas.DELTA_COLUMNS))
        if any(each.columns[number] is not None for each in active)
    ]

    def rows() -> Iterator[tuple[Any, ...]]:
        """About as they lie in the table, and made as they are written: all of them at once take much memory."""
        for chunk in sorted(active, key=lambda each: min(each.ids(), default=0)):
            values = (repeat(None) if (column := chunk.columns[number]) is None else column for number in columns)
            yield from sorted(zip(repeat(interval_id), chunk.ids(), *values, strict=False), key=itemgetter(1))

    names = (deltas.DELTA_COLUMNS[number] for number in columns)
    bulk.insert("query_statistics", ("interval_id", "query_id", *names), rows())


def _description(text: StatementText) -> tuple[Any, ...]:
    name, user = (None if value is None else clean(value) for value in (text.database, text.user))
    meaning = _meaning(text.fingerprint, user, name)
    return (text.state, text.fingerprint, text.kind, text.aside is not None, text.aside, name, user, meaning)


def _not_alone(told: Mapping[int, tuple[Any, ...]], alike: Alike) -> set[int]:
    """Ids of the statements that are internal, or mean the same as another, by what was just `told` of some by their
    texts, and of those `alike`.

    One that is left when the others are forgotten stays marked: merged with none it has the same figures.
    """
    meanings = {query_id: each[_TEXT.index("meaning")] for query_id, each in told.items()}
    found = {query_id for query_id, each in told.items() if each[_TEXT.index("internal")]}
    first: dict[int, int] = {}
    for query_id, meaning in (*meanings.items(), *alike):
        if meaning is not None and (other := first.setdefault(meaning, query_id)) != query_id:
            found |= {query_id, other}
    return found


def _meaning(*identity: str | None) -> int | None:
    """The number of a fingerprint, a user and a database: it may not change, for stores are full of it."""
    if identity[0] is None:
        return None
    digest = hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
