"""Advice as the store's models, and what became of it. See `models`."""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    BooleanField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    SmallIntegerField,
    TextField,
)

from meshag_tui.store.models_basis import Connection, Record, Timestamped


class Suggestion(Timestamped):
    id = TextField(primary_key=True)  # sug_
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    identity = TextField()
    origin = TextField()  # rule, llm
    model = TextField(null=True)
    type = TextField()
    rule = TextField()
    priority = TextField()
    status = TextField(default="NEW")
    title = TextField()
    text = TextField()
    schema_name = TextField(null=True)
    table_name = TextField(null=True)
    change = JSONField(null=True)
    sql = TextField(null=True)
    undo_sql = TextField(null=True)
    evidence_kind = TextField()
    evidence = JSONField()
    confidence = DoubleField()
    risk = TextField()
    gain_ms_per_day = DoubleField(null=True)
    query_ids = JSONField(default=list)
    last_found_at = BigIntegerField()
    resolved_at = BigIntegerField(null=True)  # no longer found by a later run
    reviewed_at = BigIntegerField(null=True)
    applied_at = BigIntegerField(null=True)
    dismissed_at = BigIntegerField(null=True)
    dismiss_reason = TextField(null=True)

    class Meta:
        indexes = ((("connection", "identity"), True),)


class Change(Timestamped):
    """The journal of what was done to a monitored database; committed before each side effect."""

    id = TextField(primary_key=True)  # chg_
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    suggestion = ForeignKeyField(Suggestion, null=True, on_delete="SET NULL")
    actor = TextField()
    state = TextField()
    undoes = TextField(null=True)  # the chg_ this one puts back
    change = JSONField()
    sql = TextField()
    undo_sql = TextField(null=True)
    plan_hash = TextField()  # of sql, target and connection, as shown to the user
    target = JSONField()
    gates = JSONField(default=list)
    backend_pid = IntegerField(null=True)
    backend_start = BigIntegerField(null=True)
    attempts = SmallIntegerField(default=0)
    started_at = BigIntegerField(null=True)
    finished_at = BigIntegerField(null=True)
    error = TextField(null=True)


class Basket(Timestamped):
    """Several changes that were agreed to together, and how far their run came."""

    id = TextField(primary_key=True)  # bsk_
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    actor = TextField()
    owner = TextField()  # the process that runs it
    plan_hash = TextField()
    state = TextField()  # running, ended, stopped, taken up
    items = JSONField()  # [suggestion, title, waiting | begun | done | failed]
    error = TextField(null=True)


class Outcome(Timestamped):
    """What was forecast of a change when it was agreed to, and what it was measured to do since."""

    change = ForeignKeyField(Change, on_delete="CASCADE", primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=True)
    rule = TextField(null=True)  # of the suggestion, as are method, confidence and gain
    method = TextField(null=True)  # how it was known: hypopg, sandbox, counted, stated, …
    confidence = DoubleField(null=True)  # as the rule had it, before it was weighed with outcomes
    gain_ms_per_day = DoubleField(null=True)
    forecast = JSONField(default=dict)
    state = TextField()  # pending, waiting, better, worse, inconclusive, incomparable, undone
    settled = BooleanField(default=False)  # the last word: the window is over
    held = BooleanField(null=True)  # whether it did what was forecast; null: cannot be said
    saved_ms_per_day = DoubleField(null=True)  # of all that was compared; negative: it costs
    result = JSONField(default=dict)
    looks = IntegerField(default=0)
    looked_at = BigIntegerField(null=True)
    next_look_at = BigIntegerField(null=True)  # null: nobody looks any more


class Rehearsal(Record):
    """What was measured in a sandbox with data: figures and plans in `document`, every run in `samples`."""

    id = TextField(primary_key=True)  # reh_
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    suggestion = ForeignKeyField(Suggestion, null=True, on_delete="CASCADE")
    created_at = BigIntegerField()
    actor = TextField()
    verdict = TextField()  # faster, slower, no effect, inconclusive; of a rewrite also proven, not proven
    kind = TextField()  # change, rewrite
    document = JSONField()
    samples = JSONField()
