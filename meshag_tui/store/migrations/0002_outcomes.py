"""What became of changes: forecast and measured, and whether one that makes things worse is undone unasked. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import (
    BigIntegerField,
    BooleanField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    SqliteDatabase,
    TextField,
)


class Connection(Model):
    id = TextField(primary_key=True)


class Change(Model):
    id = TextField(primary_key=True)


class Outcome(Model):
    change = ForeignKeyField(Change, on_delete="CASCADE", primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=True)
    rule = TextField(null=True)
    method = TextField(null=True)
    confidence = DoubleField(null=True)
    gain_ms_per_day = DoubleField(null=True)
    forecast = JSONField(default=dict)
    state = TextField()
    settled = BooleanField(default=False)
    held = BooleanField(null=True)
    saved_ms_per_day = DoubleField(null=True)
    result = JSONField(default=dict)
    looks = IntegerField(default=0)
    looked_at = BigIntegerField(null=True)
    next_look_at = BigIntegerField(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        legacy_table_names = False


def up(migrator: Any, db: Any) -> None:
    db.bind((Connection, Change, Outcome))
    Outcome.create_table(safe=False)
    # Not by Peewee's migrator: on SQLite it would make the table anew, and dropping the old one would cascade.
    kind, no = ("INTEGER", "0") if isinstance(db, SqliteDatabase) else ("BOOLEAN", "false")
    db.execute_sql(f"ALTER TABLE connection ADD COLUMN undo_worse {kind} NOT NULL DEFAULT {no}")
