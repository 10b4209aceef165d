"""Statements written otherwise, as the advice of a rule would have them: see `WRITERS`.

In: a text. Out: another text whose parameters keep their numbers, or None where the form is not the plain one that we
can rewrite. That both mean the same may rest on conditions (no NULL on either side), which `sandbox.proving` looks at:
nothing is claimed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meshag_tui.engines.postgres import libpg, rewrite
from meshag_tui.engines.postgres.errors import quoted

_MOST_ARMS = 4


def written_otherwise(rule: str, text: str) -> str | None:
    """The text as the advice of `rule` would have it; None where there is no such way of writing it."""
    writer = WRITERS.get(rule)
    if writer is None:
        return None
    try:
        return libpg.run(lambda given: _written(writer, given), rewrite.plannable(text))
    except libpg.TooLarge:
        return None


def _written(writer: Callable[[Any], str | None], text: str) -> str | None:
    import postgast
    from google.protobuf.message import DecodeError

    try:
        tree = postgast.parse(text)
        statement = tree.stmts[0].stmt
        return writer(tree) if statement.WhichOneof("node") == "select_stmt" else None
    except (postgast.PgQueryError, DecodeError, IndexError):
        return None


def _deparsed(tree: Any) -> str:
    import postgast

    return str(postgast.deparse(tree))


def _condition(text: str) -> Any:
    """A condition as the parser has it."""
    import postgast

    return postgast.parse(f"SELECT WHERE {text}").stmts[0].stmt.select_stmt.where_clause


def _said(node: Any) -> str:
    """A condition or an expression as text."""
    import postgast

    tree = postgast.parse("SELECT WHERE true")
    tree.stmts[0].stmt.select_stmt.where_clause.CopyFrom(node)
    return str(postgast.deparse(tree)).partition("WHERE ")[2]


# ------------------------------------------------------------------------------------------ NOT IN as NOT EXISTS


def _not_exists(tree: Any) -> str | None:
    """Every plain `x NOT IN (SELECT y FROM …)` as `NOT EXISTS (SELECT … WHERE … AND y = x)`."""
    return _deparsed(tree) if _in_select(tree.stmts[0].stmt.select_stmt) else None


def _in_select(select: Any) -> bool:
    """Rewrite the conditions that stand alone or under AND in the WHERE of a SELECT; whether there was one."""
    if not select.HasField("where_clause"):
        return False
    outer = _only_name(select.from_clause)
    conditions = [select.where_clause]
    if _is_bool(select.where_clause, "AND_EXPR"):
        conditions = list(select.where_clause.bool_expr.args)
    return sum([_in_condition(one, outer) for one in conditions]) > 0


def _is_bool(node: Any, kind: str) -> bool:
    from postgast import pg_query_pb2

    return bool(node.WhichOneof("node") == "bool_expr" and node.bool_expr.boolop == getattr(pg_query_pb2, kind))


def _in_condition(node: Any, outer: str | None) -> bool:
    import postgast
    from postgast import pg_query_pb2

    if not _is_bool(node, "NOT_EXPR") or node.bool_expr.args[0].WhichOneof("node") != "sub_link":
        return False
    link = node.bool_expr.args[0].sub_link
    inner = link.subselect.select_stmt
    if link.sub_link_type != pg_query_pb2.ANY_SUBLINK or len(link.oper_name) or not _plain(inner):
        return False
    home = _only_name(inner.from_clause)
    asked = _qualified(inner.target_list[0].res_target.val, home)
    given = _qualified(link.testexpr, outer)
    if home is None or asked is None or given is None or given.partition(".")[0] == quoted(home):
        return False  # inside, the outer column could not be named
    condition = postgast.parse(f"SELECT WHERE {asked} = {given}").stmts[0].stmt.select_stmt.where_clause
    if inner.HasField("where_clause"):
        both = postgast.parse("SELECT WHERE a AND b").stmts[0].stmt.select_stmt.where_clause
        both.bool_expr.args[0].CopyFrom(inner.where_clause)
        both.bool_expr.args[1].CopyFrom(condition)
        condition = both
    inner.where_clause.CopyFrom(condition)
    one = postgast.parse("SELECT 1").stmts[0].stmt.select_stmt.target_list[0]
    inner.target_list[0].CopyFrom(one)
    del inner.distinct_clause[:]
    link.sub_link_type = pg_query_pb2.EXISTS_SUBLINK
    link.ClearField("testexpr")
    return True


def _plain(inner: Any) -> bool:
    """Whether a sub-query is one SELECT of one column, without groups, limits or sets."""
    from postgast import pg_query_pb2

    return (
        len(inner.target_list) == 1
        and inner.op == pg_query_pb2.SETOP_NONE
        and not len(inner.group_clause)
        and not inner.HasField("having_clause")
        and not inner.HasField("limit_count")
        and not inner.HasField("limit_offset")
        and not inner.HasField("with_clause")
        and not len(inner.values_lists)
    )


def _only_name(sources: Any) -> str | None:
    """The name by which a FROM of one table calls it."""
    if len(sources) != 1 or sources[0].WhichOneof("node") != "range_var":
        return None
    table = sources[0].range_var
    return str(table.alias.aliasname or table.relname)


def _qualified(node: Any, home: str | None) -> str | None:
    """A column as table.column, both quoted; None where the node is none, or its table is not plain."""
    if node.WhichOneof("node") != "column_ref":
        return None
    names = [field.string.sval for field in node.column_ref.fields if field.WhichOneof("node") == "string"]
    if len(names) != len(node.column_ref.fields):
        return None
    if len(names) == 1 and home is not None:
        names = [home, *names]
    return ".".join(quoted(name) for name in names) if len(names) == 2 else None


# ------------------------------------------------------------------------------------------ OR as UNION ALL


def _union_all(tree: Any) -> str | None:
    """`… WHERE a OR b` as `… WHERE a UNION ALL … WHERE b AND a IS NOT TRUE`: each row comes once, as before.

    Only of what returns rows as they are found: a sum or a DISTINCT over both is not that of each.
    """
    select = tree.stmts[0].stmt.select_stmt
    if not _returns_rows(select) or len(select.sort_clause) or select.HasField("limit_count"):
        return None
    if select.HasField("limit_offset") or not select.HasField("where_clause"):
        return None
    conditions = [select.where_clause]
    if _is_bool(select.where_clause, "AND_EXPR"):
        conditions = list(select.where_clause.bool_expr.args)
    at = next((number for number, one in enumerate(conditions) if _is_bool(one, "OR_EXPR")), None)
    if at is None or len(arms := list(conditions[at].bool_expr.args)) > _MOST_ARMS:
        return None
    said, others = [_said(arm) for arm in arms], [_said(one) for one in conditions]
    texts = []
    for number, arm in enumerate(said):
        before = [f"(({one}) IS NOT TRUE)" for one in said[:number]]
        these = [f"({one})" for one in others]
        these[at : at + 1] = [f"({arm})", *before]
        select.where_clause.CopyFrom(_condition(" AND ".join(these)))
        texts.append(_deparsed(tree))
    return " UNION ALL ".join(texts)


def _returns_rows(select: Any) -> bool:
    """Whether it is one SELECT that neither groups nor computes over several rows."""
    from postgast import pg_query_pb2

    plain = select.op == pg_query_pb2.SETOP_NONE and not select.HasField("with_clause")
    grouped = len(select.group_clause) or len(select.distinct_clause) or len(select.window_clause)
    locking = len(select.locking_clause) or select.HasField("having_clause")
    calls = any(
        node.WhichOneof("node") in ("func_call", "sub_link") for each in select.target_list for node in _in(each)
    )
    return bool(plain and not grouped and not locking and not calls)


def _in(message: Any) -> Iterator[Any]:
    """All nodes in a part of a tree, itself first."""
    if message.DESCRIPTOR.name == "Node":
        yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for each in [value] if hasattr(value, "DESCRIPTOR") else value:
            yield from _in(each)


# ------------------------------------------------------------------------------------------ a day as a range


def _day_as_range(tree: Any) -> str | None:
    """`at::date = day` as a half-open range on the bare column, and `= day` for infinite ones, which no day ends."""
    select = tree.stmts[0].stmt.select_stmt
    found = False
    for node in list(_in(select.where_clause)) if select.HasField("where_clause") else ():
        both = _day_compared(node)
        if both is not None:
            column, day = both
            node.CopyFrom(_condition(f"({column} >= {day} AND {column} < {day} + 1) OR {column} = {day}"))
            found = True
    return _deparsed(tree) if found else None


def _day_compared(node: Any) -> tuple[str, str] | None:
    """Column and day of `column::date = day` or `date(column) = day`."""
    from postgast import pg_query_pb2

    if node.WhichOneof("node") != "a_expr" or node.a_expr.kind != pg_query_pb2.AEXPR_OP:
        return None
    if [each.string.sval for each in node.a_expr.name] != ["="]:
        return None
    sides = [node.a_expr.lexpr, node.a_expr.rexpr]
    for column, value in (sides, sides[::-1]):
        of_day = _of_day(column)
        bare = value.type_cast.arg if value.WhichOneof("node") == "type_cast" else value
        if of_day is not None and bare.WhichOneof("node") in ("param_ref", "a_const"):
            return of_day, f"{_said(bare)}::date"
    return None


def _of_day(node: Any) -> str | None:
    kind = node.WhichOneof("node")
    inner = None
    if kind == "type_cast" and node.type_cast.type_name.names[-1].string.sval == "date":
        inner = node.type_cast.arg
    elif kind == "func_call" and [each.string.sval for each in node.func_call.funcname] == ["date"]:
        inner = node.func_call.args[0] if len(node.func_call.args) == 1 else None
    return _said(inner) if inner is not None and inner.WhichOneof("node") == "column_ref" else None


# ------------------------------------------------------------------------------------------ OFFSET as a key


def _keyset(tree: Any) -> str | None:
    """`… ORDER BY a, b LIMIT n OFFSET m` as `… WHERE (a, b) > (last a, last b) ORDER BY a, b LIMIT n`.

    It is given where the last page ended, in new parameters: no other way of writing the same, but another question.
    """
    from postgast import pg_query_pb2

    select = tree.stmts[0].stmt.select_stmt
    if not _returns_rows(select) or not select.HasField("limit_offset") or not len(select.sort_clause):
        return None
    orders = [each.sort_by for each in select.sort_clause]
    down = {each.sortby_dir == pg_query_pb2.SORTBY_DESC for each in orders}
    if len(down) != 1 or any(each.node.WhichOneof("node") != "column_ref" for each in orders):
        return None
    numbers = [node.param_ref.number for node in _in(tree.stmts[0].stmt) if node.WhichOneof("node") == "param_ref"]
    skipped = [node.param_ref.number for node in _in(select.limit_offset) if node.WhichOneof("node") == "param_ref"]
    first = max([number for number in numbers if number not in skipped], default=0) + 1
    last = ", ".join(f"${first + number}" for number in range(len(orders)))
    following = f"({', '.join(_said(each.node) for each in orders)}) {'<' if down == {True} else '>'} ({last})"
    given = f"({_said(select.where_clause)}) AND " if select.HasField("where_clause") else ""
    select.where_clause.CopyFrom(_condition(given + following))
    select.ClearField("limit_offset")
    return _deparsed(tree)


WRITERS: Mapping[str, Callable[[Any], str | None]] = {
    "not-in-subquery": _not_exists,
    "or-across-tables": _union_all,
    "function-on-column": _day_as_range,
    "offset-pagination": _keyset,
}
"""How the advice of a rule would have a statement written, by rule."""
