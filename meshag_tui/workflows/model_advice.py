"""What a language model adds to `generate_suggestions`: asked only with consent, and one answer bought once.

The answer is checkpointed before it is read, under a name made of the exact text sent and the model: a run resumed
after a crash, or a second run with nothing new to say, reads the kept answer instead of buying it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import Engine, Session
from meshag_tui.settings import LlmSettings, Settings
from meshag_tui.store import connections, executions, remembered, suggestions
from meshag_tui.store.database import Store
from meshag_tui.types import MeshagError
from meshag_tui.workflows.durable import Run

if TYPE_CHECKING:
    from meshag_tui.agents.advise import Question
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.suggest import Seen


class NoConsent(MeshagError):
    """The user has not agreed to sending this connection's texts to this endpoint."""


def has_consent(connection_id: str, llm: LlmSettings) -> bool:
    """In the store's thread: whether texts of this connection may go to the endpoint and model of the settings."""
    given = remembered.recall(_consent_key(connection_id)) or {}
    return bool(given.get("base_url") == llm.base_url and given.get("model") == llm.model)


def give_consent(connection_id: str, llm: LlmSettings, actor: str, at: int) -> None:
    """In the store's thread: remember who agreed, to what and when (epoch ms)."""
    remembered.remember(
        _consent_key(connection_id), {"base_url": llm.base_url, "model": llm.model, "actor": actor, "at": at}
    )


def refusal(info: ConnectionInfo, llm: LlmSettings) -> str:
    """Why nothing of a connection may be sent to the endpoint of the settings; "" if it may."""
    from meshag_tui.agents.provider import NO_CLOUD, on_this_machine

    return NO_CLOUD if info.no_cloud and not on_this_machine(llm.base_url) else ""


def withdraw_consent(connection_id: str) -> bool:
    """In the store's thread: send nothing more; True if there was consent."""
    return remembered.forget(_consent_key(connection_id))


async def question(store: Store, seen: Seen, session: Session, engine: Engine, settings: Settings) -> Question:
    """The exact text that would be sent, from what is remembered now and what the rules have found so far."""
    from meshag_tui.agents import advise

    found = await store(suggestions.listing, seen.connection.id)
    known = [suggestions.bare(one) for one in found if one.is_open and one.origin == "rule"]
    return await advise.prepare(seen.catalog, seen.workload, session, settings, normalise=engine.normalise, known=known)


async def advice(
    run: Run, store: Store, seen: Seen, session: Session, engine: Engine, settings: Settings
) -> Mapping[str, Any]:
    """Ask the model, or find its kept answer, and save what of it is believed.

    A model that fails is a note, never a failed run.

    Raises:
        NoConsent: the user has not agreed.
    """
    from meshag_tui.agents import advise
    from meshag_tui.agents.provider import LlmError

    if not await store(has_consent, seen.connection.id, settings.llm):
        raise NoConsent(
            "The model was not asked: agree first, after seeing what is sent (meshag suggest NAME --preview)"
        )
    async with run.phase("prepare question"):
        asked = await question(store, seen, session, engine, settings)
    step = f"answer:{_fingerprint(asked.prompt.text, settings.llm)}"
    kept = run.done.get(step) or await store(executions.earlier_output, run.kind, run.key, step)
    if kept is None:
        try:
            async with run.phase("ask model"):
                kept = await run.step(step, lambda: _ask(asked, store, seen.connection.id, settings))
        except LlmError as error:
            await run.log("warning", f"the model gave no advice: {error}")
            return {"model_notes": [f"No advice from {settings.llm.model}: {error}"]}
    async with run.phase("judge answer"):
        judged = await advise.judge(
            asked, kept["text"], session, settings, model=kept["usage"]["model"], window=seen.window
        )

    def save() -> dict[str, Any]:
        from meshag_tui.workflows.suggest import resting_on_rehearsals

        made = resting_on_rehearsals(seen.connection.id, judged.suggestions)
        saved = suggestions.save(seen.connection.id, made)
        return {"model_ids": list(saved.ids), "model_dropped": list(judged.dropped), "usage": kept["usage"]}

    return await run.commit("model", save)


async def _ask(asked: Question, store: Store, connection_id: str, settings: Settings) -> dict[str, Any]:
    """Ask, unless the project forbids it by now."""
    from meshag_tui.agents import advise

    info = await store(connections.get, connection_id)
    answer = await advise.ask(asked, settings, settings.llm_key(), local_only=info.no_cloud)
    return {"text": answer.text, "complete": answer.complete, "shape": answer.shape, "usage": asdict(answer.usage)}


def _consent_key(connection_id: str) -> str:
    return f"llm-consent:{connection_id}"


def _fingerprint(text: str, llm: LlmSettings) -> str:
    asked: Sequence[str] = (llm.base_url, llm.model, str(llm.temperature), text)
    return hashlib.sha256("\0".join(asked).encode()).hexdigest()[:24]
