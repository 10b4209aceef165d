"""The one door to everything MeshAG does: the command line and the screens ask it, and use no engine themselves.

Reading what is remembered needs no door of its own: `await workbench.store.read(history.queries, …)`. What talks to a
monitored database, or changes the store together with one, is a method here.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.settings import Settings
from meshag_tui.store import connections
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import KEY_MARK, UsageError
from meshag_tui.workflows.notices import Changed, Notice, Notices, Progress
from meshag_tui.workflows.rights import account, acting, needs

if TYPE_CHECKING:
    from meshag_tui.agents.desk import Desk
    from meshag_tui.store import executions, history
    from meshag_tui.store.people import Permission
    from meshag_tui.workflows.advice import Advice
    from meshag_tui.workflows.agents import Agents
    from meshag_tui.workflows.alerting import Alerting
    from meshag_tui.workflows.community import Community
    from meshag_tui.workflows.connecting import Connections
    from meshag_tui.workflows.durable import Ended as EndedRun
    from meshag_tui.workflows.durable import Run, Runner
    from meshag_tui.workflows.hands import Hands
    from meshag_tui.workflows.kept import KeptSessions
    from meshag_tui.workflows.models import Models
    from meshag_tui.workflows.sampling import Sampler
    from meshag_tui.workflows.scheduler import Scheduler
    from meshag_tui.workflows.sync import SyncReport
    from meshag_tui.workflows.threads import Threads
    from meshag_tui.workflows.turns import Turns
    from meshag_tui.workflows.watching import Watcher

_LOADED_LATER = ("engines.postgres.session", "workflows.advice", "workflows.hands", "workflows.scheduler")
"""What work needs and reading what is remembered does not."""


class Workbench:
    """An open store, its vault, and the runner of workflows. Close it."""

    def __init__(self, settings: Settings, store: Store, vault: Vault, actor: str | None = None) -> None:
        """`actor` acts, for the journal and the activity log, and is asked for rights; None: the account's owner."""
        self.settings = settings
        self.store = self._store = store
        self.vault = vault
        self.actor = self._actor = actor or account()
        self.notices = Notices()

    @classmethod
    async def open(cls, settings: Settings) -> Workbench:
        """Open the store (migrating it, after a backup) and the vault, off the event loop.

        Only what reading the store needs is loaded, so that the first data comes early; `load_rest` loads the rest.

        Raises:
            MeshagError: the store or the key cannot be used; the text says what to do.
        """
        return await asyncio.to_thread(cls.open_blocking, settings)

    @classmethod
    def open_blocking(cls, settings: Settings) -> Workbench:
        """The same as `open`, in the thread that asks."""
        store = Store.open(settings.store_url)
        try:
            actor = acting(store, settings)
            vault = Vault.open(settings)
        except BaseException:
            store.close()
            raise
        return cls(settings, store, vault, actor)

    async def load_rest(self) -> None:
        """Load workflows, engine and driver in a thread, so that no key waits for it later."""
        for name in _LOADED_LATER:
            await asyncio.to_thread(importlib.import_module, f"meshag_tui.{name}")

    @functools.cached_property
    def runner(self) -> Runner:
        """What runs workflows, and knows all of them."""
        from meshag_tui.store import agents
        from meshag_tui.workflows import change, rehearsal, suggest, sync, upkeep, verify
        from meshag_tui.workflows.durable import Runner

        runner = Runner(self.store, self.notices)
        runner.register(sync.KIND, sync.workflow(self.store, self.vault, self.settings, self._kept))
        runner.register(suggest.KIND, suggest.workflow(self.store, self.vault, self.settings))
        runner.register(change.KIND, change.workflow(self.store, self.vault, self.settings))
        runner.register(
            verify.KIND, verify.workflow(self.store, self.vault, self.settings, lambda: self.hands.agreements)
        )
        runner.register(rehearsal.KIND, rehearsal.workflow(self.store, self.vault, self.settings))
        runner.register(upkeep.KIND, upkeep.workflow(self.store, self.settings))
        runner.register(agents.RUN, self._run_agent)
        return runner

    async def _run_agent(self, run: Run) -> Mapping[str, Any] | EndedRun:
        """The workflow of agents, loaded when the first runs."""
        from meshag_tui.workflows import agent_run

        return await agent_run.workflow(self)(run)

    @functools.cached_property
    def _kept(self) -> KeptSessions:
        from meshag_tui.workflows.kept import KeptSessions

        return KeptSessions(self.settings.collect.keep_session_s)

    @functools.cached_property
    def _turns(self) -> Turns:
        from meshag_tui.workflows.turns import Turns

        return Turns(self.settings.collect, self._kept)

    async def close(self) -> None:
        """Interrupt what runs here, and close the store."""
        if "runner" in vars(self):  # it was needed
            await self.runner.close()
            await self._kept.close()
        await asyncio.to_thread(self.store.close)

    async def __aenter__(self) -> Workbench:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def subscribe(self, subscriber: Callable[[Notice], None]) -> Callable[[], None]:
        """Call `subscriber` with progress, ends and changed data, in the event loop; the result ends it."""
        return self.notices.subscribe(subscriber)

    def scheduler(self) -> Scheduler:
        """What syncs all connections at their intervals: `await workbench.scheduler().run()`."""
        from meshag_tui.workflows.scheduler import Scheduler

        return Scheduler(
            self.store, self.settings, self.runner, self.notices,
            sampler=self.sampler, watcher=self.watcher, turns=self._turns,
        )  # fmt: skip

    @functools.cached_property
    def alerting(self) -> Alerting:
        """Limits of health, webhooks, and taking note of alerts."""
        from meshag_tui.workflows.alerting import Alerting

        return Alerting(self.store, self.vault, self.notices, self.actor)

    @functools.cached_property
    def watcher(self) -> Watcher:
        """What judges connections and raises alerts while the scheduler runs."""
        from meshag_tui.workflows.watching import Watcher

        return Watcher(self.store, self.vault, self.settings, self.notices, self.sampler, self.actor, turns=self._turns)

    @functools.cached_property
    def sampler(self) -> Sampler:
        """What looks at sessions while the scheduler runs, and knows the last look at each connection."""
        from meshag_tui.workflows.sampling import Sampler

        return Sampler(self.store, self.vault, self.settings, self.notices)

    @property
    def roles_may_count(self) -> bool:
        """Whether who acts could be refused something: in a shared store, or where an access key acts."""
        return self.store.kind == "postgresql" or self.actor.startswith(KEY_MARK)

    async def need(self, permission: Permission) -> None:
        """Raise `people.Forbidden` if who acts may not do this."""
        from meshag_tui.store import people

        await self.store(people.check, self.actor, permission)

    @functools.cached_property
    def community(self) -> Community:
        """People, their access keys, and projects."""
        from meshag_tui.workflows.community import Community

        return Community(self.store, self.notices, self.actor)

    @functools.cached_property
    def connections(self) -> Connections:
        """Testing, adding, changing and removing connections, and what is missing on them."""
        from meshag_tui.workflows.connecting import Connections

        return Connections(self.store, self.vault, self.settings, self.notices, self.actor)

    # ------------------------------------------------------------------ workflows

    @needs("collect")
    async def sync(self, connection_id: str, progress: Callable[[Progress], None] | None = None) -> SyncReport:
        """Read a server now; joins the sync that is running, if one is.

        Raises:
            RunFailed: it could not be read; what was collected before stays.
        """
        from meshag_tui.workflows import sync

        with self.notices.progress_of(sync.KIND, connection_id, progress):
            outcome = await self.runner.submit(
                sync.KIND, connection_id, connection_id=connection_id, input={"by_hand": True}
            )
        self.notices.publish(Changed("connections", connection_id))
        result = outcome.value()
        self.notices.publish(Changed("statistics", connection_id))
        info = await self.store(connections.get, connection_id)
        return sync.SyncReport.from_result(info, outcome.execution_id, result, outcome.joined)

    @functools.cached_property
    def advice(self) -> Advice:
        """Looking for advice, also of models, and putting it aside."""
        from meshag_tui.workflows.advice import Advice

        return Advice(
            self.store, self.vault, self.settings, self.runner, self.notices, self.models, self.desk, self.actor
        )

    @functools.cached_property
    def hands(self) -> Hands:
        """What changes a monitored database: reviews, changes, undoing, rehearsals and how changes turned out."""
        from meshag_tui.workflows.hands import Hands

        return Hands(self.store, self.vault, self.settings, self.runner, self.notices, self.actor)

    @functools.cached_property
    def desk(self) -> Desk:
        """What asks models, and keeps the ledger of it."""
        from meshag_tui.agents.desk import Desk

        return Desk(self.store, self.vault, self.settings)

    @functools.cached_property
    def models(self) -> Models:
        """Providers of models, prices, budgets, invoices and kept answers."""
        from meshag_tui.workflows.models import Models

        return Models(self.store, self.vault, self.desk, self.notices, self.actor)

    @functools.cached_property
    def agents(self) -> Agents:
        """Profiles of agents, what they do, and their runs."""
        from meshag_tui.workflows.agents import Agents

        return Agents(self.store, self.runner, self.notices, self.actor)

    @functools.cached_property
    def threads(self) -> Threads:
        """Conversations with models about a statement, a plan or a suggestion."""
        from meshag_tui.workflows.threads import Threads

        return Threads(self.store, self.vault, self.desk, self.notices, self.actor)

    @needs("collect")
    async def cancel(self, execution_id: str) -> bool:
        """Cancel a run, wherever it runs, and what its own sessions do on the server. False if it had ended."""
        from meshag_tui.store import activity, executions

        info = await self.store.read(executions.get, execution_id, 0)
        if not await self.runner.cancel(execution_id):
            return False
        await self.store(
            activity.record,
            self.actor,
            "run.cancelled",
            f"{info.kind} of {info.connection_name or info.key}",
            connection=info.connection_id,
            subject=execution_id,
        )
        self.notices.publish(Changed("executions", info.connection_id))
        return True

    @needs("admin")
    async def bring(self, entries: Sequence[Mapping[str, Any]], source: str) -> int:
        """Append what another store's activity log has and this one has not; how many: see `store.activity.bring`."""
        from meshag_tui.store import activity

        return await self.store(activity.bring, entries, self.actor, source)

    @needs("read")
    async def note(self, text: str, run: str | None = None) -> None:
        """Write a line into the activity log; about a run (its id) into the run's own log as well.

        Raises:
            MeshagError: there is no such run, or no text.
        """
        from meshag_tui.store import activity, executions

        said, actor = " ".join(text.split()), self.actor
        if not said:
            raise UsageError("A note needs words")

        def write() -> str | None:
            about = None if run is None else executions.get(run, 0).connection_id
            if run is not None:
                executions.log(run, "note", f"{actor}: {said}")
            activity.record(actor, "note", said, connection=about, subject=run)
            return about

        self.notices.publish(Changed("executions", await self.store.whole(write)))

    # ------------------------------------------------------------------ plans

    @needs("analyze")
    async def explain(self, query_id: int) -> history.StoredPlan:
        """The plan of a query now, without executing it; stored when it changed.

        Raises:
            MeshagError: its text is not known, or the server cannot plan it.
        """
        from meshag_tui.store import history
        from meshag_tui.workflows import planning

        found = await self.store.read(history.statement, query_id)
        await planning.plan(self.store, self.vault, self.settings, [query_id])
        await self.store(connections.read_texts_soon, found.connection_id)
        return (await self.store(history.plans, query_id))[0]

    async def executions(
        self, connection_id: str | None = None, limit: int = 200, **only: Any
    ) -> tuple[executions.ExecutionInfo, ...]:
        """What was run, newest first; `only` as `executions.listing` takes it."""
        from meshag_tui.store import executions

        return await self.store.read(executions.listing, connection_id=connection_id, limit=limit, **only)
