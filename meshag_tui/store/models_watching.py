"""What is watched, as the store's models: health, alerts, and where they are sent. See `models`."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from meshag_tui.store.models_basis import Connection, Project, Record, Timestamped


class Health(Record):
    """How a connection fared at a moment: kept when it changed, else once an hour."""

    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    at = BigIntegerField()
    score = IntegerField()
    judged = IntegerField()  # points whose figures could be read, of 100
    items = JSONField()  # see `health.Kept`

    class Meta:
        indexes = ((("connection", "at"), False),)


class HealthLimits(Record):
    """Limits of one connection in place of the usual ones: name -> [warning, critical]."""

    connection = ForeignKeyField(Connection, on_delete="CASCADE", primary_key=True)
    limits = JSONField(default=dict)
    updated_at = BigIntegerField()


class Alert(Record):
    """Something that somebody should know. `open_key` is unique while it lasts: that is what prevents a second one."""

    id = TextField(primary_key=True)  # alr_
    open_key = TextField(null=True, unique=True)
    connection = ForeignKeyField(Connection, null=True, on_delete="CASCADE", index=False)  # null: of everything
    rule = TextField()
    subject = TextField(default="")  # what it is about, where a rule may speak of several
    severity = TextField()  # warning, critical
    message = TextField()
    details = JSONField(default=dict)  # the figures it rests on
    began_at = BigIntegerField(index=True)
    seen_at = BigIntegerField()
    ended_at = BigIntegerField(null=True)
    acknowledged_at = BigIntegerField(null=True)
    acknowledged_by = TextField(null=True)
    undelivered = BooleanField(default=True, index=True)
    claimed_until = BigIntegerField(default=0)  # a process sends it, and has until then
    deliveries = JSONField(default=list)  # what became of it, by webhook


class Channel(Timestamped):
    """A webhook. Its whole address is sealed, for there are services whose address is the secret."""

    id = TextField(primary_key=True)  # chn_
    name = TextField(unique=True)
    place = TextField()  # scheme://host:port
    secret = TextField()  # vault token of address and signing key; opens only for this webhook at this place
    secret_key_id = TextField()
    connection = ForeignKeyField(Connection, null=True, on_delete="CASCADE")  # null: of all
    rules = JSONField(default=list)  # empty: all
    quiet = TextField(default="")  # when nothing is sent, as a maintenance window
    enabled = BooleanField(default=True)
    project = ForeignKeyField(Project, null=True, on_delete="CASCADE")  # null: of all
