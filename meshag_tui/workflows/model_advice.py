"""What a language model adds to `generate_suggestions`: asked only with consent, and one answer bought once.

The answer is checkpointed before it is read, so that a run resumed after a crash does not buy it again, and kept in the
cache under all it rests on, so that another run with the same question does not either. What fails is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import Engine, Session
from meshag_tui.settings import Settings
from meshag_tui.store import answers, connections, ledger, remembered, suggestions
from meshag_tui.store.budgets import Blocked
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault, VaultError
from meshag_tui.types import MeshagError
from meshag_tui.workflows.durable import Run

if TYPE_CHECKING:
    from meshag_tui.agents.advise import Question
    from meshag_tui.agents.desk import Desk, Endpoint, Errand
    from meshag_tui.workflows.suggest import Seen

_CACHE_ONLY = "models.cache-only"


class NoConsent(MeshagError):
    """The user has not agreed to sending this connection's texts to these endpoints."""


def has_consent(connection_id: str, endpoints: Sequence[Endpoint]) -> bool:
    """In the store's thread: whether texts of this connection may go to every one of these endpoints and models."""
    agreed = _agreed(connection_id)
    return bool(endpoints) and all((one.base_url, one.model) in agreed for one in endpoints)


def give_consent(connection_id: str, endpoints: Sequence[Endpoint], actor: str, at: int) -> None:
    """In the store's thread: remember who agreed, to what and when (epoch ms), beside what was agreed to before."""
    agreed = _agreed(connection_id) | {(one.base_url, one.model) for one in endpoints}
    given = {"endpoints": sorted(map(list, agreed)), "actor": actor, "at": at}
    remembered.remember(_consent_key(connection_id), given)


def withdraw_consent(connection_id: str) -> bool:
    """In the store's thread: send nothing more; True if there was consent."""
    return remembered.forget(_consent_key(connection_id))


def cache_only() -> bool:
    """In the store's thread: whether only answers that are kept already are used."""
    return bool(remembered.recall(_CACHE_ONLY, False))


def set_cache_only(on: bool) -> None:
    """In the store's thread: ask nobody any more, and use kept answers alone; or ask again."""
    remembered.remember(_CACHE_ONLY, on)


async def question(
    store: Store, seen: Seen, session: Session, engine: Engine, settings: Settings, guidance: str = ""
) -> Question:
    """The exact text that would be sent, from what is remembered now and what the rules have found so far."""
    from meshag_tui.agents import advise

    found = await store(suggestions.listing, seen.connection.id, open_only=True)
    known = [suggestions.bare(one) for one in found if one.origin == "rule"]
    return await advise.prepare(
        seen.catalog,
        seen.workload,
        session,
        settings,
        normalise=engine.normalise,
        known=known,
        guidance=guidance,
    )


async def advice(
    run: Run, store: Store, vault: Vault, seen: Seen, session: Session, engine: Engine, settings: Settings
) -> Mapping[str, Any]:
    """Find the kept answer or ask for one, and save what of it is believed.

    A model that fails is a note, never a failed run. Input of the run: `model` (NAME or NAME/MODEL, else the order of
    providers), `fresh` (buy an answer although one is kept), `guidance` and `agent` (what an agent tells the model,
    and its name).

    Raises:
        NoConsent: the user has not agreed.
    """
    from meshag_tui.agents import advise
    from meshag_tui.agents.cache_key import cache_key
    from meshag_tui.agents.desk import Desk
    from meshag_tui.agents.provider import NO_CLOUD, LlmError

    desk = Desk(store, vault, settings)
    local_only = (await store(connections.get, seen.connection.id)).no_cloud
    endpoints = await desk.endpoints(run.input.get("model"), local_only=local_only)
    if not endpoints:
        why = f"nothing was sent: {NO_CLOUD}, and there is none" if local_only else "there is no model to ask"
        return {"model_notes": [f"No advice from a model: {why}"]}
    if not await store(has_consent, seen.connection.id, endpoints):
        raise NoConsent(
            "The model was not asked: agree first, after seeing what is sent (meshag suggest NAME --preview)"
        )
    async with run.phase("prepare question"):
        asked = await question(store, seen, session, engine, settings, str(run.input.get("guidance") or ""))
    if not asked.prompt.queries:
        return {"model_notes": ["No advice from a model: nothing was sent, as no statement of the window can be shown"]}
    keys = {one: cache_key(asked, one, settings.llm) for one in endpoints}
    step = f"answer:{keys[endpoints[0]][:24]}"
    kept = run.done.get(step) or await _from_cache(run, store, seen, asked, keys)
    if kept is None and await store(cache_only):
        return {"model_notes": ["No advice from a model: only kept answers are used, and there is none to this"]}
    if kept is None:
        try:
            async with run.phase("ask model"):
                kept = await run.step(step, lambda: _ask(run, desk, store, seen, asked, endpoints, settings))
        except (LlmError, Blocked, VaultError) as error:
            await run.log("warning", f"the model gave no advice: {error}")
            return {"model_notes": [f"No advice from {endpoints[0].model}: {error}"]}
    for line in kept.get("passed", ()):
        await run.log("warning", f"passed over {line}")
    async with run.phase("judge answer"):
        judged = await advise.judge(
            asked, kept["text"], session, settings, model=kept["usage"]["model"], window=seen.window
        )

    def save() -> dict[str, Any]:
        from meshag_tui.workflows.suggest import resting_on_rehearsals

        sent = kept["usage"].get("prompt_hash")  # `ledger.sent` finds by it what was sent, word for word
        advised = [replace(one, evidence={**one.evidence, "prompt_hash": sent}) for one in judged.suggestions]
        made = resting_on_rehearsals(seen.connection.id, advised)
        saved = suggestions.save(seen.connection.id, made)
        return {
            "model_ids": list(saved.ids),
            "model_notes": _notes(kept),
            "model_dropped": list(judged.dropped),
            "usage": kept["usage"],
        }

    return await run.commit("model", save)


def _notes(kept: Mapping[str, Any]) -> list[str]:
    """What is worth saying of where an answer came from."""
    passed = [f"Passed over {line}" for line in kept.get("passed", ())]
    alerts = list(kept.get("alerts", ()))
    if kept.get("cached"):
        return [f"The answer is one of {kept['usage']['model']} kept from before: nothing was sent"]
    return [*passed, *alerts]


async def _from_cache(
    run: Run, store: Store, seen: Seen, asked: Question, keys: Mapping[Endpoint, str]
) -> dict[str, Any] | None:
    """The kept answer of the first of the endpoints that has one; a row of the ledger says it was spared."""
    if run.input.get("fresh"):
        return None

    def take() -> dict[str, Any] | None:
        from meshag_tui.agents.desk import call

        for endpoint, key in keys.items():
            found = answers.take(key)
            if found is not None:
                ledger.from_cache(call(endpoint, asked.prompt.messages, _errand(run, seen, asked)))
                return {"text": found.text, "usage": dict(found.usage), "cached": True}
        return None

    return await store(take)


async def _ask(
    run: Run,
    desk: Desk,
    store: Store,
    seen: Seen,
    asked: Question,
    endpoints: Sequence[Endpoint],
    settings: Settings,
) -> dict[str, Any]:
    """Ask, and keep the answer."""
    from meshag_tui.agents import answer as forms
    from meshag_tui.agents.cache_key import cache_key, statements
    from meshag_tui.agents.desk import prompt_hash
    from meshag_tui.agents.prompt import version

    info = await store(connections.get, seen.connection.id)  # the project may forbid it by now
    errand = _errand(run, seen, asked, info.no_cloud)
    told = await desk.ask(endpoints, asked.prompt.messages, forms.schema(), errand, accept=forms.read)
    usage = {**asdict(told.answer.usage), "prompt_hash": prompt_hash(asked.prompt.messages)}
    if told.answer.complete:
        await store(
            answers.keep,
            cache_key(asked, told.endpoint, settings.llm),
            seen.connection.id,
            told.endpoint.name,
            told.endpoint.model,
            version(forms.schema()),
            statements(asked),
            told.answer.text,
            usage,
            days=settings.llm.cache_days,
            limit_bytes=settings.llm.cache_mb << 20,
        )
    return {
        "text": told.answer.text,
        "complete": told.answer.complete,
        "shape": told.answer.shape,
        "usage": {**usage, "id": told.usage_id, "cost": None if told.cost is None else str(told.cost)},
        "passed": list(told.passed),
        "alerts": list(told.alerts),
    }


def _errand(run: Run, seen: Seen, asked: Question, local_only: bool = False) -> Errand:
    from meshag_tui.agents.desk import Errand

    return Errand(
        "advice",
        str(run.input.get("actor") or "meshag"),
        seen.connection.id,
        seen.connection.project_id,
        agent=run.input.get("agent"),
        query_ids=tuple(sorted(asked.prompt.queries)),
        local_only=local_only,
    )


def _agreed(connection_id: str) -> set[tuple[str, str]]:
    given = remembered.recall(_consent_key(connection_id)) or {}
    found = [(one[0], one[1]) for one in given.get("endpoints", ())]
    if "model" in given:  # of a consent that was given to one endpoint
        found.append((given["base_url"], given["model"]))
    return set(found)


def _consent_key(connection_id: str) -> str:
    return f"llm-consent:{connection_id}"
