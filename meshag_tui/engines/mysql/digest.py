"""Digests made into texts that the server takes back.

A digest is for reading: two or more values become `?, ...`, a list `(...)`, rows `(...) /* , ... */`, a name that is a
word of the grammar is in capitals, a function's name is quoted and `user` is SYSTEM_USER (DAY is SQL_TSI_DAY too, which
the lexer turns back). The result has a `?` for each value that is wanted, and is only ever planned, never run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meshag_tui.engines.mysql.functions import PURE
from meshag_tui.engines.mysql.keywords import KEYWORDS
from meshag_tui.engines.mysql.lexer import MORE_ROWS, Token

_VALUE = Token("parameter", "?")
_COMMA = Token("symbol", ",")
_ARGUMENTS = {
    **dict.fromkeys(
        ("if", "substring", "substr", "mid", "replace", "lpad", "rpad", "substring_index", "convert_tz"), 3
    ),
    **dict.fromkeys(("insert",), 4),
    **dict.fromkeys(
        ("decimal", "numeric", "dec", "nullif", "ifnull", "mod", "left", "right", "round", "pow", "power"), 2
    ),
    **dict.fromkeys(("date_format", "datediff", "timediff", "str_to_date", "json_extract", "find_in_set", "repeat"), 2),
    **dict.fromkeys(
        ("truncate", "locate", "instr", "strcmp", "period_diff", "makedate", "atan2", "nvl", "json_value"), 2
    ),
    **dict.fromkeys(("maketime", "conv", "elt", "field", "json_set", "json_insert", "json_replace", "nvl2"), 3),
}
"""How many arguments a function must have, where a digest does not say it and fewer would be an error."""


def repaired(words: Sequence[Token]) -> list[Token]:
    """The words of a digest, or of a text with `?` in it, with each spot rewritten that no server takes back."""
    found: list[Token] = []
    at = 0
    while at < len(words):
        one = words[at]
        if one.text == MORE_ROWS:
            at += 1
        elif one.kind == "more":
            found += _more(found, words, at)
            at += 1
        elif one.text == "(" and _words(words, at + 1, 2) in (["_charset", ")"], ["unknown", ")"]):
            at += 3
            if words[at : at + 1] != [_VALUE] and words[at - 2].word == "unknown":
                found.append(_VALUE)
        elif one.kind == "parameter" and found[-1:] == [_VALUE]:  # 'a' 'b' is one string
            at += 1
        else:
            found.append(_one(one, words, at))
            at += 1
    return found


def values_of(words: Sequence[Token]) -> list[int]:
    """The places of the `?`."""
    return [at for at, one in enumerate(words) if one.kind == "parameter"]


def with_values(words: Sequence[Token], values: Sequence[str]) -> list[Token]:
    """The words with a literal, as the server reads it, for each `?`."""
    following = iter(values)
    return [Token("string", next(following)) if one.kind == "parameter" else one for one in words]


def with_names(words: Sequence[Token], names: Mapping[int, str]) -> list[Token]:
    """The words with these names, quoted, at their places: of tables whose case the digest did not keep."""
    return [
        Token("quoted", "`" + names[at].replace("`", "``") + "`") if at in names else one
        for at, one in enumerate(words)
    ]


def literal(value: str, *, number: bool = False) -> str:
    """A constant as the server reads it, with backslashes in strings being escapes."""
    if number:
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _one(one: Token, words: Sequence[Token], at: int) -> Token:
    called = at + 1 < len(words) and words[at + 1].text == "("
    if one.kind == "quoted":
        name = one.name or ""
        return Token("name", name) if called and name.lower() in PURE and name.lower() not in KEYWORDS else one
    if one.kind == "variable" and one.text == "@?":
        return Token("name", "NULL")
    if one.word == "character" and called:
        return Token("name", "CHAR")
    if one.word == "system_user" and not called:
        return Token("quoted", "`user`")
    return one


def _more(found: list[Token], words: Sequence[Token], at: int) -> list[Token]:
    """The values that `...` stands for, behind what was found so far."""
    if found[-1:] == [_COMMA]:  # `?, ...`
        found.pop()
        have = 1
    else:  # `(...)`
        have = 0
    opened = _opened(found)
    wanted = have + 1
    if opened is None:
        limits = next((one.word for one in reversed(found) if one.kind == "name"), "")
        wanted = 2 if limits == "limit" else 1
    elif have == 0 and opened >= 1 and (row := _row_length(found, opened)):
        wanted = row
    else:
        name = (found[opened - 1].name or "").lower() if opened else ""
        given = sum(one == _COMMA for one in _level(found, opened)) + 1
        more = _ARGUMENTS.get(name, 0) - given - _following(words, at)
        wanted = have + (max(0, more) if have else max(1, more + 1))
    added = [_VALUE]
    for _ in range(wanted - have - 1):
        added += [_COMMA, _VALUE]
    if have == 0:
        return added
    return [each for _ in range(wanted - have) for each in (_COMMA, _VALUE)]


def _opened(found: Sequence[Token]) -> int | None:
    """The place of the bracket that is open, None when none is."""
    depth = 0
    for at in range(len(found) - 1, -1, -1):
        depth += (found[at].text == ")") - (found[at].text == "(")
        if depth < 0:
            return at
    return None


def _level(found: Sequence[Token], opened: int) -> list[Token]:
    """The words directly in the open bracket."""
    depth, here = 0, []
    for one in found[opened + 1 :]:
        depth -= one.text == ")"
        if depth == 0:
            here.append(one)
        depth += one.text == "("
    return here


def _following(words: Sequence[Token], at: int) -> int:
    """How many arguments stand behind `...` in its bracket."""
    depth, commas = 0, 0
    for one in words[at + 1 :]:
        if one.text == ")" and depth == 0:
            break
        depth += (one.text == "(") - (one.text == ")")
        commas += depth == 0 and one.text == ","
    return commas


def _row_length(found: Sequence[Token], opened: int) -> int | None:
    """Of `(a, b) > (` and of `(a, b) IN ( (`: how many values a row has."""
    at = opened - 1
    if found[at].text == "(" and at >= 1:
        at -= 1
        while at >= 0 and found[at].text in (",", ")", "(", "?"):
            at -= 1
    if (at >= 0 and found[at].word in ("in", "not")) or (
        at >= 0 and found[at].text in ("=", "<", ">", "<=", ">=", "!=", "<>")
    ):
        at -= found[at].word == "in"
        at = at if found[at].text == ")" else at - 1
    if at < 0 or found[at].text != ")":
        return None
    depth, commas = 0, 0
    for place in range(at, -1, -1):
        depth += (found[place].text == ")") - (found[place].text == "(")
        commas += depth == 1 and found[place].text == ","
        if depth == 0:
            called = (
                place > 0
                and found[place - 1].name is not None
                and found[place - 1].word not in ("where", "and", "or", "on")
            )
            return None if called or commas == 0 else commas + 1
    return None


def _words(words: Sequence[Token], at: int, count: int) -> list[str]:
    return [one.text.lower() for one in words[at : at + count]]
