"""What sessions show of the patterns that a statement passes to LIKE: whether they begin with plain text.

In: a session, and a statement whose constants the statistics have taken out. Out: for each parameter that is a pattern,
how many characters stand before its first wildcard in the texts that sessions run now or ran last. Of these texts only
that number is kept. A statement that nobody is seen running says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError, Refused
from meshag_tui.engines.postgres import parse
from meshag_tui.engines.postgres.predicates import uncast
from meshag_tui.engines.postgres.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession

_LIKES = ("AEXPR_LIKE", "AEXPR_ILIKE")
_WILDCARD = re.compile(r"[%_\\]")


async def leading_text(session: PostgresSession, statement: str) -> dict[int, int]:
    """Characters before the first wildcard, by parameter, the fewest that were seen; 0: one began with a wildcard.

    Reads pg_stat_activity, once in a session. Empty where the texts are not ours to read.
    """
    if session.running_patterns is None:
        try:
            rows = await session.fetch(load("running_patterns"))
        except EngineError as error:
            if error.transient:
                raise
            rows = []
        session.running_patterns = tuple(dict.fromkeys(str(row[0]) for row in rows if row[0]))
    mark = parse.fingerprint(statement) if session.running_patterns else None
    found: dict[int, int] = {}
    for text in session.running_patterns if mark is not None else ():
        if parse.fingerprint(text) != mark:
            continue
        for number, leading in _paired(statement, text):
            found[number] = min(leading, found.get(number, leading))
    return found


def _paired(statement: str, text: str) -> Iterator[tuple[int, int]]:
    """Each pattern of a text with the parameter that stands for it in the same statement without constants."""
    try:
        asked, given = _patterns(parse.parse_one(statement).tree), _patterns(parse.parse_one(text).tree)
    except Refused:
        return
    if len(asked) != len(given):
        return
    for one, other in zip(asked, given, strict=True):
        number, constant = one.get("ParamRef", {}).get("number"), other.get("A_Const", {}).get("sval")
        if number and constant is not None:
            pattern = str(constant.get("sval", ""))
            wildcard = _WILDCARD.search(pattern)
            yield int(number), wildcard.start() if wildcard else len(pattern)


def _patterns(tree: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What LIKE compares with, in the order of the text."""
    return [uncast(one.get("rexpr") or {}) for one in parse.find(tree, "A_Expr") if one.get("kind") in _LIKES]
