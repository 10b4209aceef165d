"""A language model that says what it is told: an OpenAI-compatible HTTP server on 127.0.0.1, scripted reply by reply.

    def test_it(fake_llm):
        fake_llm.script = [Reply("one"), Reply(status=429, headers={"Retry-After": "0"}), Reply("two", after_s=0.2)]
        ... AsyncOpenAI(base_url=fake_llm.base_url, api_key="k") ...
        assert fake_llm.requests[0].body["model"] == "m"

Speaks /chat/completions and /responses, streamed or not, and /models. With an empty script it answers "ok".
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

CHUNK = 8
CHAT_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
RESPONSE_USAGE = {
    "input_tokens": 11,
    "output_tokens": 7,
    "total_tokens": 18,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 3},
}


@dataclass(frozen=True)
class Reply:
    """One scripted answer: a text, or an error `status`, or a `body` to send as it is, or a dropped connection."""

    text: str = "ok"
    status: int = 200
    body: Any = None  # instead of a well-formed answer: any JSON value, or bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    finish: str = "stop"  # "length" is an answer cut short
    usage: Mapping[str, Any] | None = None  # instead of the usual figures
    drop: bool = False  # close the connection without a word
    after_s: float = 0  # think before answering
    gap_s: float = 0  # between two streamed pieces


@dataclass(frozen=True)
class Request:
    """What a client sent; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class FakeLlm:
    """The server. `script` is taken from the front; `requests` grows; `client_left` counts cancelled streams."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.requests: list[Request] = []
        self.client_left = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _handler(fake: FakeLlm) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            model = {"id": "fake-1", "object": "model", "created": 0, "owned_by": "test"}
            self.answer(200, {"object": "list", "data": [model]}, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            fake.requests.append(Request(self.path, headers, body))
            reply = fake.script.pop(0) if fake.script else Reply()
            time.sleep(reply.after_s)
            if reply.drop:
                self.close_connection = True
            elif reply.status != 200:
                error = {"error": {"message": reply.text, "type": "test", "code": None}}
                self.answer(reply.status, error if reply.body is None else reply.body, reply.headers)
            elif reply.body is not None:
                self.answer(200, reply.body, reply.headers)
            elif body.get("stream"):
                self.stream(reply, body)
            elif self.path.endswith("/responses"):
                self.answer(200, response_object(reply, body), reply.headers)
            else:
                self.answer(200, chat_object(reply, body), reply.headers)

        def answer(self, status: int, content: Any, headers: Mapping[str, str]) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                self.gone()

        def stream(self, reply: Reply, body: Mapping[str, Any]) -> None:
            events = response_events if self.path.endswith("/responses") else chat_events
            try:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                for event in events(reply, body):
                    self.wfile.write(event)
                    self.wfile.flush()
                    time.sleep(reply.gap_s)
            except (BrokenPipeError, ConnectionResetError):
                self.gone()
            self.close_connection = True

        def gone(self) -> None:
            fake.client_left += 1
            self.close_connection = True

    return Handler


def pieces(text: str) -> list[str]:
    """The text as it is streamed."""
    return [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]


def chat_object(reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion."""
    message = {"role": "assistant", "content": reply.text}
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model"),
        "choices": [{"index": 0, "finish_reason": reply.finish, "message": message}],
        "usage": CHAT_USAGE if reply.usage is None else reply.usage,
    }


def chat_events(reply: Reply, body: Mapping[str, Any]) -> Iterator[bytes]:
    """A chat completion as server-sent events."""

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": body.get("model")}
        return b"data: " + json.dumps({**chunk, "choices": choices, **more}).encode() + b"\n\n"

    for piece in pieces(reply.text):
        yield event([{"index": 0, "delta": {"content": piece}, "finish_reason": None}])
    yield event([{"index": 0, "delta": {}, "finish_reason": reply.finish}])
    if (body.get("stream_options") or {}).get("include_usage"):
        yield event([], usage=CHAT_USAGE if reply.usage is None else reply.usage)
    yield b"data: [DONE]\n\n"


def response_object(reply: Reply, body: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of the responses API."""
    content = {"type": "output_text", "text": reply.text, "annotations": []}
    message = {"id": "msg-1", "type": "message", "role": "assistant", "status": "completed", "content": [content]}
    return {
        "id": "resp-1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": body.get("model"),
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "output": [message],
        "usage": RESPONSE_USAGE if reply.usage is None else reply.usage,
    }


def response_events(reply: Reply, body: Mapping[str, Any]) -> Iterator[bytes]:
    """An answer of the responses API as server-sent events."""
    whole = response_object(reply, body)
    message = whole["output"][0]
    number = 0

    def event(kind: str, **content: Any) -> bytes:
        nonlocal number
        number += 1
        data = json.dumps({"type": kind, "sequence_number": number, **content})
        return f"event: {kind}\ndata: {data}\n\n".encode()

    text_at = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": []}
    yield event("response.created", response={**whole, "status": "in_progress", "output": [], "usage": None})
    yield event("response.output_item.added", output_index=0, item={**message, "status": "in_progress", "content": []})
    yield event("response.content_part.added", **text_at, part=empty)
    for piece in pieces(reply.text):
        yield event("response.output_text.delta", **text_at, delta=piece, logprobs=[])
    yield event("response.output_text.done", **text_at, text=reply.text, logprobs=[])
    yield event("response.content_part.done", **text_at, part=message["content"][0])
    yield event("response.output_item.done", output_index=0, item=message)
    yield event("response.completed", response=whole)


@pytest.fixture
def fake_llm() -> Iterator[FakeLlm]:
    """A scripted language model for one test."""
    fake = FakeLlm()
    yield fake
    fake.close()
