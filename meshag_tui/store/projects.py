"""Projects: connections that belong together, with settings of their own, and what models cost them.

`no_cloud` (nothing leaves this machine), `colour` (how its name is marked), `theme` (the look of the screens while one
of its connections is looked at), `path` (the folder that reports, exports and migrations of it are put into), and how
its alerts are told: `toast`, `bell`, `osc9`, `webhook` (false: not so), `quiet` (hours in which they are told nowhere),
`rate` (how many are told an hour at most). What is not set is as usual.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import peewee

from meshag_tui.maintenance import quiet_hours
from meshag_tui.store import activity, connections, database, ids, models, people
from meshag_tui.store.amounts import decimal
from meshag_tui.store.budgets import period_start
from meshag_tui.store.documents import clean
from meshag_tui.types import Taken, UsageError

COLOURS = ("none", "red", "yellow", "green", "cyan", "blue", "magenta")
THEMES = ("dark", "light", "high-contrast", "ansi-dark", "ansi-light")
"""Those of `widgets.themes`."""
WAYS = ("toast", "bell", "osc9", "webhook")
"""How alerts are told; each can be switched off for a project."""
_FLAGS = ("no_cloud", *WAYS)
_HOUR_S = 3600


class ProjectInfo(NamedTuple):
    """A project. `connections` counts them."""

    id: str
    name: str
    owner: str | None
    settings: Mapping[str, Any]
    connections: int
    created_at: int
    updated_at: int


class Spent(NamedTuple):
    """What models cost a project, in one currency; `forecast`: this month at the pace it has so far."""

    currency: str
    total: Decimal
    month: Decimal
    forecast: Decimal


def add(actor: str, name: str, **settings: Any) -> ProjectInfo:
    """Make a project. UsageError: a name that is taken, a setting there is not, or not with this value."""
    project = models.Project
    with database.durable():
        now = database.now_ms()
        project_id = ids.new("prj")
        owner = people.by_account(actor)
        project.create(
            id=project_id,
            name=_name(name, None),
            owner=None if owner is None else owner.id,
            settings=_settings(settings),
            created_at=now,
            updated_at=now,
        )
        activity.record(actor, "project.added", name, subject=project_id)
    return find(project_id)


def edit(actor: str, given: str, *, name: str | None = None, **settings: Any) -> ProjectInfo:
    """Change a project's name or settings; a setting of None is as usual again."""
    project = models.Project
    with database.durable():
        before = find(given)
        kept = {key: value for key, value in before.settings.items() if key not in settings}
        columns: dict[str, Any] = {"settings": {**kept, **_settings(settings)}}
        if name is not None:
            columns["name"] = _name(name, before.id)
        project.update(updated_at=database.now_ms(), **columns).where(project.id == before.id).execute()
        now = find(before.id)
        details = {"before": dict(before.settings), "after": dict(now.settings)}
        said = now.name if now.name == before.name else f"{before.name} is now {now.name}"
        activity.record(actor, "project.changed", said, subject=now.id, details=details)
    return now


def contents(project_id: str) -> dict[str, int]:
    """How much would go with a project: rows by kind."""
    counts: dict[str, int] = {}
    for connection in _connections(project_id):
        for kind, count in connections.contents(connection).items():
            counts[kind] = counts.get(kind, 0) + count
    subscription = models.Subscription
    counts["subscriptions"] = subscription.select().where(subscription.project == project_id).count()
    return {"connections": len(_connections(project_id)), **counts}


def remove(actor: str, given: str) -> dict[str, int]:
    """Forget a project with its connections and all that was collected from them; what went, by kind.

    What models cost stays in the ledger, without the project's name. MeshagError: a change is being applied there.
    """
    with database.durable():
        info = find(given)
        gone = contents(info.id)
        for connection in _connections(info.id):
            connections.remove(connection)
        models.Project.delete().where(models.Project.id == info.id).execute()
        activity.record(actor, "project.removed", info.name, subject=info.id, details={"with": gone})
    return gone


def listing(limit: int | None = None) -> tuple[ProjectInfo, ...]:
    """The first projects, or all, by name."""
    project, connection, user = models.Project, models.Connection, models.User
    named: Any = project.select(project, user.name.alias("who")).join(user, peewee.JOIN.LEFT_OUTER)
    rows: Any = list(named.order_by(project.name).limit(limit).dicts())
    counted: Any = connection.select(connection.project, peewee.fn.COUNT(connection.id)).where(
        connection.project.in_([row["id"] for row in rows])
    )
    counts = dict(counted.group_by(connection.project).tuples())
    return tuple(
        ProjectInfo(
            row["id"],
            row["name"],
            row["who"],
            row["settings"],
            counts.get(row["id"], 0),
            row["created_at"],
            row["updated_at"],
        )
        for row in rows
    )


def find(given: str) -> ProjectInfo:
    """A project by name or id. UsageError: there is none; the text names those there are."""
    known = listing()
    for info in known:
        if given in (info.id, info.name):
            return info
    raise UsageError(f"There is no project {given!r}; there are {', '.join(info.name for info in known) or 'none yet'}")


def spent(project_id: str, now: int) -> tuple[Spent, ...]:
    """What models cost a project, by currency, from its priced calls."""
    usage = models.Usage
    begin = period_start("month", now)
    this_month = peewee.fn.SUM(peewee.Case(None, [(usage.at >= begin, usage.cost_micros)], 0))
    rows: Any = (
        usage.select(usage.currency, peewee.fn.SUM(usage.cost_micros), this_month)
        .where((usage.project == project_id) & usage.cost_micros.is_null(False) & usage.currency.is_null(False))
        .group_by(usage.currency)
        .order_by(usage.currency)
        .tuples()
    )
    at = datetime.fromtimestamp(now / 1000, UTC)
    whole = calendar.monthrange(at.year, at.month)[1] * 86_400_000
    pace = whole / max(1, now - begin)
    return tuple(
        Spent(
            currency,
            decimal(int(total)) or Decimal(0),
            decimal(int(month)) or Decimal(0),
            decimal(round(int(month) * pace)) or Decimal(0),
        )
        for currency, total, month in rows
    )


def tells(settings: Mapping[str, Any], way: str, now: datetime) -> bool:
    """Whether a project's alerts are told this way at this moment (local time)."""
    hours = quiet_hours(str(settings.get("quiet") or ""))
    return settings.get(way) is not False and not (hours is not None and hours.is_open(now))


def told() -> dict[str, Mapping[str, Any]]:
    """The settings of its project with its `id`, by connection's id, for telling alerts."""
    connection, project = models.Connection, models.Project
    rows: Any = connection.select(connection.id, project.id, project.settings).join(project).tuples()
    return {connection_id: {**settings, "id": project_id} for connection_id, project_id, settings in rows}


class Rates:
    """Which of the alerts of projects may yet be told, by how many were in the hour before: of one process."""

    def __init__(self) -> None:
        self._told: dict[str, list[float]] = {}

    def allows(self, settings: Mapping[str, Any], now: float) -> bool:
        """Whether one more may be told; `settings` as of `told`, `now` in epoch seconds."""
        rate, project = settings.get("rate"), str(settings.get("id"))
        if not rate:
            return True
        self._told[project] = [at for at in self._told.get(project, ()) if now - at < _HOUR_S]
        return len(self._told[project]) < int(rate)

    def count(self, settings: Mapping[str, Any], now: float) -> None:
        """One was told."""
        if settings.get("rate"):
            self._told.setdefault(str(settings.get("id")), []).append(now)


# --- inside -----------------------------------------------------------------------------------------------------------


def _connections(project_id: str) -> list[str]:
    connection = models.Connection
    return [row.id for row in connection.select(connection.id).where(connection.project == project_id)]


def _name(name: str, own_id: str | None) -> str:
    name = clean(name).strip()
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise UsageError("A project's name is 1 to 100 visible characters")
    if any(info.name == name and info.id != own_id for info in listing()):
        raise Taken(f"There is already a project named {name!r}")
    return name


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    known = (*_FLAGS, "colour", "theme", "path", "quiet", "rate")
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"A project has no setting {name!r}; there are {', '.join(known)}")
        if name in _FLAGS and not isinstance(value, bool) and value is not None:
            raise UsageError(f"{name} of a project is true or false")
        if name == "colour" and value is not None and value not in COLOURS:
            raise UsageError(f"A project's colour is one of {', '.join(COLOURS)}")
        if name == "theme" and value not in (None, "none", *THEMES):
            raise UsageError(f"A project's theme is one of {', '.join(THEMES)}")
        if name == "path" and value and not (str(value).startswith("/") and str(value).isprintable()):
            raise UsageError(f"A project's path is a folder from / on, not {value!r}")
        if name == "rate" and value is not None and (isinstance(value, bool) or not 1 <= int(value) <= 1000):
            raise UsageError("A project's rate is 1 to 1,000 alerts an hour")
        if name == "quiet" and value is not None:
            quiet_hours(str(value))
    return {name: value for name, value in given.items() if value is not None and value != "" and value != "none"}
