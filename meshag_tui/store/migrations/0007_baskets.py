"""Runs of several changes and how far each came. Frozen: models as they were then, independent of those of today."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, ForeignKeyField, JSONField, Model, TextField


class Record(Model):
    class Meta:
        legacy_table_names = False


class Connection(Record):
    id = TextField(primary_key=True)


class Basket(Record):
    id = TextField(primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    actor = TextField()
    owner = TextField()
    plan_hash = TextField()
    state = TextField()
    items = JSONField()
    error = TextField(null=True)


def up(migrator: Any, db: Any) -> None:
    db.bind((Connection, Basket))
    Basket.create_table(safe=False)
