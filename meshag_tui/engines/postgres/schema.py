"""Structure: columns, views, constraints, foreign keys and sequences of the users' schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshag_tui.engines.postgres.sql import load
from meshag_tui.snapshot import Column, ForeignKey, SchemaSnapshot, Sequence

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.facts import Server
    from meshag_tui.engines.postgres.wire import Wire

_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


async def structure(wire: Wire) -> SchemaSnapshot:
    """The whole structure in one statement; it needs every relation free of AccessExclusive locks.

    Sources: pg_attribute with pg_attrdef, pg_get_viewdef, pg_get_constraintdef.
    """
    columns: dict[str, tuple[Column, ...]] = {}
    views: dict[str, str] = {}
    constraints: dict[str, tuple[str, ...]] = {}

    def shape(rows: list[tuple[Any, ...]]) -> list[None]:
        for part, relation, values in rows:
            if part == "columns":
                columns[relation] = tuple(
                    Column(name, kind, null == "yes", default) for name, kind, null, default in values
                )
            elif part == "view":
                views[relation] = values[0][0]
            else:
                constraints[relation] = tuple(value[0] for value in values)
        return []

    await wire.fetch(load("schema"), shape=shape)
    return SchemaSnapshot(_sorted(columns), _sorted(views), _sorted(constraints))


def _sorted(found: dict[str, Any]) -> dict[str, Any]:
    """By name: equal structure gives an equal document, whatever the order the server had it in."""
    return dict(sorted(found.items()))


async def links(wire: Wire, server: Server) -> tuple[tuple[ForeignKey, ...], tuple[Sequence, ...]]:
    """Foreign keys, and sequences as `sequences` has them, in one statement. Source: pg_constraint."""
    query = f"{load('foreign_keys')} UNION ALL {load('sequences')}"
    rows = await wire.fetch(query, {"database": server.facts.database_oid})
    keys, sequences = [], []
    for part, names, columns, referenced, figures, cycles in rows:
        if part == "key":
            name, schema, table, other_schema, other_table = names
            keys.append(ForeignKey(name, schema, table, tuple(columns), other_schema, other_table, tuple(referenced)))
        else:
            sequences.append(_sequence(names, figures, cycles))
    return tuple(keys), tuple(sequences)


async def sequences(wire: Wire, server: Server) -> tuple[Sequence, ...]:
    """Sequences. One we may not read, or that is locked, has no last value.

    Sources: pg_sequence, pg_sequence_last_value(), pg_depend.
    """
    rows = await wire.fetch(load("sequences"), {"database": server.facts.database_oid})
    return tuple(_sequence(names, figures, cycles) for _, names, _, _, figures, cycles in rows)


def _sequence(names: list[str | None], figures: list[int | None], cycles: bool) -> Sequence:
    schema, name, table_schema, table, column, column_type = names
    last, largest, smallest, increment = figures
    limit, step = largest or 0, increment or 1
    if step < 0:
        limit = smallest or 0
        if column_type in _LARGEST:
            limit = max(limit, -_LARGEST[column_type] - 1)
    elif column_type in _LARGEST:
        limit = min(limit, _LARGEST[column_type])
    return Sequence(schema or "", name or "", last, limit, step, cycles, table_schema, table, column, column_type)
