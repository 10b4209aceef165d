"""What the command line prints: one JSON document, or aligned plain text; messages go to stderr.

Whatever comes from a server, a model or the store is made harmless here: JSON is pure ASCII, text goes through the
sanitiser.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NamedTuple

from meshag_tui.text import fit, mask_secrets, one_line, sanitise, width_of
from meshag_tui.types import Secret


class Column(NamedTuple):
    """A column of a printed table: its title, the side it is aligned to, and how a row's value is written."""

    title: str
    cell: Callable[[Any], str]
    align: Literal["left", "right"] = "left"


class Output:
    """Prints the answer of one command. With `as_json` only `document` writes to stdout."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, value: Any) -> None:
        """Print the one JSON document of this command."""
        sys.stdout.write(json.dumps(plain(value), indent=2, allow_nan=False) + "\n")

    def answer(self, value: Any, lines: Callable[[], Iterable[str]]) -> None:
        """Print `value` as JSON, or what `lines` makes of it for people."""
        if self.as_json:
            self.document(value)
        else:
            for line in lines():
                self.line(line)

    def line(self, text: str = "") -> None:
        """One line, or several, of an answer for people."""
        if not self.as_json:
            sys.stdout.write(sanitise(text) + "\n")

    def ask(self, question: str) -> None:
        """Write a question, whose answer is read on the same line."""
        sys.stdout.flush()
        sys.stderr.write(one_line(question))
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """A message beside the answer."""
        if sys.stderr is not None:
            sys.stderr.write(one_line(mask_secrets(text)) + "\n")
            sys.stderr.flush()


def table(columns: Sequence[Column], rows: Iterable[Any]) -> list[str]:
    """Aligned lines under a header. On a terminal the last column is cut at its edge."""
    cells = [[one_line(column.cell(row), newline=" ") for column in columns] for row in rows]
    header = [column.title for column in columns]
    widths = [max(width_of(line[at]) for line in [header, *cells]) for at in range(len(columns))]
    if sys.stdout.isatty() and columns[-1].align == "left":
        room = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(columns) - 1)
        widths[-1] = max(10, min(widths[-1], room))
    return [
        "  ".join(
            fit(text, width, column.align) for text, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in [header, *cells]
    ]


def plain(value: Any) -> Any:
    """A value as JSON can say it: dataclasses and named tuples as objects, enums by value, the unmeasured as null."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Secret):
        return None
    if isinstance(value, Decimal):  # money: a float would lose digits
        return f"{value:f}"
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "_asdict"):  # a NamedTuple
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return [plain(entry) for entry in value]
    return sanitise(value)
