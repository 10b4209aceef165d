"""What is changed of a table beside its indexes' being there: an index's name, statistics options, a histogram.

Each is written from the catalogue, read again strictly before it is sent, and judged by the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.engines.base import Refused, RenderedChange
from meshag_tui.engines.mysql import reading
from meshag_tui.engines.mysql.catalogue import Asked, State, Table, find_table
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.names import checked_name
from meshag_tui.engines.mysql.online import alter, check_engine
from meshag_tui.engines.mysql.sql import load
from meshag_tui.types import CreateStatistics, DropStatistics, RenameIndex, SetTableOptions

OPTIONS: Mapping[str, tuple[int, int]] = {
    "STATS_PERSISTENT": (0, 1),
    "STATS_AUTO_RECALC": (0, 1),
    "STATS_SAMPLE_PAGES": (1, 65_535),
}
BUCKETS = 100


async def rename(server: Asked, change: RenameIndex) -> RenderedChange:
    table = await _table(server, change.schema, change.table)
    key = table.key(change.name)
    if key is None:
        raise Refused(f"There is no index {change.name} on {table.full}")
    if key.kind == "PRIMARY":
        raise Refused(f"The primary key of {table.full} has no name of its own")
    checked_name(change.new_name, {other.name.lower() for other in table.keys})
    old, new = quoted(key.name), quoted(change.new_name)
    return RenderedChange(
        sql=alter(server.flavour, table, f"RENAME INDEX {old} TO {new}"),
        undo_sql=alter(server.flavour, table, f"RENAME INDEX {new} TO {old}"),
        target={
            "schema": table.schema,
            "table": table.name,
            "index": key.name,
            "definition": key.text(server.flavour).replace(old, "", 1),
        },
    )


def renames(change: RenameIndex, sql: str) -> bool:
    reader = reading.Reader(reading.only(reading.altered(sql, change.schema, change.table)))
    for word in ("RENAME", "INDEX"):
        reading.expect(reader, word)
    old = reader.name()
    reading.expect(reader, "TO")
    return reader.name() == change.new_name and reader.ended and old.lower() == change.name.lower()


async def renamed(server: Asked, change: RenameIndex, rendered: RenderedChange) -> State:
    table = await find_table(server, change.schema, change.table)
    gone, there = table.key(change.name), table.key(change.new_name)
    only_case = change.name.lower() == change.new_name.lower()
    done = there is not None and there.name == change.new_name and (gone is None or only_case)
    return "done" if done else "absent"


# ---------------------------------------------------------------------------------------------- options of statistics


async def set_options(server: Asked, change: SetTableOptions) -> RenderedChange:
    table = await _table(server, change.schema, change.table)
    if not change.options or len(dict(change.options)) != len(change.options):
        raise Refused("Each option is named once")
    for name, value in change.options:
        low, high = OPTIONS.get(name, (0, -1))
        if low > high:
            raise Refused(f"{name} is not an option that MeshAG sets: {', '.join(OPTIONS)}")
        if value is not None and not (value.isascii() and value.isdecimal() and low <= int(value) <= high):
            raise Refused(f"{name} goes from {low} to {high}, not {value[:40]}")
    before = await _options(server, table)
    undo = tuple((name, before.get(name)) for name, _ in change.options)
    if dict(undo) == dict(change.options):
        raise Refused(f"{table.full} has {_written(undo)} already")
    return RenderedChange(
        sql=alter(server.flavour, table, _written(change.options)),
        undo_sql=alter(server.flavour, table, _written(undo)),
        target={
            "schema": table.schema,
            "table": table.name,
            "before": dict(undo),
            "undo": [list(pair) for pair in undo],
        },
    )


def _written(options: tuple[tuple[str, str | None], ...]) -> str:
    return ", ".join(f"{name}={'DEFAULT' if value is None else value}" for name, value in options)


def sets_options(change: SetTableOptions, sql: str) -> bool:
    found = []
    for action in reading.altered(sql, change.schema, change.table):
        words = [token.text for token in action if token.kind != "space"]
        if len(words) != 3 or words[1] != "=":
            return False
        found.append((words[0], None if words[2] == "DEFAULT" else words[2]))
    return tuple(found) == change.options


async def has_options(server: Asked, change: SetTableOptions, rendered: RenderedChange) -> State:
    now = await _options(server, await find_table(server, change.schema, change.table))
    return "done" if all(now.get(name) == value for name, value in change.options) else "absent"


async def _options(server: Asked, table: Table) -> dict[str, str]:
    """What of `OPTIONS` the table has of its own."""
    rows = await server.fetch(load("change_table_options"), (table.schema, table.name))
    text = next((str(row[2] or "") for row in rows if (row[0], row[1]) == (table.schema, table.name)), "")
    pairs = (word.upper().partition("=") for word in text.split())
    return {name: value for name, sign, value in pairs if sign and name in OPTIONS}


# ---------------------------------------------------------------------------------------------- histograms


async def create_histogram(server: Asked, change: CreateStatistics) -> RenderedChange:
    table, column = await _column(server, change)
    if await _histograms(server, table, column):
        anew = f"ANALYZE TABLE {table.sql} UPDATE HISTOGRAM ON {quoted(column)} WITH {BUCKETS} BUCKETS"
        raise Refused(f"{table.full}.{column} has a histogram already, which could not be put back", anew)
    return RenderedChange(
        sql=f"ANALYZE NO_WRITE_TO_BINLOG TABLE {table.sql} UPDATE HISTOGRAM ON {quoted(column)} WITH {BUCKETS} BUCKETS",
        undo_sql=f"ANALYZE NO_WRITE_TO_BINLOG TABLE {table.sql} DROP HISTOGRAM ON {quoted(column)}",
        target={"schema": table.schema, "table": table.name, "statistics": column},
    )


def creates_histogram(change: CreateStatistics, sql: str) -> bool:
    reader = reading.analyzing(sql, change.schema, change.table)
    for word in ("UPDATE", "HISTOGRAM", "ON"):
        reading.expect(reader, word)
    column = reader.name()
    reading.expect(reader, "WITH")
    buckets = reader.number()
    reading.expect(reader, "BUCKETS")
    return reader.ended and buckets == BUCKETS and [column.lower()] == [name.lower() for name in change.columns]


async def has_histogram(server: Asked, change: CreateStatistics, rendered: RenderedChange) -> State:
    table = await find_table(server, change.schema, change.table)
    return "done" if await _histograms(server, table, rendered.target["statistics"]) else "absent"


async def drop_histogram(server: Asked, change: DropStatistics) -> RenderedChange:
    table, column = await _column(server, change)
    if not await _histograms(server, table, column):
        raise Refused(f"{table.full}.{column} has no histogram")
    return RenderedChange(
        sql=f"ANALYZE NO_WRITE_TO_BINLOG TABLE {table.sql} DROP HISTOGRAM ON {quoted(column)}",
        undo_sql=None,
        target={"schema": table.schema, "table": table.name, "statistics": column},
    )


def drops_histogram(change: DropStatistics, sql: str) -> bool:
    reader = reading.analyzing(sql, change.schema, change.table)
    for word in ("DROP", "HISTOGRAM", "ON"):
        reading.expect(reader, word)
    return reader.name().lower() == change.name.lower() and reader.ended


async def has_no_histogram(server: Asked, change: DropStatistics, rendered: RenderedChange) -> State:
    table = await find_table(server, change.schema, change.table)
    return "absent" if await _histograms(server, table, rendered.target["statistics"]) else "done"


async def _column(server: Asked, change: CreateStatistics | DropStatistics) -> tuple[Table, str]:
    table = await _table(server, change.schema, change.table)
    columns = change.columns if isinstance(change, CreateStatistics) else (change.name,)
    if isinstance(change, CreateStatistics) and change.kinds != ("histogram",):
        raise Refused(f"{server.flavour} has histograms of a column, no statistics of several together")
    if len(columns) != 1:
        raise Refused("A histogram is of one column")
    found = table.columns.get(columns[0].lower())
    if found is None:
        raise Refused(f"There is no column {columns[0]} in {table.full}")
    if server.flavour != "MySQL":
        raise Refused(
            "MariaDB reads the whole table for it, and only who may write its own tables takes it back",
            f"ANALYZE TABLE {table.sql} PERSISTENT FOR COLUMNS ({quoted(found.name)}) INDEXES ()",
        )
    return table, found.name


async def _histograms(server: Asked, table: Table, column: str) -> list[Any]:
    return await server.fetch(load("change_histogram"), (table.schema, table.name, column))


async def _table(server: Asked, schema: str, name: str) -> Table:
    table = await find_table(server, schema, name)
    check_engine(table)
    return table
