"""What was measured in sandboxes. Frozen: models as they were then, independent of those of today."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, ForeignKeyField, JSONField, Model, TextField


class Record(Model):
    class Meta:
        legacy_table_names = False


class Connection(Record):
    id = TextField(primary_key=True)


class Suggestion(Record):
    id = TextField(primary_key=True)


class Rehearsal(Record):
    id = TextField(primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    suggestion = ForeignKeyField(Suggestion, null=True, on_delete="CASCADE")
    created_at = BigIntegerField()
    actor = TextField()
    verdict = TextField()
    kind = TextField()
    document = JSONField()
    samples = JSONField()


def up(migrator: Any, db: Any) -> None:
    db.bind((Connection, Suggestion, Rehearsal))
    Rehearsal.create_table(safe=False)
