"""The store's SQLite file, open in each thread that uses it: for plain statements at once, as Peewee's when asked to.

To import Peewee and to make its models takes as long as to read the first page of statements, which takes a few plain
statements. What is more than these is asked of Peewee, on the same connection of the thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class SqliteFile:
    """Has what `peewee.SqliteDatabase` has. `pragmas` are set on each connection."""

    param = "?"

    def __init__(self, path: Path, pragmas: Mapping[str, Any]) -> None:
        self._path = path
        self._pragmas = pragmas
        self._here = threading.local()
        self._peewee: Any = None
        self._making = threading.Lock()

    def connect(self) -> None:
        """Open a connection of this thread. sqlite3.Error: the file cannot be used."""
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            for name, value in self._pragmas.items():
                connection.execute(f"PRAGMA {name} = {value}")
        except BaseException:
            connection.close()
            raise
        self._here.connection = connection

    def is_closed(self) -> bool:
        """Whether this thread has no connection."""
        return getattr(self._here, "connection", None) is None

    def is_connection_usable(self) -> bool:
        return not self.is_closed()

    def connection(self) -> sqlite3.Connection:
        """That of this thread. sqlite3.ProgrammingError: it has none."""
        if self.is_closed():
            raise sqlite3.ProgrammingError("the store is not open in this thread")
        connection: sqlite3.Connection = self._here.connection
        return connection

    def close(self) -> None:
        """Close the connection of this thread."""
        if self._peewee is not None:
            self._peewee.close()
        connection, self._here.connection = self.connection(), None
        connection.close()

    def execute_sql(self, statement: str, arguments: Any = None) -> Any:
        """Run a statement. Errors are Peewee's, whether it is there already or not."""
        if self._peewee is None:
            try:
                return self.connection().execute(statement, arguments or ())
            except sqlite3.Error:
                import peewee

                with vars(peewee)["__exception_wrapper__"]:
                    raise
        return self._peewee.execute_sql(statement, arguments)

    def get_tables(self) -> list[str]:
        """The names of all tables."""
        found = self.execute_sql("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return [name for (name,) in found.fetchall()]

    @property
    def peewee(self) -> Any:
        """Peewee's database of this file: in each thread it has the connection that is open there."""
        if self._peewee is None:
            made = self._made()
            with self._making:
                self._peewee = self._peewee or made
        return self._peewee

    def _made(self) -> Any:
        from peewee import SqliteDatabase

        file = self

        class Adopting(SqliteDatabase):
            def _connect(self: Any) -> Any:
                connection = file.connection()
                self._add_conn_hooks(connection)
                return connection

        return Adopting(str(self._path), lock_type="IMMEDIATE")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.peewee, name)
