"""Which figures of an answer stand in the evidence it was given: the others are marked, as nobody has checked them.

A figure is a number with its unit, if it has one. It stands in the evidence if one there is the same up to how both are
rounded, and of the same kind: 1,200 ms is 1.2 s, and 12,345 rows may be called 12 k. What is derived (a ratio, a sum)
stands nowhere, even if it is right. Names, code, the numbers of a list and small counts without a unit are no figures.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_TIME = {"µs": 0.001, "us": 0.001, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
_TIME_WORDS = {"millisecond": 1.0, "second": 1e3, "sec": 1e3, "minute": 6e4, "hour": 3.6e6, "day": 8.64e7}
_SIZES = {"B": 1, "byte": 1, "kB": 1 << 10, "KB": 1 << 10, "KiB": 1 << 10, "MB": 1 << 20, "MiB": 1 << 20}
_SIZES |= {"GB": 1 << 30, "GiB": 1 << 30, "TB": 1 << 40, "TiB": 1 << 40}
_COUNTS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_UNITS: dict[str, tuple[str, float]] = {
    **{unit: ("time", scale) for unit, scale in {**_TIME, **_TIME_WORDS}.items()},
    **{f"{word}s": ("time", scale) for word, scale in _TIME_WORDS.items()},
    **{unit: ("size", float(scale)) for unit, scale in _SIZES.items()},
    "bytes": ("size", 1.0),
    **{unit: ("count", scale) for unit, scale in _COUNTS.items()},
    "%": ("share", 1.0),
    "percent": ("share", 1.0),
    **dict.fromkeys(("x", "×", "times", "fold", "-fold"), ("ratio", 1.0)),
}
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_FIGURE = re.compile(
    rf"(?<![\w.$#/:,-])(?P<number>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\d.]*\d|-\d)"
    rf"(?:[ \u00a0]?(?P<unit>{_UNIT})(?!\w))?"
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_LIST = re.compile(r"^[ \t]*\d+[.)](?=\s)", re.MULTILINE)
_SMALL = 10
_NEAR, _NEAR_WHOLE = 0.05, 0.03
"""No rounding moves a figure further than this share of it and leaves it the same; a whole number less far."""
_TINY = 1e-9


class Figure(NamedTuple):
    """A number where it stands. `value` in ms, bytes, per cent or as it is, by `kind`; `off` is half its last digit."""

    start: int
    end: int
    text: str
    kind: str
    value: float
    off: float

    def is_said_by(self, other: Figure) -> bool:
        """Whether both may be the same figure, rounded."""
        near = max(self.off, other.off) * (1 + _TINY) + _TINY
        return self.kind == other.kind and abs(self.value - other.value) <= near


class Part(NamedTuple):
    """A piece of an answer. `checked`: of a figure, whether it stands in the evidence; None: it is no figure."""

    text: str
    checked: bool | None


def figures(text: str) -> Iterator[Figure]:
    """The figures of a text, in order."""
    silent = sorted(match.span() for pattern in (_CODE, _LIST) for match in pattern.finditer(text))
    reach = list(itertools.accumulate((end for _, end in silent), max))  # up to where those so far are silent
    for match in _FIGURE.finditer(text):
        before = bisect.bisect_right(silent, (match.start(), len(text)))
        within = before > 0 and match.start() < reach[before - 1]
        if within or text[match.end() : match.end() + 1].isalpha():
            continue
        number, unit = match["number"], match["unit"]
        kind, scale = _UNITS[unit] if unit else ("count", 1.0)
        value = float(number.replace(",", ""))
        if unit is None and value <= _SMALL and "." not in number:
            continue
        off = min(_half_a_digit(number), (_NEAR if "." in number else _NEAR_WHOLE) * value)
        yield Figure(match.start(), match.end(), match[0], kind, value * scale, off * scale)


class _Evidence:
    """The figures of an evidence, by kind and value, so that a long answer is held against it in little time."""

    def __init__(self, text: str) -> None:
        self._known: dict[str, list[Figure]] = {}
        for figure in sorted(figures(text), key=lambda each: each.value):
            self._known.setdefault(figure.kind, []).append(figure)
        self._widest = {kind: max(each.off for each in known) for kind, known in self._known.items()}

    def says(self, figure: Figure) -> bool:
        known = self._known.get(figure.kind, [])
        near = max(figure.off, self._widest.get(figure.kind, 0.0)) * (1 + _TINY) + _TINY
        at = bisect.bisect_left(known, figure.value - near, key=lambda each: each.value)
        nearest = itertools.takewhile(lambda each: each.value <= figure.value + near, itertools.islice(known, at, None))
        return any(figure.is_said_by(each) for each in nearest)


@functools.lru_cache(maxsize=32)
def parts(answer: str, evidence: str) -> tuple[Part, ...]:
    """An answer with its figures set apart, each held against the evidence."""
    known = _Evidence(evidence)
    found: list[Part] = []
    at = 0
    for figure in figures(answer):
        if at < figure.start:
            found.append(Part(answer[at : figure.start], None))
        found.append(Part(figure.text, known.says(figure)))
        at = figure.end
    if at < len(answer):
        found.append(Part(answer[at:], None))
    return tuple(found)


def unchecked(found: Sequence[Part]) -> tuple[str, ...]:
    """The figures that stand nowhere in the evidence, each once."""
    return tuple(dict.fromkeys(part.text for part in found if part.checked is False))


def _half_a_digit(number: str) -> float:
    """Half of the last digit that was written; zeros at the end of a whole number are taken for rounded."""
    plain = number.replace(",", "")
    if "." in plain:
        return float(0.5 * 10 ** -len(plain.partition(".")[2]))
    return float(0.5 * 10 ** (len(plain) - len(plain.rstrip("0"))))
