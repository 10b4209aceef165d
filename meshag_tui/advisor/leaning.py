"""What the texts of statements say they lean on: indexes they name in a hint, orders that only a shorter index gives.

Neither shows in a plan's cost, and what an index makes fast takes no share of the time: so the texts of all known
statements are looked at, one after the other and none of them kept, not only of those that are planned.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from meshag_tui.text import clip

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

Named = tuple[str, str, str]
"""(schema, table, column or index)."""

_SORTED = re.compile(r"\b(?:order|group)\s+by\b([^()]*)|\b(?:min|max)`?\s*\(([^()]*)\)")
_HINT = re.compile(r"\b(?:use|force|ignore)\s+(?:index|key)\s+(?:for\s+[a-z ]+?)?\s*\(([^()]*)\)", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d]\w*")
_SHOWN = 80  # characters of a statement with a hint


class Leaning:
    """`ordered`: (schema, table, column) that the server adds to keys and statements may lean on the order of.

    `hinted`: (schema, table, index) with the beginning of a statement that names it in USE, FORCE or IGNORE INDEX: it
    fails once the index is hidden or gone.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.ordered: set[Named] = set()
        self.hinted: dict[Named, str] = {}
        self._added: dict[str, set[Named]] = {}
        self._indexes: dict[str, list[Named]] = {}
        for row in catalog.indexes:
            one = row.stats
            self._added.setdefault(one.table.lower(), set()).update(
                (one.schema, one.table, column) for column in one.suffix
            )
            self._indexes.setdefault(one.name.lower(), []).append((one.schema, one.table, one.name))
        self._odd = [name for name in self._added if not _NAME.fullmatch(name)]
        self.wanted = catalog.facts.hides_indexes
        """Whether this server has such hints and adds columns to keys: elsewhere no text need be seen."""

    def see(self, statement: str | None, tables: Collection[str] = ()) -> None:
        """Look at one text; `tables` are names, in lower case, that its plan reads though it may not name them."""
        if not statement or not self.wanted:
            return
        text = statement.lower()
        sorted_by = {name for part in _SORTED.findall(text) for name in _NAME.findall(" ".join(part))}
        if sorted_by:
            named = {*_NAME.findall(text), *(name for name in self._odd if name in text), *tables}
            self.ordered |= {
                one for name in named & self._added.keys() for one in self._added[name] if one[2].lower() in sorted_by
            }
        if " index" in text or " key" in text:
            for hint in _HINT.findall(text):
                for name in hint.split(","):
                    for one in self._indexes.get(name.strip().strip("`").replace("``", "`"), ()):
                        if one[1].lower() in text:
                            self.hinted.setdefault(one, clip(" ".join(statement.split()), _SHOWN))
