"""Keys of columns too long for an index: on their first characters only, where a server wants that."""

from __future__ import annotations

import re
from dataclasses import replace

from meshag_tui.advisor.statistics import TableView
from meshag_tui.types import IndexSpec

_CHARACTERS = re.compile(r"(?:var)?char(?:acter)?(?: varying)?\((\d+)\)")
_ENDLESS = ("text", "tinytext", "mediumtext", "longtext", "blob", "tinyblob", "mediumblob", "longblob")
_NO_KEY = ("json", "geometry", "point", "linestring", "polygon", "multi", "vector")
_PREFIXES = (16, 32, 64, 128)
_TELLING = 0.95
"""Share of a column's values that first characters must tell apart."""


def with_prefixes(spec: IndexSpec, view: TableView) -> IndexSpec | None:
    """The spec with the first characters only of columns too long for a key; None where no such key can be."""
    limit = view.traits.key_bytes
    if limit is None:
        return spec
    columns = []
    for key in spec.columns:
        kind = "" if key.is_expression else view.types.get(key.name, "").lower()
        if kind.startswith(_NO_KEY):
            return None
        long = kind.startswith(_ENDLESS) or _bytes(kind) > limit
        columns.append(replace(key, opclass=f"({_telling(view, key.name)})") if long else key)
    total = sum(_bytes(view.types.get(key.name, "").lower()) for key in columns if key.opclass is None)
    return None if total > limit else replace(spec, columns=tuple(columns))


def _bytes(kind: str) -> int:
    """Bytes a text column may take in a key, at four for a character; 0 for what is short by nature."""
    match = _CHARACTERS.match(kind)
    return 4 * int(match[1]) if match else 0


def _telling(view: TableView, column: str) -> int:
    """How many first characters tell the values of a column apart as well as nearly all of them do."""
    known = view.columns.get(column)
    values = {*known.common_values, *known.histogram} if known is not None else set()
    for length in _PREFIXES:
        if len(values) >= 10 and len({value[:length] for value in values}) >= _TELLING * len(values):
            return length
    return _PREFIXES[-1]
