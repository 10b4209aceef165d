"""Agents and their flows, each with all its versions; runs keep the version they began with.

How often an agent ran, when last, and whether it runs now follows from the executions: it is written nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import peewee

from meshag_tui.store import database, ids, models
from meshag_tui.store.documents import clean, document
from meshag_tui.types import ExecutionState, Taken, UsageError

RUN = "run_agent"
"""The kind of executions that are runs of agents; their key is `agnt_…:con_…`."""
ACTIVE, INACTIVE, PAUSED = "ACTIVE", "INACTIVE", "PAUSED"
RUNNING = "RUNNING"
_MOVES = {ACTIVE: (INACTIVE, PAUSED), PAUSED: (ACTIVE, INACTIVE), INACTIVE: (ACTIVE,)}
_NAME_LIMIT = 80


class AgentRow(NamedTuple):
    """An agent as listed. Times epoch ms; `status` RUNNING while an execution is open."""

    id: str
    name: str
    category: str
    description: str
    project: str | None
    status: str
    kept_status: str  # what was set by hand: ACTIVE, INACTIVE, PAUSED
    version: int
    flow_version: int
    every_s: int | None
    next_run_at: int | None
    shipped: str | None
    actor: str
    runs: int
    last_run_at: int | None
    created_at: int
    updated_at: int
    deleted_at: int | None
    flow_deleted_at: int | None


class Whole(NamedTuple):
    """An agent with its documents: the profile and the flow, of its present versions or of those asked for."""

    row: AgentRow
    profile: Mapping[str, Any]
    flow: Mapping[str, Any]


class Version(NamedTuple):
    """One version of a profile or a flow."""

    version: int
    document: Mapping[str, Any]
    checksum: str
    actor: str
    created_at: int


class Due(NamedTuple):
    """A run that is due: on the connections of a project, or on all. `slot`: the occasion."""

    agent_id: str
    project_id: str | None
    slot: int


def add(
    name: str,
    category: str,
    profile: Mapping[str, Any],
    flow: Mapping[str, Any],
    actor: str,
    *,
    checksums: tuple[str, str],
    description: str = "",
    project_id: str | None = None,
    every_s: int | None = None,
    status: str = INACTIVE,
    shipped: str | None = None,
) -> str:
    """Keep a new agent with the first version of its profile and flow; its id.

    Raises:
        UsageError: the name is taken or empty.
    """
    agent_id, flow_id = ids.new("agnt"), ids.new("flow")
    with database.durable():
        now = database.now_ms()
        models.Agent.create(
            id=agent_id,
            name=_free(name),
            category=category,
            description=clean(description),
            project=project_id,
            status=status,
            version=1,
            every_s=every_s,
            next_run_at=None if every_s is None else now + every_s * 1000,
            shipped=shipped,
            actor=actor,
            created_at=now,
            updated_at=now,
        )
        models.Flow.create(id=flow_id, agent=agent_id, version=1, created_at=now, updated_at=now)
        _keep(models.AgentVersion, {"agent": agent_id}, 1, profile, checksums[0], actor, now)
        _keep(models.FlowVersion, {"flow": flow_id}, 1, flow, checksums[1], actor, now)
    return agent_id


def edit(agent_id: str, **changes: Any) -> None:
    """Change name, category, description, project_id or every_s (None: only when asked to)."""
    allowed = {"name", "category", "description", "project_id", "every_s"}
    if wrong := set(changes) - allowed:
        raise UsageError(f"Of an agent {', '.join(sorted(allowed))} can be changed, not {', '.join(sorted(wrong))}")
    with database.durable():
        row = _there(agent_id)
        now = database.now_ms()
        new = dict(changes)
        if "name" in new and new["name"] != row.name:
            new["name"] = _free(new["name"])
        if "project_id" in new:
            new["project"] = new.pop("project_id")
        if "every_s" in new:
            new["next_run_at"] = None if new["every_s"] is None else now + new["every_s"] * 1000
        models.Agent.update(**new, updated_at=now).where(models.Agent.id == agent_id).execute()


def new_profile(agent_id: str, profile: Mapping[str, Any], checksum: str, actor: str) -> int:
    """Keep another version of a profile, unless it is the present one; its number."""
    with database.durable():
        row = _there(agent_id)
        version = models.AgentVersion
        here = (version.agent == agent_id) & (version.version == row.version)
        if version.select().where(here & (version.checksum == checksum)).exists():
            return int(row.version)
        now = database.now_ms()
        number = int(row.version) + 1
        _keep(version, {"agent": agent_id}, number, profile, checksum, actor, now)
        models.Agent.update(version=number, updated_at=now).where(models.Agent.id == agent_id).execute()
    return number


def new_flow(agent_id: str, flow: Mapping[str, Any], checksum: str, actor: str) -> int:
    """Keep another version of a flow, unless it is the present one; its number."""
    with database.durable():
        _there(agent_id)
        kept: Any = models.Flow.get(models.Flow.agent == agent_id)
        version = models.FlowVersion
        here = (version.flow == kept.id) & (version.version == kept.version)
        now = database.now_ms()
        if version.select().where(here & (version.checksum == checksum)).exists():
            models.Flow.update(deleted_at=None, updated_at=now).where(models.Flow.id == kept.id).execute()
            return int(kept.version)
        number = int(kept.version) + 1
        _keep(version, {"flow": kept.id}, number, flow, checksum, actor, now)
        models.Flow.update(version=number, deleted_at=None, updated_at=now).where(models.Flow.id == kept.id).execute()
        models.Agent.update(updated_at=now).where(models.Agent.id == agent_id).execute()
    return number


def remove_flow(agent_id: str) -> None:
    """Take away what an agent does: it is INACTIVE until another flow is saved. Runs keep the versions they began with.

    Raises:
        UsageError: it runs now.
    """
    with database.durable():
        row = find(agent_id)
        if row.status == RUNNING:
            raise UsageError(f"{row.name} runs now: wait until it is done, or cancel the run")
        now = database.now_ms()
        models.Flow.update(deleted_at=now, updated_at=now).where(models.Flow.agent == row.id).execute()
        columns = {"status": INACTIVE, "next_run_at": None, "updated_at": now}
        models.Agent.update(**columns).where(models.Agent.id == row.id).execute()


def set_status(agent_id: str, status: str) -> None:
    """ACTIVE, INACTIVE or PAUSED, by hand; RUNNING comes and goes with a run.

    Raises:
        UsageError: it cannot become that from what it is.
    """
    with database.durable():
        row = _there(agent_id)
        if status == row.status:
            return
        if status not in _MOVES.get(row.status, ()):
            reason = "only a run makes it RUNNING" if status == RUNNING else f"{row.status} does not become {status}"
            raise UsageError(f"{row.name}: {reason}")
        gone = (models.Flow.agent == agent_id) & models.Flow.deleted_at.is_null(False)
        if status == ACTIVE and models.Flow.select().where(gone).exists():
            raise UsageError(f"{row.name} has no flow any more: save one first")
        now = database.now_ms()
        due = None if row.every_s is None else now + row.every_s * 1000
        models.Agent.update(status=status, next_run_at=due, updated_at=now).where(models.Agent.id == agent_id).execute()


def remove(agent_id: str) -> None:
    """Hide an agent: `restore` brings it back, `purge` forgets it. Its runs stay."""
    _mark(agent_id, deleted=True)


def restore(agent_id: str) -> None:
    _mark(agent_id, deleted=False)


def purge(older_than_ms: int) -> tuple[str, ...]:
    """Forget agents that were removed so long ago and of which no run is kept any more; their names."""
    agent = models.Agent
    with database.durable():
        until = database.now_ms() - older_than_ms
        run = models.Execution
        kept = run.select(_agent_of(run)).where(run.kind == RUN)
        gone: Any = (
            agent.select(agent.id, agent.name).where((agent.deleted_at <= until) & agent.id.not_in(kept)).tuples()
        )
        found = list(gone)
        agent.delete().where(agent.id.in_([each for each, _ in found])).execute()
    return tuple(name for _, name in found)


def page(
    limit: int = 200,
    *,
    status: str | None = None,
    category: str | None = None,
    text: str = "",
    removed: bool = False,
    project: str | None = None,
) -> tuple[AgentRow, ...]:
    """The agents by name, all or those of a `project` (its id); those that were removed only with `removed`, and then
    they alone."""
    agent = models.Agent
    where: list[Any] = [agent.deleted_at.is_null(not removed)]
    if category is not None:
        where.append(agent.category == category)
    if project is not None:
        where.append(agent.project == project)
    if text:
        where.append(agent.name.contains(text) | agent.description.contains(text))
    if status is not None:
        running = agent.id.in_(_running())
        where.append(running if status == RUNNING else (agent.status == status) & ~running)
    return _listed(where, limit)


def find(name_or_id: str) -> AgentRow:
    """An agent by id or name, also a removed one.

    Raises:
        UsageError: there is none.
    """
    agent = models.Agent
    found = _listed([(agent.id == name_or_id) | (peewee.fn.LOWER(agent.name) == name_or_id.lower())], 1)
    if not found:
        raise UsageError(f"There is no agent {name_or_id!r}: meshag agents list shows them")
    return found[0]


def whole(agent_id: str, version: int | None = None, flow_version: int | None = None) -> Whole:
    """An agent with its documents, of its present versions or of those a run began with."""
    row = find(agent_id)
    kept: Any = models.Flow.get(models.Flow.agent == row.id)
    profile: Any = models.AgentVersion.get_or_none(
        (models.AgentVersion.agent == row.id) & (models.AgentVersion.version == (version or row.version))
    )
    flow: Any = models.FlowVersion.get_or_none(
        (models.FlowVersion.flow == kept.id) & (models.FlowVersion.version == (flow_version or kept.version))
    )
    if profile is None or flow is None:
        raise UsageError(f"{row.name} has no such version")
    return Whole(row, profile.document, flow.document)


def versions(agent_id: str, *, of_flow: bool = False) -> tuple[Version, ...]:
    """The versions of a profile, or of a flow, the newest first."""
    model: Any = models.FlowVersion if of_flow else models.AgentVersion
    mine = (
        model.flow == models.Flow.select(models.Flow.id).where(models.Flow.agent == agent_id)
        if of_flow
        else model.agent == agent_id
    )
    rows = model.select().where(mine).order_by(model.version.desc())
    return tuple(Version(each.version, each.document, each.checksum, each.actor, each.created_at) for each in rows)


def take_due() -> tuple[Due, ...]:
    """The runs that are due now, each once for all instances; the next of each is set."""
    agent = models.Agent
    with database.atomic():
        now = database.now_ms()
        due = agent.deleted_at.is_null() & (agent.status == ACTIVE) & (agent.next_run_at <= now)
        rows: Any = agent.select(agent.id, agent.project, agent.next_run_at, agent.every_s).where(due).tuples()
        found = []
        for agent_id, project_id, at, every_s in list(rows):
            missed = (now - at) // (every_s * 1000)  # what passed meanwhile is not made up for
            later = at + (missed + 1) * every_s * 1000
            mine = (agent.id == agent_id) & (agent.next_run_at == at)
            if agent.update(next_run_at=later).where(mine).execute():
                found.append(Due(agent_id, project_id, at))
    return tuple(found)


# --- inside -----------------------------------------------------------------------------------------------------------

_OPEN = (ExecutionState.READY, ExecutionState.RUNNING)


_ID_LENGTH = len("agnt_") + 16


def _agent_of(run: Any) -> Any:
    """The agent in the key of a run."""
    return peewee.fn.SUBSTR(run.key, 1, _ID_LENGTH)


def _running() -> Any:
    run = models.Execution
    return run.select(_agent_of(run)).where((run.kind == RUN) & run.state.in_(_OPEN))


def _listed(where: Sequence[Any], limit: int) -> tuple[AgentRow, ...]:
    agent, project, flow = models.Agent, models.Project, models.Flow
    query = (
        agent.select(
            agent,
            project.name.alias("project_name"),
            flow.version.alias("flow_version"),
            flow.deleted_at.alias("flow_deleted_at"),
        )
        .join(project, peewee.JOIN.LEFT_OUTER)
        .switch(agent)
        .join(flow, peewee.JOIN.LEFT_OUTER, on=(flow.agent == agent.id))
        .where(*where)
        .order_by(agent.name)
        .limit(limit)
    )
    rows: Any = list(query.dicts())
    counted = _counted([row["id"] for row in rows])
    found = []
    for row in rows:
        runs, last, running = counted.get(row["id"], (0, None, 0))
        own = {name: row[name] for name in AgentRow._fields if name in row}
        own |= {"project": row["project_name"], "kept_status": row["status"], "runs": runs, "last_run_at": last}
        own["status"] = RUNNING if running else row["status"]
        found.append(AgentRow(**own))
    return tuple(found)


def _counted(agent_ids: Sequence[str]) -> dict[str, tuple[int, int | None, int]]:
    """Runs, the last one and those that are open, by agent."""
    if not agent_ids:
        return {}
    run = models.Execution
    own = _agent_of(run)
    open_ = peewee.Case(None, [(run.state.in_(_OPEN), 1)], 0)
    rows: Any = (
        run.select(own, peewee.fn.COUNT(run.id), peewee.fn.MAX(run.created_at), peewee.fn.SUM(open_))
        .where((run.kind == RUN) & own.in_(list(agent_ids)))
        .group_by(peewee.SQL("1"))
        .tuples()
    )
    return {agent_id: (int(runs), last, int(running)) for agent_id, runs, last, running in rows}


def _keep(
    model: Any,
    of: Mapping[str, str],
    version: int,
    content: Mapping[str, Any],
    checksum: str,
    actor: str,
    now: int,
) -> None:
    model.create(
        **of, version=version, document=document(dict(content)), checksum=checksum, actor=actor, created_at=now
    )


def _there(agent_id: str) -> Any:
    found: Any = models.Agent.get_or_none(models.Agent.id == agent_id)
    if found is None:
        raise UsageError(f"There is no agent {agent_id}: meshag agents list shows them")
    return found


def _free(name: str) -> str:
    plain = " ".join(clean(name).split())[:_NAME_LIMIT]
    if not plain:
        raise UsageError("An agent needs a name")
    taken: Any = models.Agent.get_or_none(peewee.fn.LOWER(models.Agent.name) == plain.lower())
    if taken is not None:
        gone = ", which was removed: meshag agents restore brings it back" if taken.deleted_at is not None else ""
        raise Taken(f"There is an agent {taken.name!r} already{gone}")
    return plain


def _mark(agent_id: str, *, deleted: bool) -> None:
    with database.durable():
        row = _there(agent_id)
        now = database.now_ms()
        due = None if row.every_s is None else now + row.every_s * 1000
        models.Agent.update(deleted_at=now if deleted else None, next_run_at=due, updated_at=now).where(
            models.Agent.id == agent_id
        ).execute()
