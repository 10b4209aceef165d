"""The store's own tables as they are, to be looked at: what there is, how it differs from what it should be, rows.

Nothing here writes. Sealed values and hashes of keys are never given out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from meshag_tui.store import database, models
from meshag_tui.types import UsageError

_OWN = frozenset({"schema_migration", "schema_checksum", "sqlite_sequence"})
_ONLY_MIGRATED = frozenset({("change", "suggestion_id"), ("execution", "kind, key"), ("query", "connection_id")})
"""Partial indexes that the migrations make and no model can say."""
_SECRET = frozenset({"secret", "proxy_secret", "hashed"})
_MASK = "(not shown)"


class TableInfo(NamedTuple):
    """A table: columns as "name type", with "not null" where it is so, columns of its indexes, and its rows."""

    name: str
    columns: tuple[str, ...]
    indexes: tuple[str, ...]
    rows: int


def tables() -> tuple[TableInfo, ...]:
    """All tables of the store, by name."""
    found = []
    for name in _names():
        ((count,),) = models.database.execute_sql(f'SELECT COUNT(*) FROM "{name}"').fetchall()  # noqa: S608
        columns = (
            f"{each.name} {each.data_type.lower()}{'' if each.null else ' not null'}"
            for each in models.database.get_columns(name)
        )
        found.append(TableInfo(name, tuple(columns), tuple(sorted(_indexes(name))), int(count)))
    return tuple(found)


def differences() -> tuple[str, ...]:
    """How the store's tables differ from those this MeshAG works with, a line each; none: they are as it has them."""
    known, found = {model._meta.table_name: model for model in models.MODELS}, set(_names()) - _OWN
    said = [f"there is no table {name}" for name in sorted(known.keys() - found)]
    said += [f"{name} is no table of MeshAG" for name in sorted(found - known.keys())]
    for name in sorted(known.keys() & found):
        meta: Any = known[name]._meta
        wanted = {field.column_name: bool(field.null) for field in meta.sorted_fields}
        there = {each.name: bool(each.null) for each in models.database.get_columns(name)}
        said += [f"{name} has no column {each}" for each in sorted(wanted.keys() - there.keys())]
        said += [f"{name} has a column {each}" for each in sorted(there.keys() - wanted.keys())]
        said += [
            f"{name}.{each} is {'' if there[each] else 'not '}null"
            for each in sorted(wanted.keys() & there.keys())
            if wanted[each] != there[each]
        ]
        asked = {", ".join(_columns_of(index)) for index in meta.fields_to_index()}
        said += [f"{name} has no index on {each}" for each in sorted(asked - _indexes(name))]
        extra = _indexes(name) - asked - {", ".join(_key_of(meta))}
        said += [f"{name} has an index on {each}" for each in sorted(extra) if (name, each) not in _ONLY_MIGRATED]
    return tuple(said)


def orphans() -> tuple[str, ...]:
    """Rows that point to what is not there, a line for each key of a table; none: all do."""
    said = []
    for model in models.MODELS:
        meta: Any = model._meta
        for field, other in meta.refs.items():
            there = other._meta
            mine, its = f'a."{field.column_name}"', f'b."{field.rel_field.column_name}"'
            known = f'SELECT 1 FROM "{there.table_name}" b WHERE {its} = {mine}'  # noqa: S608
            ((count,),) = models.database.execute_sql(
                f'SELECT COUNT(*) FROM "{meta.table_name}" a WHERE {mine} IS NOT NULL AND NOT EXISTS ({known})'  # noqa: S608
            ).fetchall()
            if count:
                said.append(f"{count} of {meta.table_name} point by {field.column_name} to no {there.table_name}")
    return tuple(said)


def rows(table: str, text: str = "", limit: int = 50) -> list[dict[str, Any]]:
    """The last rows of a table by its key, those that hold `text` in a column; what is secret is masked.

    Raises:
        UsageError: there is no such table.
    """
    if table not in _names():
        raise UsageError(f"The store has no table {table!r}; there are {', '.join(_names())}")
    columns = [each.name for each in models.database.get_columns(table)]
    keys = [each for each in models.database.get_primary_keys(table)] or columns[:1]
    mark, shown = models.database.param, [each for each in columns if each not in _SECRET]
    where, given = "", []
    if text:
        like = "ILIKE" if database.kind() == "postgresql" else "LIKE"
        where = " WHERE " + " OR ".join(f'CAST("{each}" AS TEXT) {like} {mark}' for each in shown)
        given = [f"%{text}%"] * len(shown)
    chosen, order = ", ".join(f'"{each}"' for each in shown), ", ".join(f'"{each}" DESC' for each in keys)
    statement = f'SELECT {chosen} FROM "{table}"{where} ORDER BY {order} LIMIT {int(limit)}'  # noqa: S608
    found = models.database.execute_sql(statement, given).fetchall()
    masked = {each: _MASK for each in columns if each in _SECRET}
    return [dict(zip(shown, row, strict=True)) | masked for row in found]


# --- inside -----------------------------------------------------------------------------------------------------------


def _names() -> list[str]:
    return sorted(name for name in models.database.get_tables() if name != "sqlite_sequence")


def _indexes(table: str) -> set[str]:
    return {", ".join(each.columns) for each in models.database.get_indexes(table) if each.columns}


def _columns_of(index: Any) -> list[str]:
    return [field.column_name for field in index._expressions]


def _key_of(meta: Any) -> list[str]:
    key = meta.primary_key
    names = getattr(key, "field_names", None)
    return [meta.fields[each].column_name for each in names] if names else [key.column_name]
