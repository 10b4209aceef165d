"""Texts as pg_stat_statements keeps them, made into texts the server takes back.

Putting `$n` for constants leaves what PostgreSQL's own grammar refuses (`interval $1`, `extract($1 from a)`), what it
cannot type (`$1 IS NULL OR a = $1`), what was one constant twice (`GROUP BY date_trunc($2, a)`), and from version 18
shortened lists (`IN ($1 /*, ... */)`). The result is only ever planned, never run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres import libpg, parse
from meshag_tui.engines.postgres.lexer import Token, tokens, without_comments

_TYPES = frozenset(
    re.findall(
        r"\w+",
        """
        bit bool boolean box bytea char character cidr circle citext date decimal double float float4 float8
        hstore inet int int2 int4 int8 integer interval json jsonb jsonpath line lseg macaddr money name
        numeric path pg_lsn point polygon real regclass regtype smallint text time timestamp timestamptz
        timetz tsquery tsvector uuid varchar xml bigint daterange int4range int8range numrange tsrange
        tstzrange
        """,
    )
)
_FIELDS = frozenset(("year", "month", "day", "hour", "minute", "second"))
_SHORTENED = "/*, ... */"


def plannable(text: str) -> str:
    """The text, without comments, with every such spot rewritten and its parameters numbered 1 … n without gaps."""
    words: list[Token] = []
    gaps: list[str] = []  # the white space after each word: operators are several words with none between
    for token in tokens(without_last_semicolon(text)):
        if token.kind == "space":
            gaps[-1] = token.text
        else:
            words.append(token)
            gaps.append("")
    return renumbered(_unified("".join(_rewritten(words, gaps)).strip()))


def without_last_semicolon(text: str) -> str:
    """The text without comments and without semicolons at its end."""
    return without_comments(text).strip().rstrip("; \t\r\n")


def reading_part(text: str) -> str | None:
    """What a statement reads, as a SELECT: of UPDATE and DELETE the rows they find, of INSERT its query, of SELECT …
    FOR UPDATE the query without its locks. None where there is no such part.

    A role that only watches may not even explain a write.
    """
    try:
        return libpg.run(_reading_part, text)
    except libpg.TooLarge:
        return None


def _reading_part(text: str) -> str | None:
    import postgast
    from google.protobuf.message import DecodeError

    try:
        tree = postgast.parse(text)
        statement = tree.stmts[0].stmt
        kind = statement.WhichOneof("node")
        written = getattr(statement, kind)
        if kind == "select_stmt" and written.locking_clause:
            del written.locking_clause[:]
            return renumbered(str(postgast.deparse(tree)))
        if kind == "insert_stmt" and written.select_stmt.select_stmt.from_clause:
            read = postgast.parse("SELECT 1")
            read.stmts[0].stmt.CopyFrom(written.select_stmt)
            if written.HasField("with_clause"):
                read.stmts[0].stmt.select_stmt.with_clause.CopyFrom(written.with_clause)
            return renumbered(str(postgast.deparse(read)))
        if kind not in ("update_stmt", "delete_stmt") or written.where_clause.HasField("current_of_expr"):
            return None
        read = postgast.parse("SELECT x.* FROM x")
        select = read.stmts[0].stmt.select_stmt
        name = written.relation.alias.aliasname or written.relation.relname
        select.target_list[0].res_target.val.column_ref.fields[0].string.sval = name
        select.from_clause[0].range_var.CopyFrom(written.relation)
        select.from_clause.extend(written.from_clause if kind == "update_stmt" else written.using_clause)
        for clause in ("where_clause", "with_clause"):
            if written.HasField(clause):
                getattr(select, clause).CopyFrom(getattr(written, clause))
        return renumbered(str(postgast.deparse(read)))
    except (postgast.PgQueryError, DecodeError):
        return None


def renumbered(text: str, same: Mapping[int, int] | None = None) -> str:
    """The text with parameters numbered by their first place; `same` maps a number to the one it is equal to."""
    same = same or {}
    order: dict[int, int] = {}
    words = []
    for token in tokens(text):
        if token.kind == "parameter":
            number = int(token.text[1:])
            words.append(f"${order.setdefault(same.get(number, number), len(order) + 1)}")
        else:
            words.append(token.text)
    return "".join(words)


def first_places(text: str) -> list[int]:
    """The numbers of the parameters, each once, in the order of their first places."""
    return list(dict.fromkeys(int(token.text[1:]) for token in tokens(text) if token.kind == "parameter"))


def numbered(text: str, numbers: Mapping[int, int]) -> str:
    """The text with each parameter's number as `numbers` has it."""
    return "".join(
        f"${numbers[int(token.text[1:])]}" if token.kind == "parameter" else token.text for token in tokens(text)
    )


def with_type(text: str, number: int, type_name: str) -> str:
    """The text with a cast after each `$number`. `type_name` is a type as the server prints it."""
    return "".join(
        f"{token.text}::{type_name}" if token.kind == "parameter" and token.text == f"${number}" else token.text
        for token in tokens(text)
    )


def with_values(text: str, values: Sequence[str | None], types: Sequence[str]) -> str:
    """The text with each `$n` as a literal of its type: planned as a prepared statement's custom plan is."""
    given = [
        f"({'NULL' if value is None else literal(value)}::{_whole(kind)})"
        for value, kind in zip(values, types, strict=True)
    ]
    return "".join(
        given[int(token.text[1:]) - 1] if token.kind == "parameter" else token.text for token in tokens(text)
    )


def _whole(type_name: str) -> str:
    """A type that takes values of any length: `character` and `bit` alone mean one, and cut a longer value off."""
    base, brackets, dimensions = type_name.partition("[")
    return {"character": "bpchar", "bit": 'pg_catalog."bit"'}.get(base, base) + brackets + dimensions


def literal(value: str) -> str:
    """A string constant that means the same with standard_conforming_strings on and off."""
    quoted = value.replace("'", "''")
    return f"'{quoted}'" if "\\" not in value else "E'" + quoted.replace("\\", "\\\\") + "'"


def compared_columns(tree: Mapping[str, Any], number: int) -> tuple[str, ...]:
    """Bare names of the columns that `$number` is compared with directly."""
    found = []
    for node in parse.find(tree, "A_Expr"):
        for one, other in (("lexpr", "rexpr"), ("rexpr", "lexpr")):
            parameter = (node.get(one) or {}).get("ParamRef") or {}
            column = (node.get(other) or {}).get("ColumnRef") or {}
            if parameter.get("number") == number and (name := parse.names(column.get("fields", ()))):
                found.append(name[-1])
    return tuple(found)


def elements(tree: Mapping[str, Any]) -> dict[int, str]:
    """Parameters that stand in an ARRAY[…] which is compared with a column, each with the bare name of that column."""
    found: dict[int, str] = {}
    for node in parse.find(tree, "A_Expr"):
        for one, other in (("lexpr", "rexpr"), ("rexpr", "lexpr")):
            within = (node.get(one) or {}).get("A_ArrayExpr") or {}
            name = parse.names(((node.get(other) or {}).get("ColumnRef") or {}).get("fields", ()))
            numbers = ((each.get("ParamRef") or {}).get("number") for each in within.get("elements", ()))
            found.update({int(number): name[-1] for number in numbers if number and name})
    return found


def untyped_values(tree: Mapping[str, Any]) -> dict[int, str]:
    """Parameters that nothing around them gives a type to, and what they must be: sums and the arms of a CASE.

    Of `$1 + $2` the server cannot choose the operator, and arms that are all parameters (`CASE … THEN $1 ELSE $2 END`)
    are texts to it.
    """
    found: dict[int, str] = {}
    for node in parse.find(tree, "CaseExpr"):
        arms = [(one.get("CaseWhen") or {}).get("result") or {} for one in node.get("args", ())]
        arms += [node["defresult"]] if "defresult" in node else []
        numbers = [(arm.get("ParamRef") or {}).get("number") for arm in arms]
        if all(numbers):
            found.update({int(number): "numeric" for number in numbers if number})
    for node in parse.find(tree, "A_Expr"):
        sides = [((node.get(side) or {}).get("ParamRef") or {}).get("number") for side in ("lexpr", "rexpr")]
        if all(sides) and parse.names(node.get("name", ()))[-1:] in (("+",), ("-",), ("*",), ("/",), ("%",)):
            found.update({int(number): "numeric" for number in sides if number})
    return found


def _rewritten(words: Sequence[Token], gaps: Sequence[str]) -> Iterator[str]:
    at = 0
    while at < len(words):
        word = words[at]
        lower = word.text.lower() if word.kind == "name" else ""
        if lower in ("in", "not") and (shortened := _shortened_list(words, at)):
            text, at = shortened
            yield f"{text} "
        elif lower == "extract" and _matches(words, at + 1, "(", "$", "from"):
            yield f"date_part({words[at + 2].text}, "
            at += 4
        elif (
            lower in _TYPES
            and words[at - 1].text.lower() != "at"  # AT TIME ZONE $1 names no type
            and (end := _type_end(words, at))
            and words[end].kind == "parameter"
        ):
            parts = [part.text for part in words[at:end]]
            at = end + 1
            while lower == "interval" and at < len(words) and words[at].text.lower() in (*_FIELDS, "to"):
                parts.append(words[at].text)
                at += 1
            yield f"{words[end].text}::{' '.join(parts)} "
        else:
            yield word.text + gaps[at]
            at += 1


def _shortened_list(words: Sequence[Token], at: int) -> tuple[str, int] | None:
    """`[NOT] IN ($1 /*, ... */)` as a comparison with an array, which is planned as a list of unknown length."""
    negated = words[at].text.lower() == "not"
    start = at + 1 if negated else at
    if not _matches(words, start, "in", "(", "$", _SHORTENED, ")"):
        return None
    return f"{'<> ALL' if negated else '= ANY'} ({words[start + 2].text})", start + 5


def _type_end(words: Sequence[Token], at: int) -> int | None:
    """Where the name of a type that begins at `at` ends; None at the end of the text."""
    end = at + 1
    while end < len(words) and words[end].text.lower() in ("with", "without", "time", "zone", "precision", "varying"):
        end += 1
    return end if end < len(words) else None


def _matches(words: Sequence[Token], at: int, *wanted: str) -> bool:
    if at + len(wanted) > len(words):
        return False
    return all(
        word.kind == "parameter" if want == "$" else word.text.lower() == want
        for word, want in zip(words[at:], wanted, strict=False)
    )


def _unified(text: str) -> str:
    """Give a parameter in the select list, HAVING or ORDER BY the number it has in an equal GROUP BY expression."""
    if "$" not in text or len(text) > 20_000:
        return text
    try:
        tree = parse.parse_one(text).tree
    except Refused:
        return text
    same: dict[int, int] = {}
    for select in (tree, *parse.find(tree, "SelectStmt")):
        keys = select.get("groupClause") or (select.get("targetList") if select.get("distinctClause") else None) or ()
        wanted = {_masked(key): _numbers(key) for key in (_expression(key) for key in keys) if _numbers(key)}
        if not wanted:
            continue
        for clause in ("targetList", "havingClause", "sortClause"):
            for node in _nodes(select.get(clause)):
                numbers = wanted.get(_masked(node))
                if numbers:
                    same.update({old: new for old, new in zip(_numbers(node), numbers, strict=True) if old != new})
    return renumbered(text, same) if same else text


def _expression(key: Any) -> Any:
    inner = key.get("ResTarget") if isinstance(key, dict) else None
    return inner.get("val") if isinstance(inner, dict) else key


def _nodes(tree: Any) -> Iterator[Any]:
    """The nodes of an expression, not entering sub-selects: a node has one name, upper-case."""
    if isinstance(tree, dict):
        if len(tree) == 1 and next(iter(tree))[:1].isupper():
            if "SubLink" in tree:
                return
            yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _numbers(tree: Any) -> tuple[int, ...]:
    return tuple(int(node.get("number", 0)) for node in parse.find(tree, "ParamRef"))


def _masked(tree: Any) -> str:
    return json.dumps(_without_places(tree), sort_keys=True)


def _without_places(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {
            name: _without_places(value)
            for name, value in tree.items()
            if name not in ("location", "number") and not name.startswith("rexpr_list_")
        }
    if isinstance(tree, list):
        return [_without_places(value) for value in tree]
    return tree
