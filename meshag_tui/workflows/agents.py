"""Agents as people use them: make and change them, draw up what they do, run them, agree to what a run waits for.

Each change is one transaction with its line in the activity log. The three that come with MeshAG are made when agents
are first asked for; what was removed of them does not come back by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meshag_tui.agents import flow as flows
from meshag_tui.agents import profiles
from meshag_tui.agents.flow import Flow
from meshag_tui.agents.profiles import Profile
from meshag_tui.agents.walk import Standing, standing
from meshag_tui.store import activity, agents, connections, executions, remembered
from meshag_tui.store.agents import AgentRow
from meshag_tui.store.database import Store
from meshag_tui.store.executions import ExecutionInfo
from meshag_tui.types import ConnectionStatus, ExecutionState, MeshagError, UsageError
from meshag_tui.workflows.durable import Outcome, Runner
from meshag_tui.workflows.notices import Changed, Notices
from meshag_tui.workflows.rights import needs

_SHIPPED = "agents.shipped"
DAY_MS = 86_400_000
PURGE_AFTER_DAYS = 30


class Agent(NamedTuple):
    """An agent with its documents as values."""

    row: AgentRow
    profile: Profile
    flow: Flow


class RunOf(NamedTuple):
    """A run of an agent with the flow it began with, and where it stands in it. `asks`: what it waits for."""

    info: ExecutionInfo
    agent: Agent
    standing: Standing
    asks: tuple[Mapping[str, Any], ...]


class DueRun(NamedTuple):
    """A scheduled run."""

    key: str
    connection_id: str
    slot: int
    input: Mapping[str, Any]


class Agents:
    """Of one open workbench."""

    def __init__(self, store: Store, runner: Runner, notices: Notices, actor: str) -> None:
        self._store = store
        self._runner = runner
        self._notices = notices
        self._actor = actor

    # --- agents -----------------------------------------------------------------------------------------------------

    async def page(self, limit: int = 200, **only: Any) -> tuple[AgentRow, ...]:
        """The agents: see `store.agents.page`. Those that come with MeshAG are made first, once."""
        if await self._store.read(remembered.recall, _SHIPPED) is None:
            await self._store(ship, self._actor)
        return await self._store.read(agents.page, limit, **only)

    async def find(self, name_or_id: str) -> AgentRow:
        """An agent by name or id. UsageError: there is none."""
        await self.page(1)
        return await self._store.read(agents.find, name_or_id)

    async def get(self, agent_id: str, version: int | None = None, flow_version: int | None = None) -> Agent:
        """An agent with its documents, of its present versions or of those asked for."""
        found = await self._store.read(agents.whole, agent_id, version, flow_version)
        return Agent(found.row, profiles.profile(found.profile), flows.read(found.flow))

    @needs("admin")
    async def add(
        self,
        name: str,
        profile: Profile,
        flow: Flow,
        *,
        category: str = "other",
        description: str = "",
        every_s: int | None = None,
    ) -> AgentRow:
        """Make an agent, ACTIVE.

        Raises:
            FlowError: it may not do what its flow says.
        """
        _category(category)
        flows.check(flows.configured(flow, profile.configuration), profile.tools)

        def save() -> str:
            made = _add(name, category, profile, flow, self._actor, description=description, every_s=every_s)
            activity.record(self._actor, "agent.added", name, subject=made)
            return made

        return await self._changed(await self._store.whole(save))

    @needs("admin")
    async def edit(self, agent_id: str, profile: Profile | None = None, **changes: Any) -> AgentRow:
        """Change an agent: its profile (another version), and what `store.agents.edit` takes.

        Raises:
            FlowError: its flow needs a tool that is taken away.
        """
        before = await self.get(agent_id)
        if profile is not None:
            flows.check(flows.configured(before.flow, profile.configuration), profile.tools)
        if "category" in changes:
            _category(changes["category"])

        def save() -> None:
            details: dict[str, Any] = {}
            if changes:
                agents.edit(agent_id, **changes)
                details = {"before": {n: getattr(before.row, n, None) for n in changes}, "after": changes}
            if profile is not None and profile != before.profile:
                document = profile.document()
                agents.new_profile(agent_id, document, profiles.checksum(document), self._actor)
                old = before.profile.document()
                differs = [key for key in document if document[key] != old[key]]
                details["profile"] = {key: {"before": old[key], "after": document[key]} for key in differs}
            if details:
                activity.record(self._actor, "agent.edited", before.row.name, subject=agent_id, details=details)

        await self._store.whole(save)
        return await self._changed(agent_id)

    @needs("admin")
    async def save_flow(self, agent_id: str, flow: Flow) -> AgentRow:
        """Keep another version of what an agent does; the ones before stay as they were.

        Raises:
            FlowError: it may not run, or needs a tool the agent is not allowed.
        """
        before = await self.get(agent_id)
        flows.check(flow, before.profile.tools)

        def save() -> None:
            number = agents.new_flow(agent_id, flow.document(), flow.checksum(), self._actor)
            activity.record(self._actor, "flow.saved", f"{before.row.name}: version {number}", subject=agent_id)

        await self._store.whole(save)
        return await self._changed(agent_id)

    @needs("admin")
    async def remove_flow(self, agent_id: str) -> AgentRow:
        """Take away what an agent does; it is INACTIVE until another is saved. UsageError: it runs now."""
        return await self._mark(agent_id, agents.remove_flow, "flow.removed")

    @needs("admin")
    async def set_status(self, agent_id: str, status: str) -> AgentRow:
        """ACTIVE, INACTIVE or PAUSED. UsageError: it cannot become that."""

        def save() -> None:
            agents.set_status(agent_id, status)
            activity.record(self._actor, f"agent.{status.lower()}", agents.find(agent_id).name, subject=agent_id)

        await self._store.whole(save)
        return await self._changed(agent_id)

    @needs("admin")
    async def remove(self, agent_id: str) -> AgentRow:
        """Hide an agent; its runs, threads and costs stay."""
        return await self._mark(agent_id, agents.remove, "agent.removed")

    @needs("admin")
    async def restore(self, agent_id: str) -> AgentRow:
        return await self._mark(agent_id, agents.restore, "agent.restored")

    @needs("admin")
    async def purge(self, days: float = PURGE_AFTER_DAYS) -> tuple[str, ...]:
        """Forget agents that were removed so many days ago; their names."""

        def purge() -> tuple[str, ...]:
            gone = agents.purge(round(days * DAY_MS))
            if gone:
                activity.record(self._actor, "agent.purged", ", ".join(gone))
            return gone

        gone = await self._store.whole(purge)
        self._notices.publish(Changed("agents", None))
        return gone

    # --- runs -------------------------------------------------------------------------------------------------------

    @needs("analyze")
    async def run(self, agent_id: str, connection_id: str) -> Outcome:
        """Run an agent on a connection now, and wait until it is done or waits for somebody.

        Raises:
            UsageError: it is not active, or was removed.
        """
        row = await self._store.read(agents.find, agent_id)
        if row.deleted_at is not None:
            raise UsageError(f"{row.name} was removed: meshag agents restore brings it back")
        if row.kept_status != agents.ACTIVE:
            raise UsageError(f"{row.name} is {row.kept_status}: make it ACTIVE first")
        key = f"{row.id}:{connection_id}"
        self._notices.publish(Changed("agents", None))
        outcome = await self._runner.submit(
            agents.RUN, key, connection_id=connection_id, input=_input(row, self._actor, "by hand")
        )
        self._notices.publish(Changed("agents", None))
        return outcome

    async def run_of(self, execution_id: str) -> RunOf:
        """A run with its flow and where it stands. UsageError: it is no run of an agent."""
        info = await self._store.read(executions.get, execution_id)
        if info.kind != agents.RUN:
            raise UsageError(f"{execution_id} is no run of an agent")
        given = info.input
        agent = await self.get(given["agent"], given["version"], given["flow_version"])
        done = {step.name: step.output for step in info.steps}
        now = standing(agent.flow, done)
        asked = done.get(f"{now.step}:asked") if now.at is not None else None
        waits = info.state is ExecutionState.READY and asked is not None
        return RunOf(info, agent, now, tuple(asked["items"]) if asked is not None and waits else ())

    @needs("approve")
    async def answer(self, execution_id: str, agreed: Sequence[str]) -> None:
        """Agree to those of the statements a run waits for that are named by their hash; none: refuse, and it goes on.

        Raises:
            MeshagError: it does not wait, or waits for others than these.
        """
        run = await self.run_of(execution_id)
        if not run.asks:
            raise MeshagError(f"The run {execution_id} does not wait for an answer")
        wanted = set(agreed)
        if unknown := wanted - {item["hash"] for item in run.asks}:
            raise MeshagError(f"{len(unknown)} of what was agreed to is not what it waits for: look at it again")
        actor = self._actor

        def save() -> None:
            from meshag_tui.store import database

            now = database.now_ms()
            items = [{**item, "by": actor, "at": now} for item in run.asks if item["hash"] in wanted]
            said = f"{len(items)} of {len(run.asks)} agreed to by {actor}"
            executions.answer(
                execution_id, run.standing.step, {"way": "yes" if items else "no", "agreed": items, "said": said}
            )
            activity.record(
                actor,
                "agent.approved" if items else "agent.refused",
                f"{run.agent.row.name}: {said}",
                connection=run.info.connection_id,
                subject=execution_id,
                details={"sql": [item["sql"] for item in items]},
            )

        await self._store.whole(save)
        await self._go_on(run.info.connection_id)

    @needs("analyze")
    async def resume(self, execution_id: str) -> None:
        """Let a run that failed or was stopped go on behind its last step.

        Raises:
            MeshagError: it ended well, or has not ended.
        """
        await self._store(executions.reopen, execution_id, (agents.RUN,))
        await self._go_on(None)

    async def _go_on(self, connection_id: str | None) -> None:
        await self._runner.recover()
        for topic in ("executions", "agents"):
            self._notices.publish(Changed(topic, connection_id))

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _mark(self, agent_id: str, mark: Any, kind: str) -> AgentRow:
        def both() -> None:
            mark(agent_id)
            activity.record(self._actor, kind, agents.find(agent_id).name, subject=agent_id)

        await self._store.whole(both)
        return await self._changed(agent_id)

    async def _changed(self, agent_id: str) -> AgentRow:
        self._notices.publish(Changed("agents", None))
        return await self._store.read(agents.find, agent_id)


def ship(actor: str) -> None:
    """In the store's thread: make the agents that come with MeshAG, once."""
    from meshag_tui.store import database

    with database.durable():
        if remembered.recall(_SHIPPED) is not None:
            return
        made = profiles.templates()
        taken = {row.name.lower() for row in agents.page(10_000)}
        for one in profiles.SHIPPED:
            if one.name.lower() not in taken:
                flow = made[one.flow]
                _add(one.name, one.category, one.profile, flow, actor, description=one.description, shipped=one.key)
        remembered.remember(_SHIPPED, [one.key for one in profiles.SHIPPED])


def runs_of(due: agents.Due) -> tuple[DueRun, ...]:
    """In the store's thread: the runs of an agent that is due, one for each of its connections that is not paused."""
    row = agents.find(due.agent_id)
    given = _input(row, "meshag", "schedule")
    return tuple(
        DueRun(f"{row.id}:{info.id}", info.id, due.slot, given)
        for info in connections.listing()
        if info.status is not ConnectionStatus.INACTIVE and due.project_id in (None, info.project_id)
    )


def _add(name: str, category: str, profile: Profile, flow: Flow, actor: str, **more: Any) -> str:
    document = profile.document()
    return agents.add(
        name,
        category,
        document,
        flow.document(),
        actor,
        checksums=(profiles.checksum(document), flow.checksum()),
        status=agents.ACTIVE,
        **more,
    )


def _input(row: AgentRow, actor: str, trigger: str) -> dict[str, Any]:
    """What a run is given: the versions it keeps."""
    return {
        "agent": row.id,
        "version": row.version,
        "flow_version": row.flow_version,
        "actor": actor,
        "trigger": trigger,
    }


def _category(given: str) -> None:
    if given not in profiles.CATEGORIES:
        raise UsageError(f"A category is one of {', '.join(profiles.CATEGORIES)}")
