"""A change as the exact SQL that would run and the SQL that would put it back.

In: a `types.Change`, which is data, and a conversation to ask the catalogue. Out: a `RenderedChange`, every name in it
taken from the catalogue and in backticks; or Refused, with the reason. The same catalogue gives the same text.

ALGORITHM and LOCK are always named, so that a server that would have to copy the table or to block its writers refuses
instead. What no server of this kind does without that is refused here already, with the statement a person could run.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from meshag_tui.engines.base import Refused, RenderedChange
from meshag_tui.engines.mysql import dropping, kinds
from meshag_tui.engines.mysql.catalogue import Asked, Column, Table, find_table
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.keys import Key, Part
from meshag_tui.engines.mysql.names import MAX_NAME, checked_name
from meshag_tui.engines.mysql.online import alter, check_engine
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    DropIndex,
    HideIndex,
    IndexColumn,
    IndexSpec,
    Rebuild,
    RestoreIndex,
    ShowIndex,
    Vacuum,
)

MAX_PARTS = {"MySQL": 16, "MariaDB": 32}
MAX_KEYS = 64
_PREFIX = re.compile(r"\(([1-9]\d{0,3})\)")
_NEED_LENGTH = frozenset(["tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob"])
_PREFIXED = _NEED_LENGTH | frozenset(["char", "varchar", "binary", "varbinary"])
_NO_KEY = frozenset(
    ["json", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"]
)


async def render(server: Asked, change: Change) -> RenderedChange:
    """The SQL of a change and of its undo, and the object as it is now. Reads information_schema, SHOW CREATE TABLE.

    ANALYZE and a rebuild have no undo: they replace statistics and space that nobody wants back.

    Raises:
        Refused: the object is not there, is not such as we change, or an equal index exists; the text names it.
    """
    if isinstance(change, CreateIndex):
        return await _create(server, change.spec)
    if isinstance(change, DropIndex):
        return await dropping.drop(server, change)
    if isinstance(change, RestoreIndex):
        return await dropping.restore(server, change)
    if isinstance(change, HideIndex | ShowIndex):
        return await dropping.hide_or_show(server, change)
    if isinstance(change, Analyze):
        return await _analyze(server, change)
    if isinstance(change, Rebuild):
        return await _rebuild(server, change)
    if isinstance(change, Vacuum):
        raise Refused(
            f"{server.flavour} has no VACUUM: InnoDB removes old versions of rows by itself, "
            "and a rebuild of the table gives their space back"
        )
    kind = kinds.KINDS.get(type(change))
    if kind is None:
        raise Refused(f"{server.flavour} has no {change.kind.replace('-', ' ')}")
    return await kind.render(server, change)


# ---------------------------------------------------------------------------------------------- a new index


async def _create(server: Asked, spec: IndexSpec) -> RenderedChange:
    table = await find_table(server, spec.schema, spec.table)
    check_engine(table)
    key = _key(server, spec, table)
    for other in table.keys:
        if other.parts == key.parts and (other.kind == "FULLTEXT") == (key.kind == "FULLTEXT"):
            hidden = ", hidden: let it be used again instead" if other.hidden else ""
            raise Refused(f"The index {other.name} of {table.full} is equal to this one and exists already{hidden}")
    if sum(other.kind != "PRIMARY" for other in table.keys) >= MAX_KEYS:
        raise Refused(f"{table.full} has {MAX_KEYS} indexes: there can be no more")
    action = f"ADD {key.text(server.flavour)}"
    undo = f"DROP INDEX {quoted(key.name)}"
    _refuse_locking(server, table, key, action, undo)
    return RenderedChange(
        sql=alter(server.flavour, table, action),
        undo_sql=alter(server.flavour, table, undo),
        target={
            "schema": table.schema,
            "table": table.name,
            "index": key.name,
            "definition": key.text(server.flavour),
            "columns": {part.column: table.columns[part.column.lower()].type for part in key.parts if part.column},
        },
    )


def _key(server: Asked, spec: IndexSpec, table: Table) -> Key:
    """The key that a spec asks for, with the catalogue's names; or Refused."""
    flavour = server.flavour
    method = spec.method.lower()
    if method not in ("btree", "fulltext"):
        raise Refused(f"An InnoDB table has no {spec.method} index: btree and fulltext are the methods")
    if spec.include:
        raise Refused(f"{flavour} has no INCLUDE: the primary key is in every index, other columns must be keys of it")
    if spec.where:
        raise Refused(f"{flavour} has no partial indexes (WHERE)")
    if not spec.columns:
        raise Refused("An index needs at least one column")
    if len(spec.columns) > MAX_PARTS[flavour]:
        raise Refused(f"{flavour} takes at most {MAX_PARTS[flavour]} columns in an index")
    if any(column.is_expression for column in spec.columns):
        raise Refused(*_no_expression(server))
    kind = "FULLTEXT" if method == "fulltext" else "INDEX"
    parts = tuple(_part(column, table, kind == "FULLTEXT") for column in spec.columns)
    if len({part.column for part in parts}) != len(parts):
        raise Refused("A column stands in the index twice")
    taken = {key.name.lower() for key in table.keys}
    name = checked_name(spec.name, taken) if spec.name is not None else _free_name(table, parts, taken)
    return Key("FULLTEXT" if kind == "FULLTEXT" else "INDEX", name, parts)


def _no_expression(server: Asked) -> tuple[str, str]:
    if server.flavour == "MySQL" and server.version >= (8, 0, 13):
        return (
            "MySQL makes no index on an expression without blocking the table's writers",
            "Add a generated column with this expression, which blocks nobody, and index that column",
        )
    return (
        f"{server.flavour} {'.'.join(map(str, server.version))} has no indexes on expressions",
        "Add a generated column with this expression and index that column",
    )


def _part(column: IndexColumn, table: Table, words: bool) -> Part:
    found = table.columns.get(column.name.lower())
    if found is None:
        raise Refused(f"There is no column {column.name} in {table.full}")
    if found.base_type in _NO_KEY:
        raise Refused(f"{table.full}.{found.name} is of type {found.type}: it cannot be a column of such an index")
    if words:
        if column.opclass or column.descending:
            raise Refused("A fulltext index has neither prefixes nor an order")
        return Part(found.name)
    return Part(found.name, _length(column, found, table), column.descending)


def _length(column: IndexColumn, found: Column, table: Table) -> int | None:
    """The length of a prefix; None for one that would be the whole column, as the server has it."""
    most = table.most_key_bytes // found.width  # MariaDB makes a shorter key of what is longer, without an error
    if column.opclass is None:
        if found.base_type in _NEED_LENGTH or (found.base_type in _PREFIXED and (found.length or 0) > most):
            raise Refused(
                f"{table.full}.{found.name} is of type {found.type}: only a prefix of it can be indexed, as in (50)"
            )
        return None
    given = _PREFIX.fullmatch(column.opclass)
    if given is None:
        raise Refused(f"{column.opclass} is no length of a prefix: write it as (50)")
    if found.base_type not in _PREFIXED:
        raise Refused(f"{table.full}.{found.name} is of type {found.type}: it has no prefix to index")
    length = int(given[1])
    if length > most:
        raise Refused(f"A prefix of {table.full}.{found.name} can have at most {most} characters")
    whole = found.base_type not in _NEED_LENGTH and found.length is not None and length >= found.length
    return None if whole else length


def _free_name(table: Table, parts: Collection[Part], taken: Collection[str]) -> str:
    """A free name of at most 64 characters: table_column_column_idx, numbered if taken."""
    stem = "_".join([table.name, *(part.column or "" for part in parts)])
    for number in range(1_000):
        suffix = "_idx" if number == 0 else f"_idx{number}"
        name = stem[: MAX_NAME - len(suffix)] + suffix
        if name.lower() not in taken:
            return name
    raise Refused("There is no free name for the index")


def _refuse_locking(server: Asked, table: Table, key: Key, action: str, undo: str) -> None:
    """A FULLTEXT index keeps writers out while it is made: that is for a person to decide."""
    if key.kind == "FULLTEXT":
        raise Refused(
            f"{server.flavour} makes no FULLTEXT index without blocking the table's writers",
            fix="Make it at a quiet time, or on a replica first",
            by_hand=(
                f"ALTER TABLE {table.sql} {action}, ALGORITHM=INPLACE, LOCK=SHARED",
                alter(server.flavour, table, undo),
            ),
        )


# ---------------------------------------------------------------------------------------------- upkeep


async def _analyze(server: Asked, change: Analyze) -> RenderedChange:
    """Of this server only: replicas have statistics of their own, and nobody asked for theirs."""
    table = await find_table(server, change.schema, change.table)
    check_engine(table)
    return RenderedChange(
        sql=f"ANALYZE NO_WRITE_TO_BINLOG TABLE {table.sql}",
        undo_sql=None,
        target={"schema": table.schema, "table": table.name},
    )


async def _rebuild(server: Asked, change: Rebuild) -> RenderedChange:
    """`created` changes with it, and so tells afterwards that it was done; to the second, as the server has it."""
    table = await find_table(server, change.schema, change.table)
    check_engine(table)
    return RenderedChange(
        sql=alter(server.flavour, table, "FORCE", copies=True),
        undo_sql=None,
        target={"schema": table.schema, "table": table.name, "created": table.created},
    )
