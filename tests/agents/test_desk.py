"""Models are asked in order; what fails is passed over and said, and every call is in the ledger, on either store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.agents import presets
from meshag_tui.agents.desk import Desk, Errand, Told
from meshag_tui.agents.provider import LlmError, NoKey, NotAllowed
from meshag_tui.settings import LlmSettings, Settings
from meshag_tui.store import budgets, ledger, prices, providers
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import Secret, UsageError
from tests.rig.llm import FakeLlm, Reply

MESSAGES = [{"role": "user", "content": "Well?"}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
ADVICE = Errand("advice", "ada")
KEY = Secret("sk-canary-0123456789")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = Store.open(store_url)
    yield store
    store.close()


async def until(true: Callable[[], bool]) -> None:
    """Wait for something another thread does."""
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


class Office:
    """A desk with two providers: first, then second, which is elsewhere as far as one can see."""

    def __init__(self, store: Store, home: Path, first: FakeLlm, second: FakeLlm) -> None:
        self.store = store
        self.settings = Settings(
            home=home, store_url="", llm=LlmSettings(base_url="https://unset.example", timeout_s=1)
        )
        self.vault = Vault.open(self.settings, {})
        self.desk = Desk(store, self.vault, self.settings)
        for name, fake in (("first", first), ("second", second)):
            url = fake.base_url.replace("127.0.0.1", "0.0.0.0")  # answers, and is no loopback address
            store.run(providers.add, name, "openai", url, ["m1", "m2"], "json_schema", KEY, self.vault)

    async def ask(self, errand: Errand = ADVICE, named: str | None = None, **more: Any) -> Told:
        endpoints = await self.desk.endpoints(named)
        return await self.desk.ask(endpoints, MESSAGES, SCHEMA, errand, accept=json.loads, **more)

    def rows(self) -> list[tuple[str, str]]:
        return [(row.provider, row.outcome) for row in reversed(self.store.run(ledger.page))]


@pytest.fixture
def office(
    store: Store, tmp_path: Path, fake_llm: FakeLlm, second_llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> Office:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Office(store, tmp_path, fake_llm, second_llm)


@pytest.mark.parametrize(
    ("reply", "outcome", "says"),
    [
        (Reply(status=429, headers={"Retry-After": "1"}), "error", "429"),
        (Reply(status=500), "error", "500"),
        (Reply(drop=True), "error", "Cannot reach"),
        (Reply(after_s=3), "timeout", "within 1 s"),
    ],
)
async def test_one_that_is_down_is_followed_by_the_next_and_that_is_said(
    office: Office, fake_llm: FakeLlm, second_llm: FakeLlm, reply: Reply, outcome: str, says: str
) -> None:
    fake_llm.script, second_llm.script = [reply], [Reply('{"n": 1}')]
    said: list[str] = []
    told = await office.ask(tell=said.append)
    assert told.endpoint.name == "second" and told.answer.text == '{"n": 1}'
    assert len(told.passed) == 1 and says in told.passed[0] and list(told.passed) == said
    assert office.rows() == [("first", outcome), ("second", "success")]
    assert len(fake_llm.requests) == 1, "it is not retried where another one can be asked"


@pytest.mark.parametrize("reply", [Reply(status=401), Reply(body=b"<html>"), Reply(status=404)])
async def test_a_mistake_of_ours_is_an_error_and_no_reason_to_go_elsewhere(
    office: Office, fake_llm: FakeLlm, second_llm: FakeLlm, reply: Reply
) -> None:
    fake_llm.script = [reply] * 3
    with pytest.raises(LlmError) as failed:
        await office.ask()
    assert not second_llm.requests and office.rows() == [("first", "error")]
    assert KEY.reveal() not in str(failed.value)
    if reply.status == 401:
        assert "meshag providers edit first --key-stdin" in str(failed.value)


async def test_when_all_are_down_the_last_error_says_who_failed_before(
    office: Office, fake_llm: FakeLlm, second_llm: FakeLlm
) -> None:
    fake_llm.script = [Reply(status=503)]
    second_llm.script = [Reply(status=429, headers={"Retry-After": "0"})] * 3
    with pytest.raises(LlmError, match=r"429 3 times.*before it first"):
        await office.ask()
    assert office.rows() == [("first", "error"), ("second", "error")]


async def test_one_that_failed_again_and_again_rests_but_can_be_tested(
    office: Office, fake_llm: FakeLlm, second_llm: FakeLlm
) -> None:
    fake_llm.script = [Reply(status=500)] * providers.REST_AFTER
    second_llm.script = [Reply("{}")] * (providers.REST_AFTER + 1)
    for _ in range(providers.REST_AFTER):
        await office.ask()
    told = await office.ask()
    assert "is left alone until" in told.passed[0] and len(fake_llm.requests) == providers.REST_AFTER
    fake_llm.script = [Reply("{}")]
    assert (await office.ask(Errand("test", "ada"), "first", rested=True)).endpoint.name == "first"
    fake_llm.script = [Reply("{}")]
    assert (await office.ask()).endpoint.name == "first", "one good answer and it is asked again"


async def test_a_wait_that_was_asked_for_is_kept(office: Office, fake_llm: FakeLlm, second_llm: FakeLlm) -> None:
    fake_llm.script = [Reply(status=429, headers={"Retry-After": "3600"})]
    second_llm.script = [Reply("{}"), Reply("{}")]
    await office.ask()
    await office.ask()
    assert len(fake_llm.requests) == 1
    rests = office.store.run(providers.health, "first").rests_until
    assert rests is not None and rests > 0


async def test_what_may_not_leave_this_machine_goes_to_local_models_alone(
    office: Office, fake_llm: FakeLlm, second_llm: FakeLlm
) -> None:
    private = replace(ADVICE, local_only=True)
    with pytest.raises(NotAllowed, match="nothing was sent"):
        await office.ask(private)
    assert await office.desk.endpoints(local_only=True) == ()
    office.store.run(providers.add, "own", "ollama", second_llm.base_url, ["m"], "json_schema", None, office.vault)
    fake_llm.script, second_llm.script = [Reply("{}")], [Reply(status=500)] * 9
    with pytest.raises(LlmError, match="500"):
        await office.ask(private)
    assert not fake_llm.requests, "not even when the local one is down"
    assert {row.provider for row in office.store.run(ledger.page)} == {"own"}


async def test_a_cancelled_call_is_in_the_ledger_and_holds_no_money(office: Office, fake_llm: FakeLlm) -> None:
    office.store.run(prices.put, "first", "m1", 0, "2", "8")
    office.store.run(budgets.add_plan, "Team", "1")
    office.store.run(budgets.subscribe, "Team")
    fake_llm.script = [Reply(after_s=5)]
    asking = asyncio.create_task(office.ask(named="first"))
    await until(lambda: bool(fake_llm.requests))
    assert office.store.run(budgets.in_force)[0].held > 0
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert office.rows() == [("first", "cancelled")]
    assert office.store.run(budgets.in_force)[0].held == 0


async def test_a_budget_that_is_used_up_sends_nothing(office: Office, fake_llm: FakeLlm, second_llm: FakeLlm) -> None:
    for name in ("first", "second"):
        office.store.run(prices.put, name, "*", 0, "2", "8")
    office.store.run(budgets.add_plan, "Team", "0.00005")
    office.store.run(budgets.subscribe, "Team")
    fake_llm.script = [Reply("{}")]
    told = await office.ask()
    assert told.cost == Decimal("0.000078") and told.currency == "USD"
    assert any("are spent this month" in line for line in told.alerts)
    with pytest.raises(budgets.Blocked, match="used up"):
        await office.ask()
    assert len(fake_llm.requests) == 1 and not second_llm.requests
    assert office.rows() == [("first", "success"), ("first", "blocked"), ("second", "blocked")]


async def test_the_tokens_of_every_form_that_was_tried_are_counted(office: Office, fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply("no"), Reply("JSON"), Reply('{"n": 1}')]
    told = await office.ask()
    assert (told.answer.shape, told.answer.usage.attempts) == ("text", 3)
    row = office.store.run(ledger.page)[0]
    assert (row.tokens_in, row.tokens_out, row.tokens_cached) == (33, 21, 12)
    fake_llm.script = [Reply("no")] * 3
    with pytest.raises(LlmError):
        await office.ask()
    failed = office.store.run(ledger.page)[0]
    assert (failed.outcome, failed.tokens_in) == ("error", 33), "what was paid for nothing is counted too"


async def test_only_the_forms_a_provider_supports_are_tried(office: Office, fake_llm: FakeLlm) -> None:
    info = office.store.run(providers.find, "first")
    office.store.run(providers.edit, info.id, office.vault, shape="text")
    fake_llm.script = [Reply('Sure: {"n": 1}')]
    endpoints = await office.desk.endpoints("first/m2")
    await office.desk.ask(endpoints, MESSAGES, SCHEMA, ADVICE)
    (sent,) = fake_llm.requests
    assert "response_format" not in sent.body and sent.body["model"] == "m2"


async def test_the_endpoint_of_the_configuration_is_the_first(
    office: Office, fake_llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one.name for one in await office.desk.endpoints()] == ["first", "second"], "it has no key"
    with pytest.raises(NoKey, match="OPENAI_API_KEY"):
        await office.ask(named="config")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    assert [one.name for one in await office.desk.endpoints()] == ["config", "first", "second"]
    with pytest.raises(UsageError, match="no model 'm9'"):
        await office.desk.endpoints("first/m9")
    with pytest.raises(UsageError, match="there are first, second"):
        await office.desk.endpoints("third")


async def test_a_key_goes_to_its_own_address_alone(office: Office, fake_llm: FakeLlm, second_llm: FakeLlm) -> None:
    from meshag_tui.store import models

    office.store.run(
        lambda: models.Provider.update(base_url=second_llm.base_url).where(models.Provider.name == "first").execute()
    )
    second_llm.script = [Reply("{}")]
    told = await office.ask()
    assert "is not for" in told.passed[0] and told.endpoint.name == "second"


def test_every_kind_is_reached_through_the_same_protocol() -> None:
    kinds = {one.kind for one in presets.PRESETS}
    assert kinds >= {"openai", "gemini", "deepseek", "anthropic", "ollama", "vllm", "llamacpp"}
    for one in presets.PRESETS:
        assert one.shape in providers.SHAPES
        assert one.kind == "other" or one.base_url.startswith("https://" if one.needs_key else "http://127.0.0.1")
    with pytest.raises(UsageError, match="openai, gemini"):
        presets.preset("abacus")
