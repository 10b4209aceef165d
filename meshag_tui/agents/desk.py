"""The desk over which every call to a model goes: who is asked, whether it may be, what it cost.

In: messages, what they are for, and the endpoints in the order they are tried. Out: an answer with its cost, and one
line for each endpoint that was passed over. Before a call the budgets are asked and the most it may cost is held;
after it the ledger has its row, whatever came of it. One that is down, busy or silent is followed by the next; one
that failed again and again rests for a while. Where nothing may leave this machine, only endpoints on it are tried.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from meshag_tui.agents import provider
from meshag_tui.agents.in_pieces import Hear
from meshag_tui.agents.provider import Answer, Down, LlmError, NotAllowed, Shape, TooSlow, on_this_machine
from meshag_tui.figures import moment
from meshag_tui.settings import Settings
from meshag_tui.store import budgets, ledger, providers
from meshag_tui.store.database import Store
from meshag_tui.store.providers import CONFIG, ProviderInfo
from meshag_tui.store.vault import Vault, VaultError
from meshag_tui.types import Secret, UsageError

_MESSAGE_TOKENS = 16
"""What a message takes beside its text, at most."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model at a provider: what is asked. `provider_id` None: of config.toml."""

    name: str
    base_url: str
    model: str
    shape: Shape = "json_schema"
    provider_id: str | None = None

    @property
    def local(self) -> bool:
        """Whether what is sent to it stays on this machine."""
        return on_this_machine(self.base_url)

    @property
    def label(self) -> str:
        return f"{self.model} at {self.base_url}"


@dataclass(frozen=True, slots=True)
class Errand:
    """What a call is for. `project_id` and `connection_id`: whose text is sent, if any's."""

    purpose: str
    actor: str
    connection_id: str | None = None
    project_id: str | None = None
    agent: str | None = None
    query_ids: tuple[str, ...] = ()
    local_only: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """An answer. `cost` None: unpriced; `passed` says in a line each who was not asked or failed before, and why."""

    answer: Answer
    endpoint: Endpoint
    usage_id: str
    cost: Decimal | None
    currency: str | None
    passed: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()


class Desk:
    """Asks models, on a store and its vault."""

    def __init__(self, store: Store, vault: Vault, settings: Settings) -> None:
        self._store = store
        self._vault = vault
        self.settings = settings

    async def endpoints(self, named: str | None = None, *, local_only: bool = False) -> tuple[Endpoint, ...]:
        """Who would be tried, in order: the endpoint of config.toml, if it can be asked, then those of the store.

        Args:
            named: only this one, as NAME or NAME/MODEL; it may be one that is switched off.
            local_only: leave out what is not on this machine.

        Raises:
            UsageError: there is none of that name.
        """
        if named is not None:
            found = [await self._named(named)]
        else:
            known = await self._store.read(providers.listing)
            found = [*self._configured(), *(_endpoint(info) for info in known if info.enabled)]
        return tuple(one for one in found if one.local or not local_only)

    async def ask(
        self,
        endpoints: Sequence[Endpoint],
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        errand: Errand,
        *,
        accept: Callable[[str], object] | None = None,
        rested: bool = False,
        tell: Callable[[str], None] | None = None,
        hear: Hear | None = None,
    ) -> Told:
        """Ask the first endpoint that can answer.

        Args:
            endpoints: see `endpoints`; the order is kept.
            accept: see `provider.ask`.
            rested: ask also one that rests after failures, as a test does.
            tell: is called with each line of `passed` as it happens.
            hear: see `provider.ask`; of another endpoint it begins anew.

        Raises:
            NotAllowed: nothing may leave this machine, and none of them is on it.
            budgets.Blocked: a budget allows none of them.
            LlmError: none of them answered; the text is of the last, and says who failed before.
        """
        passed: list[str] = []
        last: Exception | None = None

        def pass_over(endpoint: Endpoint, why: Exception | str) -> None:
            line = f"{endpoint.name} ({endpoint.model}): {why}"
            passed.append(line)
            if tell is not None:
                tell(line)

        for number, endpoint in enumerate(endpoints, start=1):
            if errand.local_only and not endpoint.local:
                last = NotAllowed(f"nothing was sent: {provider.NO_CLOUD}, and {endpoint.base_url} is elsewhere")
                passed.append(f"{endpoint.name} ({endpoint.model}): {last}")
                continue
            if not rested and (until := await self._rests(endpoint)) is not None:
                last = LlmError(f"{endpoint.label} failed again and again and is left alone until {moment(until)}")
                pass_over(endpoint, last)
                continue
            try:
                told = await self._ask_one(endpoint, messages, schema, errand, accept, number == len(endpoints), hear)
                return replace(told, passed=tuple(passed))
            except (Down, budgets.Blocked, VaultError) as error:
                last = error
                pass_over(endpoint, error)
        if last is None:
            raise LlmError("There is no model to ask: meshag providers add, or [llm] in config.toml")
        if len(passed) > 1 and not isinstance(last, NotAllowed):
            last.args = (f"{last}; before it {'; '.join(passed[:-1])}",)
        raise last

    async def _ask_one(
        self,
        endpoint: Endpoint,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        errand: Errand,
        accept: Callable[[str], object] | None,
        only_one_left: bool,
        hear: Hear | None,
    ) -> Told:
        llm = self.settings.llm._replace(base_url=endpoint.base_url, model=endpoint.model)
        key = await self._key(endpoint)
        if key is None and not endpoint.local:
            raise provider.NoKey(f"No key for {endpoint.label}: set {self.key_name(endpoint)}")
        usage_id = await self._store(ledger.reserve, call(endpoint, messages, errand, llm.max_tokens))
        await self._store(ledger.keep_sent, prompt_hash(messages), "\n\n".join(each["content"] for each in messages))
        try:
            answer = await provider.ask(
                llm,
                key,
                messages,
                schema,
                accept,
                local_only=errand.local_only,
                first_shape=endpoint.shape,
                retries=provider.RETRIES if only_one_left else 0,
                key_name=self.key_name(endpoint),
                hear=hear,
            )
        except asyncio.CancelledError:
            await asyncio.shield(self._store(ledger.settle, usage_id, "cancelled", attempts=1))
            raise
        except LlmError as error:
            await self._failed(usage_id, endpoint, error)
            raise
        except BaseException as error:  # a bug must not leave money held
            await self._store(ledger.settle, usage_id, "error", error=type(error).__name__)
            raise
        usage = answer.usage
        settled = await self._store(
            ledger.settle,
            usage_id,
            "success",
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            tokens_cached=usage.tokens_cached,
            duration_ms=usage.duration_ms,
            attempts=usage.attempts,
        )
        await self._store(providers.answered, endpoint.name)
        return Told(answer, endpoint, usage_id, settled.cost, settled.currency, alerts=settled.alerts)

    async def _failed(self, usage_id: str, endpoint: Endpoint, error: LlmError) -> None:
        usage = error.usage
        spent = {} if usage is None else {name: getattr(usage, name) for name in _KEPT}
        outcome: ledger.Outcome = "timeout" if isinstance(error, TooSlow) else "error"
        await self._store(ledger.settle, usage_id, outcome, error=str(error), **spent)
        if isinstance(error, Down):
            wait = None if error.wait_s is None else round(error.wait_s * 1000)
            await self._store(providers.failed, endpoint.name, str(error), wait)

    async def _rests(self, endpoint: Endpoint) -> int | None:
        def rests() -> int | None:
            from meshag_tui.store.database import now_ms

            until = providers.health(endpoint.name).rests_until
            return until if until is not None and until > now_ms() else None

        return await self._store.read(rests)

    def key_name(self, endpoint: Endpoint) -> str:
        """Where the key of an endpoint is set, in words."""
        if endpoint.provider_id is None:
            return self.settings.llm.api_key_env
        return f"the key of {endpoint.name} (meshag providers edit {endpoint.name} --key-stdin)"

    async def _key(self, endpoint: Endpoint) -> Secret | None:
        if endpoint.provider_id is None:
            return self.settings.llm_key()
        return await self._store(providers.key, endpoint.provider_id, self._vault)

    def _configured(self) -> list[Endpoint]:
        llm = self.settings.llm
        can_be = self.settings.llm_key() is not None or on_this_machine(llm.base_url)
        return [Endpoint(CONFIG, llm.base_url, llm.model)] if can_be else []

    async def _named(self, named: str) -> Endpoint:
        name, _, model = named.partition("/")
        llm = self.settings.llm
        if name == CONFIG:
            return Endpoint(CONFIG, llm.base_url, model or llm.model)
        info = await self._store.read(providers.find, name)
        if model and model not in info.models:
            raise UsageError(f"{name} has no model {model!r}: it has {', '.join(info.models)}")
        return _endpoint(info, model)


_KEPT = ("tokens_in", "tokens_out", "tokens_cached", "duration_ms", "attempts")


def _endpoint(info: ProviderInfo, model: str = "") -> Endpoint:
    shape: Any = info.shape
    return Endpoint(info.name, info.base_url, model or info.model, shape, info.id)


def prompt_hash(messages: Sequence[Mapping[str, str]]) -> str:
    """What stands for exactly these messages."""
    return hashlib.sha256("\0".join(message["content"] for message in messages).encode()).hexdigest()


def call(endpoint: Endpoint, messages: Sequence[Mapping[str, str]], errand: Errand, max_tokens: int = 0) -> ledger.Call:
    """What the ledger is told of a call. No token is shorter than a byte, and each weaker form may ask once more."""
    text = "\0".join(message["content"] for message in messages)
    forms = len(provider.LADDER) - provider.LADDER.index(endpoint.shape)
    return ledger.Call(
        provider=endpoint.name,
        model=endpoint.model,
        purpose=errand.purpose,
        local=endpoint.local,
        actor=errand.actor,
        prompt_hash=prompt_hash(messages),
        connection_id=errand.connection_id,
        project_id=errand.project_id,
        agent=errand.agent,
        query_ids=errand.query_ids,
        most_in=forms * (len(text.encode()) + _MESSAGE_TOKENS * len(messages)),
        most_out=forms * max_tokens,
    )
