"""Statements that a person may run: exact text for advice of kinds that MeshAG does not run itself.

Names are those of the catalogue, quoted as the engine wants it. Nothing here is ever sent to a server.
"""

from __future__ import annotations

import re

from meshag_tui.snapshot import ServerFacts

MAX_NAME_BYTES = 63
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_KEYWORDS = (
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation "
    "column concurrently constraint create cross current_catalog current_date current_role current_schema current_time "
    "current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze "
    "from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like "
    "limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary "
    "references returning right select session_user similar some symmetric system_user table tablesample then to "
    "trailing true union unique user using variadic verbose when where window with"
)
_RESERVED = frozenset(_KEYWORDS.split())


def quoted(name: str, facts: ServerFacts) -> str:
    """A name of the catalogue as it is written in a statement."""
    quote = facts.traits.quote
    if facts.traits.bare_names and _PLAIN.fullmatch(name) and name not in _RESERVED:
        return name
    return quote + name.replace(quote, 2 * quote) + quote


def qualified(schema: str, name: str, facts: ServerFacts) -> str:
    """A table or index with its schema."""
    return f"{quoted(schema, facts)}.{quoted(name, facts)}"


def made_name(*parts: str) -> str:
    """A name for something new, of these parts, no longer than a server takes."""
    return "_".join(parts).encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore")
