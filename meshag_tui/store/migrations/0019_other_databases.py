"""Whether statements of other databases of the server are kept, too. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import SqliteDatabase


def up(migrator: Any, db: Any) -> None:
    # Not by Peewee's migrator: on SQLite it would make the table anew, and dropping the old one would cascade.
    kind, no = ("INTEGER", "0") if isinstance(db, SqliteDatabase) else ("BOOLEAN", "false")
    db.execute_sql(f"ALTER TABLE connection ADD COLUMN other_databases {kind} NOT NULL DEFAULT {no}")
