"""The activity log as a chain: each entry has the hash of the one before. What was there already is chained. Frozen."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from peewee import BigAutoField, BigIntegerField, JSONField, Model, TextField


class Record(Model):
    class Meta:
        legacy_table_names = False


class Activity(Record):
    id = BigAutoField()
    at = BigIntegerField()
    actor = TextField()
    kind = TextField()
    connection_id = TextField(null=True)
    about = TextField(null=True)
    subject = TextField(null=True)
    message = TextField()
    details = JSONField()
    origin = TextField(null=True)
    prev_hash = TextField(null=True)
    hash = TextField(null=True)


class Setting(Record):
    key = TextField(primary_key=True)
    value = JSONField()


def up(migrator: Any, db: Any) -> None:
    db.bind((Activity, Setting))
    # Not by Peewee's migrator: on SQLite it would make the table anew.
    for column in ("about", "origin", "prev_hash", "hash"):
        db.execute_sql(f"ALTER TABLE activity ADD COLUMN {column} TEXT")
    db.execute_sql("CREATE INDEX activity_origin ON activity (origin)")
    db.execute_sql("UPDATE activity SET about = connection_id")
    last, before = 0, ""
    while rows := list(Activity.select().where(Activity.id > last).order_by(Activity.id).limit(5_000)):
        for row in rows:
            seal = _seal(row, before)
            Activity.update(prev_hash=before, hash=seal).where(Activity.id == row.id).execute()
            last, before = row.id, seal
    if before:  # else whoever writes the first entry says so
        Setting.create(key="activity.head", value={"id": last, "hash": before})


def _seal(row: Any, before: str) -> str:
    said = (row.id, row.at, row.actor, row.kind, row.about, row.subject, row.message, row.details, row.origin)
    text = json.dumps([before, *map(_even, said)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _even(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _even(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_even(each) for each in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value) if abs(value) < 2**53 and int(value) == value else float(value)
    return value
