"""Watching: health and its history, limits of one's own, alerts, webhooks, and what a connection is for. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    TextField,
)


class Record(Model):
    class Meta:
        legacy_table_names = False


class Timestamped(Record):
    created_at = BigIntegerField()
    updated_at = BigIntegerField()


class Connection(Record):
    id = TextField(primary_key=True)


class Health(Record):
    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    at = BigIntegerField()
    score = IntegerField()
    judged = IntegerField()
    items = JSONField()

    class Meta:
        indexes = ((("connection", "at"), False),)


class HealthLimits(Record):
    connection = ForeignKeyField(Connection, on_delete="CASCADE", primary_key=True)
    limits = JSONField(default=dict)
    updated_at = BigIntegerField()


class Alert(Record):
    id = TextField(primary_key=True)
    open_key = TextField(null=True, unique=True)
    connection = ForeignKeyField(Connection, null=True, on_delete="CASCADE", index=False)
    rule = TextField()
    subject = TextField(default="")
    severity = TextField()
    message = TextField()
    details = JSONField(default=dict)
    began_at = BigIntegerField(index=True)
    seen_at = BigIntegerField()
    ended_at = BigIntegerField(null=True)
    acknowledged_at = BigIntegerField(null=True)
    acknowledged_by = TextField(null=True)
    undelivered = BooleanField(default=True, index=True)
    claimed_until = BigIntegerField(default=0)
    deliveries = JSONField(default=list)


class Channel(Timestamped):
    id = TextField(primary_key=True)
    name = TextField(unique=True)
    place = TextField()
    secret = TextField()
    secret_key_id = TextField()
    connection = ForeignKeyField(Connection, null=True, on_delete="CASCADE")
    rules = JSONField(default=list)
    quiet = TextField(default="")
    enabled = BooleanField(default=True)


MADE = (Health, HealthLimits, Alert, Channel)


def up(migrator: Any, db: Any) -> None:
    db.bind((Connection, *MADE))
    for model in MADE:
        model.create_table(safe=False)
    # Not by Peewee's migrator: on SQLite it would make the table anew, and dropping the old one would cascade.
    db.execute_sql("ALTER TABLE connection ADD COLUMN stage TEXT")
