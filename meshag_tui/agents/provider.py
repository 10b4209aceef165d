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

from meshag_tui.settings import LlmSettings
from meshag_tui.types import MeshagError, Secret

ANSWER_LIMIT = 256 * 1024
"""Bytes of an answer, an error page included, that are ever read."""
RETRIES = 2
LONGEST_WAIT_S = 60.0

NO_CLOUD = "its project allows only models on this machine"
Shape = Literal["json_schema", "json_object", "text"]
LADDER: tuple[Shape, ...] = ("json_schema", "json_object", "text")

_constructing = threading.Lock()


class LlmError(MeshagError):
    """No usable answer. The text is one line for the user and never holds the key."""


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
) -> Answer:
    """Ask once for an answer that fits `schema`, going down from json_schema to json_object to plain text.

    Args:
        settings: endpoint, model, limits; `timeout_s` bounds each attempt as a whole.
        key: sent as the bearer token; None is allowed for endpoints on this machine.
        messages: chat messages, `role` and `content`, sent as they are in every form; they say the schema themselves.
        schema: strict JSON schema of the answer.
        accept: raises ValueError for a text that does not fit; the next form is then tried.
        local_only: send nothing to an endpoint that is not on this machine.

    Raises:
        NotAllowed: with `local_only`, the endpoint is elsewhere.
        NoKey: there is no key and the endpoint is elsewhere.
        LlmError: refused, unreachable, too slow, too long, or no answer that fits.
    """
    if local_only and not on_this_machine(settings.base_url):
        raise NotAllowed(f"nothing was sent: {NO_CLOUD}, and {settings.base_url} is elsewhere")
    if key is None and not on_this_machine(settings.base_url):
        raise NoKey(f"No key for {settings.base_url}: set {settings.api_key_env}, or base_url to a model of your own")
    openai = await asyncio.to_thread(importlib.import_module, "openai")
    started = time.monotonic()
    attempts = 0
    client = await asyncio.to_thread(_client, openai, settings, key)
    unfit: Exception | None = None
    try:
        for shape in LADDER:
            request = _request(settings, messages, schema, shape)
            try:
                document, tries = await _send(openai, client, settings, request)
            except _ShapeRefused as refused:
                attempts += refused.attempts
                unfit = refused
                continue
            attempts += tries
            text, complete = _content(document)
            usage = _usage(document, settings.model, (time.monotonic() - started) * 1000, attempts)
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
            return Answer(text, complete, shape, usage)
    finally:
        await client.close()
    raise LlmError(f"{settings.model} gave no answer of the form asked for: try another model") from unfit


class _ShapeRefused(Exception):
    """The endpoint does not know this response_format."""

    def __init__(self, attempts: int) -> None:
        super().__init__("response_format refused")
        self.attempts = attempts


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


async def _send(openai: Any, client: Any, settings: LlmSettings, request: Mapping[str, Any]) -> tuple[Any, int]:
    """The endpoint's JSON document and how many requests it took."""
    where = f"{settings.model} at {settings.base_url}"
    for attempt in range(1, RETRIES + 2):
        last = attempt > RETRIES
        try:
            async with asyncio.timeout(settings.timeout_s):
                raw = await client.chat.completions.with_raw_response.create(**request)
                return _document(raw.content, where), attempt
        except AnswerTooLong:
            raise
        except (TimeoutError, openai.APITimeoutError):
            raise LlmError(f"No answer from {where} within {settings.timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, AnswerTooLong):
                raise error.__cause__ from None
            if last:
                raise LlmError(f"Cannot reach {where}: check base_url in [llm] and the network") from error
            await asyncio.sleep(0.5 * 2 ** (attempt - 1))
        except openai.APIStatusError as error:
            status = error.status_code
            if status in (400, 422) and "response_format" in request:
                raise _ShapeRefused(attempt) from None
            if status != 429 and status < 500:
                raise LlmError(_refusal(status, where, settings)) from None
            wait = _retry_after(error.response.headers.get("retry-after"))
            if last or (wait is not None and wait > LONGEST_WAIT_S):
                again = f"; it asks to wait {wait:.0f} s" if wait is not None and wait > LONGEST_WAIT_S else ""
                raise LlmError(f"{where} answered {status} {attempt} times{again}: try again later") from None
            await asyncio.sleep(0.5 * 2 ** (attempt - 1) if wait is None else wait)
    raise AssertionError("the last attempt returns or raises")


def _refusal(status: int, where: str, settings: LlmSettings) -> str:
    if status in (401, 403):
        return f"{where} refused the key: check {settings.api_key_env}"
    if status == 404:
        return f"{where} was not found: check base_url and model in [llm]"
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
        raise LlmError(f"{where} did not answer with JSON: is base_url an OpenAI-compatible address?") from None


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
