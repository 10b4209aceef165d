"""Tables and indexes of the watched schemas: sizes, cumulative counters, definitions.

What performance_schema counts of a table lives as long as the table is not altered: it begins anew with each ALTER, and
for all tables when the server starts. `counted_since` says when.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from meshag_tui.engines.mysql.errors import literal, quoted
from meshag_tui.engines.mysql.schema import PRIMARY, IndexRows, Name
from meshag_tui.engines.mysql.scope import names, within
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.unwritten import Table, memory
from meshag_tui.snapshot import IndexKey, IndexStats, TableStats

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.storage import Storage
    from meshag_tui.engines.mysql.wire import Wire

_ELSEWHERE = ("FEDERATED", "CONNECT", "SPIDER")
_AHEAD = 4  # extents by which InnoDB lets a file grow at once
_FIGURES = (
    "JSON_ARRAY(t.CREATE_OPTIONS, t.TABLE_COMMENT, t.TABLE_ROWS, t.DATA_LENGTH, t.INDEX_LENGTH, t.DATA_FREE, "
    "t.AUTO_INCREMENT)"
)
_LINE = (
    "CAST(CONCAT_WS(' ', UNIX_TIMESTAMP(t.CREATE_TIME), t.ENGINE, t.ROW_FORMAT, t.TABLE_NAME) AS CHAR CHARACTER SET "
    "utf8mb4) COLLATE utf8mb4_bin"
)
_NEXT_NUMBER = -1  # where `TableRows` have it
_DISABLED = "disabled"  # MyISAM and Aria: ALTER TABLE … DISABLE KEYS


@dataclass(frozen=True, slots=True)
class Use:
    """Rows read (and changed) by an index, or without one."""

    fetched: int
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Uses:
    """Use by table and index (None: without one). `complete`: what is not in it was not used."""

    of: Mapping[Name, Mapping[str | None, Use]] = field(default_factory=dict)
    complete: bool = False
    changes: bool = False  # rows changed are counted, too


TableRows = list[tuple[Any, ...]]
"""Rows of `tables.sql` with each figure by itself."""


async def uses(wire: Wire, server: Server) -> Uses:
    """How often each index was used, from performance_schema, else from userstat (MariaDB), else not at all."""
    database, observing = server.facts.database, server.observing
    if observing is not None and observing.counts_index_use:
        query, column = "index_use", "u.OBJECT_SCHEMA"
        complete, changes = not server.lost_objects, True
    elif server.settings.get("userstat") == "ON":
        query, column, complete, changes = "index_use_userstat", "u.TABLE_SCHEMA", True, False
    else:
        return Uses()
    found: dict[Name, dict[str | None, Use]] = defaultdict(dict)

    def shape(rows: list[tuple[Any, ...]]) -> list[None]:
        for schema, table, index, *counts in rows:
            found[schema, table][index] = Use(*counts)
        return []

    await wire.fetch(load(query).format(schemas=within(column, database)), names(database), shape=shape)
    return Uses(found, complete, changes)


def indexes(rows: IndexRows, server: Server, used: Uses, stored: Storage) -> tuple[IndexStats, ...]:
    """All indexes from their keys; sizes where InnoDB's own statistics may be read."""
    page = server.facts.block_size
    return tuple(index for table, keys in sorted(rows.items()) for index in _of_table(table, keys, used, stored, page))


def _of_table(
    table: Name, rows: Mapping[str, list[tuple[Any, ...]]], used: Uses, stored: Storage, page: int
) -> Iterable[IndexStats]:
    clustered = _clustered(rows)
    own_key = [row[1] for row in rows.get(clustered or "", ())]
    counted = used.of.get(table, {})
    for name, keys in rows.items():
        method = keys[0][5].lower()
        scans = None
        if method != "fulltext":  # the server counts no reads of those
            scans = counted[name].fetched if name in counted else 0 if used.complete else None
        size = stored.pages.get((*table, name)) if stored.pages is not None else None
        columns = tuple(_key(row) for row in keys)
        unique = not int(keys[0][0])
        yield IndexStats(
            key=f"{table[0]}.{table[1]}.{name}",
            schema=table[0],
            table=table[1],
            name=name,
            definition=_definition(table, name, keys, columns, unique, method),
            method=method,
            keys=columns,
            include=(),
            predicate=None,
            unique=unique,
            primary=name == PRIMARY,
            valid=keys[0][6] != _DISABLED,
            ready=keys[0][6] != _DISABLED,
            constraint=name if unique else None,
            replica_identity=False,
            clustered=name == clustered,
            parent=None,
            size_bytes=0 if name == clustered else None if size is None else size * page,
            rows_estimate=-1.0,
            scans=scans,
            rows_read=scans,
            rows_fetched=None,
            last_scan=None,
            hidden=bool(int(keys[0][8] or 0)),
            suffix=tuple(column for column in own_key if column not in {key.column for key in columns})
            if method == "btree" and name != clustered
            else (),
        )


def _clustered(rows: Mapping[str, list[tuple[Any, ...]]]) -> str | None:
    """The index InnoDB keeps the rows in: the primary key, else the first unique one without NULLs."""
    if PRIMARY in rows:
        return PRIMARY
    whole = [name for name, keys in rows.items() if all(not int(k[0]) and k[4] != "YES" and k[2] is None for k in keys)]
    return whole[0] if len(whole) == 1 else None


def _key(row: tuple[Any, ...]) -> IndexKey:
    _, column, prefix, direction, *_, expression = row
    return IndexKey(
        column=column,
        expression=expression if column is None else None,
        opclass=f"({prefix})" if prefix is not None and column is not None else "",
        collation=None,
        descending=direction == "D",
        nulls_first=direction == "D",
    )


def _definition(
    table: Name, name: str, rows: list[tuple[Any, ...]], keys: tuple[IndexKey, ...], unique: bool, method: str
) -> str:
    """The statement that would make it, for people: the engine never runs this text."""
    columns = ", ".join(
        (f"{quoted(key.column)}{key.opclass}" if key.column is not None else f"({key.expression})")
        + (" DESC" if key.descending else "")
        for key in keys
    )
    where = f"{quoted(table[0])}.{quoted(table[1])}"
    if name == PRIMARY:
        return f"ALTER TABLE {where} ADD PRIMARY KEY ({columns})"
    kind = "UNIQUE " if unique else {"fulltext": "FULLTEXT ", "spatial": "SPATIAL "}.get(method, "")
    text = f"CREATE {kind}INDEX {quoted(name)} ON {where} ({columns})"
    if method == "hash":
        text += " USING HASH"
    return text + (f" COMMENT {literal(rows[0][7])}" if rows[0][7] else "")


def joined(indexes: tuple[IndexStats, ...], tables: tuple[TableStats, ...]) -> tuple[IndexStats, ...]:
    """The indexes with what their tables say of them. The only index beside the rows is all the space of indexes."""
    by_name = {(table.schema, table.name): table for table in tables}
    alone = Counter((index.schema, index.table) for index in indexes if not index.clustered)
    found = []
    for index in indexes:
        name = (index.schema, index.table)
        table = by_name.get(name)
        if table is not None:
            size = index.size_bytes
            if size is None and alone[name] == 1:
                size = table.index_bytes
            estimate, since = table.rows_estimate, table.counted_since
            index = replace(index, size_bytes=size, rows_estimate=estimate, counted_since=since)
        found.append(index)
    return tuple(found)


async def table_rows(wire: Wire, server: Server, stored: Storage) -> TableRows:
    """All tables; figures of those that nobody wrote to are as they were. Source: information_schema.TABLES."""
    known, begun = memory(wire.target, server), server.altering
    resting = known.at_rest(stored.signs)
    tables: dict[Name, Table] = {}
    if server.flavour == "MySQL":
        rows = await _asked(wire, server, figures_but_of=resting)
    elif known.begun is not None and known.begun == begun:
        tables = dict(resting)
        others = known.tables.keys() - resting.keys()
        rows = await _asked(wire, server, only=others) if others else []
    else:
        begun = begun if stored.altering == 0 else None
        rows = await _asked(wire, server)
    for *altered, figures in rows:
        name = (altered[0], altered[1])
        read = tuple(json.loads(figures)) if figures else resting[name].figures
        tables[name] = Table(stored.signs.get(name), tuple(altered), read)
    known.note(tables, begun)
    return [(*table.altered, *table.figures) for table in tables.values()]


async def _asked(
    wire: Wire,
    server: Server,
    only: Collection[Name] | None = None,
    figures_but_of: Mapping[Name, Table] | None = None,
) -> TableRows:
    """Rows of `tables.sql`: of all or `only` some tables, without figures for those that were not altered since."""
    database, figures = server.facts.database, _FIGURES
    schemas = within("t.TABLE_SCHEMA", database)
    params: dict[str, Any] = dict(names(database))
    if only is not None:
        among, more = _among({name: name[1] for name in only}, "t.TABLE_NAME")
        schemas, params = f"{schemas} AND ({among})", params | more
    if figures_but_of:
        as_it_was, more = _among({name: _line(table.altered) for name, table in figures_but_of.items()}, _LINE)
        figures, params = f"IF({as_it_was}, NULL, {figures})", params | more
    return await wire.fetch(load("tables").format(schemas=schemas, figures=figures), params)


def _among(values: Mapping[Name, str], expression: str) -> tuple[str, dict[str, Any]]:
    """A condition that holds where `expression` of a table is one of these values, and its parameters."""
    by_schema: dict[str, list[str]] = defaultdict(list)
    for (schema, _), value in values.items():
        by_schema[schema].append(value)
    found, params = [], dict[str, Any]()
    for at, (schema, some) in enumerate(by_schema.items()):
        params |= {f"schema{at}": schema, f"tables{at}": some}
        found.append(f"t.TABLE_SCHEMA = %(schema{at})s AND {expression} IN %(tables{at})s")
    return " OR ".join(found), params


def _line(altered: tuple[Any, ...]) -> str:
    """What the catalogue said of a table, as `_LINE` has the server write it."""
    _, name, engine, row_format, created = altered
    return " ".join(str(value) for value in (created, engine, row_format, name) if value is not None)


def tables(
    found: TableRows, server: Server, used: Uses, stored: Storage, indexes: Iterable[IndexStats] | None
) -> tuple[tuple[TableStats, ...], Mapping[Name, int | None]]:
    """All tables, and the next value of each that numbers its rows."""
    keyed = {(index.schema, index.table) for index in indexes or () if index.primary}
    made = (_table(row, server, used, stored, (row[0], row[1]) in keyed or indexes is None) for row in found)
    return tuple(made), {(row[0], row[1]): row[_NEXT_NUMBER] for row in found}


def _table(row: tuple[Any, ...], server: Server, used: Uses, stored: Storage, keyed: bool) -> TableStats:
    schema, name, engine, row_format, created, create_options, comment, estimate, data, index_bytes, free, _ = row
    table, page = (schema, name), server.facts.block_size
    kind: Literal["table", "foreign"] = "foreign" if (engine or "").upper() in _ELSEWHERE else "table"
    innodb = engine == "InnoDB"
    options = {"engine": engine or "", "row_format": row_format or ""}
    options |= dict(each.split("=", 1) for each in (create_options or "").split() if "=" in each)
    if engine is None and comment:
        options["error"] = comment  # the server says here why it cannot open the table
    files = stored.files.get(table, 0) if stored.files is not None else 0
    return TableStats(
        key=f"{schema}.{name}",
        schema=schema,
        name=name,
        kind=kind,
        parent=None,
        rows_estimate=-1.0 if estimate is None else float(estimate),
        pages=(data or 0) // page,
        size_bytes=data,
        index_bytes=index_bytes,
        live_rows=estimate,
        dead_rows=None,
        modified_since_analyze=None if stored.modified is None or not innodb else stored.modified.get(table),
        last_vacuum=None,
        last_analyze=stored.analysed.get(table),
        counters=_counters(used, table),
        options={key: value for key, value in options.items() if value},
        has_primary_key=keyed,
        free_bytes=_given_back(free or 0, files, page) if innodb and files else None,
        counted_since=None if created is None or not used.changes else int(created * 1000),
    )


def _given_back(free: int, files: int, page: int) -> int:
    """What a rebuild would give back: InnoDB lets each file grow ahead by some extents, which are not left behind."""
    extent = max(1024 * 1024, 64 * page)
    return max(0, free - files * _AHEAD * extent)


def _counters(used: Uses, table: Name) -> dict[str, int | None]:
    found = used.of.get(table)
    if found is None and not used.complete:
        return {}
    found = found or {}
    by_index = sum(use.fetched for index, use in found.items() if index is not None)
    if not used.changes:
        return {"index_rows": by_index}
    return {
        "seq_rows": found[None].fetched if None in found else 0,
        "index_rows": by_index,
        "inserts": sum(use.inserted or 0 for use in found.values()),
        "updates": sum(use.updated or 0 for use in found.values()),
        "deletes": sum(use.deleted or 0 for use in found.values()),
    }
