"""The first schema. Frozen: models as they were then, independent of those of today."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    SmallIntegerField,
    SqliteDatabase,
    TextField,
)


class Record(Model):
    class Meta:
        legacy_table_names = False


class Timestamped(Record):
    created_at = BigIntegerField()
    updated_at = BigIntegerField()


class User(Timestamped):
    id = TextField(primary_key=True)
    email = TextField(unique=True)
    name = TextField()
    role = TextField(default="admin")

    class Meta:
        table_name = "users"


class Project(Timestamped):
    id = TextField(primary_key=True)
    owner = ForeignKeyField(User, null=True, on_delete="SET NULL")
    name = TextField(unique=True)
    settings = JSONField(default=dict)


class Connection(Timestamped):
    id = TextField(primary_key=True)
    project = ForeignKeyField(Project, on_delete="CASCADE")
    name = TextField(unique=True)
    db_type = TextField()
    host = TextField()
    port = IntegerField()
    database = TextField()
    username = TextField()
    secret = TextField(null=True)
    secret_key_id = TextField(null=True)
    tls = TextField()
    tls_ca = TextField(null=True)
    proxy = TextField(null=True)
    proxy_secret = TextField(null=True)
    status = TextField(default="TESTING")
    read_only = BooleanField(default=False)
    interval_s = IntegerField(null=True)
    slow_ms = DoubleField(null=True)
    last_sync_at = BigIntegerField(null=True)
    next_sync_at = BigIntegerField(null=True)
    last_error = TextField(null=True)
    failures = IntegerField(default=0)
    engine = TextField(null=True)
    version = TextField(null=True)
    system_identifier = TextField(null=True)
    facts = JSONField(default=dict)
    warnings = JSONField(default=list)
    texts_at = BigIntegerField(null=True)
    reading = JSONField(null=True)


class Interval(Record):
    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    resolution_s = IntegerField(default=0)
    start_at = BigIntegerField(null=True)
    end_at = BigIntegerField()
    complete = BooleanField(default=True)
    events = JSONField(default=list)
    calls = BigIntegerField(default=0)
    time_ms = DoubleField(default=0)
    sessions = JSONField(null=True)
    objects_since = BigIntegerField(null=True)

    class Meta:
        indexes = ((("connection", "resolution_s", "end_at"), False),)


class Query(Record):
    id = AutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    key = TextField()
    fingerprint = TextField(null=True, index=True)
    text_state = TextField(default="unread")
    kind = TextField(default="other")
    internal = BooleanField(default=False)
    db_name = TextField(null=True)
    db_user = TextField(null=True)
    min_time_ms = DoubleField(null=True)
    max_time_ms = DoubleField(null=True)
    first_seen_at = BigIntegerField()
    last_seen_at = BigIntegerField()
    gone_at = BigIntegerField(null=True)

    class Meta:
        indexes = ((("connection", "key"), True),)


class QueryText(Record):
    query = ForeignKeyField(Query, on_delete="CASCADE", primary_key=True)
    text = TextField()


class Baseline(Record):
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    number = IntegerField()
    statements = TextField()
    counters = TextField()

    class Meta:
        primary_key = CompositeKey("connection", "number")


class QueryStatistics(Record):
    interval_id = BigIntegerField()
    query_id = IntegerField()
    calls = BigIntegerField()
    time_ms = DoubleField()
    rows = BigIntegerField(null=True)
    plan_time_ms = DoubleField(null=True)
    shared_hit = BigIntegerField(null=True)
    shared_read = BigIntegerField(null=True)
    shared_dirtied = BigIntegerField(null=True)
    temp_read = BigIntegerField(null=True)
    temp_written = BigIntegerField(null=True)
    io_time_ms = DoubleField(null=True)
    wal_bytes = BigIntegerField(null=True)
    rows_examined = BigIntegerField(null=True)
    no_index_calls = BigIntegerField(null=True)
    tmp_tables = BigIntegerField(null=True)
    tmp_disk_tables = BigIntegerField(null=True)
    sort_merge_passes = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("interval_id", "query_id")


class Digest(Record):
    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    width_s = IntegerField()
    end_at = BigIntegerField()

    class Meta:
        indexes = ((("connection", "width_s", "end_at"), True),)


class QueryDigest(Record):
    digest_id = BigIntegerField()
    query_id = IntegerField()
    calls = BigIntegerField()
    time_ms = DoubleField()
    rows = BigIntegerField(null=True)
    shared_hit = BigIntegerField(null=True)
    shared_read = BigIntegerField(null=True)
    temp_read = BigIntegerField(null=True)
    temp_written = BigIntegerField(null=True)
    io_time_ms = DoubleField(null=True)
    wal_bytes = BigIntegerField(null=True)
    rows_examined = BigIntegerField(null=True)
    no_index_calls = BigIntegerField(null=True)
    tmp_tables = BigIntegerField(null=True)
    tmp_disk_tables = BigIntegerField(null=True)
    sort_merge_passes = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("digest_id", "query_id")


class Plan(Record):
    id = AutoField()
    query = ForeignKeyField(Query, on_delete="CASCADE")
    taken_at = BigIntegerField()
    last_seen_at = BigIntegerField()
    hash = TextField()
    mode = TextField()
    cost = DoubleField()
    document = JSONField()

    class Meta:
        indexes = ((("query", "hash", "mode"), False),)


class MonitoredTable(Record):
    id = AutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    key = TextField()
    schema_name = TextField()
    name = TextField()
    stats = JSONField()
    first_seen_at = BigIntegerField()
    last_seen_at = BigIntegerField()
    gone_at = BigIntegerField(null=True)

    class Meta:
        indexes = ((("connection", "key"), True),)


class TableAccess(Record):
    interval = ForeignKeyField(Interval, on_delete="CASCADE", index=False)
    table = ForeignKeyField(MonitoredTable, on_delete="CASCADE", index=True)
    seq_scan = BigIntegerField(null=True)
    seq_rows = BigIntegerField(null=True)
    index_scan = BigIntegerField(null=True)
    index_rows = BigIntegerField(null=True)
    inserts = BigIntegerField(null=True)
    updates = BigIntegerField(null=True)
    hot_updates = BigIntegerField(null=True)
    deletes = BigIntegerField(null=True)
    blocks_read = BigIntegerField(null=True)
    blocks_hit = BigIntegerField(null=True)
    size_bytes = BigIntegerField(null=True)
    live_rows = BigIntegerField(null=True)
    dead_rows = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("interval", "table")


class MonitoredIndex(Record):
    id = AutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    key = TextField()
    schema_name = TextField()
    table_name = TextField()
    name = TextField()
    stats = JSONField()
    first_seen_at = BigIntegerField()
    last_seen_at = BigIntegerField()
    last_used_at = BigIntegerField(null=True)
    observed_since = BigIntegerField()
    gone_at = BigIntegerField(null=True)

    class Meta:
        indexes = ((("connection", "key"), True),)


class IndexUsage(Record):
    interval = ForeignKeyField(Interval, on_delete="CASCADE", index=False)
    index = ForeignKeyField(MonitoredIndex, on_delete="CASCADE", index=True)  # type: ignore[assignment]
    scans = BigIntegerField(null=True)
    rows_read = BigIntegerField(null=True)
    rows_fetched = BigIntegerField(null=True)
    size_bytes = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("interval", "index")


class SchemaVersion(Record):
    id = AutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    taken_at = BigIntegerField()
    hash = TextField()
    document = JSONField()


class Suggestion(Timestamped):
    id = TextField(primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    identity = TextField()
    origin = TextField()
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
    resolved_at = BigIntegerField(null=True)
    reviewed_at = BigIntegerField(null=True)
    applied_at = BigIntegerField(null=True)
    dismissed_at = BigIntegerField(null=True)
    dismiss_reason = TextField(null=True)

    class Meta:
        indexes = ((("connection", "identity"), True),)


class Change(Timestamped):
    id = TextField(primary_key=True)
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    suggestion = ForeignKeyField(Suggestion, null=True, on_delete="SET NULL")
    actor = TextField()
    state = TextField()
    undoes = TextField(null=True)
    change = JSONField()
    sql = TextField()
    undo_sql = TextField(null=True)
    plan_hash = TextField()
    target = JSONField()
    gates = JSONField(default=list)
    backend_pid = IntegerField(null=True)
    backend_start = BigIntegerField(null=True)
    attempts = SmallIntegerField(default=0)
    started_at = BigIntegerField(null=True)
    finished_at = BigIntegerField(null=True)
    error = TextField(null=True)


class Execution(Timestamped):
    id = TextField(primary_key=True)
    kind = TextField()
    key = TextField()
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
    id = BigAutoField()
    at = BigIntegerField(index=True)
    actor = TextField()
    kind = TextField()
    connection = ForeignKeyField(Connection, null=True, on_delete="SET NULL")
    subject = TextField(null=True)
    message = TextField()
    details = JSONField(default=dict)


class Setting(Record):
    key = TextField(primary_key=True)
    value = JSONField()


TABLES: tuple[type[Record], ...] = (
    User,
    Project,
    Connection,
    Interval,
    Query,
    QueryText,
    Baseline,
    QueryStatistics,
    Digest,
    QueryDigest,
    Plan,
    MonitoredTable,
    TableAccess,
    MonitoredIndex,
    IndexUsage,
    SchemaVersion,
    Suggestion,
    Change,
    Execution,
    ExecutionStep,
    ExecutionLog,
    Activity,
    Setting,
)


def up(migrator: Any, db: Any) -> None:
    sqlite = isinstance(db, SqliteDatabase)
    rowless: tuple[type[Record], ...] = (QueryStatistics, QueryDigest, TableAccess, IndexUsage)
    for model in rowless:
        model._meta.without_rowid = sqlite  # PostgreSQL knows no such word
    db.bind(TABLES)
    for model in TABLES:
        model.create_table(safe=False)
    # Two workers must never apply the same suggestion at the same time.
    db.execute_sql(
        "CREATE UNIQUE INDEX change_one_at_a_time ON change(suggestion_id) "
        "WHERE state IN ('gated', 'running', 'verifying')"
    )
