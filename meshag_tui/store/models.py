"""What MeshAG remembers, as Peewee models; migrations make exactly these tables, on SQLite and PostgreSQL alike.

Times are epoch milliseconds UTC (BIGINT), durations ms, sizes bytes. Ids shown to people are prefixed and sortable text
(`ids.new`); what grows with the workload has integer keys.

Statistics hang on an `Interval`: the span between two syncs (resolution 0) or a roll-up of such spans. Their rows are
deltas, only of what was active, so a window is a plain SUM over the intervals that lie in it, and growth follows
activity. The last cumulative values are kept beside the table or index they belong to, those of statements in blocks.
"""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    DatabaseProxy,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    SmallIntegerField,
    TextField,
)

database: Any = DatabaseProxy()

LEVELS = (0, 600, 3_600, 86_400)
"""Resolutions of intervals in seconds; 0 is one sync to the next."""


class Record(Model):
    class Meta:
        database = database
        legacy_table_names = False


class Timestamped(Record):
    created_at = BigIntegerField()
    updated_at = BigIntegerField()


# People and what they watch


class User(Timestamped):
    id = TextField(primary_key=True)  # usr_
    email = TextField(unique=True)
    name = TextField()
    role = TextField(default="admin")

    class Meta:
        table_name = "users"


class Project(Timestamped):
    id = TextField(primary_key=True)  # prj_
    owner = ForeignKeyField(User, null=True, on_delete="SET NULL")
    name = TextField(unique=True)
    settings = JSONField(default=dict)


class Connection(Timestamped):
    id = TextField(primary_key=True)  # con_
    project = ForeignKeyField(Project, on_delete="CASCADE")
    name = TextField(unique=True)
    db_type = TextField()
    host = TextField()
    port = IntegerField()
    database = TextField()
    username = TextField()
    secret = TextField(null=True)  # vault token; opens only for this host, port, user and TLS mode
    secret_key_id = TextField(null=True)
    tls = TextField()
    tls_ca = TextField(null=True)
    proxy = TextField(null=True)
    proxy_secret = TextField(null=True)
    status = TextField(default="TESTING")
    read_only = BooleanField(default=False)
    undo_worse = BooleanField(default=False)  # a change that is measured to make things worse is undone without asking
    interval_s = IntegerField(null=True)  # null: the setting
    slow_ms = DoubleField(null=True)
    last_sync_at = BigIntegerField(null=True)
    next_sync_at = BigIntegerField(null=True)
    last_error = TextField(null=True)
    failures = IntegerField(default=0)  # in a row
    engine = TextField(null=True)  # PostgreSQL, MySQL, MariaDB
    version = TextField(null=True)
    system_identifier = TextField(null=True)
    facts = JSONField(default=dict)  # ServerFacts of the last sync
    warnings = JSONField(default=list)  # Findings of the last sync
    texts_at = BigIntegerField(null=True)  # when statement texts were last read
    reading = JSONField(null=True)  # what the next sync is compared with: epoch, clocks, what was visible; see deltas


# Statistics


class Interval(Record):
    """A span of observation of one connection; its rows are what happened in (start_at, end_at]."""

    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    resolution_s = IntegerField(default=0)  # 0 = one sync to the next; 600, 3600, 86400 = rolled up
    start_at = BigIntegerField(null=True)  # null: a baseline, nothing is known of what came before
    end_at = BigIntegerField()
    complete = BooleanField(default=True)  # False: something in it was lost, `events` says what
    events = JSONField(default=list)  # [{"kind": "reset|restart|eviction|gap|decrease|failover", "detail": …}]
    calls = BigIntegerField(default=0)  # all statements, hidden ones too
    time_ms = DoubleField(default=0)
    sessions = JSONField(null=True)  # SessionStats of the sync
    objects_since = BigIntegerField(null=True)  # start of what its table and index deltas are of

    class Meta:
        indexes = ((("connection", "resolution_s", "end_at"), False),)


class Query(Record):
    """A statement of one server, by the server's own key."""

    id = AutoField()  # shown as qry_0000000042
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    key = TextField()
    fingerprint = TextField(null=True, index=True)
    text_state = TextField(default="unread")  # unread, ok, forbidden, unavailable, undecodable, cut
    kind = TextField(default="other")
    internal = BooleanField(default=False)
    db_name = TextField(null=True)
    db_user = TextField(null=True)
    min_time_ms = DoubleField(null=True)  # lifetime on the server, since its last reset
    max_time_ms = DoubleField(null=True)
    first_seen_at = BigIntegerField()
    last_seen_at = BigIntegerField()  # last active
    gone_at = BigIntegerField(null=True)  # not on the server since; no interval that has it ends later

    class Meta:
        indexes = ((("connection", "key"), True),)


class QueryText(Record):
    """The text of a statement, apart from what every sync rewrites: texts are long and never change."""

    query = ForeignKeyField(Query, on_delete="CASCADE", primary_key=True)
    text = TextField()


class Baseline(Record):
    """Some hundred statements that are on the server, and their last cumulative counters: see `baselines`."""

    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    number = IntegerField()
    statements = TextField()
    counters = TextField()

    class Meta:
        primary_key = CompositeKey("connection", "number")


class QueryStatistics(Record):
    """Deltas of one query in one interval. A NULL counter was not measured by the server.

    Every sync writes as many rows as statements ran, so nothing is looked up for each: no key to another table, no
    second index. `statistics` keeps them whole.
    """

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
        without_rowid = True


class Digest(Record):
    """A closed hour or day of a connection that is summed a second time: long windows are read through these."""

    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    width_s = IntegerField()
    end_at = BigIntegerField()

    class Meta:
        indexes = ((("connection", "width_s", "end_at"), True),)


class QueryDigest(Record):
    """What a query did in that hour or day: the same counts as in its intervals, a second time, kept like them."""

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
        without_rowid = True


class Plan(Record):
    """A plan of a query, stored when its shape changed."""

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
    stats = JSONField()  # the last TableStats: gauges and cumulative counters
    first_seen_at = BigIntegerField()
    last_seen_at = BigIntegerField()
    gone_at = BigIntegerField(null=True)

    class Meta:
        indexes = ((("connection", "key"), True),)


class TableAccess(Record):
    """Deltas of one table in one interval, with its size and rows at the end of it."""

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
        without_rowid = True


class MonitoredIndex(Record):
    id = AutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    key = TextField()
    schema_name = TextField()
    table_name = TextField()
    name = TextField()
    stats = JSONField()  # the last IndexStats: definition, flags, size, cumulative counters
    first_seen_at = BigIntegerField()
    last_seen_at = BigIntegerField()
    last_used_at = BigIntegerField(null=True)  # end of the last interval in which we saw a scan
    observed_since = BigIntegerField()  # start of unbroken observation of its use
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
        without_rowid = True


class SchemaVersion(Record):
    """A schema as it was from `taken_at` on: stored only when it changed."""

    id = AutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    taken_at = BigIntegerField()
    hash = TextField()
    document = JSONField()


# Advice and what became of it


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
    verdict = TextField()  # faster, slower, inconclusive; of a rewrite also proven, not proven
    kind = TextField()  # change, rewrite
    document = JSONField()
    samples = JSONField()


# Workflows


class Execution(Timestamped):
    """One durable run. (kind, key, slot) is unique: that is what prevents running it twice."""

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
    """What people and MeshAG did: append-only."""

    id = BigAutoField()
    at = BigIntegerField(index=True)
    actor = TextField()
    kind = TextField()
    connection = ForeignKeyField(Connection, null=True, on_delete="SET NULL")
    subject = TextField(null=True)  # prefixed id of what it is about
    message = TextField()
    details = JSONField(default=dict)


class Setting(Record):
    """What the store itself must remember: vault key ids, consents, the user interface's state."""

    key = TextField(primary_key=True)
    value = JSONField()


MODELS: tuple[type[Record], ...] = (
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
    Outcome,
    Rehearsal,
    Execution,
    ExecutionStep,
    ExecutionLog,
    Activity,
    Setting,
)
