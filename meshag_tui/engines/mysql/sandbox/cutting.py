"""Where a table's primary key is cut, so that rows from all over it can be asked for, each piece by the key alone.

In: the least and the greatest value of the key's first column. Out: values between them, ascending. Whole numbers are
cut evenly. Texts and bytes are cut behind what all begin with, by the next three signs, evenly among the digits or
letters that stand there: of one case, so that the cuts ascend in every collation; of both there is no cut. How rows
are spread between cuts is not known: pieces may hold more or fewer.
"""

from __future__ import annotations

import bisect
import string

_SIGNS = 3
_ALPHABETS = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.digits + string.ascii_uppercase,
    string.digits + string.ascii_lowercase,
)
_BYTES = "".join(map(chr, range(256)))


def numbers(low: int, high: int, pieces: int) -> list[int]:
    """The cuts between whole numbers, in at most so many pieces."""
    many = max(1, min(pieces, high - low + 1))
    return [low + (high + 1 - low) * at // many for at in range(1, many)]


def texts(low: str, high: str, pieces: int) -> list[str]:
    """The cuts between texts."""
    begin = low[: _alike(low, high)]
    rests = low[len(begin) :][:_SIGNS], high[len(begin) :][:_SIGNS]
    used = set("".join(rests)) - set("-_")
    signs = next((each for each in _ALPHABETS if used <= set(each)), None)
    return [] if signs is None else [begin + each for each in _between(*rests, signs, pieces)]


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
