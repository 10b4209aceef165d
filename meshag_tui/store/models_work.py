"""Runs of workflows as the store's models, and what people and MeshAG did. See `models`."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from meshag_tui.store.models_basis import Connection, Record, Timestamped


class Execution(Timestamped):
    """One durable run. (kind, key, slot) is unique, and so is (kind, key) of what is open (an index that only
    a migration makes): nothing is run twice.
    """

    id = TextField(primary_key=True)  # exec_
    kind = TextField()
    key = TextField()  # connection id, or what the run is about
    slot = BigIntegerField()
    connection = ForeignKeyField(Connection, null=True, on_delete="CASCADE")
    state = TextField(default="ready")
    owner = TextField(null=True)
    fence = IntegerField(default=0)
    lease_until = BigIntegerField(default=0)
    not_before = BigIntegerField(default=0)
    attempts = IntegerField(default=0)
    cancel_requested = BooleanField(default=False)
    input = JSONField(default=dict)
    result = JSONField(null=True)
    error = TextField(null=True)
    started_at = BigIntegerField(null=True)
    finished_at = BigIntegerField(null=True)

    class Meta:
        indexes = ((("kind", "key", "slot"), True), (("state", "not_before"), False))


class ExecutionStep(Record):
    execution = ForeignKeyField(Execution, on_delete="CASCADE", index=False)
    name = TextField()
    started_at = BigIntegerField()
    finished_at = BigIntegerField()
    output = JSONField(null=True)

    class Meta:
        primary_key = CompositeKey("execution", "name")


class ExecutionLog(Record):
    id = BigAutoField()
    execution = ForeignKeyField(Execution, on_delete="CASCADE")
    at = BigIntegerField()
    level = TextField()
    message = TextField()


class Activity(Record):
    """What people and MeshAG did: append-only, and a chain of hashes. See `activity`."""

    id = BigAutoField()
    at = BigIntegerField(index=True)
    actor = TextField()
    kind = TextField()
    connection = ForeignKeyField(Connection, null=True, on_delete="SET NULL")
    subject = TextField(null=True)  # prefixed id of what it is about
    message = TextField()
    details = JSONField(default=dict)
    about = TextField(null=True)  # the connection's id, which stays when the connection goes
    origin = TextField(null=True, index=True)  # hash in the store it was brought from
    prev_hash = TextField(null=True)
    hash = TextField(null=True)  # null: it was not written by `activity`
