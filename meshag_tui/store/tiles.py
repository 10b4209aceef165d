"""The whole installation in a few figures: agents, runs since a moment, money against budgets, what is open."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import peewee

from meshag_tui.store import alerts, budgets, health, models
from meshag_tui.store.history_windows import listed
from meshag_tui.types import ExecutionState, SuggestionStatus

_ENDED_BADLY = (ExecutionState.FAILED, ExecutionState.INTERRUPTED)


class Spent(NamedTuple):
    """A budget in force and how it stands."""

    plan: str
    project: str | None
    spent: Decimal
    cap: Decimal | None
    currency: str


class Tiles(NamedTuple):
    """Counts by status, and of the runs that ended since a moment. `success_rate` None: none ended well or badly;
    cancelled ones count neither way. `mean_ms` is of those that were done."""

    since: int
    connections: Mapping[str, int]
    agents: Mapping[str, int]
    runs: int
    running: int
    failed: int
    success_rate: float | None
    mean_ms: float | None
    budgets: tuple[Spent, ...]
    open_suggestions: int
    open_alerts: int
    worst_health: int | None  # the lowest last score; None: none was kept


def tiles(since: int) -> Tiles:
    """The figures now; runs are those that ended after `since` (epoch ms)."""
    run, suggestion = models.Execution, models.Suggestion
    ended = listed(
        run.select(run.state, peewee.fn.COUNT(run.id), peewee.fn.SUM(run.finished_at - run.started_at))
        .where(run.finished_at > since)
        .group_by(run.state)
    )
    counts = {state: int(number) for state, number, _ in ended}
    took = {state: total for state, _, total in ended}
    done, failed = counts.get(ExecutionState.DONE, 0), sum(counts.get(state, 0) for state in _ENDED_BADLY)
    still_open = suggestion.status.in_((SuggestionStatus.NEW, SuggestionStatus.REVIEWED))
    scores = [kept.score for kept in health.newest_scores().values()]
    projects = [None, *(project for (project,) in listed(models.Project.select(models.Project.id)))]
    standing = {one.id: one for project in projects for one in budgets.in_force(project)}
    return Tiles(
        since=since,
        connections=_by_status(models.Connection),
        agents=_by_status(models.Agent, models.Agent.deleted_at.is_null()),
        runs=sum(counts.values()),
        running=run.select().where(run.state == ExecutionState.RUNNING).count(),
        failed=failed,
        success_rate=done / (done + failed) if done + failed else None,
        mean_ms=float(took[ExecutionState.DONE]) / done if done else None,
        budgets=tuple(Spent(one.plan, one.project, one.spent, one.cap, one.currency) for one in standing.values()),
        open_suggestions=suggestion.select().where(still_open & suggestion.resolved_at.is_null()).count(),
        open_alerts=sum(alerts.standing().values()),
        worst_health=min(scores, default=None),
    )


def _by_status(model: Any, *where: Any) -> dict[str, int]:
    query = model.select(model.status, peewee.fn.COUNT(model.id)).group_by(model.status)
    rows = listed(query.where(*where) if where else query)
    return {str(status): int(number) for status, number in rows}
