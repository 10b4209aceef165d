"""One question to an OpenAI-compatible endpoint, with every way it can fail bounded and named.

The `openai` package takes most of a second to import, so it is loaded in a thread at the first question. Nothing of the
environment but the key we were given leaves for `base_url`; redirects are not followed; an answer above 256 kB is not
read to its end; a total deadline stands around each attempt.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import json
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from meshag_tui.agents import in_pieces
from meshag_tui.agents.in_pieces import Hear
from meshag_tui.settings import LlmSettings
from meshag_tui.types import MeshagError, Secret

ANSWER_LIMIT = 256 * 1024
"""Bytes of an answer, an error page included, that are ever read."""
RETRIES = 2
LONGEST_WAIT_S = 60.0

NO_CLOUD = "its project allows only models on this machine"
Shape = Literal["json_schema", "json_object", "text"]
LADDER: tuple[Shape, ...] = ("json_schema", "json_object", "text")
_NO_JSON = "{where} did not answer with JSON: is base_url an OpenAI-compatible address?"

_constructing = threading.Lock()


class LlmError(MeshagError):
    """No usable answer. The text is one line for the user and never holds the key.

    `usage`: what was used up before it failed, where something was sent. `wait_s`: how long the endpoint asks to wait.
    """

    usage: Usage | None = None
    wait_s: float | None = None


class Down(LlmError):
    """The endpoint is busy, broken or cannot be reached: another one may do better."""


class TooSlow(Down):
    """No answer in time."""


class NoKey(LlmError):
    """No key is set for an endpoint that is not on this machine."""


class NotAllowed(LlmError):
    """The endpoint is elsewhere, and nothing may be sent there."""


class AnswerTooLong(LlmError):
    """The endpoint sent more than we are willing to read."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the endpoint counted them; None where it did not say. `attempts` counts requests, retries included."""

    model: str
    tokens_in: int | None
    tokens_out: int | None
    tokens_cached: int | None
    duration_ms: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer. `shape` is the form the endpoint kept to; `complete` is False when it was cut."""

    text: str
    complete: bool
    shape: Shape
    usage: Usage


async def ask(
    settings: LlmSettings,
    key: Secret | None,
    messages: Sequence[Mapping[str, str]],
    schema: Mapping[str, Any],
    accept: Callable[[str], object] | None = None,
    *,
    local_only: bool = False,
    first_shape: Shape = "json_schema",
    retries: int = RETRIES,
    key_name: str | None = None,
    hear: Hear | None = None,
) -> Answer:
    """Ask once for an answer that fits `schema`, going down from json_schema to json_object to plain text.

    Args:
        settings: endpoint, model, limits; `timeout_s` bounds each attempt as a whole.
        key: sent as the bearer token; None is allowed for endpoints on this machine.
        messages: chat messages, `role` and `content`, sent as they are in every form; they say the schema themselves.
        schema: strict JSON schema of the answer.
        accept: raises ValueError for a text that does not fit; the next form is then tried.
        local_only: send nothing to an endpoint that is not on this machine.
        first_shape: the best form the endpoint supports; better ones are not tried.
        retries: how often one that is busy or broken is asked again.
        key_name: where the key is, for the message that it is missing or wrong; `settings` says it otherwise.
        hear: is called with the answer so far while it comes, if the endpoint sends it in pieces; `timeout_s` then
            bounds the wait for each piece, and ten times as much the whole.

    Raises:
        NotAllowed: with `local_only`, the endpoint is elsewhere.
        Down, TooSlow: it is busy, broken, unreachable or silent.
        NoKey: there is no key and the endpoint is elsewhere.
        LlmError: refused, unreachable, too slow, too long, or no answer that fits.
    """
    if local_only and not on_this_machine(settings.base_url):
        raise NotAllowed(f"nothing was sent: {NO_CLOUD}, and {settings.base_url} is elsewhere")
    if key is None and not on_this_machine(settings.base_url):
        where = key_name or settings.api_key_env
        raise NoKey(f"No key for {settings.base_url}: set {where}, or base_url to a model of your own")
    openai = await asyncio.to_thread(importlib.import_module, "openai")
    spent = _Spent(settings.model)
    client = await asyncio.to_thread(_client, openai, settings, key)
    unfit: Exception | None = None
    try:
        for shape in LADDER[LADDER.index(first_shape) :]:
            request = _request(settings, messages, schema, shape)
            try:
                document = await _send(openai, client, settings, request, spent, retries, key_name, hear)
            except _ShapeRefused as refused:
                unfit = refused
                continue
            spent.add(document)
            text, complete = _content(document)
            try:
                if accept is not None:
                    accept(text)
            except ValueError as error:
                unfit = error
                if not complete:
                    raise LlmError(
                        f"{settings.model} was cut off at {settings.max_tokens} tokens: raise max_tokens in [llm]"
                    ) from error
                continue
            return Answer(text, complete, shape, spent.usage())
        raise LlmError(f"{settings.model} gave no answer of the form asked for: try another model") from unfit
    except LlmError as error:
        error.usage = spent.usage()
        raise
    finally:
        await client.close()


class _Spent:
    """What a question used up, all requests of it together. Unknown tokens of one make the sum unknown."""

    def __init__(self, model: str) -> None:
        self.attempts = 0
        self._model = model
        self._started = time.monotonic()
        self._answers: list[Usage] = []

    def add(self, document: Any) -> None:
        """Count an answer."""
        if isinstance(document, dict):
            self._answers.append(_usage(document, self._model, 0.0, 0))

    def usage(self) -> Usage:
        """All of it up to now."""
        answers = self._answers

        def total(tokens: Sequence[int | None]) -> int | None:
            return sum(known) if len(known := [one for one in tokens if one is not None]) == len(tokens) > 0 else None

        cached = [one.tokens_cached for one in answers if one.tokens_cached is not None]
        return Usage(
            model=answers[-1].model if answers else self._model,
            tokens_in=total([one.tokens_in for one in answers]),
            tokens_out=total([one.tokens_out for one in answers]),
            tokens_cached=sum(cached) if cached else None,
            duration_ms=(time.monotonic() - self._started) * 1000,
            attempts=self.attempts,
        )


class _ShapeRefused(Exception):
    """The endpoint does not know this response_format."""


def on_this_machine(base_url: str) -> bool:
    """Whether an endpoint is one of our own: it asks for no key, and what is sent to it leaves nothing."""
    try:
        host = urlsplit(base_url if "://" in base_url else f"//{base_url}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _client(openai: Any, settings: LlmSettings, key: Secret | None) -> Any:
    """A client that takes nothing from the environment: OPENAI_CUSTOM_HEADERS has no argument that stops it."""
    with _constructing:
        hidden = os.environ.pop("OPENAI_CUSTOM_HEADERS", None)
        try:
            return openai.AsyncOpenAI(
                base_url=settings.base_url,
                api_key=key.reveal() if key is not None else "none",
                max_retries=0,
                timeout=openai.Timeout(settings.timeout_s, connect=min(5.0, settings.timeout_s)),
                default_headers={
                    "OpenAI-Organization": openai.Omit(),
                    "OpenAI-Project": openai.Omit(),
                    "Accept-Encoding": "identity",
                },
                http_client=openai.DefaultAsyncHttpxClient(
                    follow_redirects=False,
                    event_hooks={"response": [_cap_response]},
                    trust_env=not on_this_machine(settings.base_url),  # or a proxy elsewhere reads what is sent here
                ),
            )
        finally:
            if hidden is not None:
                os.environ["OPENAI_CUSTOM_HEADERS"] = hidden


async def _cap_response(response: Any) -> None:
    """Put a limit under the body before anything reads it; error bodies pass here as well."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise AnswerTooLong("The endpoint sent a compressed answer although it was asked not to")
    response.stream = _capped_stream(response.stream)


def _capped_stream(stream: Any) -> Any:
    """A stream of the library's own kind that stops at ANSWER_LIMIT bytes."""

    class Capped(type(stream)):  # type: ignore[misc]  # the response accepts only streams of its own classes
        def __init__(self) -> None:
            self._inner = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for part in self._inner:
                seen += len(part)
                if seen > ANSWER_LIMIT:
                    raise AnswerTooLong(f"The answer is longer than {ANSWER_LIMIT // 1024} kB: nothing of it is used")
                yield part

        async def aclose(self) -> None:
            await self._inner.aclose()

    return Capped()


def _request(
    settings: LlmSettings, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any], shape: Shape
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": settings.model,
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "messages": [dict(message) for message in messages],
    }
    if shape == "json_schema":
        form = {"name": "advice", "schema": schema, "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": form}
    elif shape == "json_object":
        request["response_format"] = {"type": "json_object"}
    return request


async def _send(
    openai: Any,
    client: Any,
    settings: LlmSettings,
    request: Mapping[str, Any],
    spent: _Spent,
    retries: int,
    key_name: str | None,
    hear: Hear | None,
) -> Any:
    """The endpoint's JSON document."""
    where = f"{settings.model} at {settings.base_url}"
    for attempt in range(1, retries + 2):
        last = attempt > retries
        spent.attempts += 1
        try:
            if hear is not None:
                return await in_pieces.document(client, request, hear, settings.timeout_s)
            async with asyncio.timeout(settings.timeout_s):
                raw = await client.chat.completions.with_raw_response.create(**request)
                return _document(raw.content, where)
        except AnswerTooLong:
            raise
        except in_pieces.BrokenOff:
            raise Down(f"The answer of {where} broke off: try again later") from None
        except in_pieces.Garbled:
            raise LlmError(_NO_JSON.format(where=where)) from None
        except (TimeoutError, openai.APITimeoutError):
            raise TooSlow(f"No answer from {where} within {settings.timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, AnswerTooLong):
                raise error.__cause__ from None
            if last:
                raise Down(f"Cannot reach {where}: check base_url and the network") from error
            await asyncio.sleep(0.5 * 2 ** (attempt - 1))
        except openai.APIStatusError as error:
            status = error.status_code
            if status in (400, 422) and "response_format" in request:
                raise _ShapeRefused from None
            if status in (400, 422) and hear is not None:  # it knows no pieces, or not how to say their tokens
                return await _send(openai, client, settings, request, spent, retries, key_name, None)
            if status != 429 and status < 500:
                raise LlmError(_refusal(status, where, key_name or settings.api_key_env)) from None
            wait = _retry_after(error.response.headers.get("retry-after"))
            if last or (wait is not None and wait > LONGEST_WAIT_S):
                again = f"; it asks to wait {wait:.0f} s" if wait is not None and wait > LONGEST_WAIT_S else ""
                times = "" if attempt == 1 else f" {attempt} times"
                down = Down(f"{where} answered {status}{times}{again}: try again later")
                down.wait_s = wait
                raise down from None
            await asyncio.sleep(0.5 * 2 ** (attempt - 1) if wait is None else wait)
    raise AssertionError("the last attempt returns or raises")


def _refusal(status: int, where: str, key_name: str) -> str:
    if status in (401, 403):
        return f"{where} refused the key: check {key_name}"
    if status == 404:
        return f"{where} was not found: check base_url and model"
    if 300 <= status < 400:
        return f"{where} points elsewhere ({status}), which is not followed: set base_url to the final address"
    return f"{where} refused the request ({status})"


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait from a Retry-After header in either of its forms; None when it says nothing readable."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _document(content: bytes, where: str) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except ValueError:  # bad UTF-8 and bad JSON alike
        raise LlmError(_NO_JSON.format(where=where)) from None


def _content(document: Any) -> tuple[str, bool]:
    try:
        choice = document["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise LlmError("The endpoint answered without a message: is base_url an OpenAI-compatible address?") from None
    if not isinstance(text, str):
        raise LlmError("The model declined to answer")
    return text, choice.get("finish_reason") != "length"


def _usage(document: Any, model: str, duration_ms: float, attempts: int) -> Usage:
    given = document.get("usage")
    usage = given if isinstance(given, dict) else {}
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    served = document.get("model")
    return Usage(
        model=served if isinstance(served, str) and served else model,
        tokens_in=_tokens(usage.get("prompt_tokens")),
        tokens_out=_tokens(usage.get("completion_tokens")),
        tokens_cached=_tokens(details.get("cached_tokens")),
        duration_ms=duration_ms,
        attempts=attempts,
    )


def _tokens(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
