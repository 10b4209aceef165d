"""Copies of a whole store: backup, restore, starting afresh. What is replaced is always kept.

An SQLite store is copied as a file. A PostgreSQL store is written as a dump: gzipped JSON lines, table by table, with a
checksum at the end; a dump can be restored into either kind of store, which is also how one moves between them. Both
are as private as the store (0600), and the passwords in them stay sealed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peewee

from meshag_tui.store import bulk, database, models, place, schema
from meshag_tui.store.database import Store
from meshag_tui.store.documents import as_json
from meshag_tui.types import MeshagError

_FORMAT = "meshag-store-1"
_BATCH = 5_000


def backup(store: Store, to: Path | None = None, folder: Path | None = None) -> Path:
    """Copy a store that is open and in use; returns the file. Blocks.

    `to` may not exist yet. Without it an SQLite store is copied beside itself, a PostgreSQL store into `folder`
    (default: the current one), under a dated name.

    Raises:
        MeshagError: the file exists or cannot be written.
    """
    if to is not None and to.exists():
        raise MeshagError(f"{to} exists: choose a name that is free")
    if store.path is not None:
        made = store.backup(to)
        place.seal(made)
        return made
    to = to or place.free_name((folder or Path.cwd()) / f"meshag-store-{place.stamp()}.jsonl.gz")
    store.run(_dump, to)
    return to


def restore(url: str, source: Path, folder: Path | None = None) -> Path | None:
    """Put a backup in the place of the store at `url`, which nobody else may have open. Blocks.

    Returns where the replaced store is kept: beside it, or for PostgreSQL as a dump in `folder`; None if there was
    none.

    Raises:
        MeshagError: `source` is not a whole backup, is of another schema version, or the store is in use.
    """
    if not source.is_file():
        raise MeshagError(f"There is no backup {source}")
    location = place.locate(url)
    if _is_dump(source):
        _check(source)
        kept = reset(url, folder, why="before-restore")
        store = Store.open(url)
        try:
            store.run(_load, source)
        finally:
            store.close()
        return kept
    if location.path is None:
        raise MeshagError(f"{source} is not a dump, and only dumps can be restored into PostgreSQL")
    return place.restore(location.path, source)


def reset(url: str, folder: Path | None = None, why: str = "before-reset") -> Path | None:
    """Start afresh: set an SQLite store aside, dump and empty a PostgreSQL store. Monitored databases are not touched.

    Returns where the old store is kept; None if there was none. Works on a damaged SQLite store too. Blocks.

    Raises:
        MeshagError: another process has the SQLite store open.
    """
    location = place.locate(url)
    if location.path is not None:
        kept = place.set_aside(location.path, why)
        Store.open(url).close()
        return kept
    store = Store.open(url)
    try:
        if not store.run(_rows):
            return None
        kept = backup(store, None, folder)
        store.run(_empty)
    finally:
        store.close()
    return kept


def _dump(to: Path) -> None:
    """Everything in one snapshot of the database."""
    digest = hashlib.sha256()
    try:
        descriptor = os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise MeshagError(f"The backup {to} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as raw, gzip.open(raw, "wt", encoding="utf-8") as file:

            def line(value: Any) -> None:
                text = as_json(value) + "\n"
                digest.update(text.encode())
                file.write(text)

            with database.atomic():
                if database.kind() == "postgresql":
                    models.database.execute_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                line({"format": _FORMAT, "migrations": _migrations()})
                for model in models.MODELS:
                    fields = model._meta.sorted_fields
                    line({"table": model._meta.table_name, "columns": [field.column_name for field in fields]})
                    rows: Any = model.select().order_by(*_primary_key(model)).tuples()
                    for row in rows.iterator():
                        line(row)
            file.write(json.dumps({"sha256": digest.hexdigest()}) + "\n")
    except OSError as error:
        to.unlink(missing_ok=True)
        raise MeshagError(f"The backup {to} cannot be written: {error.strerror}") from error
    except BaseException:
        to.unlink(missing_ok=True)
        raise


def _load(source: Path) -> None:
    """Fill the empty store from a dump that was checked."""
    by_table = {model._meta.table_name: model for model in models.MODELS}
    with database.durable():
        if sorted(_header(source)["migrations"]) != _migrations():
            raise MeshagError(f"{source} is of another version of the schema: restore it with the MeshAG that wrote it")
        table, rows = "", []
        columns: list[str] = []
        encode: Callable[[list[Any]], tuple[Any, ...]] = _plain
        for entry in _lines(source):
            if isinstance(entry, list):
                rows.append(encode(entry))
            if rows and (len(rows) == _BATCH or not isinstance(entry, list)):
                bulk.insert(table, columns, rows)
                rows = []
            if isinstance(entry, dict) and "table" in entry:
                table, columns = entry["table"], entry["columns"]
                encode = _encoder(by_table[table], columns)
        for model in models.MODELS:
            if database.kind() == "postgresql" and isinstance(model._meta.primary_key, peewee.AutoField):
                name = model._meta.table_name
                models.database.execute_sql(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), MAX(id)) FROM {name}"  # noqa: S608
                )


def _encoder(model: Any, columns: list[str]) -> Callable[[list[Any]], tuple[Any, ...]]:
    fields = [model._meta.columns[column] for column in columns]
    documents = {at for at, field in enumerate(fields) if isinstance(field, peewee.JSONField)}

    def encode(row: list[Any]) -> tuple[Any, ...]:
        return tuple(as_json(v) if at in documents and v is not None else v for at, v in enumerate(row))

    return encode


def _plain(row: list[Any]) -> tuple[Any, ...]:
    return tuple(row)


def _check(source: Path) -> None:
    """Read a dump to its end before anything is replaced by it."""
    digest, sealed = hashlib.sha256(), None
    try:
        with gzip.open(source, "rt", encoding="utf-8") as file:
            for text in file:
                if text.startswith('{"sha256"'):
                    sealed = json.loads(text)["sha256"]
                    break
                digest.update(text.encode())
        known = _header(source).get("format") == _FORMAT
    except (OSError, EOFError, ValueError, UnicodeDecodeError) as error:
        raise MeshagError(f"The backup {source} is damaged: choose another") from error
    if not known or sealed != digest.hexdigest():
        raise MeshagError(f"The backup {source} is damaged or cut off: choose another")


def _lines(source: Path) -> Iterator[Any]:
    with gzip.open(source, "rt", encoding="utf-8") as file:
        for text in file:
            yield json.loads(text)


def _header(source: Path) -> dict[str, Any]:
    return dict(next(_lines(source)))


def _is_dump(source: Path) -> bool:
    try:
        with open(source, "rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise MeshagError(f"The backup {source} cannot be read: {error.strerror}") from None


def _migrations() -> list[str]:
    return sorted(found.name for found in schema.status(models.database.obj) if found.state == "applied")


def _primary_key(model: Any) -> list[Any]:
    key = model._meta.primary_key
    names = key.field_names if isinstance(key, peewee.CompositeKey) else [key.name]
    return [model._meta.fields[name] for name in names]


def _rows() -> bool:
    """Whether anything at all is in the store."""
    return any(model.select().exists() for model in models.MODELS)


def _empty() -> None:
    with database.durable():
        for model in reversed(models.MODELS):
            model.delete().execute()
