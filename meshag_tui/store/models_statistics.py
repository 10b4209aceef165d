"""Statements as the store's models: what they are, what they did, how they were planned. See `models`."""

from __future__ import annotations

from peewee import (
    AutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)

from meshag_tui.store.models_basis import Connection, Record


class Query(Record):
    """A statement of one server, by the server's own key."""

    id = AutoField()  # shown as qry_0000000042
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    key = TextField()
    fingerprint = TextField(null=True, index=True)
    text_state = TextField(default="unread")  # unread, ok, forbidden, unavailable, undecodable, cut
    kind = TextField(default="other")
    internal = BooleanField(default=False)  # set aside: hidden by default
    aside = TextField(null=True)  # then why: see `types.Aside`
    db_name = TextField(null=True)
    db_user = TextField(null=True)
    meaning = BigIntegerField(null=True)  # a number of fingerprint, database and user; null: it is like no other
    alone = BooleanField(default=True)  # surely no other of its connection means the same, and it is not internal
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
    time_squares = DoubleField(null=True)  # ms²
    lock_time_ms = DoubleField(null=True)
    longest_ms = DoubleField(null=True)  # of a call in it; null: no longer than one before, or not known

    class Meta:
        primary_key = CompositeKey("interval_id", "query_id")
        without_rowid = True


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
    time_squares = DoubleField(null=True)  # ms²
    lock_time_ms = DoubleField(null=True)
    longest_ms = DoubleField(null=True)  # of a call in it; null: no longer than one before, or not known

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
