"""An index dropped, and exactly put back: its definition and all that the definition does not say.

In: a DropIndex or RestoreIndex and a session to ask the catalogue. Out: its `RenderedChange`; or Refused, for an index
that something needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from meshag_tui.engines.base import Refused, RenderedChange
from meshag_tui.engines.postgres import parse, permitted
from meshag_tui.engines.postgres.catalogue import SYSTEM, Reader, find_table, quote
from meshag_tui.engines.postgres.lexer import in_one_line
from meshag_tui.engines.postgres.rewrite import literal
from meshag_tui.engines.postgres.sql import load
from meshag_tui.types import DropIndex, RestoreIndex


async def drop(session: Reader, change: DropIndex) -> RenderedChange:
    rows = await session.fetch(load("index_to_drop"), (change.schema, change.name))
    if not rows:
        raise Refused(f"There is no index {change.schema}.{change.name}")
    oid, table_oid, table_schema, table, kind, primary, unique, valid, replica_identity, _ = rows[0][:10]
    definition, _, _, _, constraint, parent, extension, _, _ = rows[0][10:]
    full = f"{change.schema}.{change.name}"
    reason = None
    if table != change.table:
        reason = f"is an index of {table_schema}.{table}, not of {change.table}"
    elif change.schema in SYSTEM or change.schema.startswith("pg_"):
        reason = "belongs to the system"
    elif primary:
        reason = "is a primary key"
    elif constraint is not None:
        reason = f"backs the constraint {constraint}"
    elif unique and valid:
        reason = "is unique: it keeps rows from being doubled"
    elif replica_identity:
        reason = "is the table's replica identity"
    elif parent is not None:
        reason = f"is part of the partitioned index {parent}"
    elif kind != "i":
        reason = "is partitioned: PostgreSQL cannot drop it without blocking"
    elif extension is not None:
        reason = f"belongs to the extension {extension}"
    if reason is not None:
        raise Refused(f"{full} {reason}")
    quoted = await quote(session, [change.schema, change.name])
    index = f"{quoted[change.schema]}.{quoted[change.name]}"
    undo = await _recreating(session, rows[0], change.schema, change.name)
    return RenderedChange(
        sql=f"DROP INDEX CONCURRENTLY {index}",
        undo_sql=";\n".join(undo),
        target={
            "oid": oid,
            "table_oid": table_oid,
            "schema": change.schema,
            "table": table,
            "index": change.name,
            "definition": definition,
            "described": undo[1:],
            "valid": valid,
        },
    )


async def recreating(session: Reader, schema: str, name: str) -> tuple[str, ...]:
    """The statements that would make an index as it is now: its definition, and what is said of it; () if not there."""
    rows = await session.fetch(load("index_to_drop"), (schema, name))
    return tuple(await _recreating(session, rows[0], schema, name)) if rows else ()


async def _recreating(session: Reader, row: Sequence[Any], schema: str, name: str) -> list[str]:
    table_schema, table, clustered = row[2], row[3], row[9]
    definition, predicate, tablespace, comment, _, _, _, depends_on, targets = row[10:]
    quoted = await quote(session, [schema, name, table_schema, table, *([tablespace] if tablespace else [])])
    index = f"{quoted[schema]}.{quoted[name]}"
    statements = [in_one_line(_recreated(definition, predicate, quoted[tablespace] if tablespace else None))]
    if comment is not None:
        statements.append(in_one_line(f"COMMENT ON INDEX {index} IS {literal(comment)}"))
    for number, statistics in sorted((targets or {}).items(), key=lambda pair: int(pair[0])):
        statements.append(f"ALTER INDEX {index} ALTER COLUMN {int(number)} SET STATISTICS {int(statistics)}")
    for extension in depends_on or ():
        extension_name = (await quote(session, [extension]))[extension]
        statements.append(f"ALTER INDEX {index} DEPENDS ON EXTENSION {extension_name}")
    if clustered:
        statements.append(f"ALTER TABLE {quoted[table_schema]}.{quoted[table]} CLUSTER ON {quoted[name]}")
    return statements


def _recreated(definition: str, predicate: str | None, tablespace: str | None) -> str:
    """pg_get_indexdef's text made CONCURRENTLY, with the tablespace it does not print."""
    text = re.sub(r"^CREATE (UNIQUE )?INDEX ", r"CREATE \1INDEX CONCURRENTLY ", definition, count=1)
    if tablespace is not None:
        where = f" WHERE {predicate}" if predicate is not None else ""
        text = f"{text.removesuffix(where)} TABLESPACE {tablespace}{where}"
    return text


async def restore(session: Reader, change: RestoreIndex) -> RenderedChange:
    """A dropped index as it was: the statements captured before the drop, each checked to be about this index only."""
    table = await find_table(session, change.schema, change.table)
    quoted = await quote(session, [change.schema, change.name])
    permitted.check_restore(change)
    missing = [name for name in _columns(change.statements[0]) if name not in table.columns]
    if missing:
        raise Refused(f"There is no column {missing[0]} in {table.schema}.{table.name} any more")
    if await session.fetch(
        "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = %s",
        (change.schema, change.name),
    ):
        raise Refused(f"The name {change.schema}.{change.name} is taken: the index is back, or something else has it")
    return RenderedChange(
        sql=";\n".join(change.statements),
        undo_sql=f"DROP INDEX CONCURRENTLY {quoted[change.schema]}.{quoted[change.name]}",
        target={"table_oid": table.oid, "schema": change.schema, "table": change.table, "index": change.name},
    )


def _columns(create: str) -> list[str]:
    """The columns that a CREATE INDEX names as keys or carries along; those in expressions are the server's to find."""
    tree = parse.parse_one(create).tree
    elements = [*tree.get("indexParams", ()), *tree.get("indexIncludingParams", ())]
    names = ((element.get("IndexElem") or {}).get("name") for element in elements)
    return [str(name) for name in names if name]
