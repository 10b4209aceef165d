"""What the planner is told of several columns together: made, dropped, and exactly put back.

New statistics are empty until the next ANALYZE, so one goes with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meshag_tui.engines.base import Refused, RenderedChange
from meshag_tui.engines.postgres import parse, trees
from meshag_tui.engines.postgres.catalogue import Reader, State, Table, find_table, quote
from meshag_tui.engines.postgres.lexer import in_one_line
from meshag_tui.engines.postgres.names import checked_name, free_name
from meshag_tui.engines.postgres.rewrite import literal
from meshag_tui.engines.postgres.sql import load
from meshag_tui.types import CreateStatistics, DropStatistics, RestoreStatistics

KINDS = ("ndistinct", "dependencies", "mcv")
MOST_COLUMNS = 8
_LETTERS = {"d": "ndistinct", "f": "dependencies", "m": "mcv", "e": "expressions"}


async def create(session: Reader, change: CreateStatistics) -> RenderedChange:
    table = await _table(session, change.schema, change.table)
    if not change.kinds or not set(change.kinds) <= set(KINDS):
        raise Refused(f"The kinds of statistics are {', '.join(KINDS)}")
    for name in change.columns:
        if name not in table.columns:
            raise Refused(f"There is no column {name} in {table.schema}.{table.name}")
    if not 2 <= len(change.columns) <= MOST_COLUMNS or len(set(change.columns)) != len(change.columns):
        raise Refused(f"Statistics are of 2 to {MOST_COLUMNS} different columns")
    kinds = tuple(kind for kind in KINDS if kind in change.kinds)
    rows = await session.fetch(load("change_statistics_objects"), (table.oid,))
    for schema, other, columns, has, _, expressions in rows:
        if set(columns) == set(change.columns) and set(kinds) <= _kinds(has) and not expressions:
            raise Refused(f"The statistics {schema}.{other} tell the planner this already")
    taken = {
        row[0]
        for row in await session.fetch(
            "SELECT s.stxname FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n "
            "ON n.oid = s.stxnamespace WHERE n.nspname = %s",
            (table.schema,),
        )
    }
    chosen = change.name or free_name("_".join([table.name, *change.columns]), "_stats", taken, "statistics")
    name = checked_name(chosen, taken, "statistics")
    quoted = await quote(session, [table.schema, table.name, name, *change.columns])
    full, relation = f"{quoted[table.schema]}.{quoted[name]}", f"{quoted[table.schema]}.{quoted[table.name]}"
    on = ", ".join(quoted[column] for column in change.columns)
    return RenderedChange(
        sql=f"CREATE STATISTICS {full} ({', '.join(kinds)}) ON {on} FROM {relation};\nANALYZE {relation}",
        undo_sql=f"DROP STATISTICS {full}",
        target={
            "table_oid": table.oid,
            "schema": table.schema,
            "table": table.name,
            "statistics": name,
            "columns": {column: table.columns[column] for column in sorted(change.columns)},
        },
    )


def creates(change: CreateStatistics, statements: Sequence[parse.Statement]) -> bool:
    if len(statements) != 2 or not trees.analyzes(statements[1], (change.schema, change.table)):
        return False
    tree = statements[0].tree
    columns = [(one.get("StatsElem") or {}).get("name") for one in tree.get("exprs", ())]
    return (
        _makes(statements[0], change.schema, change.table, change.name)
        and columns == list(change.columns)
        and set(parse.names(tree.get("stat_types", ()))) == set(change.kinds)
    )


def _makes(statement: parse.Statement, schema: str, table: str, name: str | None) -> bool:
    tree = statement.tree
    names = parse.names(tree.get("defnames", ()))
    relations = [(one.get("RangeVar") or {}) for one in tree.get("relations", ())]
    return (
        statement.node == "CreateStatsStmt"
        and not tree.get("if_not_exists")
        and len(names) == 2
        and names[0] == schema
        and (name is None or names[1] == name)
        and [(one.get("schemaname"), one.get("relname")) for one in relations] == [(schema, table)]
    )


async def created(session: Reader, change: CreateStatistics, rendered: RenderedChange, ran_at: float | None) -> State:
    target = rendered.target
    for schema, name, columns, has, _, expressions in await session.fetch(
        load("change_statistics_objects"), (target["table_oid"],)
    ):
        if (schema, name) == (target["schema"], target["statistics"]):
            same = set(columns) == set(change.columns) and _kinds(has) == set(change.kinds) and not expressions
            if not same:
                return "absent"
            return "done" if await _analyzed(session, target["table_oid"], ran_at) else "partial"
    return "absent"


async def _analyzed(session: Reader, oid: int, since: float | None) -> bool:
    rows = await session.fetch(
        "SELECT pg_catalog.max(pg_catalog.date_part('epoch', s.last_analyze)::float8) "
        "FROM pg_catalog.pg_stat_all_tables s WHERE s.relid IN (SELECT %s::oid UNION ALL "
        "SELECT relid FROM pg_catalog.pg_partition_tree(%s::oid))",
        (oid, oid),
    )
    return since is not None and rows[0][0] is not None and rows[0][0] >= since


async def drop(session: Reader, change: DropStatistics) -> RenderedChange:
    table = await _table(session, change.schema, change.table)
    rows = [
        row
        for row in await session.fetch(load("change_statistics_objects"), (table.oid,))
        if (row[0], row[1]) == (change.schema, change.name)
    ]
    if not rows:
        raise Refused(f"There are no statistics {change.schema}.{change.name} of {change.table}")
    quoted = await quote(session, [change.schema, change.name])
    undo = await _recreating(session, rows[0][4], table)
    return RenderedChange(
        sql=f"DROP STATISTICS {quoted[change.schema]}.{quoted[change.name]}",
        undo_sql=";\n".join(undo),
        target={
            "oid": rows[0][4],
            "table_oid": table.oid,
            "schema": change.schema,
            "table": change.table,
            "statistics": change.name,
            "definition": ";\n".join(undo),
        },
    )


async def _recreating(session: Reader, oid: int, table: Table) -> list[str]:
    rows = await session.fetch(load("change_statistics_definition"), (oid,))
    definition, schema, name, owner, user, target, comment = rows[0]
    quoted = await quote(session, [schema, name, owner, table.schema, table.name])
    full = f"{quoted[schema]}.{quoted[name]}"
    statements = [in_one_line(definition)]
    if target is not None and target >= 0:
        statements.append(f"ALTER STATISTICS {full} SET STATISTICS {int(target)}")
    if comment is not None:
        statements.append(in_one_line(f"COMMENT ON STATISTICS {full} IS {literal(comment)}"))
    if owner != user:
        statements.append(f"ALTER STATISTICS {full} OWNER TO {quoted[owner]}")
    return [*statements, f"ANALYZE {quoted[table.schema]}.{quoted[table.name]}"]


def drops(change: DropStatistics, statements: Sequence[parse.Statement]) -> bool:
    tree = statements[0].tree
    return [one.node for one in statements] == ["DropStmt"] and trees.dropped(tree, "OBJECT_STATISTIC_EXT") == (
        change.schema,
        change.name,
    )


async def dropped(session: Reader, change: DropStatistics, rendered: RenderedChange, ran_at: float | None) -> State:
    rows = await session.fetch("SELECT 1 FROM pg_catalog.pg_statistic_ext WHERE oid = %s", (rendered.target["oid"],))
    return "absent" if rows else "done"


async def restore(session: Reader, change: RestoreStatistics) -> RenderedChange:
    table = await _table(session, change.schema, change.table)
    if not restores(change, [parse.parse_one(one) for one in change.statements]):
        raise Refused(f"The undo is not about the statistics {change.schema}.{change.name}")
    quoted = await quote(session, [change.schema, change.name])
    if await session.fetch(
        "SELECT 1 FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace "
        "WHERE n.nspname = %s AND s.stxname = %s",
        (change.schema, change.name),
    ):
        raise Refused(f"The name {change.schema}.{change.name} is taken: the statistics are back, or others have it")
    return RenderedChange(
        sql=";\n".join(change.statements),
        undo_sql=f"DROP STATISTICS {quoted[change.schema]}.{quoted[change.name]}",
        target={
            "table_oid": table.oid,
            "schema": change.schema,
            "table": change.table,
            "statistics": change.name,
        },
    )


def restores(change: RestoreStatistics, statements: Sequence[parse.Statement]) -> bool:
    """Whether they make these statistics, and then only describe and fill them."""
    if not 0 < len(statements) <= 5 or not _makes(statements[0], change.schema, change.table, change.name):
        return False
    return all(trees.analyzes(one, (change.schema, change.table)) or _describes(one, change) for one in statements[1:])


def _describes(statement: parse.Statement, change: RestoreStatistics) -> bool:
    tree, name = statement.tree, (change.schema, change.name)
    if statement.node == "AlterStatsStmt":
        return parse.names(tree.get("defnames", ())) == name and not tree.get("missing_ok")
    if statement.node == "CommentStmt":
        return tree.get("objtype") == "OBJECT_STATISTIC_EXT" and trees.listed(tree.get("object")) == name
    if statement.node == "AlterOwnerStmt":
        return tree.get("objectType") == "OBJECT_STATISTIC_EXT" and trees.listed(tree.get("object")) == name
    return False


async def restored(session: Reader, change: RestoreStatistics, rendered: RenderedChange, ran_at: float | None) -> State:
    target = rendered.target
    for schema, name, _, _, oid, _ in await session.fetch(load("change_statistics_objects"), (target["table_oid"],)):
        if (schema, name) == (change.schema, change.name):
            table = await _table(session, change.schema, change.table)
            same = await _recreating(session, oid, table) == list(change.statements)
            return "done" if same and await _analyzed(session, table.oid, ran_at) else "partial"
    return "absent"


async def _table(session: Reader, schema: str, name: str) -> Table:
    table = await find_table(session, schema, name)
    if table.kind not in ("r", "m", "p"):
        raise Refused(f"{schema}.{name} is not a table")
    return table


def _kinds(letters: Sequence[Any]) -> set[str]:
    return {_LETTERS.get(str(letter), str(letter)) for letter in letters}
