"""Kinds of providers: where each usually listens for OpenAI's protocol, and what form of answer it can be held to.

Addresses and forms as their own documentation names them; any of both can be given otherwise. A form that a server
refuses, or does not keep to, is no failure: the next weaker one is tried, down to plain text with JSON in it.
"""

from __future__ import annotations

from typing import NamedTuple

from meshag_tui.agents.provider import Shape
from meshag_tui.types import UsageError


class Preset(NamedTuple):
    """A kind. `needs_key`: it is somebody else's machine, usually."""

    kind: str
    title: str
    base_url: str
    shape: Shape
    needs_key: bool
    says: str  # where the address and the form are documented


PRESETS: tuple[Preset, ...] = (
    Preset("openai", "OpenAI", "https://api.openai.com/v1", "json_schema", True, "platform.openai.com/docs"),
    Preset(
        "gemini",
        "Google Gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "json_schema",
        True,
        "ai.google.dev/gemini-api/docs/openai",
    ),
    Preset("deepseek", "DeepSeek", "https://api.deepseek.com", "json_object", True, "api-docs.deepseek.com"),
    # Its layer for OpenAI's clients is for trying models out, by its own words, and promises no schema.
    Preset(
        "anthropic", "Anthropic", "https://api.anthropic.com/v1", "text", True, "platform.claude.com/docs: OpenAI SDK"
    ),
    Preset("ollama", "Ollama", "http://127.0.0.1:11434/v1", "json_schema", False, "docs.ollama.com: OpenAI"),
    Preset("vllm", "vLLM", "http://127.0.0.1:8000/v1", "json_schema", False, "docs.vllm.ai: structured outputs"),
    Preset("llamacpp", "llama.cpp", "http://127.0.0.1:8080/v1", "json_schema", False, "llama.cpp: tools/server"),
    Preset("other", "another that speaks OpenAI's protocol", "", "json_object", False, ""),
)


def preset(kind: str) -> Preset:
    """The preset of a kind. UsageError if there is none; the text names those there are."""
    for each in PRESETS:
        if each.kind == kind:
            return each
    raise UsageError(f"There is no kind {kind!r} of provider: {', '.join(each.kind for each in PRESETS)}")
