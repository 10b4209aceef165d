"""Language models: providers, prices, plans and subscriptions, usage, costs, cached answers, scores. Frozen."""

from __future__ import annotations

from typing import Any

from peewee import (
    BigIntegerField,
    BooleanField,
    DoubleField,
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


class Provider(Timestamped):
    id = TextField(primary_key=True)
    name = TextField(unique=True)
    kind = TextField()
    base_url = TextField()
    models = JSONField(default=list)
    shape = TextField()
    secret = TextField(null=True)
    secret_key_id = TextField(null=True)
    secret_last4 = TextField(null=True)
    position = IntegerField()
    enabled = BooleanField(default=True)


class Price(Timestamped):
    id = TextField(primary_key=True)
    provider = TextField()
    model = TextField()
    valid_from = BigIntegerField()
    input_micros = BigIntegerField()
    output_micros = BigIntegerField()
    cached_micros = BigIntegerField(null=True)
    currency = TextField()
    source = TextField(null=True)

    class Meta:
        indexes = ((("provider", "model", "valid_from"), True),)


class Package(Timestamped):
    id = TextField(primary_key=True)
    name = TextField(unique=True)
    cap_micros = BigIntegerField(null=True)
    currency = TextField()
    period = TextField()
    providers = JSONField(default=list)
    local_only = BooleanField(default=False)
    features = JSONField(default=list)
    active = BooleanField(default=True)


class Subscription(Timestamped):
    id = TextField(primary_key=True)
    package = ForeignKeyField(Package, on_delete="RESTRICT")
    project = ForeignKeyField(Project, null=True, on_delete="CASCADE")
    status = TextField(default="active")
    start_at = BigIntegerField()
    end_at = BigIntegerField(null=True)
    override_until = BigIntegerField(null=True)
    override_by = TextField(null=True)
    override_reason = TextField(null=True)


class Usage(Timestamped):
    id = TextField(primary_key=True)
    at = BigIntegerField()
    provider = TextField()
    model = TextField()
    purpose = TextField()
    outcome = TextField()
    local = BooleanField()
    connection = ForeignKeyField(Connection, null=True, on_delete="SET NULL", index=False)
    project = ForeignKeyField(Project, null=True, on_delete="SET NULL", index=False)
    actor = TextField()
    agent = TextField(null=True)
    tokens_in = BigIntegerField(null=True)
    tokens_out = BigIntegerField(null=True)
    tokens_cached = BigIntegerField(null=True)
    duration_ms = DoubleField(null=True)
    attempts = IntegerField(default=0)
    cost_micros = BigIntegerField(null=True)
    reserved_micros = BigIntegerField(null=True)
    currency = TextField(null=True)
    prompt_hash = TextField()
    query_ids = JSONField(default=list)
    error = TextField(null=True)

    class Meta:
        indexes = ((("at",), False), (("provider", "model", "at"), False), (("project", "at"), False))


class Cost(Timestamped):
    id = TextField(primary_key=True)
    source = TextField()
    provider = TextField()
    model = TextField(null=True)
    external_id = TextField(null=True)
    at = BigIntegerField(index=True)
    amount_micros = BigIntegerField()
    currency = TextField()
    description = TextField(null=True)
    actor = TextField()

    class Meta:
        indexes = ((("provider", "external_id"), True),)


class CachedAnswer(Timestamped):
    key = TextField(primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    provider = TextField()
    model = TextField()
    prompt_version = TextField()
    statements = JSONField(default=list)
    text = TextField()
    size_bytes = BigIntegerField()
    usage = JSONField()
    hits = IntegerField(default=0)
    last_hit_at = BigIntegerField(null=True)
    expires_at = BigIntegerField(index=True)


class ModelScore(Timestamped):
    id = TextField(primary_key=True)
    provider = TextField()
    model = TextField()
    release = TextField()
    prompt_version = TextField()
    passed = IntegerField()
    cases = IntegerField()
    document = JSONField()
    actor = TextField()


MADE = (Provider, Price, Package, Subscription, Usage, Cost, CachedAnswer, ModelScore)


def up(migrator: Any, db: Any) -> None:
    db.bind((Project, Connection, *MADE))
    for model in MADE:
        model.create_table(safe=False)
