"""Conditions and sort keys as the servers print them, taken apart by their characters: no parser, any depth.

In: texts that `resolved.simple` made readable. Out: their parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from meshag_tui.engines.mysql.resolved import quoted

_DATA = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:iB)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def conjuncts(text: str) -> list[str]:
    """The conditions that an AND outside brackets joins."""
    text = unbracketed(text)
    parts, depth, start, at, between = [], 0, 0, 0, False
    quote = ""
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\" and quote != "`"
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif depth == 0 and text.startswith(" between ", at):
            between = True
        elif depth == 0 and text.startswith(" and ", at):
            if not between:
                parts.append(text[start:at])
                start = at + 5
            between = False
        elif depth == 0 and text.startswith(" or ", at):
            return [text]
        at += 1
    parts.append(text[start:])
    plain = [unbracketed(part.strip()) for part in parts if part.strip()]
    return plain if len(plain) < 2 else [each for part in plain for each in conjuncts(part)]


def together(parts: Sequence[str]) -> str:
    """Conditions joined by AND again."""
    return " and ".join(f"({part})" if len(parts) > 1 and _is_choice(part) else part for part in parts)


def _is_choice(text: str) -> bool:
    """Whether an OR outside brackets is in a condition."""
    return conjuncts(text) == [text] and re.search(r" or | xor ", _outside(text)) is not None


def _outside(text: str) -> str:
    """What of a text is in no bracket and no quotes."""
    kept: list[str] = []
    depth, quote, escaped = 0, "", False
    for char in text:
        if quote:
            quote = "" if char == quote and not escaped else quote
            escaped = char == "\\" and not escaped
        elif char in "'\"`":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif depth == 0:
            kept.append(char)
    return "".join(kept)


def unbracketed(text: str) -> str:
    """The text without brackets around all of it."""
    while text.startswith("(") and text.endswith(")"):
        depth, quote = 0, ""
        for at, char in enumerate(text):
            if quote:
                quote = "" if char == quote and text[at - 1] != "\\" else quote
                continue
            if char in "'\"`":
                quote = char
            depth += (char == "(") - (char == ")")
            if depth == 0 and at < len(text) - 1:
                return text
        text = text[1:-1].strip()
    return text


def columns_of(condition: str, alias: str) -> set[str]:
    """The columns of one alias in a condition, as they are printed."""
    name = re.escape(quoted(alias))
    return set(re.findall(rf"(?<![\w`.]){name}\.(`(?:[^`]|``)+`|\w+)", condition))


def sort_keys(text: str) -> tuple[str, ...]:
    """MariaDB's sort keys, at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return tuple(sort_key(part.strip()) for part in parts if part.strip())


def sort_key(text: str) -> str:
    text = text.replace("count(0)", "count(*)")
    return text[:-5] + " DESC" if text.endswith(" desc") else text


def number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def size_of(text: str) -> int:
    found = _DATA.fullmatch(text.strip())
    return int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
