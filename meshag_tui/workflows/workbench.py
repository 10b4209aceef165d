"""The one door to everything MeshAG does: the command line and the screens ask it, and use no engine themselves.

Reading what is remembered needs no door of its own: `await workbench.store.read(history.queries, …)`. What talks to a
monitored database, or changes the store together with one, is a method here.
"""

from __future__ import annotations

import asyncio
import functools
import getpass
import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from meshag_tui.settings import Settings
from meshag_tui.store import connections
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.database import Store, now_ms
from meshag_tui.store.vault import Vault
from meshag_tui.types import ConnectionStatus, Finding, MeshagError, SuggestionStatus, Target
from meshag_tui.workflows.notices import Changed, Notice, Notices, Progress

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from meshag_tui.changes.basket import Basket, Wanted
    from meshag_tui.changes.migration import Migration
    from meshag_tui.changes.review import Review
    from meshag_tui.engines.base import Engine, Session
    from meshag_tui.snapshot import ServerFacts
    from meshag_tui.store import executions, history
    from meshag_tui.store.changes import ChangeRow
    from meshag_tui.store.outcomes import ChangeOutcome
    from meshag_tui.store.rehearsals import RehearsalRow
    from meshag_tui.store.suggestions import StoredSuggestion
    from meshag_tui.workflows.agreement import Agreements
    from meshag_tui.workflows.baskets import Baskets, Ran
    from meshag_tui.workflows.durable import Outcome, Runner
    from meshag_tui.workflows.rehearsal import RehearsalReview
    from meshag_tui.workflows.scheduler import Scheduler
    from meshag_tui.workflows.sync import SyncReport

_LOADED_LATER = ("engines.postgres.session", "workflows.agreement", "workflows.model_advice", "workflows.scheduler")
"""What work needs and reading what is remembered does not."""


@dataclass(frozen=True, slots=True)
class TestReport:
    """What a test of a connection found: the server, what is missing, and whether we know this server already.

    `same_as` names connections to the same database of the same server; `duration_ms` is the whole test.
    """

    __test__ = False  # not a test case, whatever pytest makes of its name

    label: str
    facts: ServerFacts
    findings: tuple[Finding, ...]
    same_as: tuple[str, ...]
    duration_ms: float

    @property
    def missing(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity in ("missing", "degraded"))


class Preview(NamedTuple):
    """What would leave the machine: the exact text, its size, what was cut from it, and where it would go."""

    text: str
    bytes: int
    cut: tuple[str, ...]
    base_url: str
    model: str
    refused: str = ""  # why it may not be sent there


class Workbench:
    """An open store, its vault, and the runner of workflows. Close it.

    `advice_notes`: what the last `suggest` could not see, and what of a model's answer was not believed, and why.
    """

    def __init__(self, settings: Settings, store: Store, vault: Vault) -> None:
        self.settings = settings
        self.store = store
        self.vault = vault
        self.notices = Notices()
        self.advice_notes: tuple[str, ...] = ()
        self._reviewed: dict[tuple[str, str], RehearsalReview] = {}

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
            vault = Vault.open(settings)
        except BaseException:
            store.close()
            raise
        return cls(settings, store, vault)

    async def load_rest(self) -> None:
        """Load workflows, engine and driver in a thread, so that no key waits for it later."""
        for name in _LOADED_LATER:
            await asyncio.to_thread(importlib.import_module, f"meshag_tui.{name}")

    @functools.cached_property
    def runner(self) -> Runner:
        """What runs workflows, and knows all of them."""
        from meshag_tui.workflows import change, rehearsal, suggest, sync, upkeep, verify
        from meshag_tui.workflows.durable import Runner

        runner = Runner(self.store, self.notices)
        runner.register(sync.KIND, sync.workflow(self.store, self.vault, self.settings))
        runner.register(suggest.KIND, suggest.workflow(self.store, self.vault, self.settings))
        runner.register(change.KIND, change.workflow(self.store, self.vault, self.settings))
        runner.register(verify.KIND, verify.workflow(self.store, self.settings, lambda: self._agreements))
        runner.register(rehearsal.KIND, rehearsal.workflow(self.store, self.vault, self.settings))
        runner.register(upkeep.KIND, upkeep.workflow(self.store, self.settings))
        return runner

    @functools.cached_property
    def _agreements(self) -> Agreements:
        from meshag_tui.workflows.agreement import Agreements

        return Agreements(self.store, self.vault, self.settings, self.runner, self.notices, self.actor)

    @functools.cached_property
    def _baskets(self) -> Baskets:
        from meshag_tui.workflows.baskets import Baskets

        return Baskets(self._agreements)

    async def close(self) -> None:
        """Interrupt what runs here, and close the store."""
        if "runner" in vars(self):  # it was needed
            await self.runner.close()
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

        return Scheduler(self.store, self.settings, self.runner, self.notices)

    @property
    def actor(self) -> str:
        """Who acts, for the journal and the activity log."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # no such user, as in a container
            return "unknown"

    # ------------------------------------------------------------------ connections

    async def test(self, target: Target) -> TestReport:
        """Connect, look at everything a sync would need, and leave. Nothing is stored.

        Raises:
            EngineError: it cannot be reached or does not let us in; each cause has its own words.
        """
        started = time.monotonic()
        async with self._session(_engine_for(target), target, "test") as session:
            findings = await session.findings()
            facts = session.facts
        same = tuple(info.name for info in await self.watching(target, facts))
        return TestReport(target.label, facts, findings, same, round((time.monotonic() - started) * 1000, 1))

    async def watching(self, target: Target, facts: ServerFacts | None = None) -> tuple[ConnectionInfo, ...]:
        """The connections to the same database: at the same address or, by `facts`, on what calls itself the same."""
        known = await self.store.read(connections.listing)
        place = (target.db_type, target.host, target.port, target.database)
        return tuple(
            info
            for info in known
            if (info.db_type, info.host, info.port, info.database) == place
            or (facts is not None and _same_database(info, facts))
        )

    async def test_saved(self, connection_id: str) -> TestReport:
        """Test a saved connection. Its status is TESTING meanwhile, then ACTIVE or ERROR; a paused one stays paused."""
        info = await self.store(connections.get, connection_id)
        paused = info.status is ConnectionStatus.INACTIVE
        target = await self.store(connections.target, connection_id, self.vault)
        if not paused:
            await self._set_status(connection_id, ConnectionStatus.TESTING)
        try:
            report = await self.test(target)
        except MeshagError as error:
            await self.store(connections.failed, connection_id, str(error), info.next_sync_at)
            self.notices.publish(Changed("connections", connection_id))
            raise
        except BaseException:
            if not paused:
                await self._set_status(connection_id, info.status)
            raise
        if not paused:
            await self._set_status(connection_id, ConnectionStatus.ACTIVE)
        return report

    async def add_connection(
        self,
        name: str,
        target: Target,
        *,
        project: str | None = None,
        interval_s: int | None = None,
        read_only: bool = False,
        slow_ms: float | None = None,
    ) -> ConnectionInfo:
        """Save a connection; its first sync makes it ACTIVE. UsageError if the name is taken."""

        from meshag_tui.store import activity

        def save() -> ConnectionInfo:
            info = connections.add(
                name,
                target,
                self.vault,
                project=project,
                interval_s=interval_s,
                read_only=read_only,
                slow_ms=slow_ms,
            )
            activity.record(actor, "connection.added", f"{info.name}: {info.label}", connection=info.id)
            return info

        actor = self.actor
        info = await self.store(save)
        self.notices.publish(Changed("connections", info.id))
        return info

    async def edit_connection(self, connection_id: str, **changes: Any) -> ConnectionInfo:
        """Change a connection; see `store.connections.edit` for the names."""

        from meshag_tui.store import activity

        def save() -> ConnectionInfo:
            info = connections.edit(connection_id, vault=self.vault, **changes)
            what = ", ".join(sorted(changes))
            activity.record(actor, "connection.edited", f"{info.name}: {what}", connection=info.id)
            return info

        actor = self.actor
        info = await self.store(save)
        self.notices.publish(Changed("connections", connection_id))
        return info

    async def remove_connection(self, connection_id: str) -> dict[str, int]:
        """Forget a connection with all its history; rows removed by kind."""

        from meshag_tui.store import activity

        def remove() -> dict[str, int]:
            info = connections.get(connection_id)
            gone = connections.remove(connection_id)
            activity.record(actor, "connection.removed", f"{info.name}: {info.label}", subject=connection_id)
            return gone

        actor = self.actor
        gone = await self.store(remove)
        self.notices.publish(Changed("connections", None))
        return gone

    async def pause(self, connection_id: str) -> None:
        """Stop syncing a connection (INACTIVE) until `resume`."""
        await self._set_status(connection_id, ConnectionStatus.INACTIVE)

    async def resume(self, connection_id: str) -> None:
        """Sync a paused connection again, at once and then at its interval."""
        await self._set_status(connection_id, ConnectionStatus.ACTIVE)

    def setup_sql(self, target: Target) -> str:
        """The script an administrator runs to make the role MeshAG needs."""
        return _engine_for(target).setup_sql(target.user, target.database)

    async def doctor(self, connection_id: str) -> tuple[Finding, ...]:
        """Every capability of a connection: ok, degraded or missing, with the exact SQL or step that mends it."""
        target = await self.store(connections.target, connection_id, self.vault)
        async with self._session(_engine_for(target), target, "doctor") as session:
            return await session.findings()

    def _session(self, engine: Engine, target: Target, purpose: str) -> AbstractAsyncContextManager[Session]:
        from meshag_tui.workflows.sync import limits

        return engine.connect(target, purpose, limits(self.settings.collect))

    async def _set_status(self, connection_id: str, status: ConnectionStatus) -> None:
        await self.store(connections.set_status, connection_id, status)
        self.notices.publish(Changed("connections", connection_id))

    # ------------------------------------------------------------------ workflows

    async def sync(self, connection_id: str, progress: Callable[[Progress], None] | None = None) -> SyncReport:
        """Read a server now; joins the sync that is running, if one is.

        Raises:
            RunFailed: it could not be read; what was collected before stays.
        """
        from meshag_tui.workflows import sync

        outcome = await self._submit(sync.KIND, connection_id, {"by_hand": True}, progress)
        self.notices.publish(Changed("connections", connection_id))
        result = outcome.value()
        self.notices.publish(Changed("statistics", connection_id))
        info = await self.store(connections.get, connection_id)
        return sync.SyncReport.from_result(info, outcome.execution_id, result, outcome.joined)

    async def suggest(
        self,
        connection_id: str,
        *,
        llm: bool = False,
        budget_bytes: int | None = None,
        window_ms: int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[StoredSuggestion, ...]:
        """Look for improvements now and return the open suggestions, the most urgent first.

        Raises:
            RunFailed: the server could not be asked.
        """
        from meshag_tui.store import executions
        from meshag_tui.workflows import suggest

        given = {"llm": llm, "budget_bytes": budget_bytes, "window_ms": window_ms}
        wished = {name: value for name, value in given.items() if value}
        while True:
            outcome = await self._submit(suggest.KIND, connection_id, given, progress)
            if not wished or not outcome.joined:
                break
            run = await self.store.read(executions.get, outcome.execution_id)
            if wished.items() <= run.input.items():
                break  # else it was one without these wishes: begun by somebody else, ours is still to come
        result = outcome.value()
        self.advice_notes = (*result.get("notes", ()), *result.get("model_notes", ()), *result.get("model_dropped", ()))
        self.notices.publish(Changed("suggestions", connection_id))
        return await self.open_suggestions(connection_id)

    async def model_preview(self, connection_id: str, window_ms: int | None = None) -> Preview:
        """The exact text a model would be sent for a connection now, and where it would go. Nothing is sent."""
        from meshag_tui.workflows import model_advice, suggest

        seen = await suggest.look(self.store, connection_id, window_ms)
        target = await self.store(connections.target, connection_id, self.vault)
        engine = _engine_for(target)
        async with self._session(engine, target, "advice") as session:
            asked = await model_advice.question(self.store, seen, session, engine, self.settings)
        llm = self.settings.llm
        refused = model_advice.refusal(seen.connection, llm)
        return Preview(asked.prompt.text, asked.prompt.bytes, tuple(asked.prompt.cut), llm.base_url, llm.model, refused)

    async def model_refusal(self, connection_id: str) -> str:
        """Why nothing of this connection may be sent to the configured endpoint; "" if it may."""
        from meshag_tui.workflows import model_advice

        return model_advice.refusal(await self.store(connections.get, connection_id), self.settings.llm)

    async def model_consent(self, connection_id: str) -> bool:
        """Whether texts of this connection may be sent to the configured endpoint and model."""
        from meshag_tui.workflows import model_advice

        return await self.store(model_advice.has_consent, connection_id, self.settings.llm)

    async def give_model_consent(self, connection_id: str) -> None:
        """Agree to sending texts of this connection to the configured endpoint and model."""
        from meshag_tui.store import activity
        from meshag_tui.workflows import model_advice

        actor = self.actor
        llm = self.settings.llm

        def agree() -> None:
            model_advice.give_consent(connection_id, llm, actor, now_ms())
            activity.record(actor, "model.consent", f"{llm.model} at {llm.base_url}", connection=connection_id)

        await self.store(agree)

    async def open_suggestions(self, connection_id: str | None = None) -> tuple[StoredSuggestion, ...]:
        """Suggestions still to be decided and still found, the most urgent first."""
        from meshag_tui.store import suggestions

        found = await self.store(suggestions.listing, connection_id)
        return tuple(suggestion for suggestion in found if suggestion.is_open)

    async def cancel(self, execution_id: str) -> bool:
        """Cancel a run, wherever it runs. False if it had ended."""
        return await self.runner.cancel(execution_id)

    async def _submit(
        self,
        kind: str,
        connection_id: str,
        given: dict[str, Any],
        progress: Callable[[Progress], None] | None,
        key: str | None = None,
    ) -> Outcome:
        def tell(notice: Notice) -> None:
            if (
                progress
                and isinstance(notice, Progress)
                and (notice.kind, notice.connection_id) == (kind, connection_id)
            ):
                progress(notice)

        unsubscribe = self.notices.subscribe(tell)
        try:
            return await self.runner.submit(kind, key or connection_id, connection_id=connection_id, input=given)
        finally:
            unsubscribe()

    # ------------------------------------------------------------------ changes

    async def review(self, suggestion_id: str) -> Review:
        """What applying a suggestion would run, where, its gates and its undo; nothing is run.

        Raises:
            MeshagError: there is nothing to run, or this connection must not be changed.
        """
        return await self._agreements.review(suggestion_id)

    async def apply(self, suggestion_id: str, plan_hash: str, actor: str | None = None) -> ChangeRow:
        """Run what `review` showed, by its hash. Returns the journal row, DONE.

        Raises:
            RunFailed: a gate blocks, or the server failed it; nothing half-made is left, or the text says what is.
        """
        return await self._agreements.apply(suggestion_id, plan_hash, actor or self.actor)

    async def review_basket(self, suggestion_ids: Sequence[str]) -> Basket:
        """What applying several suggestions of one connection would run, in order, and what speaks against it.

        Raises:
            MeshagError: one of them has nothing to run or cannot be looked at; the text names it.
        """
        return await self._baskets.review(suggestion_ids)

    async def apply_basket(
        self, plan_hash: str, actor: str | None = None, tell: Callable[[int, Wanted], None] | None = None
    ) -> Ran:
        """Run what `review_basket` showed, by its hash, one after the other; the first that fails ends it.

        Args:
            tell: is called with number and change before each begins.
        """
        return await self._baskets.apply(plan_hash, actor or self.actor, tell)

    async def migration(self, suggestion_ids: Sequence[str], up_name: str, down_name: str) -> Migration:
        """The statements of several suggestions, and what puts them back, as the texts of two files; nothing is run."""
        return await self._baskets.migration(suggestion_ids, up_name, down_name)

    async def review_undo(self, change_or_suggestion_id: str) -> tuple[ChangeRow, Review]:
        """What undoing would run: the change that would be put back, and its review."""
        return await self._agreements.review_undo(change_or_suggestion_id)

    async def undo(self, change_id: str, plan_hash: str | None = None, actor: str | None = None) -> ChangeRow:
        """Put back what a change did; with `plan_hash`, exactly what `review_undo` showed. Returns the new row."""
        return await self._agreements.undo(change_id, plan_hash, actor or self.actor)

    async def verify(self, change_id: str) -> ChangeOutcome:
        """Compare an applied change with the time before it now, and return what is known of it.

        Raises:
            RunFailed: it is not done, or nothing was forecast of it.
        """
        from meshag_tui.store import changes, outcomes
        from meshag_tui.workflows import verify

        row = await self.store(changes.get, change_id)
        outcome = await self.runner.submit(verify.KIND, change_id, connection_id=row.connection_id)
        for topic in ("changes", "suggestions"):
            self.notices.publish(Changed(topic, row.connection_id))
        outcome.value()
        found = await self.store(outcomes.get, change_id)
        assert found is not None  # noqa: S101 (it was just written)
        return found

    async def review_rehearsal(self, suggestion_id: str) -> RehearsalReview:
        """What rehearsing a suggestion would read of the watched server and run in a sandbox; no row is read yet.

        Raises:
            MeshagError: it cannot be rehearsed; the text says why.
        """
        from meshag_tui.workflows import rehearsal

        made = await rehearsal.review(self.store, self.vault, self.settings, suggestion_id)
        self._reviewed[suggestion_id, made.hash] = made
        return made

    async def rehearse(
        self, suggestion_id: str, agreed: str, progress: Callable[[Progress], None] | None = None
    ) -> RehearsalRow:
        """Do what `review_rehearsal` showed, by its hash, and return what was measured.

        Raises:
            RunFailed: it could not be done, or was cancelled; nothing of the sandbox is left.
        """
        from meshag_tui.store import rehearsals
        from meshag_tui.workflows import rehearsal

        made = self._reviewed.pop((suggestion_id, agreed), None)
        if made is None:
            raise MeshagError("What would be read was not shown just now: look at it again")
        given = rehearsal.given(made, self.actor)
        outcome = await self._submit(rehearsal.KIND, made.connection_id, given, progress, key=suggestion_id)
        self.notices.publish(Changed("suggestions", made.connection_id))
        return await self.store(rehearsals.get, str(outcome.value()["rehearsal"]))

    async def dismiss(self, suggestion_id: str, reason: str, actor: str | None = None) -> StoredSuggestion:
        """Put a suggestion aside for good: it is not proposed again."""
        return await self._judge(suggestion_id, SuggestionStatus.DISMISSED, actor, reason)

    async def mark_reviewed(self, suggestion_id: str, actor: str | None = None) -> StoredSuggestion:
        """Say that somebody looked at it."""
        return await self._judge(suggestion_id, SuggestionStatus.REVIEWED, actor, None)

    async def _judge(
        self, suggestion_id: str, status: SuggestionStatus, actor: str | None, reason: str | None
    ) -> StoredSuggestion:
        from meshag_tui.store import suggestions

        found = await self.store(suggestions.set_status, suggestion_id, status, actor or self.actor, reason)
        self.notices.publish(Changed("suggestions", found.connection_id))
        return found

    # ------------------------------------------------------------------ plans

    async def explain(self, query_id: int) -> history.StoredPlan:
        """The plan of a query now, without executing it; stored when it changed.

        Raises:
            MeshagError: its text is not known, or the server cannot plan it.
        """
        from meshag_tui.store import history

        found = await self.store.read(history.statement, query_id)
        if found.text is None:
            raise MeshagError(f"The text of {found.uid} is {found.text_state}: it cannot be planned")
        target = await self.store(connections.target, found.connection_id, self.vault)
        async with self._session(_engine_for(target), target, "explain") as session:
            plan = await session.explain(found.text, database=found.database)
        await self.store(history.save_plan, query_id, plan)
        await self.store(connections.read_texts_soon, found.connection_id)
        return (await self.store(history.plans, query_id))[0]

    async def executions(
        self, connection_id: str | None = None, limit: int = 200
    ) -> tuple[executions.ExecutionInfo, ...]:
        """What was run, newest first."""
        from meshag_tui.store import executions

        return await self.store.read(executions.listing, connection_id=connection_id, limit=limit)


def _engine_for(target: Target) -> Engine:
    from meshag_tui.engines import engine_for

    return engine_for(target.db_type)


def _same_database(info: ConnectionInfo, facts: ServerFacts) -> bool:
    """Whether it is the same database of the same server, by what was known of it at the last sync.

    A standby calls itself what its primary does. Two of them are one only if they began at the same moment.
    """
    if info.system_identifier != facts.epoch.system_identifier or info.database != facts.database:
        return False
    if bool(info.facts.get("in_recovery")) != facts.in_recovery:
        return False
    began = (info.facts.get("epoch") or {}).get("started_at")
    return not facts.in_recovery or began == facts.epoch.started_at
