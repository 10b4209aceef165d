"""Tables, indexes and schemas as the store's models. See `models`."""

from __future__ import annotations

from peewee import (
    AutoField,
    BigIntegerField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from meshag_tui.store.models_basis import Connection, Interval, Record


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


class TableDigest(Record):
    """What a table did in a digest's hour or day, a second time, with its first and last known size in it."""

    digest_id = BigIntegerField()
    table_id = IntegerField()
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
    first_bytes = BigIntegerField(null=True)
    size_bytes = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("digest_id", "table_id")
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


class IndexDigest(Record):
    """The same of an index."""

    digest_id = BigIntegerField()
    index_id = IntegerField()
    scans = BigIntegerField(null=True)
    rows_read = BigIntegerField(null=True)
    rows_fetched = BigIntegerField(null=True)
    first_bytes = BigIntegerField(null=True)
    size_bytes = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("digest_id", "index_id")
        without_rowid = True


class SchemaVersion(Record):
    """A schema as it was from `taken_at` on: stored only when it changed."""

    id = AutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE")
    taken_at = BigIntegerField()
    hash = TextField()
    document = JSONField()
