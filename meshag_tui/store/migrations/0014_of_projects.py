"""Webhooks of one project. Frozen."""

from __future__ import annotations

from typing import Any


def up(migrator: Any, db: Any) -> None:
    # Not by Peewee's migrator: on SQLite it would make the table anew.
    db.execute_sql("ALTER TABLE channel ADD COLUMN project_id TEXT REFERENCES project (id) ON DELETE CASCADE")
    db.execute_sql("CREATE INDEX channel_project_id ON channel (project_id)")
