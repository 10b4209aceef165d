"""Where a table's primary key is cut, so that rows from all over it can be asked for, each piece by the key alone.

In: the least and the greatest value of the key's first column. Out: values between them. Numbers and times are cut
evenly. Texts and bytes are cut behind what both ends begin with, by the next three signs, evenly among the digits or
letters that stand there. In which order a server keeps texts only it knows (by its collation; a UUID by its first part
or its last), and how rows are spread between cuts: it is asked for the first key behind each, see `copying.begins`.
"""

from __future__ import annotations

import bisect
import datetime
import string
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

_SIGNS = 3
_ALPHABETS = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.digits + string.ascii_uppercase,
    string.digits + string.ascii_lowercase,
    string.digits + string.ascii_uppercase + string.ascii_lowercase,
)
_BYTES = "".join(map(chr, range(256)))


def numbers(low: int, high: int, pieces: int) -> list[int]:
    """The cuts between whole numbers, in at most so many pieces."""
    many = max(1, min(pieces, high - low + 1))
    return [low + (high + 1 - low) * at // many for at in range(1, many)]


def evenly(low: Any, high: Any, pieces: int) -> Sequence[Any]:
    """The cuts between decimal numbers, dates or times; none where an end is no such value, as a date of zeros."""
    if isinstance(low, float) and isinstance(high, float):
        low, high = Decimal(low), Decimal(high)
    if type(low) is not type(high) or not isinstance(low, Decimal | datetime.date | datetime.timedelta):
        return []
    return sorted({low + (high - low) * at / pieces for at in range(1, pieces)})


def texts(low: str, high: str, pieces: int) -> list[str]:
    """The cuts between texts."""
    begin = low[: _alike(low, high)]
    rests = low[len(begin) :][:_SIGNS], high[len(begin) :][:_SIGNS]
    used = set("".join(rests)) - set("-_")
    signs = next((each for each in _ALPHABETS if used <= set(each)), _ALPHABETS[-1])
    if signs == _ALPHABETS[-1] and rests[0] > rests[1]:  # it knows no difference of cases
        rests = "", signs[-1] * _SIGNS
    return [begin + each for each in _between(*rests, signs, pieces)]


def uuids(low: str, high: str, pieces: int) -> list[str]:
    """The cuts between UUIDs: by version a server keeps them by their first part or by their last one, so by both."""
    starts = texts(low[:8], high[:8], pieces) or [low[:8]]
    many = len(starts)
    return [
        f"{start.ljust(8, '0')}-0000-{low[14:15]}000-8000-{at * 4096 // (many + 1):03x}000000000"
        for at, start in enumerate(starts, 1)
    ]


def octets(low: bytes, high: bytes, pieces: int) -> list[bytes]:
    """The cuts between bytes."""
    begin = low[: _alike(low, high)]
    first, last = (one[len(begin) :][:_SIGNS].decode("latin-1") for one in (low, high))
    return [begin + each.encode("latin-1") for each in _between(first, last, _BYTES, pieces)]


def _alike(one: str | bytes, other: str | bytes) -> int:
    """How many signs both begin with."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (mine, theirs) in enumerate(pairs) if mine != theirs), min(len(one), len(other)))


def _between(low: str, high: str, signs: str, pieces: int) -> list[str]:
    first, last = (_number(rest, signs) for rest in (low, high))
    many = max(1, min(pieces, last - first))
    return [_text(first + (last - first) * at // many, signs) for at in range(1, many)]


def _number(rest: str, signs: str) -> int:
    """The place of a text among all of so many signs; a sign that is not among them is the next that is."""
    found = 0
    for at in range(_SIGNS):
        place = bisect.bisect_left(signs, rest[at]) if at < len(rest) else 0
        found = found * len(signs) + min(place, len(signs) - 1)
    return found


def _text(number: int, signs: str) -> str:
    made = ""
    for _ in range(_SIGNS):
        number, place = divmod(number, len(signs))
        made = signs[place] + made
    return made
