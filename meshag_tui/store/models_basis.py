"""The models that all others hang on: what they have in common, users, projects, connections, intervals."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    DatabaseProxy,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    TextField,
)

from meshag_tui.store import models

_bound = DatabaseProxy()
models.database.lead(_bound)


class Record(Model):
    class Meta:
        database = _bound
        legacy_table_names = False


class Timestamped(Record):
    created_at = BigIntegerField()
    updated_at = BigIntegerField()


class User(Timestamped):
    id = TextField(primary_key=True)  # usr_
    email = TextField(unique=True)
    name = TextField()
    role = TextField(default="admin")
    account = TextField(null=True, unique=True)  # of the operating system, by which its owner is known

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
    slow_by_longest = BooleanField(default=False)  # a statement is slow by one call, too, not by its mean alone
    other_databases = BooleanField(default=False)  # statements of other databases of the server are kept, too
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
    stage = TextField(null=True)  # what it is for: production, staging, test, development


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


class Digest(Record):
    """A closed hour or day of a connection that is summed a second time: long windows are read through these."""

    id = BigAutoField()
    connection = ForeignKeyField(Connection, on_delete="CASCADE", index=False)
    width_s = IntegerField()
    end_at = BigIntegerField()

    class Meta:
        indexes = ((("connection", "width_s", "end_at"), True),)


class Setting(Record):
    """What the store itself must remember: vault key ids, consents, the user interface's state."""

    key = TextField(primary_key=True)
    value = JSONField()
