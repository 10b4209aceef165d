"""The statements of one sync: what they did since the last one, and what the next will compare with.

In: rows an engine read. Out: rows of `query_statistics`, new statements and texts, and the blocks of baselines that
changed. What is done for every statement is done by the column or by one SQL statement; loops are for the few.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from operator import itemgetter
from typing import Any

from meshag_tui.snapshot import Statements as StatementRows
from meshag_tui.snapshot import StatementText
from meshag_tui.store import baselines, bulk, database, deltas, models
from meshag_tui.store.baselines import Block
from meshag_tui.store.documents import clean
from meshag_tui.store.models import LEVELS
from meshag_tui.store.readings import Reading

_SETTLED = ("ok", "cut", "undecodable")
_TEXT = ("text_state", "fingerprint", "kind", "internal", "db_name", "db_user")
_EXTREMES = ("min_time_ms", "max_time_ms")
_NEW_QUERY = ("connection_id", "key", *_EXTREMES, "first_seen_at", "last_seen_at", *_TEXT)
_UNREAD = ("unread", None, "other", False, None, None)


@dataclass(frozen=True, slots=True)
class Statements:
    """What the statements of a sync come to, before anything is written."""

    connection_id: str
    blocks: Sequence[Block]  # as the last sync left them
    found: deltas.StatementDeltas

    @property
    def active(self) -> int:
        """How many did something."""
        return sum(len(chunk.columns[0] or ()) for chunk in self.found.active)

    def write(self, interval_id: int, texts: Sequence[StatementText], at: int) -> int:
        """Write it all; returns how many statements are new. `at` is when they were read, epoch ms."""
        found = self.found
        read = {text.key: _description(text) for text in texts}
        entered = _Entered() if found.fresh is None else _enter(self.connection_id, found.fresh, read, at)
        for chunk in found.active:
            if chunk.block is found.fresh and entered.block is not None:
                chunk.block = entered.block  # now with ids
        if found.active:
            _write_active(interval_id, found.active)
        seen = found.seen + [query_id for query_id, _, _ in entered.returned]
        if found.active or seen:
            _write_seen(interval_id, seen, at)
        if found.extremes or entered.returned:
            bulk.update("query", ("id",), _EXTREMES, found.extremes + entered.returned, none_keeps=True)
        if found.vanished:
            _write_gone(self.connection_id, found.vanished)
        if texts:
            self._write_texts(texts, read, entered)
        self._write_blocks(entered.block)
        return len(entered.new)

    def _write_texts(
        self, texts: Sequence[StatementText], read: Mapping[str, tuple[Any, ...]], entered: _Entered
    ) -> None:
        """Texts, and what they say of statements that were known without."""
        ids = entered.ids | {
            key: query_id for block in self.blocks for key, query_id in zip(block.keys, block.ids, strict=True)
        }
        known = sorted((ids[key], *read[key]) for key in ids.keys() & read.keys() - entered.new)
        if known:
            bulk.update("query", ("id",), _TEXT, known, none_keeps=True)
        rows = [(ids[each.key], clean(each.text)) for each in texts if each.text is not None and each.key in ids]
        if rows:
            bulk.upsert("query_text", ("query_id", "text"), rows, key=("query_id",), update=("text",))

    def _write_blocks(self, fresh: Block | None) -> None:
        changed = {block.number: block for block in self.found.changed}
        if fresh is not None:
            now = [changed.get(block.number, block) for block in self.blocks]
            changed |= {block.number: block for block in baselines.place(now, fresh)}
        row = models.Baseline
        empty = [number for number, block in changed.items() if not len(block)]
        if empty:
            row.delete().where((row.connection == self.connection_id) & row.number.in_(empty)).execute()
        rows = [
            (self.connection_id, block.number, block.statements_text(), block.counters_text())
            for block in changed.values()
            if len(block)
        ]
        columns = ("connection_id", "number", "statements", "counters")
        if rows:
            bulk.upsert("baseline", columns, rows, key=columns[:2], update=columns[2:])


@dataclass(frozen=True, slots=True)
class _Entered:
    """Statements that came into a reading: `block` has them with their ids, those of `returned` we knew from before."""

    block: Block | None = None
    ids: dict[str, int] = field(default_factory=dict)
    new: frozenset[str] = frozenset()
    returned: list[tuple[int, float | None, float | None]] = field(default_factory=list)  # id, min and max ms


def prepare(connection_id: str, last: Reading | None, rows: StatementRows, now: Reading) -> Statements:
    """Compare what was read with what the last sync left."""
    row = models.Baseline
    kept = row.select(row.number, row.statements, row.counters).where(row.connection == connection_id)
    blocks = [Block.from_texts(*each) for each in models.database.execute(kept.order_by(row.number)).fetchall()]
    return Statements(connection_id, blocks, deltas.statements(last, blocks, rows, now))


def unread_texts(connection_id: str, keys: Iterable[str]) -> list[str]:
    """Those of `keys` whose text we do not have, in their order: never read, or not to be had when last asked for."""
    query = models.Query
    settled = (query.connection == connection_id) & query.text_state.in_(_SETTLED)
    have = {key for (key,) in models.database.execute(query.select(query.key).where(settled))}
    return [key for key in keys if key not in have]


def _enter(connection_id: str, fresh: Block, read: Mapping[str, tuple[Any, ...]], at: int) -> _Entered:
    """Find the statements of no known block among those of before, and add the others."""
    lows, highs = (fresh.values(baselines.BASELINE_COLUMNS.index(name)) for name in _EXTREMES)
    extremes = {
        key: (baselines.measured(low), baselines.measured(high))
        for key, low, high in zip(fresh.keys, lows, highs, strict=True)
    }
    known = _ids(connection_id, fresh.keys)
    new = [key for key in fresh.keys if key not in known]  # they are in the order of the index they go into
    if new:
        rows = ((connection_id, key, *extremes[key], at, at, *read.get(key, _UNREAD)) for key in new)
        bulk.insert("query", _NEW_QUERY, rows)
    ids = known | (_ids(connection_id, new) if new else {})
    block = replace(fresh, ids=[ids[key] for key in fresh.keys])
    return _Entered(block, ids, frozenset(new), [(query_id, *extremes[key]) for key, query_id in known.items()])


def _ids(connection_id: str, keys: Sequence[str]) -> dict[str, int]:
    """Ids of those of a connection's statements that we know."""
    sqlite = database.kind() == "sqlite"
    condition = "key IN (SELECT value FROM json_each(?))" if sqlite else "key = ANY (%s::text[])"
    wanted: Any = json.dumps(list(keys)) if sqlite else list(keys)
    mark = models.database.param
    statement = f"SELECT key, id FROM query WHERE connection_id = {mark} AND {condition}"  # noqa: S608
    return dict(models.database.execute_sql(statement, (connection_id, wanted)).fetchall())


def _write_active(interval_id: int, active: Sequence[deltas.Chunk]) -> None:
    """Deltas, without the columns that none of them has: most servers count half of them."""
    columns = [
        number
        for number in range(len(deltas.DELTA_COLUMNS))
        if any(each.columns[number] is not None for each in active)
    ]
    rows: list[tuple[Any, ...]] = []
    for chunk in active:
        values = (repeat(None) if (column := chunk.columns[number]) is None else column for number in columns)
        rows += zip(repeat(interval_id), chunk.ids(), *values)
    rows.sort(key=itemgetter(1))  # as they lie in the table
    names = (deltas.DELTA_COLUMNS[number] for number in columns)
    bulk.insert("query_statistics", ("interval_id", "query_id", *names), rows)


def _write_seen(interval_id: int, others: Sequence[int], at: int) -> None:
    """Note when those were last seen that have deltas in the interval, and others."""
    mark = models.database.param
    sqlite = database.kind() == "sqlite"
    listed = "SELECT value FROM json_each(?)" if sqlite else "SELECT unnest(%s::int4[])"
    models.database.execute_sql(
        f"UPDATE query SET last_seen_at = {mark}, gone_at = NULL WHERE id IN ("  # noqa: S608
        f"SELECT query_id FROM query_statistics WHERE interval_id = {mark} UNION ALL {listed})",
        (at, interval_id, json.dumps(others) if sqlite else others),
    )


def _write_gone(connection_id: str, ids: Sequence[int]) -> None:
    """Note that statements are not on the server any more, at the end of the last interval that can have them.

    That is the latest, which lies ahead where a clock was set back since.
    """
    mark = models.database.param
    sqlite = database.kind() == "sqlite"
    levels = ", ".join(map(str, LEVELS))  # all of them: named so that the index serves the search for the last
    chosen = "IN (SELECT value FROM json_each(?))" if sqlite else "= ANY (%s::int4[])"
    models.database.execute_sql(
        f'UPDATE query SET gone_at = (SELECT MAX(end_at) FROM "interval" WHERE connection_id = {mark} '  # noqa: S608
        f"AND resolution_s IN ({levels})) WHERE id {chosen}",
        (connection_id, json.dumps(ids) if sqlite else ids),
    )


def _description(text: StatementText) -> tuple[Any, ...]:
    return (
        text.state,
        text.fingerprint,
        text.kind,
        text.internal,
        None if text.database is None else clean(text.database),
        None if text.user is None else clean(text.user),
    )
