"""A mark on statements that need not be merged with others, and an index of those that must. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import SqliteDatabase


def up(migrator: Any, db: Any) -> None:
    # Not by Peewee's migrator: on SQLite it would make the table anew, and dropping the old one would cascade.
    kind, true, false = ("INTEGER", "1", "0") if isinstance(db, SqliteDatabase) else ("BOOLEAN", "TRUE", "FALSE")
    db.execute_sql(f"ALTER TABLE query ADD COLUMN alone {kind} NOT NULL DEFAULT {true}")
    db.execute_sql(f"""
        UPDATE query SET alone = {false} WHERE internal OR (connection_id, meaning) IN (
            SELECT connection_id, meaning FROM query WHERE meaning IS NOT NULL
            GROUP BY connection_id, meaning HAVING COUNT(*) > 1
        )
    """)  # noqa: S608
    db.execute_sql("CREATE INDEX query_merged ON query (connection_id) WHERE NOT alone")
