"""Empty stores, made once and copied: to make one runs every migration, which a thousand tests need not do again.

`store_url` is such a store, in a SQLite file and in a PostgreSQL database in turn; `unmade_store_url` is where one can
be made, for the tests of that; `put_store(file)` puts one into a home.
"""

from __future__ import annotations

import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meshag_tui.store.database import Store
from tests.rig.postgres import Servers

_folder = functools.cache(tempfile.TemporaryDirectory)


@pytest.fixture(params=["sqlite", "postgresql"])
def unmade_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a store yet to be made: a SQLite file that does not exist, then an empty PostgreSQL database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    for database in request.getfixturevalue("servers").fresh(18):
        database.execute("DROP EXTENSION pg_stat_statements")
        yield database.url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty store, with all its tables."""
    if request.param == "sqlite":
        yield put_store(tmp_path / "store.db")
        return
    servers: Servers = request.getfixturevalue("servers")
    for database in servers.fresh(18, _template(servers)):
        yield database.url


def put_store(file: Path) -> str:
    """Copy an empty store, with all its tables, to where none is yet, and return its URL; its folder is made."""
    empty = Path(_folder().name) / "store.db"
    if not empty.exists():
        Store.open(f"sqlite:///{empty}").close()
    file.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(empty, file)
    return f"sqlite:///{file}"


@functools.cache
def _template(servers: Servers) -> str:
    database = servers.make(18, "store")
    database.execute("DROP EXTENSION pg_stat_statements")
    Store.open(database.url).close()
    return database.name


def one_version_older(path: Path) -> str:
    """Take back the newest migration of the store in this file; the name by which its upgrade is told."""
    with closing(sqlite3.connect(path)) as store, store:
        for table in ("query_statistics", "query_digest"):
            store.execute(f"ALTER TABLE {table} DROP COLUMN lock_time_ms")
        for table in ("schema_migration", "schema_checksum"):
            store.execute(f"DELETE FROM {table} WHERE name = '0020_lock_time'")
    return "lock time"
