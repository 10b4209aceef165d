"""The schema of a sandbox as statements, made from what the source's catalogue says.

Each statement is known by the parser's name of its kind: whoever runs it sees to it that it is exactly one of that
kind, because the texts come from a server that is not ours. Names are quoted here, whole texts are the source's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.sandbox.source import Column, Name, Relation, Source

STAND_IN = "pg_catalog.bytea"
"""The type of a column whose own is not to be had: its width is still known."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement; `home` is what is missing when it fails."""

    node: str
    sql: str
    home: Name


def dotted(name: Name) -> str:
    return f"{quoted(name[0])}.{quoted(name[1])}"


def literal(text: str) -> str:
    """A string constant, whatever stands in it."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


def schemas(source: Source) -> Iterator[Step]:
    names = {
        *(one[0] for one in source.types),
        *(one.schema for one in source.relations),
        *(one[0] for one in source.extended),
        *source.extensions.values(),
    }
    for name in sorted(names - {"public", "pg_catalog"}):
        yield Step("CreateSchemaStmt", f"CREATE SCHEMA {quoted(name)}", (name, ""))


def types(source: Source) -> Iterator[Step]:
    for schema, name, kind, detail in source.types:
        home = (schema, name)
        whole = dotted(home)
        if kind == "e":
            labels = ", ".join(literal(label) for label in detail or ())
            yield Step("CreateEnumStmt", f"CREATE TYPE {whole} AS ENUM ({labels})", home)
        elif kind == "d":
            yield Step("CreateDomainStmt", f"CREATE DOMAIN {whole} AS {detail}", home)
        elif kind == "r":
            yield Step("CreateRangeStmt", f"CREATE TYPE {whole} AS RANGE (SUBTYPE = {detail})", home)
        else:
            parts = ", ".join(f"{quoted(column)} {type_name}" for column, type_name in detail or ())
            yield Step("CompositeTypeStmt", f"CREATE TYPE {whole} AS ({parts})", home)


def tables(
    source: Source, known_types: Mapping[str, bool], collations: Collection[Name], stand_in: str = STAND_IN
) -> Iterator[Step]:
    """Tables and their parts.

    Args:
        known_types: the types of columns, as the source prints them, and whether the sandbox has them.
        collations: those the sandbox has; a column of another one sorts as the database does.
        stand_in: the type of a column whose own is not known.
    """
    for one in source.relations:
        if one.kind not in "rpm":
            continue
        if one.bound is not None and one.parents:
            text = f"CREATE TABLE {dotted(one.home)} PARTITION OF {dotted(one.parents[0])} {one.bound}"
        else:
            columns = ", ".join(_column(column, known_types, collations, stand_in) for column in one.columns)
            text = f"CREATE TABLE {dotted(one.home)} ({columns})"
            if one.parents:
                text += f" INHERITS ({', '.join(dotted(parent) for parent in one.parents)})"
        if one.key is not None:
            text += f" PARTITION BY {one.key}"
        if one.workers is not None and one.workers.isdigit():
            text += f" WITH (parallel_workers = {one.workers})"
        yield Step("CreateStmt", text, one.home)


def _column(column: Column, known_types: Mapping[str, bool], collations: Collection[Name], stand_in: str) -> str:
    known = known_types.get(column.type, False)
    text = f"{quoted(column.name)} {column.type if known else stand_in}"
    if known and column.collation in collations and column.collation is not None:
        text += f" COLLATE {dotted(column.collation)}"
    if column.virtual is not None:
        text += f" GENERATED ALWAYS AS ({column.virtual}) VIRTUAL"
    return text + (" NOT NULL" if column.not_null else "")


def indexes(source: Source) -> Iterator[Step]:
    for one in source.indexes:
        home = (one.schema, one.name)
        if one.constraint is None:
            yield Step("IndexStmt", one.definition, home)
        else:
            yield Step("AlterTableStmt", _constraint((one.schema, one.table), *one.constraint), home)
    for one in source.indexes:
        if one.parent is not None:
            home = (one.schema, one.name)
            text = f"ALTER INDEX {dotted(one.parent)} ATTACH PARTITION {dotted(home)}"
            yield Step("AlterTableStmt", text, one.parent)


def constraints(source: Source) -> Iterator[Step]:
    partitioned = {one.home for one in source.relations if one.kind == "p"}
    for schema, table, name, text in source.constraints:
        home = (schema, table)
        yield Step("AlterTableStmt", _constraint(home, name, text, only=home not in partitioned), home)


def _constraint(table: Name, name: str, text: str, only: bool = True) -> str:
    return f"ALTER TABLE {'ONLY ' if only else ''}{dotted(table)} ADD CONSTRAINT {quoted(name)} {text}"


def views(source: Source) -> Iterator[Step]:
    by_oid: dict[int, Relation] = {one.oid: one for one in source.relations}
    for oid, definition in source.views.items():
        one = by_oid.get(oid)
        if one is None:
            continue
        columns = ", ".join(quoted(column.name) for column in one.columns)
        barrier = " WITH (security_barrier)" if one.barrier else ""
        body = definition.rstrip().rstrip(";")
        yield Step("ViewStmt", f"CREATE VIEW {dotted(one.home)} ({columns}){barrier} AS {body}", one.home)


def extended(source: Source) -> Iterator[Step]:
    for schema, name, text in source.extended:
        yield Step("CreateStatsStmt", text, (schema, name))


def options(rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    """Statements that give tables the options and targets of rows (schema, table, column, option, value)."""
    for home, table, column, option, value in rows:
        what = f"ALTER TABLE {dotted((home, table))}"
        if column is not None:
            yield f"{what} ALTER COLUMN {quoted(column)} SET STATISTICS {int(value)}"
        else:
            name = ".".join(map(quoted, option.split(".", 1)))
            yield f"{what} SET ({name} = {literal(value)})"


def all_types(source: Source) -> list[str]:
    """Every type a column has, as the source prints it."""
    return sorted({column.type for one in source.relations for column in one.columns})


def rows_of(statistics: tuple[Any, ...], readable_values: bool) -> tuple[Any, ...]:
    """A row of statistics, without its values where the column stands for one of another type."""
    return statistics if readable_values else (*statistics[:7], *([None] * (len(statistics) - 7)))
