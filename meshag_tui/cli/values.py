"""Values as people type them on a command line: spans of time, sizes, URLs of connections."""

from __future__ import annotations

import argparse
import re

from meshag_tui.types import ASIDE, Aside

_SPANS = {"s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SIZES = {"": 1, "b": 1} | {
    unit + suffix: 1 << power for unit, power in zip("kmgt", (10, 20, 30, 40), strict=True) for suffix in ("", "b")
}
UNLIMITED = 1 << 60
"""Bytes that no disk has."""
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def span_ms(text: str) -> int:
    """ "90s", "15m", "24h", "7d" as milliseconds; a bare number is seconds."""
    value, unit = _split(text)
    factor = _SPANS.get(unit or "s")
    if factor is None or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time: write 90s, 15m, 24h or 7d")
    return round(value * factor)


def seconds(text: str) -> int:
    """A span of time as whole seconds, at least 1."""
    return max(1, round(span_ms(text) / 1000))


def span_or_ms(text: str) -> float:
    """ "100ms", "1s" as milliseconds; a bare number is milliseconds."""
    value, unit = _split(text)
    factor = 1 if unit in ("", "ms") else _SPANS.get(unit)
    if factor is None or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 100ms or 1s")
    return value * factor


def size_bytes(text: str) -> int:
    """ "500MB", "2GB" as bytes, in steps of 1024 as PostgreSQL reads them; a bare number is bytes."""
    value, unit = _split(text)
    factor = _SIZES.get(unit)
    if factor is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 500MB or 2GB")
    return round(value * factor)


def budget_bytes(text: str) -> int:
    """A size, or "unlimited": as much as pays."""
    return UNLIMITED if text.strip().lower() in ("unlimited", "none") else size_bytes(text)


def kinds_aside(text: str) -> bool | frozenset[Aside]:
    """ "own,utility" as kinds of statements that are set aside; True: "all" of them."""
    given = {each.strip() for each in text.split(",")}
    if given == {"all"}:
        return True
    if unknown := sorted(given.difference(ASIDE)):
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no kind of what is set aside: write {', '.join(ASIDE)}")
    return frozenset(each for each in ASIDE if each in given)


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def _split(text: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return -1.0, "?"
    return float(found[1]), found[2].lower()
