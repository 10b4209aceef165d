"""The baseline of a statement: its last cumulative counters as a short text, quick to make, compare and read back.

Equal texts are equal counters: an idle statement is known by its text alone. The text is the base64 of the values in
the order of `BASELINE_COLUMNS`, 64 bits each; what was not measured has a value of its own.
"""

from __future__ import annotations

import math
import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

from meshag_tui.snapshot import STATEMENT_COUNTERS, STATEMENT_GAUGES

BASELINE_COLUMNS = STATEMENT_COUNTERS + STATEMENT_GAUGES
ABSENT = ""
"""Baseline of a statement that was not on the server at the last reading: its next value counts from zero."""
UNSEEN = "?"
"""Begins the baseline of a statement that went out of view: it may have been dropped meanwhile, or not."""
NO_INT, NO_FLOAT = 2**64 - 1, math.nan
"""What stands for a value that was not measured."""

_FLOATS = frozenset({"total_time_ms", "plan_time_ms", "io_read_ms", "io_write_ms", "min_time_ms", "max_time_ms"})
IS_FLOAT = tuple(name in _FLOATS for name in BASELINE_COLUMNS)
_PACKED = struct.Struct("<" + "".join("d" if each else "Q" for each in IS_FLOAT))
_pack, _unpack = _PACKED.pack, _PACKED.unpack

Values = Sequence[Any]
"""Cumulative values of one statement in the order of `BASELINE_COLUMNS`, NO_INT or NO_FLOAT where not measured."""


def layout(columns: Sequence[str]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A getter of a row's values in the order of `BASELINE_COLUMNS` from (key, *values, NO_INT, NO_FLOAT)."""
    places = {name: number for number, name in enumerate(columns, 1)}
    no_int, no_float = len(columns) + 1, len(columns) + 2
    return itemgetter(*(places.get(name, no_float if name in _FLOATS else no_int) for name in BASELINE_COLUMNS))


def encode(values: Values) -> tuple[Values, str]:
    """The values, mended where they could not be kept as they were, and their text."""
    try:
        packed = _pack(*values)
    except struct.error:
        values = _mended(values)
        packed = _pack(*values)
    return values, b2a_base64(packed, newline=False).decode("ascii")


def decode(baselines: Iterable[str]) -> list[Values]:
    """The values of texts, marked as unseen or not: the mark is no letter of base64, which skips what is none."""
    return list(map(_unpack, map(a2b_base64, baselines)))


def measured(value: Any) -> Any:
    """The value, None if it was not measured."""
    return None if value == NO_INT or value != value else value


def _mended(values: Values) -> Values:
    """Values as they can be packed: what is None, negative or beyond 64 bits was not measured."""
    mended: list[Any] = []
    for value, is_float in zip(values, IS_FLOAT, strict=True):
        if is_float:
            mended.append(NO_FLOAT if value is None else float(value))
        else:
            mended.append(NO_INT if value is None or not 0 <= value < NO_INT else int(value))
    return mended
