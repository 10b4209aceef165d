"""The endpoint misbehaves in every way; the question ends in time with an answer or one clear line."""

from __future__ import annotations

import gzip
import json
import os
import time

import pytest

from meshag_tui.agents import provider
from meshag_tui.settings import LlmSettings
from meshag_tui.types import Secret
from tests.rig.llm import FakeLlm, Reply

KEY = Secret("sk-canary-123")
MESSAGES = [{"role": "system", "content": "You advise."}, {"role": "user", "content": "Well?"}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def settings_for(fake: FakeLlm, **changes: object) -> LlmSettings:
    return LlmSettings(base_url=fake.base_url, model="m1", timeout_s=5.0)._replace(**changes)


async def ask(fake: FakeLlm, **changes: object) -> provider.Answer:
    return await provider.ask(settings_for(fake, **changes), KEY, MESSAGES, SCHEMA, accept=json.loads)


async def test_an_answer_comes_with_its_usage(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply('{"n": 1}')]
    answer = await ask(fake_llm, temperature=0.3, max_tokens=77)
    assert (answer.text, answer.complete, answer.shape) == ('{"n": 1}', True, "json_schema")
    assert (answer.usage.tokens_in, answer.usage.tokens_out, answer.usage.tokens_cached) == (11, 7, 4)
    sent = fake_llm.requests[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.body["model"] == "m1" and sent.body["max_tokens"] == 77 and sent.body["temperature"] == 0.3
    assert sent.body["response_format"]["json_schema"]["strict"] is True
    assert {name.lower(): value for name, value in sent.headers.items()}["authorization"] == "Bearer sk-canary-123"


async def test_nothing_of_the_environment_is_sent(fake_llm: FakeLlm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "canary-env")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: canary-env")
    fake_llm.script = [Reply("{}")]
    await ask(fake_llm)
    assert "canary-env" not in json.dumps([dict(request.headers) for request in fake_llm.requests])
    assert os.environ["OPENAI_CUSTOM_HEADERS"] == "X-Leak: canary-env"


async def test_the_ladder_goes_down_when_a_form_is_refused_or_not_kept(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply("no such format", status=400), Reply("here you are: nothing"), Reply('{"n": 2}')]
    answer = await ask(fake_llm)
    assert answer.shape == "text" and answer.usage.attempts == 3
    formats = [request.body.get("response_format", {}).get("type") for request in fake_llm.requests]
    assert formats == ["json_schema", "json_object", None]
    assert [request.body["messages"] for request in fake_llm.requests] == [MESSAGES] * 3


async def test_too_many_requests_are_retried_after_the_time_asked_for(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply(status=429, headers={"Retry-After": "1"}), Reply(status=503), Reply("{}")]
    started = time.monotonic()
    answer = await ask(fake_llm)
    assert answer.usage.attempts == 3
    assert time.monotonic() - started >= 1.9  # 1 s asked for, then our own back-off


async def test_a_retry_after_of_an_hour_is_not_slept(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(provider.LlmError, match="wait 3600 s"):
        await ask(fake_llm)


@pytest.mark.parametrize(
    ("status", "says"), [(401, "LLM_KEY"), (403, "LLM_KEY"), (404, "base_url"), (302, "not followed")]
)
async def test_a_refusal_says_what_to_check_and_is_not_retried(fake_llm: FakeLlm, status: int, says: str) -> None:
    fake_llm.script = [Reply("no", status=status, headers={"Location": "http://127.0.0.1:1/v1"}), Reply("{}")]
    with pytest.raises(provider.LlmError, match=says) as caught:
        await ask(fake_llm, api_key_env="LLM_KEY")
    assert len(fake_llm.requests) == 1
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 500])
async def test_an_endless_body_is_not_read(fake_llm: FakeLlm, status: int) -> None:
    fake_llm.script = [Reply(status=status, body=b"x" * 3_000_000)]
    with pytest.raises(provider.AnswerTooLong, match="256 kB"):
        await ask(fake_llm)


async def test_a_compressed_body_is_refused(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply(body=gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"})]
    with pytest.raises(provider.AnswerTooLong):
        await ask(fake_llm)


async def test_silence_ends_at_the_deadline(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply("{}", after_s=3)]
    with pytest.raises(provider.LlmError, match=r"within 0\.5 s"):
        await ask(fake_llm, timeout_s=0.5)


@pytest.mark.parametrize(
    "body",
    [
        *(b"<html>hello</html>", b"", b"\xff\xfe", {"choices": None}, {"choices": []}, [1], b"nul"),
        *(b'{"choices": [{"message": {"content": "{', b"\xef\xbb\xbf", b"NaN", {"choices": "x"}, {"choices": [3]}),
        *({"choices": [{"message": "x"}]}, {"choices": [{"message": {"content": {"n": 1}}}]}),
    ],
)
async def test_a_body_that_is_no_answer_is_an_error(fake_llm: FakeLlm, body: object) -> None:
    fake_llm.script = [Reply(body=body)]
    with pytest.raises(provider.LlmError):
        await ask(fake_llm)


@pytest.mark.parametrize(
    "usage",
    [
        '{"prompt_tokens": NaN, "completion_tokens": "x"}',
        '{"prompt_tokens": -5, "completion_tokens": 1e400}',
        "[]",
        "null",
    ],
)
async def test_a_byte_order_mark_is_read_over_and_figures_that_are_none_are_not_taken(
    fake_llm: FakeLlm, usage: str
) -> None:
    choice = '{"message": {"content": "{}"}, "finish_reason": "stop"}'
    body = f'\ufeff{{"model": "m1", "choices": [{choice}], "usage": {usage}}}'
    fake_llm.script = [Reply(body=body.encode())]
    answer = await ask(fake_llm)
    assert answer.text == "{}" and answer.usage.tokens_in is None and answer.usage.tokens_out is None


async def test_a_retry_after_that_is_none_is_waited_for_as_usual(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply(status=429, headers={"Retry-After": text}) for text in ("soon", "-5")] + [Reply("{}")]
    assert (await ask(fake_llm)).usage.attempts == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirection_is_followed_to_another_host_or_a_file(
    fake_llm: FakeLlm, second_llm: FakeLlm, status: int
) -> None:
    for place in (f"{second_llm.base_url}/chat/completions", "file:///etc/passwd", "//127.0.0.1:1/v1"):
        fake_llm.script = [Reply(status=status, headers={"Location": place})]
        with pytest.raises(provider.LlmError, match="not followed"):
            await ask(fake_llm)
    assert second_llm.requests == [], "the key went nowhere else"


async def test_an_answer_cut_off_says_which_setting(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply('{"n": ', finish="length")]
    with pytest.raises(provider.LlmError, match="max_tokens"):
        await ask(fake_llm)


async def test_without_a_key_only_a_model_of_ones_own_is_asked(fake_llm: FakeLlm) -> None:
    with pytest.raises(provider.NoKey, match="MY_KEY"):
        await provider.ask(LlmSettings(api_key_env="MY_KEY"), None, MESSAGES, SCHEMA)
    fake_llm.script = [Reply("{}")]
    assert (await provider.ask(settings_for(fake_llm), None, MESSAGES, SCHEMA)).text == "{}"


async def test_a_dead_endpoint_is_one_line(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply(drop=True)] * 3
    with pytest.raises(provider.LlmError, match="Cannot reach"):
        await ask(fake_llm)
    assert len(fake_llm.requests) == 3


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:11434/v1", True),
        ("localhost:11434/v1", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://localhost.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("http://localhost@example.org/v1", False),
        ("http://localhost:11434@example.org/v1", False),
        ("http://192.0.2.1/v1?host=127.0.0.1", False),
        ("http://0.0.0.0:8000/v1", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_only_loopback_is_this_machine(url: str, here: bool) -> None:
    assert provider.on_this_machine(url) is here


async def test_nothing_leaves_for_a_model_elsewhere_where_only_local_ones_are_allowed(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply("{}")] * 2
    here = settings_for(fake_llm)
    elsewhere = here._replace(base_url=fake_llm.base_url.replace("127.0.0.1", "0.0.0.0"))  # answers, and is no loopback
    with pytest.raises(provider.NotAllowed, match="is elsewhere"):
        await provider.ask(elsewhere, KEY, MESSAGES, SCHEMA, local_only=True)
    assert fake_llm.requests == []
    assert (await provider.ask(here, KEY, MESSAGES, SCHEMA, local_only=True)).text == "{}"
    assert (await provider.ask(elsewhere, KEY, MESSAGES, SCHEMA)).text == "{}"
    assert len(fake_llm.requests) == 2


async def test_no_proxy_reads_what_is_sent_to_this_machine(fake_llm: FakeLlm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    fake_llm.script = [Reply("{}")]
    assert (await provider.ask(settings_for(fake_llm), KEY, MESSAGES, SCHEMA, local_only=True)).text == "{}"


# --- in pieces --------------------------------------------------------------------------------------------------------


async def ask_in_pieces(fake: FakeLlm, heard: list[str], **changes: object) -> provider.Answer:
    settings = settings_for(fake, **changes)
    return await provider.ask(settings, KEY, MESSAGES, {}, first_shape="text", retries=0, hear=heard.append)


async def test_an_answer_in_pieces_is_heard_as_it_comes_and_has_its_tokens(fake_llm: FakeLlm) -> None:
    heard: list[str] = []
    fake_llm.script = [Reply("one two three four five six seven", gap_s=0.05)]
    answer = await ask_in_pieces(fake_llm, heard)
    assert answer.text == heard[-1] == "one two three four five six seven" and answer.complete
    assert heard[0] == "" and len(heard) > 2 and all(answer.text.startswith(each) for each in heard)
    assert (answer.usage.tokens_in, answer.usage.tokens_out, answer.usage.model) == (11, 7, "m1")
    assert fake_llm.requests[0].body["stream"] is True


async def test_one_that_knows_no_pieces_is_heard_at_the_end(fake_llm: FakeLlm) -> None:
    heard: list[str] = []
    whole = {"model": "m9", "choices": [{"message": {"content": "all of it"}, "finish_reason": "stop"}]}
    fake_llm.script = [Reply(body=whole), Reply("no stream here", status=400), Reply("then so")]
    assert (await ask_in_pieces(fake_llm, heard)).text == heard[-1] == "all of it"
    answer = await ask_in_pieces(fake_llm, heard)
    assert answer.text == "then so" and "stream" not in fake_llm.requests[-1].body


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(body=b"<html>"), "did not answer with JSON"),
        (Reply("x" * 300_000), "longer than 256 kB"),
        (Reply("one two three", gap_s=3), "within 0.4 s"),
        (Reply(drop=True), "Cannot reach"),
        (Reply(status=401), "refused the key"),
    ],
)
async def test_pieces_that_go_wrong_end_in_one_line(fake_llm: FakeLlm, reply: Reply, says: str) -> None:
    fake_llm.script = [reply]
    with pytest.raises(provider.LlmError, match=says):
        await ask_in_pieces(fake_llm, [], timeout_s=0.4 if reply.gap_s else 5.0)


async def test_an_answer_cut_within_is_said_to_be(fake_llm: FakeLlm) -> None:
    fake_llm.script = [Reply("half an ans", finish="length")]
    assert not (await ask_in_pieces(fake_llm, [])).complete
