"""The time that statements waited for locks. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import SqliteDatabase


def up(migrator: Any, db: Any) -> None:
    # Not by Peewee's migrator: on SQLite it would make these tables, the largest of the store, anew.
    kind = "REAL" if isinstance(db, SqliteDatabase) else "DOUBLE PRECISION"
    for table in ("query_statistics", "query_digest"):
        db.execute_sql(f"ALTER TABLE {table} ADD COLUMN lock_time_ms {kind}")
