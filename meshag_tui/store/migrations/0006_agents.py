"""Agents with their versions and flows, and threads: conversations with a model. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import (
    BigIntegerField,
    CompositeKey,
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


class Project(Record):
    id = TextField(primary_key=True)


class Connection(Record):
    id = TextField(primary_key=True)


class Agent(Timestamped):
    id = TextField(primary_key=True)
    name = TextField(unique=True)
    category = TextField()
    description = TextField(default="")
    project = ForeignKeyField(Project, null=True, on_delete="SET NULL")
    status = TextField()
    version = IntegerField()
    every_s = IntegerField(null=True)
    next_run_at = BigIntegerField(null=True)
    shipped = TextField(null=True)
    actor = TextField()
    deleted_at = BigIntegerField(null=True)


class AgentVersion(Record):
    agent = ForeignKeyField(Agent, on_delete="CASCADE", index=False)
    version = IntegerField()
    document = JSONField()
    checksum = TextField()
    actor = TextField()
    created_at = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("agent", "version")


class Flow(Timestamped):
    id = TextField(primary_key=True)
    agent = ForeignKeyField(Agent, on_delete="CASCADE", unique=True)
    version = IntegerField()
    deleted_at = BigIntegerField(null=True)


class FlowVersion(Record):
    flow = ForeignKeyField(Flow, on_delete="CASCADE", index=False)
    version = IntegerField()
    document = JSONField()
    checksum = TextField()
    actor = TextField()
    created_at = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("flow", "version")


class Thread(Timestamped):
    id = TextField(primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    agent = ForeignKeyField(Agent, null=True, on_delete="SET NULL")
    actor = TextField(index=True)
    subject_kind = TextField()
    subject_id = TextField()
    name = TextField()
    instructions = TextField(default="")
    model = TextField(null=True)
    evidence = JSONField()
    deleted_at = BigIntegerField(null=True)


class Message(Timestamped):
    id = TextField(primary_key=True)
    thread = ForeignKeyField(Thread, on_delete="CASCADE")
    role = TextField()
    content = TextField()
    state = TextField()
    model = TextField(null=True)
    usage = TextField(null=True)
    details = JSONField(default=dict)


MADE = (Agent, AgentVersion, Flow, FlowVersion, Thread, Message)


def up(migrator: Any, db: Any) -> None:
    db.bind((Project, Connection, *MADE))
    for model in MADE:
        model.create_table(safe=False)
