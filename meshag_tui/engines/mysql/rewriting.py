"""Statements written otherwise, as the advice of a rule would have them: see `WRITERS`.

In: a text, digests included. Out: another text, or None where the form is not the plain one that we can rewrite. A
parser (sqlglot) only says whether it is that form; the words themselves are moved, so nothing is said in other words
than the statement has. Where a value comes twice, or the order changes, each `?` is followed by its number in the
statement as a comment. That both mean the same may rest on conditions (no NULL on either side), which
`sandbox.proving` looks at: nothing is claimed here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql import digest, lexer, parse
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.explainable import explainable, without_hints
from meshag_tui.engines.mysql.functions import BEFORE_BRACKETS
from meshag_tui.engines.mysql.lexer import Token

Words = Sequence[Token]
_MOST_ARMS = 4
_NUMBER = re.compile(r"/\* (\d+) \*/")
_ENDS = (
    "group",
    "having",
    "window",
    "order",
    "limit",
    "procedure",
    "into",
    "for",
    "lock",
    "union",
    "except",
    "intersect",
)
_OPEN, _CLOSED, _VALUE = Token("symbol", "("), Token("symbol", ")"), Token("parameter", "?")
_BEHIND = ("group", "having", "limit", "offset", "order", "with_", "with", "windows", "locks")
"""Clauses with which a query is more than the rows that a condition finds."""


def written_otherwise(rule: str, text: str) -> str | None:
    """The text as the advice of `rule` would have it; None where there is no such way of writing it."""
    writer = WRITERS.get(rule)
    if writer is None:
        return None
    try:
        found = explainable(text)
        if found.operation != "Select" or len(found.words) != len(found.whole):  # it locks rows
            return None
        words = digest.repaired(found.words)
        tree = parse.tree(without_hints(lexer.joined(words)))
    except Refused:
        return None
    written = writer(with_numbers(words, itertools.count(1)), tree)
    if written is None:
        return None
    numbers = numbers_of(lexer.joined(written))
    if numbers == list(range(1, len(numbers) + 1)):
        written = [_VALUE if one.kind == "parameter" else one for one in written]
    return _said(written)


def numbers_of(text: str) -> list[int]:
    """The number of each `?` of a text, in their order: the comment that follows it, else its place."""
    found: list[int] = []
    for at, one in enumerate(parts := [each for each in lexer.tokens(text) if each.kind != "space"]):
        if one.kind == "parameter":
            after = parts[at + 1].text if at + 1 < len(parts) else ""
            said = _NUMBER.fullmatch(after)
            found.append(int(said[1]) if said else len(found) + 1)
    return found


def with_numbers(words: Words, numbers: Iterable[int]) -> list[Token]:
    """The words, each `?` followed by its number."""
    following = iter(numbers)
    return [Token("parameter", f"? /* {next(following)} */") if one.kind == "parameter" else one for one in words]


def _said(words: Words) -> str:
    """The words as a text, with a blank between a word of the grammar and its bracket."""
    runs: list[list[Token]] = [[]]
    for one in words:
        if one.text == "(" and runs[-1] and runs[-1][-1].word in BEFORE_BRACKETS:
            runs.append([])
        runs[-1].append(one)
    return " ".join(map(lexer.joined, runs))


# ------------------------------------------------------------------------------------------ NOT IN as NOT EXISTS


def _not_exists(words: Words, tree: Any) -> list[Token] | None:
    """Every plain `x NOT IN (SELECT y FROM …)` as `NOT EXISTS (SELECT … WHERE … AND y = x)`."""
    from sqlglot import exp

    if not isinstance(tree, exp.Select) or tree.args.get("where") is None:
        return None
    outer, condition = _only_name(tree), tree.args["where"].this
    conditions = list(condition.flatten()) if isinstance(condition, exp.And) else [condition]
    plain = [named for one in conditions if (named := _in_condition(one.unnest(), outer)) is not None]
    places = [at for at in range(len(words) - 3) if _says(words, at, "not", "in", "(", "select")]
    if not places or len(places) != len(plain):
        return None  # one of them stands where it cannot be told what it means
    written: list[Token] = []
    last = 0
    for at, (asked, given) in zip(places, plain, strict=True):
        begin = at - 1
        while begin >= 2 and words[begin - 1].text == ".":
            begin -= 2
        end = _closing(words, at + 2)
        inside = words[at + 4 : end]
        source = next((place for place in _outside(inside) if inside[place].word == "from"), None)
        if source is None:
            return None
        where = next((place for place in _outside(inside) if inside[place].word == "where"), len(inside))
        same = [*lexer.words(asked), Token("symbol", "="), *lexer.words(given)]
        before = [_OPEN, *inside[where + 1 :], _CLOSED, Token("name", "AND")] if where < len(inside) else []
        written += words[last:begin]
        written += [*lexer.words("NOT EXISTS ( SELECT 1"), *inside[source:where], Token("name", "WHERE"), *before]
        written += [*same, _CLOSED]
        last = end + 1
    return [*written, *words[last:]]


def _in_condition(node: Any, outer: str | None) -> tuple[str, str] | None:
    """What a NOT IN asks for and what it is given, both qualified; None where it is no plain one."""
    from sqlglot import exp

    if not isinstance(node, exp.Not) or not isinstance(node.this, exp.In) or node.this.args.get("query") is None:
        return None
    inner = node.this.args["query"].unnest()
    if not isinstance(inner, exp.Select) or len(inner.expressions) != 1:
        return None
    if any(inner.args.get(name) for name in _BEHIND):
        return None
    home = _only_name(inner)
    asked, given = _qualified(inner.expressions[0], home), _qualified(node.this.this, outer)
    if home is None or asked is None or given is None or given[0] == home:
        return None  # inside, the outer column could not be named
    return ".".join(map(quoted, asked)), ".".join(map(quoted, given))


def _only_name(select: Any) -> str | None:
    """The name by which a FROM of one table calls it."""
    from sqlglot import exp

    origin = select.args.get("from_") or select.args.get("from")
    table = origin.this if origin is not None else None
    if not isinstance(table, exp.Table) or table.args.get("joins") or select.args.get("joins"):
        return None
    return str(table.alias_or_name)


def _qualified(node: Any, home: str | None) -> tuple[str, str] | None:
    """A column's table and name; None where the node is none, or its table is not plain."""
    from sqlglot import exp

    if type(node) is not exp.Column or node.args.get("db") is not None or isinstance(node.this, exp.Star):
        return None
    table = node.table or home
    return (table, node.name) if table else None


# ------------------------------------------------------------------------------------------ OR as UNION ALL


def _union_all(words: Words, tree: Any) -> list[Token] | None:
    """`… WHERE a OR b` as `… WHERE a UNION ALL … WHERE b AND a IS NOT TRUE`: each row comes once, as before.

    Only of what returns rows as they are found: a sum or a DISTINCT over both is not that of each.
    """
    if not _returns_rows(tree):
        return None
    where = next((at for at in _outside(words) if words[at].word == "where"), None)
    if where is None:
        return None
    others = _parts(words[where + 1 :], "and")
    found = [words[where + 1 :]] if len(_parts(words[where + 1 :], "or")) > 1 else others
    at = next((number for number, one in enumerate(found) if len(_parts(_bare(one), "or")) > 1), None)
    if at is None or len(arms := _parts(_bare(found[at]), "or")) > _MOST_ARMS:
        return None
    written: list[Token] = []
    for number, arm in enumerate(arms):
        before = [[_OPEN, _OPEN, *one, _CLOSED, *lexer.words("IS NOT TRUE"), _CLOSED] for one in arms[:number]]
        these = [[_OPEN, *one, _CLOSED] for one in found]
        these[at : at + 1] = [[_OPEN, *arm, _CLOSED], *before]
        written += lexer.words("UNION ALL") if number else []
        written += words[: where + 1]
        for place, one in enumerate(these):
            written += [Token("name", "AND")] * (place > 0) + one
    return written


def _returns_rows(tree: Any, *also: str) -> bool:
    """Whether it is one SELECT that neither groups nor computes over several rows, and ends with its WHERE but for
    `also`."""
    from sqlglot import exp

    if not isinstance(tree, exp.Select):
        return False
    calls = any(each.find(exp.Func, exp.Subquery, exp.Select) is not None for each in tree.expressions)
    return not calls and not any(tree.args.get(name) for name in {*_BEHIND, "distinct"} - {*also})


def _parts(words: Words, between: str) -> list[list[Token]]:
    """A condition cut at each AND, or OR, that stands in no bracket, no CASE and is not that of BETWEEN.

    One part where there is none, or where it cannot be told (XOR, ||, &&).
    """
    parts: list[list[Token]] = [[]]
    depth = waiting = 0
    for one in words:
        if depth == 0 and one.word in ("xor", "||", "&&"):
            return [list(words)]
        depth += (one.text == "(" or one.word == "case") - (one.text == ")" or one.word == "end")
        waiting += depth == 0 and one.word == "between"
        if depth == 0 and one.word == "and" and waiting:
            waiting -= 1
        elif depth == 0 and one.word == between:
            parts.append([])
            continue
        parts[-1].append(one)
    return parts


def _bare(words: Words) -> Words:
    """The words without a bracket around all of them."""
    while len(words) > 2 and words[0].text == "(" and _closing(words, 0) == len(words) - 1:
        words = words[1:-1]
    return words


# ------------------------------------------------------------------------------------------ a day as a range


def _day_as_range(words: Words, tree: Any) -> list[Token] | None:
    """`DATE(at) = day` as a half-open range on the bare column, where it stands alone or under AND in the WHERE."""
    from sqlglot import exp

    begin, end = _condition(words)
    if not isinstance(tree, exp.Select) or begin == end or len(_parts(words[begin:end], "or")) > 1:
        return None
    found = [(one, _day_compared(_bare(one))) for one in _parts(words[begin:end], "and")]
    if all(written is None for _, written in found):
        return None
    return [*words[:begin], *_between("AND", [written or one for one, written in found]), *words[end:]]


def _day_compared(words: Words) -> list[Token] | None:
    """`DATE(column) = value`, or `value = DATE(column)`, as a range. A value that is no whole day is equal to none."""
    at = next((place for place in _outside(words) if words[place].text == "="), 0)
    for side, value in ((words[:at], words[at + 1 :]), (words[at + 1 :], words[:at])):
        column = _of_day(side)
        if column is not None and len(value) == 1 and value[0].kind in ("parameter", "string"):
            day = [*lexer.words("DATE("), *value, _CLOSED]
            least = [*column, Token("symbol", ">="), *day]
            below = [*column, Token("symbol", "<"), *day, *lexer.words("+ INTERVAL 1 DAY")]
            return [_OPEN, *_between("AND", [least, below, [*day, Token("symbol", "="), *value]]), _CLOSED]
    return None


def _of_day(words: Words) -> Words | None:
    """The column of DATE(column) or CAST(column AS DATE)."""
    if _says(words, 0, "date", "(") and words[-1].text == ")":
        return _path(words[2:-1])
    if _says(words, 0, "cast", "(") and _says(words, len(words) - 3, "as", "date", ")"):
        return _path(words[2:-3])
    return None


# ------------------------------------------------------------------------------------------ OFFSET as a key


def _keyset(words: Words, tree: Any) -> list[Token] | None:
    """`… ORDER BY a, b LIMIT n OFFSET m` as `… WHERE a >= ? AND (a > ? OR (a = ? AND b > ?)) ORDER BY a, b LIMIT n`.

    It is given where the last page ended, in new parameters: no other way of writing the same, but another question.
    The first condition is one that an index can be looked into by; a comparison of rows is none to these servers.
    """
    if not _returns_rows(tree, "order", "limit", "offset"):
        return None
    begin, end = _condition(words)
    order, limit = (_first(words, word) for word in ("order", "limit"))
    tail = words[limit + 1 :]
    if end != order or len(tail) != 3 or tail[1].word not in ("offset", ","):
        return None
    kept = tail[0] if tail[1].word == "offset" else tail[2]
    listed = _listed(words[order + 2 : limit])
    keys = [(one[:-1], one[-1].word) if one[-1].word in ("asc", "desc") else (one, "asc") for one in listed]
    if len({way for _, way in keys}) != 1 or any(_path(key) is None for key, _ in keys):
        return None
    sign = "<" if keys[0][1] == "desc" else ">"
    rest = [one for one in (*words[:limit], kept) if one.kind == "parameter"]
    first = max((int(one.text.split()[2]) for one in rest), default=0) + 1
    ends = with_numbers([_VALUE] * len(keys), itertools.count(first))
    *before, following = [[*key, Token("symbol", sign), last] for (key, _), last in zip(keys, ends, strict=True)]
    for number, beyond in reversed(list(enumerate(before))):
        equal = [*keys[number][0], Token("symbol", "="), ends[number]]
        following = [_OPEN, *_between("OR", [beyond, [_OPEN, *_between("AND", [equal, following]), _CLOSED]]), _CLOSED]
    conditions = [[_OPEN, *words[begin:end], _CLOSED]] if begin < end else []
    if before:
        conditions.append([*keys[0][0], Token("symbol", sign + "="), ends[0]])
    asked = words[:begin] if begin < end else [*words[:end], Token("name", "WHERE")]
    return [*asked, *_between("AND", [*conditions, following]), *words[order : limit + 1], kept]


# ------------------------------------------------------------------------------------------ places among words


def _first(words: Words, word: str) -> int:
    """The first place of a word that stands in no bracket; behind all where there is none."""
    return next((at for at in _outside(words) if words[at].word == word), len(words))


def _condition(words: Words) -> tuple[int, int]:
    """Where the condition of a SELECT begins and ends; both are the same where it has none."""
    end = min(_first(words, word) for word in _ENDS)
    return min(_first(words, "where") + 1, end), end


def _between(word: str, parts: Iterable[Words]) -> list[Token]:
    """The parts, with a word between them."""
    joined: list[Token] = []
    for part in parts:
        joined += [Token("name", word)] * bool(joined) + list(part)
    return joined


def _listed(words: Words) -> list[list[Token]]:
    """What stands between commas, of which there are some in no bracket."""
    parts: list[list[Token]] = [[]]
    outside = set(_outside(words))
    for at, one in enumerate(words):
        if one.text == "," and at in outside:
            parts.append([])
        else:
            parts[-1].append(one)
    return parts


def _path(words: Words) -> Words | None:
    """The words where they are one name, or several with points between."""
    plain = len(words) % 2 and all((one.text == ".") if at % 2 else one.name for at, one in enumerate(words))
    return words if plain else None


def _says(words: Words, at: int, *wanted: str) -> bool:
    return [one.word for one in words[at : at + len(wanted)]] == list(wanted)


def _closing(words: Words, at: int) -> int:
    """The place of the bracket that closes the one at `at`."""
    depth = 0
    for place in range(at, len(words)):
        depth += (words[place].text == "(") - (words[place].text == ")")
        if depth == 0:
            return place
    return len(words) - 1


def _outside(words: Words) -> Iterator[int]:
    """The places that stand in no bracket."""
    depth = 0
    for at, one in enumerate(words):
        depth -= one.text == ")"
        if depth == 0:
            yield at
        depth += one.text == "("


WRITERS: Mapping[str, Callable[[Words, Any], list[Token] | None]] = {
    "not-in-subquery": _not_exists,
    "or-across-tables": _union_all,
    "function-on-column": _day_as_range,
    "offset-pagination": _keyset,
}
"""How the advice of a rule would have a statement written, by rule."""
