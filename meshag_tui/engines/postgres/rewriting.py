"""Statements written otherwise, by what is known to mean the same: NOT IN (SELECT …) as NOT EXISTS.

In: a text. Out: another text, or None where the form is not the plain one that we can rewrite. That both mean the same
holds under conditions (no NULL on either side), which `sandbox.proving` looks at: nothing is claimed here.
"""

from __future__ import annotations

from typing import Any

from meshag_tui.engines.postgres import libpg, rewrite
from meshag_tui.engines.postgres.errors import quoted


def not_exists(text: str) -> str | None:
    """The text with every plain `x NOT IN (SELECT y FROM …)` as `NOT EXISTS (SELECT … WHERE … AND y = x)`."""
    try:
        return libpg.run(_not_exists, rewrite.plannable(text))
    except libpg.TooLarge:
        return None


def _not_exists(text: str) -> str | None:
    import postgast
    from google.protobuf.message import DecodeError

    try:
        tree = postgast.parse(text)
        statement = tree.stmts[0].stmt
        if statement.WhichOneof("node") != "select_stmt":
            return None
        if not _in_select(statement.select_stmt):
            return None
        return rewrite.renumbered(str(postgast.deparse(tree)))
    except (postgast.PgQueryError, DecodeError, IndexError):
        return None


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
