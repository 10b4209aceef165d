"""Advice, as screens and command line use it: look for it, ask a model too, put it aside.

What a model may be sent, and who agreed to that, is asked here before anything leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from meshag_tui.agents.desk import Desk, Endpoint, Errand
from meshag_tui.agents.provider import NO_CLOUD
from meshag_tui.engines import engine_for
from meshag_tui.settings import Settings
from meshag_tui.store import activity, connections, executions, history, people, suggestions
from meshag_tui.store.database import Store, now_ms
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.store.vault import Vault
from meshag_tui.types import SuggestionStatus
from meshag_tui.workflows import model_advice, models, suggest
from meshag_tui.workflows.durable import Runner
from meshag_tui.workflows.notices import Changed, Notices, Progress
from meshag_tui.workflows.rights import needs
from meshag_tui.workflows.sync import limits

if TYPE_CHECKING:
    from meshag_tui.workflows.models import Compared, Models
    from meshag_tui.workflows.simulating import Simulated


class Preview(NamedTuple):
    """What would leave the machine: the exact text, its size, what was cut from it, and where it would go."""

    text: str
    bytes: int
    cut: tuple[str, ...]
    base_url: str
    model: str
    refused: str = ""  # why it may not be sent there
    then: tuple[str, ...] = ()  # where it would go if that one is down, in order


class Advice:
    """`notes`: what the last `suggest` could not see, and what of a model's answer was not believed, and why."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        settings: Settings,
        runner: Runner,
        notices: Notices,
        models: Models,
        desk: Desk,
        actor: str,
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self._store = store
        self._vault = vault
        self._settings = settings
        self._runner = runner
        self._notices = notices
        self._models = models
        self._desk = desk
        self._actor = actor

    @needs("analyze")
    async def simulate(self, connection_id: str, suggestion_ids: Sequence[str]) -> list[Simulated]:
        """What the planner thinks that the indexes among these suggestions would bring; nothing is made.

        Raises:
            MeshagError: there is nothing here that prices an index without making it.
        """
        from meshag_tui.workflows.simulating import simulate

        return await simulate(self._store, self._vault, self._settings, connection_id, suggestion_ids)

    @needs("analyze")
    async def suggest(
        self,
        connection_id: str,
        *,
        llm: bool = False,
        budget_bytes: int | None = None,
        window_ms: int | None = None,
        model: str | None = None,
        fresh: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[StoredSuggestion, ...]:
        """Look for improvements now and return the open suggestions, the most urgent first.

        Args:
            llm: ask a model too: `model` (NAME or NAME/MODEL of a provider), else in the order of providers.
            fresh: buy the model's answer although one is kept.

        Raises:
            RunFailed: the server could not be asked.
        """
        if llm:
            await self._store(people.check, self._actor, "llm")
        given = {"llm": llm, "budget_bytes": budget_bytes, "window_ms": window_ms, "model": model, "fresh": fresh}
        wished = {name: value for name, value in given.items() if value}
        while True:
            with self._notices.progress_of(suggest.KIND, connection_id, progress):
                outcome = await self._runner.submit(
                    suggest.KIND, connection_id, connection_id=connection_id, input={**given, "actor": self._actor}
                )
            if not wished or not outcome.joined:
                break
            run = await self._store.read(executions.get, outcome.execution_id)
            if wished.items() <= run.input.items():
                break  # else it was one without these wishes: begun by somebody else, ours is still to come
        result = outcome.value()
        self.notes = (*result.get("notes", ()), *result.get("model_notes", ()), *result.get("model_dropped", ()))
        self._notices.publish(Changed("suggestions", connection_id))
        if llm:
            self._notices.publish(Changed("models", None))
        return await self.open_suggestions(connection_id)

    async def model_preview(
        self, connection_id: str, window_ms: int | None = None, model: str | None = None, guidance: str = ""
    ) -> Preview:
        """The exact text a model would be sent for a connection now, and where it would go. Nothing is sent."""
        seen = await suggest.look(self._store, connection_id, window_ms)
        target = await self._store(connections.target, connection_id, self._vault)
        engine = engine_for(target.db_type)
        async with engine.connect(target, "advice", limits(self._settings.collect)) as session:
            asked = await model_advice.question(self._store, seen, session, engine, self._settings, guidance)
        allowed = await self.model_endpoints(connection_id, model)
        wished = allowed or await self._desk.endpoints(model)
        refused = await self.model_refusal(connection_id)
        llm = self._settings.llm
        base_url, name = (wished[0].base_url, wished[0].model) if wished else (llm.base_url, llm.model)
        then = tuple(one.label for one in allowed[1:])
        return Preview(asked.prompt.text, asked.prompt.bytes, tuple(asked.prompt.cut), base_url, name, refused, then)

    @needs("llm")
    async def compare_models(
        self, names: Sequence[str], query_id: int, *, agreed: bool = False
    ) -> tuple[Compared, ...]:
        """Ask several models about one statement, side by side.

        Args:
            agreed: the user saw `compare_preview` and agrees to sending such texts to these models from now on.

        Raises:
            MeshagError: its text is not known, nothing of it may go to one of them, or nobody agreed to that.
        """
        messages, errand = await self.compare_preview(query_id)
        if agreed and errand.connection_id is not None:
            for name in names:
                await self.give_model_consent(errand.connection_id, name)
        return await self._models.compare(names, messages, models.EXPLANATION, errand)

    async def compare_preview(self, query_id: int) -> tuple[list[dict[str, str]], Errand]:
        """Exactly what `compare_models` sends, and what for. Nothing is sent."""
        found = await self._store.read(history.statement, query_id)
        target = await self._store(connections.target, found.connection_id, self._vault)
        return await models.statement_errand(self._store, query_id, engine_for(target.db_type).normalise, self._actor)

    async def model_endpoints(self, connection_id: str, model: str | None = None) -> tuple[Endpoint, ...]:
        """The models that texts of a connection may go to, in the order they are tried; of `model`, only that one."""
        info = await self._store(connections.get, connection_id)
        return await self._desk.endpoints(model, local_only=info.no_cloud)

    async def model_refusal(self, connection_id: str) -> str:
        """Why nothing of this connection may be sent to any model there is; "" if it may, or there is none."""
        info = await self._store(connections.get, connection_id)
        if not info.no_cloud or await self._desk.endpoints(local_only=True):
            return ""
        return NO_CLOUD

    async def model_consent(self, connection_id: str, model: str | None = None) -> bool:
        """Whether texts of this connection may be sent to all that would be tried."""
        endpoints = await self.model_endpoints(connection_id, model)
        return await self._store(model_advice.has_consent, connection_id, endpoints)

    @needs("llm")
    async def give_model_consent(self, connection_id: str, model: str | None = None) -> None:
        """Agree to sending texts of this connection to all that would be tried."""
        actor = self._actor
        endpoints = await self.model_endpoints(connection_id, model)

        def agree() -> None:
            model_advice.give_consent(connection_id, endpoints, actor, now_ms())
            said = ", ".join(one.label for one in endpoints)
            activity.record(actor, "model.consent", said, connection=connection_id)

        await self._store.whole(agree)

    async def open_suggestions(self, connection_id: str | None = None) -> tuple[StoredSuggestion, ...]:
        """Suggestions still to be decided and still found, the most urgent first."""
        return await self._store(suggestions.listing, connection_id, open_only=True)

    @needs("analyze")
    async def dismiss(self, suggestion_id: str, reason: str, actor: str | None = None) -> StoredSuggestion:
        """Put a suggestion aside for good: it is not proposed again."""
        return await self._judge(suggestion_id, SuggestionStatus.DISMISSED, actor, reason)

    @needs("analyze")
    async def mark_reviewed(self, suggestion_id: str, actor: str | None = None) -> StoredSuggestion:
        """Say that somebody looked at it."""
        return await self._judge(suggestion_id, SuggestionStatus.REVIEWED, actor, None)

    async def _judge(
        self, suggestion_id: str, status: SuggestionStatus, actor: str | None, reason: str | None
    ) -> StoredSuggestion:
        found = await self._store(suggestions.set_status, suggestion_id, status, actor or self._actor, reason)
        self._notices.publish(Changed("suggestions", found.connection_id))
        return found
