"""The tables and views that a statement names, found by its words: bounded in time, and without a parser.

In: the words of a statement. Out: each place where a table may stand, with its name. The aliases that DELETE … USING
names first are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meshag_tui.engines.mysql.lexer import Token

_CLAUSES = frozenset(
    (
        *("select", "set", "where", "group", "having", "order", "limit", "for", "into", "window", "values", "with"),
        "duplicate",
    )
)
_BEFORE_FACTORS = frozenset(("from", "join", "straight_join", "lateral", ",", "("))


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view as a text names it. `at` is the place of its name among the words of the text.

    `common` is one with the name of a WITH query: most often that query, but within it a table or view of that name.
    """

    schema: str | None
    name: str
    at: int = -1
    quoted: bool = False
    alias: str | None = None
    common: bool = False


def named(parts: Sequence[Token]) -> list[Relation]:
    """Every place where the words of a statement name a table or view."""
    own = _common_names(parts)
    verb = parts[0].word if parts else ""
    found: list[Relation] = []
    clauses = [""]  # of each open bracket: "" an expression, "factor" where a table may begin, "tables", "other"
    at = 0
    while at < len(parts):
        word, clause, begins = parts[at].word, clauses[-1], False
        if word == "(":
            opens_factor = clause in ("tables", "factor") and at > 0 and parts[at - 1].word in _BEFORE_FACTORS
            clauses.append("factor" if opens_factor else "")
        elif word == ")":
            clauses = clauses[:-1] or [""]
        elif word == "from":  # that of EXTRACT, TRIM and SUBSTRING stands in brackets without a SELECT
            begins = clause != "" or len(clauses) == 1
        elif word in ("join", "straight_join", ","):
            begins = clause == "tables"
        elif word == "using" and verb == "delete" and len(clauses) == 1 and parts[at + 1 : at + 2][0].text != "(":
            found.clear()  # what stood behind FROM were aliases
            begins = True
        elif word == "update":
            begins = at == 0 or parts[at - 1].text == ")"
        elif word == "into" and verb in ("insert", "replace") and len(clauses) == 1:
            clauses[-1], at = "other", _named_at(parts, at + 1, own, found)
            continue
        elif word == "table" and at == 0:
            begins = True
        elif word in _CLAUSES or word == "delete":
            clauses[-1] = "other"
        elif clause == "factor":
            clauses[-1] = "tables"
            at = _named_at(parts, at, own, found)
            continue
        at += 1
        if begins:
            clauses[-1] = "tables"
            at = _named_at(parts, at, own, found)
    return found


def _named_at(parts: Sequence[Token], at: int, own: frozenset[str], found: list[Relation]) -> int:
    """Read a table's name, if one begins here; the place after it."""
    while at < len(parts) and parts[at].word in ("low_priority", "quick", "ignore", "only", "lateral"):
        at += 1
    if at >= len(parts) or parts[at].name is None or (parts[at].kind == "name" and parts[at].word in _NO_TABLES):
        return at
    schema, place = None, at
    if at + 2 < len(parts) and parts[at + 1].text == "." and parts[at + 2].name is not None:
        schema, place = parts[at].name, at + 2
    name = parts[place].name or ""
    follows = parts[place + 1].text if place + 1 < len(parts) else ""
    is_function = schema is None and follows == "(" and parts[place].word == "json_table"
    if not is_function and name.lower() != "dual":
        common = schema is None and name.lower() in own
        found.append(Relation(schema, name, place, parts[place].kind == "quoted", _alias(parts, place + 1), common))
    return place + 1


_NO_TABLES = frozenset(("select", "outfile", "dumpfile", "with", "values", "set"))


_AFTER_TABLES = frozenset(
    re.findall(
        r"\w+",
        """
        join inner left right cross natural straight_join on using where group order limit having for lock set use
        force ignore partition union except intersect window values value select procedure into tablesample returning
        """,
    )
)


def _alias(parts: Sequence[Token], at: int) -> str | None:
    """The alias that begins here, if one does."""
    at += at < len(parts) and parts[at].word == "as"
    if at >= len(parts) or (parts[at].kind == "name" and parts[at].word in _AFTER_TABLES):
        return None
    return parts[at].name


def _common_names(parts: Sequence[Token]) -> frozenset[str]:
    """Names of WITH queries, in lower case: `name AS (`, `name (columns) AS (`."""
    if not any(one.word == "with" for one in parts):
        return frozenset()
    own = set()
    for at in range(1, len(parts) - 1):
        if parts[at].word != "as" or parts[at + 1].text != "(":
            continue
        back = at - 1
        if parts[back].text == ")":
            while back > 0 and parts[back].text != "(":
                back -= 1
            back -= 1
        name = parts[back].name if back >= 0 else None
        if name is not None and back > 0 and (parts[back - 1].word in ("with", "recursive", ",")):
            own.add(name.lower())
    return frozenset(own)
