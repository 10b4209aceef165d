"""Agents as the store's models: who asks models with which instructions, and what was said. See `models`."""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from meshag_tui.store.models_basis import Connection, Project, Record, Timestamped


class Agent(Timestamped):
    """A profile: what one is for and when it runs; all that a run depends on is in its versions."""

    id = TextField(primary_key=True)  # agnt_
    name = TextField(unique=True)
    category = TextField()
    description = TextField(default="")
    project = ForeignKeyField(Project, null=True, on_delete="SET NULL")  # whose connections it runs on; null: all
    status = TextField()  # ACTIVE, INACTIVE, PAUSED; RUNNING follows from an open execution
    version = IntegerField()
    every_s = IntegerField(null=True)  # null: only when asked to
    next_run_at = BigIntegerField(null=True)
    shipped = TextField(null=True)  # which of those that come with MeshAG it began as
    actor = TextField()
    deleted_at = BigIntegerField(null=True)


class AgentVersion(Record):
    """Instructions, tools, context, configuration and model of an agent as they were from one edit to the next."""

    agent = ForeignKeyField(Agent, on_delete="CASCADE", index=False)
    version = IntegerField()
    document = JSONField()
    checksum = TextField()
    actor = TextField()
    created_at = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("agent", "version")


class Flow(Timestamped):
    """What an agent does, step by step; one an agent."""

    id = TextField(primary_key=True)  # flow_
    agent = ForeignKeyField(Agent, on_delete="CASCADE", unique=True)
    version = IntegerField()
    deleted_at = BigIntegerField(null=True)


class FlowVersion(Record):
    """A flow as a document that is never changed: an edit makes another version."""

    flow = ForeignKeyField(Flow, on_delete="CASCADE", index=False)
    version = IntegerField()
    document = JSONField()
    checksum = TextField()
    actor = TextField()
    created_at = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("flow", "version")


class Thread(Timestamped):
    """A conversation with a model about one statement, plan or suggestion, with the evidence it began with."""

    id = TextField(primary_key=True)  # thrd_
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    agent = ForeignKeyField(Agent, null=True, on_delete="SET NULL")
    actor = TextField(index=True)
    subject_kind = TextField()  # query, plan, suggestion
    subject_id = TextField()  # qry_, sug_
    name = TextField()
    instructions = TextField(default="")
    model = TextField(null=True)  # NAME or NAME/MODEL of a provider; null: the order of providers
    evidence = JSONField()  # {"text", "queries", "at", "cut", "notes"}: see `agents.thread_prompt`
    deleted_at = BigIntegerField(null=True)


class Message(Timestamped):
    """What was said in a thread."""

    id = TextField(primary_key=True)  # msg_
    thread = ForeignKeyField(Thread, on_delete="CASCADE")
    role = TextField()  # user, assistant, note
    content = TextField()
    state = TextField()  # complete, cut, cancelled, failed
    model = TextField(null=True)
    usage = TextField(null=True)  # use_, the call it cost
    details = JSONField(default=dict)  # of an answer: figures not in the evidence, what became of proposals
