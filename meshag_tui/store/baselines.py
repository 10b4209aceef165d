"""The baselines of statements: their last cumulative counters, in blocks of some hundred statements, by the column.

A sync reads them all and, where much runs, writes them all back. So they are kept as it works with them: a whole column
of a block at a time, 64 bits a value. Equal bytes are equal counters: idle statements are known by their bytes alone.
What was not measured has a value of its own, and a column that was measured nowhere takes no room. Pure.
"""

from __future__ import annotations

import json
import math
import sys
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

from meshag_tui.snapshot import LOCK_TIME, STATEMENT_COUNTERS, STATEMENT_GAUGES, TIME_SQUARES

BASELINE_COLUMNS = (*STATEMENT_COUNTERS, *STATEMENT_GAUGES, TIME_SQUARES, LOCK_TIME)
"""In the order they are stored by: another one goes to the end."""
NO_INT, NO_FLOAT = 2**64 - 1, math.nan
"""What stands for a value that was not measured."""
SIZE = 256
"""Statements of a full block: enough to work by the column, few enough to leave most blocks alone where little runs."""

_FLOATS = frozenset(
    {
        "total_time_ms",
        "plan_time_ms",
        "io_read_ms",
        "io_write_ms",
        "min_time_ms",
        "max_time_ms",
        TIME_SQUARES,
        LOCK_TIME,
    }
)
IS_FLOAT = tuple(name in _FLOATS for name in BASELINE_COLUMNS)
_BYTES = 8
_NOTHING = {
    is_float: array("d" if is_float else "Q", [NO_FLOAT if is_float else NO_INT]).tobytes() for is_float in (0, 1)
}


@dataclass(frozen=True, slots=True)
class Block:
    """Statements the last reading saw, or could not see though they may still be there, and their counters."""

    number: int  # of those of a connection
    ids: Sequence[int]
    keys: Sequence[str]
    columns: Sequence[bytes]  # in the order of `BASELINE_COLUMNS`; empty where it was measured nowhere
    unseen: frozenset[int] = frozenset()  # places of those that went out of view: they may have been dropped, or not

    def __len__(self) -> int:
        return len(self.keys)

    def values(self, column: int) -> Sequence[Any]:
        """The values of a column, NO_INT or NO_FLOAT where not measured."""
        return unpack(self.columns[column], IS_FLOAT[column], len(self))

    def row(self, place: int) -> tuple[Any, ...]:
        """The values of one statement."""
        return tuple(
            unpack(data[place * _BYTES : (place + 1) * _BYTES], is_float, 1)[0]
            for data, is_float in zip(self.columns, IS_FLOAT, strict=True)
        )

    def sliced(self, start: int, stop: int) -> Block:
        """The statements from `start` to before `stop`, all of them seen."""
        columns = [data[start * _BYTES : stop * _BYTES] for data in self.columns]
        return Block(self.number, self.ids[start:stop], self.keys[start:stop], columns)

    def without(self, places: Iterable[int]) -> Block:
        """The block when these statements are taken out of it."""
        out = set(places)
        kept = [place not in out for place in range(len(self))]
        moved = {old: new for new, old in enumerate(compress(range(len(self)), kept))}
        columns = [array("Q", compress(_words(data), kept)).tobytes() if data else b"" for data in self.columns]
        unseen = frozenset(moved[place] for place in self.unseen - out)
        return Block(self.number, list(compress(self.ids, kept)), list(compress(self.keys, kept)), columns, unseen)

    def joined(self, other: Block) -> Block:
        """The block with the statements of another, all of them seen, after its own."""
        columns = []
        for mine, its, is_float in zip(self.columns, other.columns, IS_FLOAT, strict=True):
            if mine or its:
                nothing = _NOTHING[is_float]
                columns.append((mine or nothing * len(self)) + (its or nothing * len(other)))
            else:
                columns.append(b"")
        return replace(self, ids=[*self.ids, *other.ids], keys=[*self.keys, *other.keys], columns=columns)

    def statements_text(self) -> str:
        """Which statements they are, as it is stored: no NUL and no half of a pair is left in it."""
        return json.dumps([list(self.ids), list(self.keys), sorted(self.unseen)], separators=(",", ":"))

    def counters_text(self) -> str:
        """Their counters, as they are stored."""
        present = sum(1 << column for column, data in enumerate(self.columns) if data)
        packed = b"".join((present.to_bytes(_BYTES, "little"), *self.columns))
        return b2a_base64(packed, newline=False).decode("ascii")

    @classmethod
    def from_texts(cls, number: int, statements: str, counters: str) -> Block:
        """The block of what `statements_text` and `counters_text` made of it."""
        ids, keys, unseen = json.loads(statements)
        packed = a2b_base64(counters)
        present = int.from_bytes(packed[:_BYTES], "little")
        width, at = len(keys) * _BYTES, _BYTES
        columns = []
        for column in range(len(BASELINE_COLUMNS)):
            if present >> column & 1:
                columns.append(packed[at : at + width])
                at += width
            else:
                columns.append(b"")
        return cls(number, ids, keys, columns, frozenset(unseen))


def pack(values: Sequence[Any], is_float: bool) -> tuple[Sequence[Any], bytes]:
    """The values of a column, mended where they could not be kept as they were, and their bytes."""
    kind = "d" if is_float else "Q"
    try:
        packed = array(kind, values)
    except (TypeError, OverflowError):
        values = [_mended(value, is_float) for value in values]
        packed = array(kind, values)
    if sys.byteorder == "big":
        packed.byteswap()
    data, nothing = packed.tobytes(), _NOTHING[is_float]
    return values, b"" if data[:_BYTES] == nothing and data == nothing * len(values) else data


def unpack(data: bytes, is_float: bool, count: int) -> Sequence[Any]:
    """The values of a column of `count` from its bytes."""
    if not data:
        return [NO_FLOAT if is_float else NO_INT] * count
    values = array("d" if is_float else "Q", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def has_holes(values: Sequence[Any], data: bytes, is_float: bool) -> bool:
    """Whether some of a column's values were not measured; now and then also if they all were."""
    return math.isnan(sum(values)) if is_float else _NOTHING[False] in data


def measured(value: Any) -> Any:
    """The value, None if it was not measured."""
    return None if value == NO_INT or value != value else value


def place(blocks: Iterable[Block], fresh: Block) -> list[Block]:
    """Take statements in: the blocks of a connection that change by it, new ones among them."""
    changed, taken, last = [], 0, 0
    for block in sorted(blocks, key=len):
        last = max(last, block.number)
        room = SIZE - len(block)
        if room > SIZE // 4 and taken < len(fresh):
            changed.append(block.joined(fresh.sliced(taken, taken + room)))
            taken += room
    for number, start in enumerate(range(taken, len(fresh), SIZE), last + 1):
        changed.append(replace(fresh.sliced(start, start + SIZE), number=number))
    return changed


def _words(data: bytes) -> memoryview:
    return memoryview(data).cast("Q")


def _mended(value: Any, is_float: bool) -> Any:
    """A value as it can be packed: what is None, negative or beyond 64 bits was not measured."""
    if is_float:
        return NO_FLOAT if value is None else float(value)
    return NO_INT if value is None or not 0 <= value < NO_INT else int(value)
