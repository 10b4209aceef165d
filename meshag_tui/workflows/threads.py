"""Talking with a model about one statement, plan or suggestion: begin a thread, ask in it, keep what came of it.

The evidence is taken once, from what is remembered (a plan is asked for where none is known), and stays with the
thread. What an answer proposes goes the way of all advice of models: judged against the catalogue and the planner over
a read-only session, and only what passes becomes a suggestion.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from meshag_tui.agents import advise, thread_prompt
from meshag_tui.agents.desk import Desk, Endpoint, Errand, Told, call, prompt_hash
from meshag_tui.agents.in_pieces import Hear
from meshag_tui.agents.profiles import profile
from meshag_tui.agents.provider import NO_CLOUD, Answer, LlmError, NotAllowed, Usage
from meshag_tui.engines import engine_for
from meshag_tui.engines.base import Engine, EngineError
from meshag_tui.store import (
    activity,
    agents,
    answers,
    connections,
    database,
    history,
    ledger,
    people,
    suggestions,
    threads,
)
from meshag_tui.store.budgets import Blocked
from meshag_tui.store.database import Store
from meshag_tui.store.ids import query_id, query_uid
from meshag_tui.store.vault import Vault, VaultError
from meshag_tui.text import mask_secrets
from meshag_tui.types import MeshagError, UsageError
from meshag_tui.workflows import model_advice, suggest
from meshag_tui.workflows.notices import Changed, Notices
from meshag_tui.workflows.rights import needs
from meshag_tui.workflows.sync import limits

if TYPE_CHECKING:
    from meshag_tui.store.suggestions import StoredSuggestion

MOST_QUERIES = 5
"""Statements of a suggestion that are shown as evidence, the dearest first."""


class Sending(NamedTuple):
    """What a question would send: the exact text, where to, why not (`refused`), and whether the user agreed to it."""

    text: str
    bytes: int
    endpoints: tuple[Endpoint, ...]
    refused: str
    agreed: bool
    dropped: int  # earlier exchanges that had no room


class Threads:
    """Of one open workbench."""

    def __init__(self, store: Store, vault: Vault, desk: Desk, notices: Notices, actor: str) -> None:
        self._store = store
        self._vault = vault
        self._desk = desk
        self._notices = notices
        self._actor = actor

    async def page(self, limit: int = 200, **only: Any) -> tuple[threads.ThreadRow, ...]:
        """The threads, the newest first; on a shared store one's own, an admin's are all. See `store.threads.page`."""

        def read() -> tuple[threads.ThreadRow, ...]:
            whose = None if people.sees_all(self._actor) else self._actor
            return threads.page(limit, actor=whose, **only)

        return await self._store.read(read)

    async def get(self, thread_id: str) -> threads.Thread:
        """A thread with all that was said in it.

        Raises:
            UsageError: there is none of this id.
            people.Forbidden: it is somebody else's.
        """

        def read() -> threads.Thread:
            found = threads.get(thread_id)
            if found.row.actor != self._actor and not people.sees_all(self._actor):
                raise people.Forbidden(f"{thread_id} is {found.row.actor}'s: an admin may read it, and nobody else")
            return found

        return await self._store.read(read)

    async def draft(
        self,
        subject: str,
        *,
        plan: bool = False,
        name: str | None = None,
        model: str | None = None,
        agent_id: str | None = None,
        window_ms: int | None = None,
    ) -> threads.Thread:
        """A thread that is not kept yet, its id "": `begin` keeps it. Nothing is sent.

        Args:
            subject: `qry_…` or `sug_…`.
            plan: of a query, it is about the plan.
            window_ms: the span its figures are of, up to the newest.

        Raises:
            MeshagError: there is no such thing, or its connection was never synced.
        """
        if model is not None:
            await self._desk.endpoints(model)
        advice = await self._store.read(suggestions.get, subject) if subject.startswith("sug_") else None
        wanted = [query_id(subject)] if advice is None else list(advice.query_ids)
        if advice is None:
            connection_id = (await self._store.read(history.statement, wanted[0])).connection_id
            kind, about = "plan" if plan else "query", query_uid(wanted[0])
        else:
            connection_id, kind, about = advice.connection_id, "suggestion", advice.id
        engine = await self._engine(connection_id)
        seen = await suggest.look(self._store, connection_id, window_ms)
        rows = await self._rows(wanted, seen)
        notes = await self._plan_unplanned(rows[:1], connection_id, engine)
        examined = await self._store.read(_examined, [row.id for row in rows], seen.window)
        made = thread_prompt.evidence(
            examined,
            seen.catalog,
            normalise=engine.normalise,
            limit_bytes=self._desk.settings.llm.prompt_limit_bytes,
            advice=advice,
        )
        text = "" if advice is not None else engine.normalise(examined[0].query.text or "")
        title = name or (advice.title if advice is not None else " ".join(text.split())[:80] or about)
        now = await self._store(database.now_ms)
        document = {**made.document(), "notes": notes, "window": [seen.window.start, seen.window.end], "at": now}
        row = threads.ThreadRow(
            id="",
            connection_id=connection_id,
            connection=seen.connection.name,
            agent_id=agent_id,
            agent=None,
            actor=self._actor,
            subject_kind=kind,
            subject_id=about,
            name=title,
            instructions="",
            model=model,
            messages=0,
            created_at=now,
            updated_at=now,
            deleted_at=None,
        )
        return threads.Thread(row, document, ())

    @needs("llm")
    async def begin(self, draft: threads.Thread) -> str:
        """Keep a draft; the id of the thread it is now."""
        row = draft.row

        def save() -> str:
            made_id = threads.add(row, draft.evidence)
            activity.record(self._actor, "thread.begun", row.name, connection=row.connection_id, subject=made_id)
            return made_id

        thread_id = await self._store.whole(save)
        self._changed(row.connection_id)
        return thread_id

    async def preview(self, thread: threads.Thread, question: str) -> Sending:
        """Exactly what a question would send in a thread or a draft, and where to. Nothing is sent."""
        _, sent, dropped = await self._messages(thread, question)
        endpoints, refused = await self._endpoints(thread.row)
        agreed = await self._store(model_advice.has_consent, thread.row.connection_id, endpoints)
        text = "\n\n".join(message["content"] for message in sent)
        return Sending(text, len(text.encode()), endpoints, refused, agreed, dropped)

    @needs("llm")
    async def ask(self, thread_id: str, question: str, hear: Hear | None = None) -> threads.MessageRow:
        """Ask in a thread and return the answer as it was kept, with what became of its proposals.

        A question that fails or is cancelled (cancel the caller) stays in the thread, with what came of it.

        Args:
            hear: is given the answer so far, as it comes.

        Raises:
            NoConsent: nobody agreed to sending texts of the connection to these models.
            MeshagError: no model may be asked, or none answered.
        """
        question = mask_secrets(question.strip())
        if not question:
            raise UsageError("There is no question")
        thread = await self.get(thread_id)
        row = thread.row
        if row.deleted_at is not None:
            raise UsageError(f"{row.id} was removed: meshag threads restore {row.id}")
        info, sent, _ = await self._messages(thread, question)
        endpoints, refused = await self._endpoints(row)
        if refused or not endpoints:
            raise NotAllowed(f"Nothing was sent: {refused or 'there is no model to ask: meshag providers add'}")
        if not await self._store(model_advice.has_consent, row.connection_id, endpoints):
            raise model_advice.NoConsent("Nothing was sent: agree first, after seeing what is sent (--preview)")
        errand = Errand(
            "thread",
            self._actor,
            row.connection_id,
            info.project_id,
            agent=row.agent,
            query_ids=tuple(query_uid(each) for each in thread.evidence["queries"]),
            local_only=info.no_cloud,
        )
        plain = tuple(replace(one, shape="text") for one in endpoints)
        await self._store(threads.say, thread_id, "user", question)
        heard: list[str] = [""]

        def listen(text: str) -> None:
            heard[0] = text
            if hear is not None:
                hear(thread_prompt.split(text)[0])

        try:
            told = await self._told(plain, sent, errand, listen)
        except asyncio.CancelledError:
            await asyncio.shield(self._store(threads.say, thread_id, "assistant", heard[0], state="cancelled"))
            self._changed(row.connection_id)
            raise
        except (LlmError, Blocked, VaultError) as error:
            await self._store(threads.say, thread_id, "assistant", str(error), state="failed")
            self._changed(row.connection_id)
            raise
        prose, proposals = thread_prompt.split(told.answer.text)
        details: dict[str, Any] = {"passed": list(told.passed), "alerts": list(told.alerts)}
        if proposals:
            details |= await self._judged(thread, proposals, told)
        message_id = await self._store(
            threads.say,
            thread_id,
            "assistant",
            prose,
            state="complete" if told.answer.complete else "cut",
            model=told.answer.usage.model,
            usage=told.usage_id,
            details=details,
        )
        self._changed(row.connection_id)
        kept = await self.get(thread_id)
        return next(each for each in kept.messages if each.id == message_id)

    @needs("llm")
    async def edit(self, thread_id: str, **changes: Any) -> threads.ThreadRow:
        """Change name, model or instructions: see `store.threads.edit`."""
        if changes.get("model") is not None:
            await self._desk.endpoints(changes["model"])
        await self.get(thread_id)
        row = await self._store(threads.edit, thread_id, **changes)
        self._changed(row.connection_id)
        return row

    @needs("llm")
    async def remove(self, thread_id: str) -> None:
        """Hide a thread; what it cost stays."""
        await self._mark(thread_id, removed=True)

    @needs("llm")
    async def restore(self, thread_id: str) -> None:
        await self._mark(thread_id, removed=False)

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _mark(self, thread_id: str, *, removed: bool) -> None:
        await self.get(thread_id)

        def mark() -> str:
            row = threads.get(thread_id).row
            (threads.remove if removed else threads.restore)(thread_id)
            kind = "thread.removed" if removed else "thread.restored"
            activity.record(self._actor, kind, row.name, connection=row.connection_id, subject=row.id)
            return row.connection_id

        self._changed(await self._store.whole(mark))

    def _changed(self, connection_id: str) -> None:
        for topic in ("threads", "models"):
            self._notices.publish(Changed(topic, connection_id))

    async def _engine(self, connection_id: str) -> Engine:
        target = await self._store(connections.target, connection_id, self._vault)
        return engine_for(target.db_type)

    async def _rows(self, wanted: Sequence[int], seen: suggest.Seen) -> list[history.QueryRow]:
        """The statements in the window, the dearest first; those forgotten since are left out."""

        def read() -> list[history.QueryRow]:
            found = []
            for each in wanted:
                try:
                    found.append(history.query(each, seen.window).row)
                except MeshagError:  # forgotten with its history
                    continue
            return sorted(found, key=lambda row: -row.total_time_ms)[:MOST_QUERIES]

        return await self._store.read(read)

    async def _plan_unplanned(self, rows: Sequence[history.QueryRow], connection_id: str, engine: Engine) -> list[str]:
        """Ask for the plan of statements of which none is known; why there is none yet."""
        notes: list[str] = []
        target = await self._store(connections.target, connection_id, self._vault)
        for row in rows:
            if row.text is None or await self._store.read(_newest_plan, row.id) is not None:
                continue
            try:
                async with engine.connect(target, "explain", limits(self._desk.settings.collect)) as session:
                    plan = await session.explain(row.text, database=row.database)
            except EngineError as error:
                notes.append(f"The plan of {row.uid} is not known: {error}")
                continue
            await self._store(history.save_plan, row.id, plan)
        return notes

    async def _endpoints(self, row: threads.ThreadRow) -> tuple[tuple[Endpoint, ...], str]:
        """Who would be asked, in order, and why nobody may be."""
        info = await self._store.read(connections.get, row.connection_id)
        found = await self._desk.endpoints(row.model, local_only=info.no_cloud)
        return found, NO_CLOUD if info.no_cloud and not found else ""

    async def _messages(
        self, thread: threads.Thread, question: str
    ) -> tuple[connections.ConnectionInfo, list[dict[str, str]], int]:
        info = await self._store.read(connections.get, thread.row.connection_id)
        facts = (await self._store.read(history.catalog, info.id)).facts
        extra = "\n\n".join(filter(None, (await self._guidance(thread.row.agent_id), thread.row.instructions)))
        told = thread_prompt.system(facts.traits, extra)
        limit = self._desk.settings.llm.prompt_limit_bytes
        sent, dropped = thread_prompt.messages(told, thread.evidence["text"], thread.messages, question, limit)
        return info, sent, dropped

    async def _guidance(self, agent_id: str | None) -> str:
        """What the agent of a thread tells the model."""
        if agent_id is None:
            return ""
        return profile((await self._store.read(agents.whole, agent_id)).profile).guidance

    async def _told(
        self, endpoints: Sequence[Endpoint], sent: Sequence[dict[str, str]], errand: Errand, hear: Hear
    ) -> Told:
        """The kept answer to exactly these messages, or a new one, which is kept."""
        llm = self._desk.settings.llm
        settings = [llm.temperature, llm.max_tokens]

        def key(one: Endpoint) -> str:
            rests_on = [one.base_url, one.model, settings, prompt_hash(sent), "thread"]
            return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()

        def kept() -> Told | None:
            for one in endpoints:
                found = answers.take(key(one))
                if found is not None:
                    usage_id = ledger.from_cache(call(one, sent, errand))
                    return Told(Answer(found.text, True, "text", Usage(**found.usage)), one, usage_id, None, None)
            return None

        if (told := await self._store(kept)) is not None:
            return told
        if await self._store(model_advice.cache_only):
            raise LlmError("Nothing was sent: only kept answers are used, and there is none to this")
        told = await self._desk.ask(endpoints, sent, {}, errand, accept=_says_something, hear=hear)
        if told.answer.complete and errand.connection_id is not None:
            await self._store(
                answers.keep,
                key(told.endpoint),
                errand.connection_id,
                told.endpoint.name,
                told.endpoint.model,
                answers.THREAD,
                errand.query_ids,
                told.answer.text,
                asdict(told.answer.usage),
                days=llm.cache_days,
                limit_bytes=llm.cache_mb << 20,
            )
        return told

    async def _judged(self, thread: threads.Thread, text: str, told: Told) -> dict[str, Any]:
        """What of an answer's proposals became a suggestion, and why the others did not."""
        connection_id = thread.row.connection_id
        try:
            seen = await suggest.look(self._store, connection_id, None)
            target = await self._store(connections.target, connection_id, self._vault)
            engine = engine_for(target.db_type)
            rows = await self._rows(thread.evidence["queries"], seen)
            known: list[StoredSuggestion] = list(
                await self._store.read(suggestions.listing, connection_id, open_only=True)
            )
            async with engine.connect(target, "advice", limits(self._desk.settings.collect)) as session:
                asked = await advise.prepare(
                    seen.catalog,
                    rows,
                    session,
                    self._desk.settings,
                    normalise=engine.normalise,
                    known=[suggestions.bare(one) for one in known if one.origin == "rule"],
                )
                judged = await advise.judge(
                    asked, text, session, self._desk.settings, model=told.answer.usage.model, window=seen.window
                )
        except (EngineError, ValueError) as error:
            return {"dropped": [f"what it proposes could not be checked, and is left out: {error}"]}

        def save() -> list[dict[str, str]]:
            about = {"thread": thread.row.id}
            made = [replace(one, evidence={**one.evidence, **about}) for one in judged.suggestions]
            saved = suggestions.save(connection_id, suggest.resting_on_rehearsals(connection_id, made))
            return [
                {"id": each, "title": one.title, "evidence": str(one.evidence_kind)}
                for each, one in zip(saved.ids, made, strict=True)
            ]

        made = await self._store(save)
        if made:
            self._notices.publish(Changed("suggestions", connection_id))
        return {"suggestions": made, "dropped": list(judged.dropped)}


def _examined(ids: Sequence[int], window: Any) -> list[Any]:
    """In the store's thread: statements with their figures in a window and the newest plan that is known."""
    from meshag_tui.advisor.examined import Examined

    rows = [history.query(each, window).row for each in ids]
    return [Examined(row, row.share, _newest_plan(row.id)) for row in rows]


def _newest_plan(number: int) -> Any:
    found = history.plans(number)
    return max(found, key=lambda stored: stored.last_seen_at).plan if found else None


def _says_something(text: str) -> None:
    if not text.strip():
        raise ValueError("an empty answer")
