"""A change as the exact SQL that would run and the SQL that would put it back.

In: a `types.Change`, which is data, and a session to ask the catalogue. Out: a `RenderedChange`, every name in it taken
from the catalogue and quoted by the server, every expression written anew from its parse tree, every type and operator
class outside pg_catalog with its schema; or Refused, with the reason. The same catalogue gives the same text.

Nothing is ever made or dropped other than CONCURRENTLY: without it an index locks its table. PostgreSQL cannot do that
on a partitioned table, so there we refuse, and say in `fix` the steps that a person would take.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from meshag_tui.engines.base import Refused, RenderedChange
from meshag_tui.engines.postgres import dropping, expressions, kinds
from meshag_tui.engines.postgres.catalogue import Reader, Table, find_table, quote
from meshag_tui.engines.postgres.names import checked_name, free_name, names_of_relations
from meshag_tui.engines.postgres.sql import load
from meshag_tui.types import Analyze, Change, CreateIndex, DropIndex, IndexColumn, IndexSpec, RestoreIndex, Vacuum

_ORDERED = frozenset(("btree",))
_INCLUDING = frozenset(("btree", "gist", "spgist"))
_SINGLE = frozenset(("hash", "spgist"))


async def render(session: Reader, change: Change) -> RenderedChange:
    """The SQL of a change and of its undo, and the object as it is now. Reads pg_class, pg_index, pg_opclass, pg_proc.

    ANALYZE, VACUUM and REINDEX have no undo: they replace statistics and space that nobody wants back.

    Raises:
        Refused: the object is not there, is not such as we change, or an equal index exists; the text names it.
    """
    if isinstance(change, CreateIndex):
        return await _create(session, change.spec)
    if isinstance(change, DropIndex):
        return await dropping.drop(session, change)
    if isinstance(change, RestoreIndex):
        return await dropping.restore(session, change)
    if isinstance(change, Analyze | Vacuum):
        return await _maintain(session, change)
    kind = kinds.KINDS.get(type(change))
    if kind is None:
        raise Refused(f"PostgreSQL has no {change.kind.replace('-', ' ')}")
    return await kind.render(session, change)


# ---------------------------------------------------------------------------------------------- CREATE INDEX


async def _create(session: Reader, spec: IndexSpec) -> RenderedChange:
    table = await find_table(session, spec.schema, spec.table)
    if table.kind not in ("r", "m", "p"):
        raise Refused(f"{table.schema}.{table.name} is not a table: it can have no index")
    if table.persistence == "t":
        raise Refused(f"{table.schema}.{table.name} is a temporary table")
    checked = await _checked(session, spec, table)
    same = await equivalent_index(session, checked, table)
    if same is not None:
        raise Refused(f"The index {same} is equal to this one and exists already")
    taken = await names_of_relations(session, table.schema)
    name = checked_name(spec.name, taken, "index") if spec.name is not None else index_name(checked, taken)
    quoted = await quote(session, [table.schema, table.name, name, *names_in(checked)])
    if table.kind == "p":
        raise Refused(
            f"{table.schema}.{table.name} is partitioned: PostgreSQL makes no index on it without blocking its writers",
            fix=_partitioned_steps(checked, name, quoted),
            by_hand=(
                create_index_sql(checked, name, quoted, concurrently=False),
                f"DROP INDEX {quoted[table.schema]}.{quoted[name]}",
            ),
        )
    text = create_index_sql(checked, name, quoted, concurrently=True)
    return RenderedChange(
        sql=text,
        undo_sql=f"DROP INDEX CONCURRENTLY {quoted[table.schema]}.{quoted[name]}",
        target={
            "table_oid": table.oid,
            "schema": table.schema,
            "table": table.name,
            "index": name,
            "columns": {column: table.columns[column] for column in sorted(_columns(checked))},
        },
    )


def create_index_sql(spec: IndexSpec, name: str | None, quoted: Mapping[str, str], *, concurrently: bool) -> str:
    """The statement for a spec whose names are checked and whose expressions are written anew."""
    keys = []
    for column in spec.columns:
        text = f"({column.name})" if column.is_expression else quoted[column.name]
        if column.opclass:
            text += " " + ".".join(quoted[part] for part in column.opclass.split("."))
        keys.append(text + column.order)
    parts = [
        "CREATE INDEX",
        *(["CONCURRENTLY"] if concurrently else []),
        *([quoted[name]] if name is not None else []),
        f"ON {quoted[spec.schema]}.{quoted[spec.table]}",
        f"USING {quoted[spec.method]} ({', '.join(keys)})",
    ]
    if spec.include:
        parts.append(f"INCLUDE ({', '.join(quoted[column] for column in spec.include)})")
    if spec.where:
        parts.append(f"WHERE {spec.where}")
    return " ".join(parts)


async def _checked(session: Reader, spec: IndexSpec, table: Table) -> IndexSpec:
    """The spec with expressions written anew and operator classes with their schema."""
    if not spec.columns:
        raise Refused("An index needs at least one column")
    if len(spec.columns) + len(spec.include) > 32:
        raise Refused("PostgreSQL takes at most 32 columns in an index")
    methods = {row[0] for row in await session.fetch("SELECT amname FROM pg_catalog.pg_am WHERE amtype = 'i'")}
    known = methods & {"btree", "hash", "gin", "gist", "spgist", "brin"}
    if spec.method not in known:
        raise Refused(f"The index method must be one of {', '.join(sorted(known))}")
    if spec.method in _SINGLE and len(spec.columns) > 1:
        raise Refused(f"A {spec.method} index has one column")
    if spec.include and spec.method not in _INCLUDING:
        raise Refused(f"A {spec.method} index takes no INCLUDE columns")
    if spec.method not in _ORDERED and any(column.order for column in spec.columns):
        raise Refused(f"A {spec.method} index has no order")
    plain = [column.name for column in spec.columns if not column.is_expression] + list(spec.include)
    for name in plain:
        if name not in table.columns:
            raise Refused(f"There is no column {name} in {table.schema}.{table.name}")
    if len(set(plain)) != len(plain):
        raise Refused("A column stands in the index twice")
    columns = [
        replace(
            column,
            name=await checked_expression(session, column.name, table) if column.is_expression else column.name,
            opclass=await checked_opclass(session, column.opclass, spec.method) if column.opclass else None,
        )
        for column in spec.columns
    ]
    where = await checked_expression(session, spec.where, table) if spec.where else None
    return IndexSpec(table.schema, table.name, tuple(columns), spec.method, spec.include, where, spec.name)


async def checked_expression(session: Reader, text: str, table: Table) -> str:
    """An expression over a table written anew, its functions immutable and its types with their schema; or Refused."""
    first = expressions.checked(text, table.name)
    expressions.check_columns(first, table.columns)
    if first.functions:
        rows = await session.fetch(
            "SELECT DISTINCT p.proname FROM pg_catalog.pg_proc p WHERE p.proname = ANY(%s::text[]) "
            "AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.provolatile = 'i' AND p.prokind = 'f'",
            (sorted(first.functions),),
        )
        unfit = sorted(first.functions - {row[0] for row in rows})
        if unfit:
            raise Refused(f"The function {unfit[0]} is not an immutable function of PostgreSQL's own")
    schemas = await _type_schemas(session, first.types, table.schema)
    return expressions.checked(text, table.name, schemas).text


async def checked_parts(session: Reader, spec: IndexSpec) -> IndexSpec:
    """The spec with its expressions written anew and its operator classes with their schema; or Refused.

    For an index that is only planned with: whether its columns are there is for the planner to say.
    """
    needs_table = spec.where is not None or any(column.is_expression for column in spec.columns)
    table = await find_table(session, spec.schema, spec.table) if needs_table else None
    columns = []
    for column in spec.columns:
        name = column.name
        if column.is_expression and table is not None:
            name = await checked_expression(session, column.name, table)
        opclass = await checked_opclass(session, column.opclass, spec.method) if column.opclass else None
        columns.append(replace(column, name=name, opclass=opclass))
    where = await checked_expression(session, spec.where, table) if spec.where and table is not None else None
    return IndexSpec(spec.schema, spec.table, tuple(columns), spec.method, spec.include, where)


async def _type_schemas(session: Reader, names: Collection[str], schema: str) -> dict[str, str]:
    """The schema of each type that is not in pg_catalog; the table's own schema first."""
    if not names:
        return {}
    rows = await session.fetch(
        "SELECT t.typname, n.nspname FROM pg_catalog.pg_type t "
        "JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typname = ANY(%s::text[])"
        " ORDER BY n.nspname <> 'pg_catalog', n.nspname <> %s, n.nspname",
        (sorted(names), schema),
    )
    found: dict[str, str] = {}
    for name, where in rows:
        found.setdefault(name, where)
    missing = sorted(set(names) - found.keys())
    if missing:
        raise Refused(f"There is no type {missing[0]}")
    return {name: where for name, where in found.items() if where != "pg_catalog"}


async def checked_opclass(session: Reader, name: str, method: str) -> str:
    """The name of an operator class, with its schema where that is not pg_catalog; or Refused."""
    schema, _, bare = name.rpartition(".")
    rows = await session.fetch(
        "SELECT n.nspname FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace "
        "JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod WHERE o.opcname = %s AND a.amname = %s "
        "ORDER BY n.nspname <> 'pg_catalog', n.nspname",
        (bare, method),
    )
    schemas = [row[0] for row in rows]
    if not schemas or (schema and schema not in schemas):
        raise Refused(f"There is no operator class {name} for {method}")
    found = schema or schemas[0]
    return bare if found == "pg_catalog" else f"{found}.{bare}"


async def equivalent_index(session: Reader, spec: IndexSpec, table: Table) -> str | None:
    """Name of an index, valid or not, with the same method, keys, order, INCLUDE columns and predicate."""
    wanted_keys = [expressions.canonical(_key_text(column)) for column in spec.columns]
    wanted_opclasses = [(column.opclass or "").rpartition(".")[2] for column in spec.columns]
    wanted_order = [(3 if column.descending else 0) ^ (2 * column.nulls_turned) for column in spec.columns]
    for row in await session.fetch(load("indexes_of_table"), (table.oid,)):
        name, method, _valid, _ready, keys, key_count, opclasses, order, predicate, collated = row
        if collated or method != spec.method:
            continue
        same_keys = [expressions.canonical(key) for key in keys[:key_count]] == wanted_keys
        same_include = {_unquoted(key) for key in keys[key_count:]} == set(spec.include)
        same_order = list(order)[:key_count] == wanted_order
        same_opclasses = list(opclasses)[:key_count] == wanted_opclasses
        same_predicate = expressions.canonical(predicate) == expressions.canonical(spec.where)
        if same_keys and same_include and same_order and same_opclasses and same_predicate:
            return f"{table.schema}.{name}"
    return None


def _key_text(column: IndexColumn) -> str:
    return column.name if column.is_expression else '"' + column.name.replace('"', '""') + '"'


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def index_name(spec: IndexSpec, taken: Collection[str]) -> str:
    """A free name of at most 63 bytes: table_column_column_idx, as PostgreSQL's own, numbered if taken."""
    columns = [
        re.sub(r"\W+", "_", column.name).strip("_") if column.is_expression else column.name for column in spec.columns
    ]
    return free_name("_".join([spec.table, *columns]), "_idx", taken, "index")


def _columns(spec: IndexSpec) -> set[str]:
    found = {column.name for column in spec.columns if not column.is_expression} | set(spec.include)
    for text in (
        *(column.name for column in spec.columns if column.is_expression),
        *([spec.where] if spec.where else []),
    ):
        found |= expressions.checked(text).columns
    return found


def names_in(spec: IndexSpec) -> list[str]:
    """Every name in a checked spec that is to be quoted."""
    plain = [column.name for column in spec.columns if not column.is_expression]
    classes = [part for column in spec.columns if column.opclass for part in column.opclass.split(".")]
    return [spec.schema, spec.table, spec.method, *plain, *spec.include, *classes]


def _partitioned_steps(spec: IndexSpec, name: str, quoted: Mapping[str, str]) -> str:
    alone = create_index_sql(spec, name, quoted, concurrently=False).replace(" ON ", " ON ONLY ", 1)
    index = f"{quoted[spec.schema]}.{quoted[name]}"
    return (
        f"{alone}; then on each partition the same with CREATE INDEX CONCURRENTLY, "
        f"and ALTER INDEX {index} ATTACH PARTITION each of them"
    )


# ---------------------------------------------------------------------------------------------- the rest


async def _maintain(session: Reader, change: Analyze | Vacuum) -> RenderedChange:
    table = await find_table(session, change.schema, change.table)
    if table.kind not in ("r", "m", "p"):
        raise Refused(f"{table.schema}.{table.name} is not a table")
    quoted = await quote(session, [table.schema, table.name])
    verb = "ANALYZE" if isinstance(change, Analyze) else "VACUUM (ANALYZE)"
    return RenderedChange(
        sql=f"{verb} {quoted[table.schema]}.{quoted[table.name]}",
        undo_sql=None,
        target={"table_oid": table.oid, "schema": table.schema, "table": table.name},
    )
