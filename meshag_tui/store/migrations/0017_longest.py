"""The longest call of a statement in an interval, and whether one call makes it slow. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import SqliteDatabase


def up(migrator: Any, db: Any) -> None:
    # Not by Peewee's migrator: on SQLite it would make the tables anew, and dropping the old ones would cascade.
    sqlite = isinstance(db, SqliteDatabase)
    real = "REAL" if sqlite else "DOUBLE PRECISION"
    for table in ("query_statistics", "query_digest"):
        db.execute_sql(f"ALTER TABLE {table} ADD COLUMN longest_ms {real}")
    kind, no = ("INTEGER", "0") if sqlite else ("BOOLEAN", "false")
    db.execute_sql(f"ALTER TABLE connection ADD COLUMN slow_by_longest {kind} NOT NULL DEFAULT {no}")
