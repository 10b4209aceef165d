"""The server's own words for a statement, as SHOW WARNINGS has them after EXPLAIN: names resolved, views merged in.

In: that text. Out: what the JSON document leaves out, of each SELECT by its number: which table an alias stands for,
the order, the grouping, the limit and what is returned. It may hold values of rows (of tables read while planning),
which are left out here: of what is returned every literal becomes `?`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from meshag_tui.engines.mysql.lexer import Token, tokens

_NUMBER = re.compile(r"/\*\s*select#(\d+)\s*\*/")
_CLAUSES = ("from", "where", "group", "having", "window", "order", "limit", "for", "union", "except", "intersect")
_AGGREGATES = frozenset(
    re.findall(
        r"\w+",
        """
        avg bit_and bit_or bit_xor count group_concat json_arrayagg json_objectagg max min std stddev
        stddev_pop stddev_samp sum var_pop var_samp variance any_value st_collect
        """,
    )
)
_SIMPLE = re.compile(r"[A-Za-z_]\w*")
_NO_NAME = frozenset(
    re.findall(
        r"\w+",
        """
        alter and any as between binary charset create cross current_date current_time current_timestamp current_user
        distinct distinctrow drop else except false fetch for force from grant having high_priority ignore inner insert
        intersect into join key lateral like localtime localtimestamp mod not null on or outer qualify regexp returning
        revoke rlike rollback select separator sql_big_result sql_buffer_result sql_calc_found_rows sql_no_cache
        sql_small_result straight_join tablesample then true union using values when where with xor
        """,
    )
)
"""Words that are read as something else than a name where a condition stands, so that these keep their quotes."""
_TYPES_OF_LITERALS = ("date", "time", "timestamp")


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT. `tables` are by alias: (schema, table). `limit` is None where there is none."""

    number: int
    tables: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    output: tuple[str, ...] = ()
    group_keys: tuple[str, ...] = ()
    sort_keys: tuple[str, ...] = ()
    limit: int | None = None
    offset: int = 0
    distinct: bool = False
    aggregates: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """All SELECTs of a statement by number, and the order and limit of a union as a whole."""

    selects: Mapping[int, Select] = field(default_factory=dict)
    union: Select | None = None


NOTHING = Resolved()


def resolved(text: str | None) -> Resolved:
    """Read the server's text; what cannot be read is left out."""
    if not text:
        return Resolved()
    words: list[Token] = []
    for one in tokens(text):
        if one.kind == "comment":
            found = _NUMBER.match(one.text)
            if found:
                words.append(Token("comment", found.group(1)))
        elif one.kind != "space":
            words.append(one)
    selects: dict[int, Select] = {}
    unions: list[Select] = []
    _queries(words, selects, unions)
    return Resolved(selects, unions[0] if unions else None)


def simple(text: str, alias: Mapping[str, str] | None = None) -> str:
    """A condition as the server prints it, made readable: `shop`.`o`.`id` is o.id. Names that are no plain words keep
    their quotes. `alias` renames what stands before a column."""
    plain = text.replace("subquery#", "subquery_")  # MariaDB's; `#` would begin a comment
    return "".join(_simplified(list(tokens(plain)), alias or {})).strip()


def names_of(text: str) -> frozenset[str]:
    """The aliases that a simple condition is over."""
    words = [one for one in tokens(text) if one.kind != "space"]
    return frozenset(
        one.name or ""
        for at, one in enumerate(words)
        if one.name is not None and at + 2 < len(words) and words[at + 1].text == "." and words[at + 2].name is not None
    )


def without_literals(text: str) -> str:
    """The text with `?` for each literal, one with its type before it (`DATE'2024-01-01'`) included; of a pattern,
    whether it begins or ends with a wildcard is kept."""
    words = list(tokens(text))
    kept: list[str] = []
    before = ""
    for one, after in itertools.zip_longest(words, words[1:]):
        if one.word in _TYPES_OF_LITERALS and after is not None and after.kind == "string":
            continue
        if one.kind == "string":
            kept.append(_pattern(one.text) if before == "like" else "?")
        elif one.kind == "number":
            kept.append("?")
        else:
            kept.append(one.text)
        if one.kind != "space":
            before = one.word
    return "".join(kept)


def quoted(name: str) -> str:
    """A name as `simple` prints it."""
    plain = _SIMPLE.fullmatch(name) and name.lower() not in _NO_NAME
    return name if plain else "`" + name.replace("`", "``") + "`"


def _pattern(literal: str) -> str:
    inside = literal[1:-1]
    begins, ends = inside[:1] in ("%", "_"), inside[-1:] in ("%", "_")
    return f"'{'%' if begins else ''}?{'%' if ends else ''}'"


def _simplified(words: Sequence[Token], alias: Mapping[str, str]) -> list[str]:
    kept: list[str] = []
    at = 0
    while at < len(words):
        one = words[at]
        parts = [one.name or ""] if one.kind in ("name", "quoted") else []
        end = at + 1
        while parts and end + 1 < len(words) and words[end].text == "." and words[end + 1].name is not None:
            parts.append(words[end + 1].name or "")
            end += 2
        if len(parts) > 1:
            parts = parts[-2:]
            parts[0] = alias.get(parts[0], parts[0])
            kept.append(".".join(quoted(part) for part in parts))
        elif one.kind == "quoted":
            kept.append(quoted(parts[0]))
        elif one.kind == "comment":
            kept.append("")
        else:
            kept.append(one.text)
        at = end
    return kept


def _queries(words: Sequence[Token], selects: dict[int, Select], unions: list[Select]) -> None:
    """Find every SELECT, also within brackets, and what stands behind a union."""
    depth = 0
    starts: list[tuple[int, int]] = []  # (place, depth) of SELECTs
    for at, one in enumerate(words):
        depth += (one.text == "(") - (one.text == ")")
        if one.word == "select":
            starts.append((at, depth))
    united = any(one.word in ("union", "except", "intersect") for one in words)
    for at, deep in starts:
        number = int(words[at - 1].text) if at and words[at - 1].kind == "comment" else 1
        clauses, closing = _clauses(words, at, deep)
        # Behind the last SELECT of a union, ORDER BY and LIMIT are the union's.
        last = united and _in_union(words, at, deep, closing)
        selects.setdefault(number, _select(number, clauses, bare=last))
        if last and deep == min(each for _, each in starts):
            unions[:] = [
                _select(0, {name: clauses[name] for name in ("order", "limit") if name in clauses}, bare=False)
            ]


def _in_union(words: Sequence[Token], at: int, deep: int, end: int) -> bool:
    depth = deep
    for place in range(at - 1, -1, -1):
        depth += (words[place].text == ")") - (words[place].text == "(")
        if depth < deep:
            return False
        if depth == deep and words[place].word in ("union", "except", "intersect"):
            return end >= len(words) or words[end].text == ")"
    return False


def _clauses(words: Sequence[Token], start: int, deep: int) -> tuple[dict[str, list[Token]], int]:
    """The words of each clause of the SELECT at `start`, and the place behind it."""
    clauses: dict[str, list[Token]] = {"select": []}
    name, depth = "select", deep
    for at in range(start + 1, len(words)):
        one = words[at]
        if one.text == ")":
            depth -= 1
            if depth < deep:
                return clauses, at
        if depth == deep and one.word in _CLAUSES:
            if one.word in ("union", "except", "intersect"):
                return clauses, at
            name = one.word
            clauses[name] = []
        else:
            clauses[name].append(one)
        depth += one.text == "("
    return clauses, len(words)


def _select(number: int, clauses: Mapping[str, Sequence[Token]], *, bare: bool) -> Select:
    chosen = list(clauses.get("select", ()))
    distinct = bool(chosen) and chosen[0].word == "distinct"
    output = _listed(chosen[1:] if distinct else chosen)
    own = {quoted(one[-1].name or ""): _returned(_unnamed(one)) for one in output if _unnamed(one) is not one}
    limit, offset = _limit(clauses.get("limit", ())) if not bare else (None, 0)
    return Select(
        number=number,
        tables=_tables(clauses.get("from", ())),
        output=tuple(_returned(_unnamed(one)) for one in output),
        group_keys=tuple(_text(one) for one in _listed(_group(clauses.get("group", ())))),
        sort_keys=()
        if bare
        else tuple(_sort_key(one, own) for one in _listed(_without(clauses.get("order", ()), "by"))),
        limit=limit,
        offset=offset,
        distinct=distinct,
        aggregates=any(_aggregates(one) for one in output),
    )


def _aggregates(words: Sequence[Token]) -> bool:
    """Whether an expression has an aggregate of its own: not in a sub-query, not over a window."""
    for at, one in enumerate(words[:-1]):
        if one.word == "select":
            return False
        if one.word in _AGGREGATES and words[at + 1].text == "(":
            depth, end = 0, at + 1
            while end < len(words):
                depth += (words[end].text == "(") - (words[end].text == ")")
                end += 1
                if depth == 0:
                    break
            return end >= len(words) or words[end].word != "over"
    return False


def _listed(words: Sequence[Token]) -> list[list[Token]]:
    """Split at commas outside brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for one in words:
        depth += (one.text == "(") - (one.text == ")")
        if one.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(one)
    return [part for part in parts if part]


def _group(words: Sequence[Token]) -> Sequence[Token]:
    keys = _without(words, "by")
    return keys[:-2] if [one.word for one in keys[-2:]] == ["with", "rollup"] else keys


def _without(words: Sequence[Token], first: str) -> Sequence[Token]:
    return words[1:] if words and words[0].word == first else words


def _unnamed(words: Sequence[Token]) -> Sequence[Token]:
    """The expression without `AS name`."""
    return words[:-2] if len(words) > 2 and words[-2].word == "as" else words


def _text(words: Sequence[Token]) -> str:
    spaced: list[Token] = []
    for one in words:
        if spaced and one.text not in (".", ",", ")", "(") and spaced[-1].text not in (".", "("):
            spaced.append(Token("space", " "))
        spaced.append(one)
    return "".join(_simplified(spaced, {}))


def _returned(words: Sequence[Token]) -> str:
    return without_literals(_text(words)).replace("count(?)", "count(*)")


def _sort_key(words: Sequence[Token], own: Mapping[str, str]) -> str:
    """A key of ORDER BY; the name of a result (`own`) stands for its expression."""
    descending = bool(words) and words[-1].word == "desc"
    plain = words[:-1] if words and words[-1].word in ("asc", "desc") else words
    key = _text(plain)
    return own.get(key, key) + (" DESC" if descending else "")


def _limit(words: Sequence[Token]) -> tuple[int | None, int]:
    numbers = [int(one.text) for one in words if one.kind == "number" and one.text.isdigit()]
    if not numbers:
        return None, 0
    return (numbers[1], numbers[0]) if len(numbers) > 1 else (numbers[0], 0)


def _tables(words: Sequence[Token]) -> dict[str, tuple[str, str]]:
    """`schema`.`table` `alias` wherever it stands where a table may."""
    found: dict[str, tuple[str, str]] = {}
    for at in range(len(words) - 2):
        before = words[at - 1].word if at else ""
        named = words[at].kind == "quoted" and words[at + 1].text == "." and words[at + 2].kind == "quoted"
        if not named or before not in ("", "(", ",", "join", "straight_join") or words[at + 3 : at + 4] == [_DOT]:
            continue
        alias = words[at + 3] if at + 3 < len(words) and words[at + 3].kind == "quoted" else words[at + 2]
        found[alias.name or ""] = (words[at].name or "", words[at + 2].name or "")
    return found


_DOT = Token("symbol", ".")
