"""An answer that is sent piece by piece, put together into the document it would have been.

In: a client, a request, and somebody who listens. Out: a document such as an endpoint sends that answers at once; one
that does although it was asked for pieces is taken as well. Tokens are said only if the endpoint sends them at the end.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

Hear = Callable[[str], None]
"""Is given the whole text so far, not more often than `_PACE_S`, and at the end; "" when it begins anew."""
_PACE_S = 0.08
_WHOLE = 10
"""How many times as long as the wait for one piece all of them together may take."""


class Garbled(Exception):
    """What was sent is neither pieces nor a document."""


class BrokenOff(Exception):
    """The connection was lost within the answer."""


async def document(client: Any, request: Mapping[str, Any], hear: Hear, timeout_s: float) -> Any:
    """Send a request and listen to its end.

    Args:
        timeout_s: the longest wait for the next piece.

    Raises:
        Garbled: it cannot be read.
        BrokenOff: it ended too early.
        TimeoutError: nothing came for too long.
    """
    import httpx2 as httpx  # with the client: it is loaded by now

    hear("")
    heard = _Heard(hear)
    asked = {**request, "stream": True, "stream_options": {"include_usage": True}}
    async with asyncio.timeout(timeout_s * _WHOLE), asyncio.timeout(timeout_s) as patience:
        loop = asyncio.get_running_loop()
        async with client.chat.completions.with_streaming_response.create(**asked) as raw:
            if "text/event-stream" not in raw.headers.get("content-type", ""):
                found = _json(await raw.read())
                heard.take(found)
            else:
                try:
                    async for line in _lines(raw):
                        patience.reschedule(loop.time() + timeout_s)
                        if heard.line(line):
                            break
                except httpx.TimeoutException:
                    raise TimeoutError from None
                except httpx.TransportError:
                    raise BrokenOff from None
                found = heard.document()
    heard.finish()
    return found


async def _lines(raw: Any) -> AsyncIterator[str]:
    """The lines of a body, whatever their ends."""
    left = b""
    async for part in raw.iter_bytes():
        left += part
        *lines, left = left.split(b"\n")
        for line in lines:
            yield line.decode("utf-8-sig", "replace").strip()
    yield left.decode("utf-8", "replace").strip()


class _Heard:
    """What was said so far."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._said: list[str] = []
        self._told_at = 0.0
        self._finish: str | None = None
        self._about: dict[str, Any] = {}

    def line(self, line: str) -> bool:
        """Take a line; True if it is the last one."""
        kind, _, data = line.partition(":")
        if kind != "data":
            return False
        if data.strip() == "[DONE]":
            return True
        chunk = _json(data.encode())
        if not isinstance(chunk, dict):
            raise Garbled
        self._about |= {name: chunk[name] for name in ("model", "usage") if chunk.get(name)}
        choices = chunk.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(first, dict):
            piece = (first.get("delta") or {}).get("content") if isinstance(first.get("delta"), dict) else None
            if isinstance(piece, str):
                self._said.append(piece)
                self._tell()
            self._finish = first.get("finish_reason") or self._finish
        return False

    def take(self, whole: Any) -> None:
        """Take a document that was sent at once."""
        try:
            text = whole["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            return  # the caller says what is wrong with it
        if isinstance(text, str):
            self._said = [text]

    def document(self) -> dict[str, Any]:
        """What an endpoint would have sent at once. One that stopped without a word of why was cut off."""
        if not self._said and self._finish is None:
            raise Garbled
        message = {"role": "assistant", "content": "".join(self._said)}
        return {**self._about, "choices": [{"finish_reason": self._finish or "length", "message": message}]}

    def finish(self) -> None:
        self._hear("".join(self._said))

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= _PACE_S:
            self._told_at = now
            self.finish()


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except ValueError:
        raise Garbled from None
