"""What MeshAG remembers, as Peewee models; migrations make exactly these tables, on SQLite and PostgreSQL alike.

Times are epoch milliseconds UTC (BIGINT), durations ms, sizes bytes. Ids shown to people are prefixed and sortable text
(`ids.new`); what grows with the workload has integer keys.

Statistics hang on an `Interval`: the span between two syncs (resolution 0) or a roll-up of such spans. Their rows are
deltas, only of what was active, so a window is a plain SUM over the intervals that lie in it, and growth follows
activity. The last cumulative values are kept beside the table or index they belong to, those of statements in blocks.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from meshag_tui.store.models_advice import Basket as Basket
    from meshag_tui.store.models_advice import Change as Change
    from meshag_tui.store.models_advice import Outcome as Outcome
    from meshag_tui.store.models_advice import Rehearsal as Rehearsal
    from meshag_tui.store.models_advice import Suggestion as Suggestion
    from meshag_tui.store.models_agents import Agent as Agent
    from meshag_tui.store.models_agents import AgentVersion as AgentVersion
    from meshag_tui.store.models_agents import Flow as Flow
    from meshag_tui.store.models_agents import FlowVersion as FlowVersion
    from meshag_tui.store.models_agents import Message as Message
    from meshag_tui.store.models_agents import Thread as Thread
    from meshag_tui.store.models_llm import CachedAnswer as CachedAnswer
    from meshag_tui.store.models_llm import Cost as Cost
    from meshag_tui.store.models_llm import ModelScore as ModelScore
    from meshag_tui.store.models_llm import Package as Package
    from meshag_tui.store.models_llm import Price as Price
    from meshag_tui.store.models_llm import Provider as Provider
    from meshag_tui.store.models_llm import Subscription as Subscription
    from meshag_tui.store.models_llm import Usage as Usage
    from meshag_tui.store.models_objects import IndexDigest as IndexDigest
    from meshag_tui.store.models_objects import IndexUsage as IndexUsage
    from meshag_tui.store.models_objects import MonitoredIndex as MonitoredIndex
    from meshag_tui.store.models_objects import MonitoredTable as MonitoredTable
    from meshag_tui.store.models_objects import SchemaVersion as SchemaVersion
    from meshag_tui.store.models_objects import TableAccess as TableAccess
    from meshag_tui.store.models_objects import TableDigest as TableDigest
    from meshag_tui.store.models_people import AccessKey as AccessKey
    from meshag_tui.store.models_sessions import Sampled as Sampled
    from meshag_tui.store.models_sessions import SampledText as SampledText
    from meshag_tui.store.models_statistics import Baseline as Baseline
    from meshag_tui.store.models_statistics import Plan as Plan
    from meshag_tui.store.models_statistics import Query as Query
    from meshag_tui.store.models_statistics import QueryDigest as QueryDigest
    from meshag_tui.store.models_statistics import QueryStatistics as QueryStatistics
    from meshag_tui.store.models_statistics import QueryText as QueryText
    from meshag_tui.store.models_watching import Alert as Alert
    from meshag_tui.store.models_watching import Channel as Channel
    from meshag_tui.store.models_watching import Health as Health
    from meshag_tui.store.models_watching import HealthLimits as HealthLimits
    from meshag_tui.store.models_work import Activity as Activity
    from meshag_tui.store.models_work import Execution as Execution
    from meshag_tui.store.models_work import ExecutionLog as ExecutionLog
    from meshag_tui.store.models_work import ExecutionStep as ExecutionStep

    MODELS: tuple[type[Record], ...]
    """All of them, each after those its keys point to."""

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


_HERE = ("User", "Project", "Connection", "Interval", "Digest", "Setting")
_ROOMS: Mapping[str, tuple[str, ...]] = {
    "people": ("AccessKey",),
    "statistics": ("Query", "QueryText", "Baseline", "QueryStatistics", "QueryDigest", "Plan"),
    "objects": (
        *("MonitoredTable", "TableAccess", "TableDigest", "MonitoredIndex", "IndexUsage", "IndexDigest"),
        "SchemaVersion",
    ),
    "advice": ("Suggestion", "Change", "Basket", "Outcome", "Rehearsal"),
    "llm": ("Provider", "Price", "Package", "Subscription", "Usage", "Cost", "CachedAnswer", "ModelScore"),
    "sessions": ("Sampled", "SampledText"),
    "agents": ("Agent", "AgentVersion", "Flow", "FlowVersion", "Thread", "Message"),
    "watching": ("Health", "HealthLimits", "Alert", "Channel"),
    "work": ("Execution", "ExecutionStep", "ExecutionLog", "Activity"),
}
"""The models in rooms of their own, each opened when the first of it is asked for: a class of Peewee's takes time to be
made, and the first screen needs few."""


def __getattr__(name: str) -> Any:
    if name == "MODELS":
        found: Any = tuple(globals()[each] for each in _HERE) + tuple(
            getattr(_room(room), each) for room, names in _ROOMS.items() for each in names
        )
    else:
        room = next((room for room, names in _ROOMS.items() if name in names), None)
        if room is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(_room(room), name)
    globals()[name] = found
    return found


def _room(name: str) -> Any:
    return importlib.import_module(f"{__name__}_{name}")
