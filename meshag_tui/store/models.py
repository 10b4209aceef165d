"""What MeshAG remembers, as Peewee models; migrations make exactly these tables, on SQLite and PostgreSQL alike.

Times are epoch milliseconds UTC (BIGINT), durations ms, sizes bytes. Ids shown to people are prefixed and sortable text
(`ids.new`); what grows with the workload has integer keys.

Statistics hang on an `Interval`: the span between two syncs (resolution 0) or a roll-up of such spans. Their rows are
deltas, only of what was active, so a window is a plain SUM over the intervals that lie in it, and growth follows
activity. The last cumulative values are kept beside the table or index they belong to, those of statements in blocks.

Here are the names of the models and the database they are bound to; each model is in a room that is opened when it is
asked for, and the first of them brings Peewee.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meshag_tui.store.sqlite_file import SqliteFile

if TYPE_CHECKING:
    import peewee

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
    from meshag_tui.store.models_basis import Connection as Connection
    from meshag_tui.store.models_basis import Digest as Digest
    from meshag_tui.store.models_basis import Interval as Interval
    from meshag_tui.store.models_basis import Project as Project
    from meshag_tui.store.models_basis import Record as Record
    from meshag_tui.store.models_basis import Setting as Setting
    from meshag_tui.store.models_basis import User as User
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


class Bound:
    """The database that is open: all of what it has, under one name that outlives it.

    Peewee's models follow it from when there are any.
    """

    def __init__(self) -> None:
        self.obj: Any = None
        self._models: peewee.DatabaseProxy | None = None

    def initialize(self, obj: Any) -> None:
        """From now on it is `obj`: a database of Peewee's, or a `SqliteFile` before that."""
        self.obj = obj
        self._pass_on()

    def lead(self, models: peewee.DatabaseProxy) -> None:
        """Bind `models`, now and whenever it is another database."""
        self._models = models
        self._pass_on()

    def _pass_on(self) -> None:
        if self._models is not None and self.obj is not None:
            self._models.initialize(self.obj.peewee if isinstance(self.obj, SqliteFile) else self.obj)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.obj, name)


database: Any = Bound()

LEVELS = (0, 600, 3_600, 86_400)
"""Resolutions of intervals in seconds; 0 is one sync to the next."""

_ROOMS: Mapping[str, tuple[str, ...]] = {
    "basis": ("User", "Project", "Connection", "Interval", "Digest", "Setting"),
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
        found: Any = tuple(getattr(_room(room), each) for room, names in _ROOMS.items() for each in names)
    else:
        room = next((room for room, names in _ROOMS.items() if name in names), None)
        if room is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(_room(room), name)
    globals()[name] = found
    return found


def _room(name: str) -> Any:
    return importlib.import_module(f"{__name__}_{name}")
