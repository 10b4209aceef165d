"""What sessions did, minute by minute. Frozen: models as they were then, independent of those of today."""

from __future__ import annotations

from typing import Any

from peewee import BigAutoField, BigIntegerField, ForeignKeyField, IntegerField, JSONField, Model, TextField


class Record(Model):
    class Meta:
        legacy_table_names = False


class Connection(Record):
    id = TextField(primary_key=True)


class Sampled(Record):
    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    start_at = BigIntegerField()
    end_at = BigIntegerField()
    samples = IntegerField()
    active = JSONField()
    sessions = JSONField()
    vitals = JSONField(null=True)

    class Meta:
        indexes = ((("connection", "end_at"), False),)


class SampledText(Record):
    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    fingerprint = TextField()
    text = TextField()
    seen_at = BigIntegerField()

    class Meta:
        indexes = ((("connection", "fingerprint"), True),)


def up(migrator: Any, db: Any) -> None:
    db.bind((Connection, Sampled, SampledText))
    Sampled.create_table(safe=False)
    SampledText.create_table(safe=False)
