"""The shape of a statement: its words as the server's digest would have them, which is what its identity rests on.

In: the words of a text or of a digest. Out: words, the same for both: literals and lists of them are one `?`, signs and
character sets of literals are gone, and words that mean the same are one word.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshag_tui.engines.mysql.keywords import KEYWORDS
from meshag_tui.engines.mysql.lexer import Token

_SAME_WORDS = {
    "character": "char",
    "system_user": "user",
    "<>": "!=",
    "distinctrow": "distinct",
    "&&": "and",
    "schemas": "databases",
}


def shape(parts: Sequence[Token]) -> list[str]:
    """The words of a text as its digest would have them, literals and lists of them made one."""
    found: list[str] = []
    for at, one in enumerate(parts):
        if one.kind in ("string", "number", "parameter") or (one.word == "null" and not _is_test(parts, at)):
            _signed(found)
            if found and found[-1].startswith("_") and one.kind == "string":
                found.pop()  # a character set before a string
            if found[-1:] == ["?"] or found[-2:] == ["?", ","]:
                del found[len(found) - (found[-1] == ",") :]
                continue
            found.append("?")
        elif one.kind == "more":
            if found[-1:] == [","]:
                found.pop()
            elif found[-1:] == ["("]:
                found.append("?")
        elif one.kind == "comment":
            continue
        elif one.kind == "variable":
            found.append(one.text.replace("`", "") if one.text.startswith("@@") else "@")
        else:
            word = one.name if one.name is not None else one.text
            lower = word.lower()
            word = lower if lower in KEYWORDS or (at + 1 < len(parts) and parts[at + 1].text == "(") else word
            found.append(_SAME_WORDS.get(word.lower(), word))
            _without_repeats(found)
    return [word for word in found if word != ";"]


def _signed(found: list[str]) -> None:
    """Take the sign off a literal where it cannot be an operator between two values."""
    while found and found[-1] in ("-", "+") and (len(found) == 1 or found[-2] in _BEFORE_SIGNS):
        found.pop()


_BEFORE_SIGNS = frozenset(
    (
        "(",
        ",",
        "=",
        "<",
        ">",
        "<=",
        ">=",
        "!=",
        "<=>",
        "and",
        "or",
        "not",
        "between",
        "in",
        "like",
        "when",
        "then",
        "else",
    )
) | frozenset(
    ("select", "where", "having", "limit", "offset", "by", "interval", "set", "values", "on", "+", "-", "*", "/")
)


def _without_repeats(found: list[str]) -> None:
    """`( ? ) , ( ? )` is one row of a list of rows; `(_charset)` stands before a literal and is part of it."""
    if found[-3:] in (["(", "_charset", ")"], ["(", "_CHARSET", ")"]):
        del found[-3:]
    elif found[-1] == ")" and found[-7:] == ["(", "?", ")", ",", "(", "?", ")"]:
        del found[-4:]


def _is_test(parts: Sequence[Token], at: int) -> bool:
    """Whether NULL is part of IS NULL or IS NOT NULL."""
    return at > 0 and parts[at - 1].word in ("is", "not")
