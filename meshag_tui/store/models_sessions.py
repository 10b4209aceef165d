"""What sessions did, as the store's models. See `models`."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from meshag_tui.store.models_basis import Connection, Record


class Sampled(Record):
    """What sessions did in (start_at, end_at], of so many samples: see `sampled`."""

    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    start_at = BigIntegerField()
    end_at = BigIntegerField()
    samples = IntegerField()
    active = JSONField()  # sessions that worked, summed over the samples, by wait class
    sessions = JSONField()  # those worth remembering, see `sampled.SeenSession`
    vitals = JSONField(null=True)  # the last ones read in it

    class Meta:
        indexes = ((("connection", "end_at"), False),)


class SampledText(Record):
    """The text of a statement that was seen running, normalised; each once, however often it is seen."""

    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    fingerprint = TextField()
    text = TextField()
    seen_at = BigIntegerField()

    class Meta:
        indexes = ((("connection", "fingerprint"), True),)
