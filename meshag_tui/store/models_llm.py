"""Language models as the store's models: who is asked, what it costs, what may be spent. See `models`."""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    BooleanField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from meshag_tui.store.models_basis import Connection, Project, Timestamped, User


class Provider(Timestamped):
    """An OpenAI-compatible endpoint beside the one of config.toml."""

    id = TextField(primary_key=True)  # prv_
    name = TextField(unique=True)
    kind = TextField()  # a preset of `agents.presets`
    base_url = TextField()
    models = JSONField(default=list)  # names; the first is asked unless another is named
    shape = TextField()  # what it supports: json_schema, json_object, text
    secret = TextField(null=True)  # vault token; opens only for this provider at this address
    secret_key_id = TextField(null=True)
    secret_last4 = TextField(null=True)
    position = IntegerField()  # in the order of fail-over
    enabled = BooleanField(default=True)


class Price(Timestamped):
    """What a model costs from a moment on, in millionths of the currency per million tokens."""

    id = TextField(primary_key=True)  # prc_
    provider = TextField()
    model = TextField()
    valid_from = BigIntegerField()
    input_micros = BigIntegerField()
    output_micros = BigIntegerField()
    cached_micros = BigIntegerField(null=True)  # null: cached tokens cost what others do
    currency = TextField()
    source = TextField(null=True)  # where the figure is from

    class Meta:
        indexes = ((("provider", "model", "valid_from"), True),)


class Package(Timestamped):
    """A budget plan: how much may be spent in a month or year, and with whom."""

    id = TextField(primary_key=True)  # pkg_
    name = TextField(unique=True)
    cap_micros = BigIntegerField(null=True)  # null: no cap
    currency = TextField()
    period = TextField()  # month, year
    providers = JSONField(default=list)  # names; empty: all
    local_only = BooleanField(default=False)
    features = JSONField(default=list)
    active = BooleanField(default=True)  # False: not given out any more


class Subscription(Timestamped):
    """A plan in force for a project, for a person, or for the whole installation."""

    id = TextField(primary_key=True)  # sub_
    package = ForeignKeyField(Package, on_delete="RESTRICT")
    project = ForeignKeyField(Project, null=True, on_delete="CASCADE")  # null: everything
    user = ForeignKeyField(User, null=True, on_delete="CASCADE")  # null: everybody
    status = TextField(default="active")  # active, cancelled, expired
    start_at = BigIntegerField()
    end_at = BigIntegerField(null=True)
    override_until = BigIntegerField(null=True)  # until then nothing is blocked
    override_by = TextField(null=True)
    override_reason = TextField(null=True)


class Usage(Timestamped):
    """One call of a model, whatever came of it; while it runs, a reservation of what it may cost at most."""

    id = TextField(primary_key=True)  # use_
    at = BigIntegerField()
    provider = TextField()
    model = TextField()
    purpose = TextField()  # advice, test, compare, score, …
    outcome = TextField()  # reserved, success, error, timeout, cancelled, cached, blocked
    local = BooleanField()  # on this machine
    connection = ForeignKeyField(Connection, null=True, on_delete="SET NULL", index=False)
    project = ForeignKeyField(Project, null=True, on_delete="SET NULL", index=False)
    actor = TextField()
    agent = TextField(null=True)
    tokens_in = BigIntegerField(null=True)
    tokens_out = BigIntegerField(null=True)
    tokens_cached = BigIntegerField(null=True)
    duration_ms = DoubleField(null=True)
    attempts = IntegerField(default=0)
    cost_micros = BigIntegerField(null=True)  # null: unpriced
    reserved_micros = BigIntegerField(null=True)
    currency = TextField(null=True)
    prompt_hash = TextField()
    query_ids = JSONField(default=list)
    error = TextField(null=True)

    class Meta:
        indexes = ((("at",), False), (("provider", "model", "at"), False), (("project", "at"), False))


class Cost(Timestamped):
    """Money that no call of ours reports: a line of an invoice, or one entered by hand."""

    id = TextField(primary_key=True)  # cst_
    source = TextField()  # invoice, manual
    provider = TextField()
    model = TextField(null=True)
    external_id = TextField(null=True)  # the invoice's own
    at = BigIntegerField(index=True)
    amount_micros = BigIntegerField()
    currency = TextField()
    description = TextField(null=True)
    actor = TextField()

    class Meta:
        indexes = ((("provider", "external_id"), True),)


class CachedAnswer(Timestamped):
    """An answer that was bought, under the hash of all it rests on."""

    key = TextField(primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    provider = TextField()
    model = TextField()
    prompt_version = TextField()
    statements = JSONField(default=list)  # fingerprints
    text = TextField()
    size_bytes = BigIntegerField()
    usage = JSONField()
    hits = IntegerField(default=0)
    last_hit_at = BigIntegerField(null=True)
    expires_at = BigIntegerField(index=True)


class ModelScore(Timestamped):
    """How a model did on the planted cases."""

    id = TextField(primary_key=True)  # scr_
    provider = TextField()
    model = TextField()
    release = TextField()
    prompt_version = TextField()
    passed = IntegerField()
    cases = IntegerField()
    document = JSONField()
    actor = TextField()
