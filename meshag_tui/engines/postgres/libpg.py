"""The border to libpg_query, PostgreSQL's own parser as a C library; loaded on first use.

It recurses on the C stack and ends the process when that is exhausted. So a text beyond `MAX_BYTES` or `MAX_TOKENS` is
never handed to it, and one of more than a few kilobytes only in a thread whose stack is large enough for the deepest
text of `MAX_TOKENS`.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from meshag_tui.engines.base import Refused

MAX_BYTES = 256 * 1024
MAX_TOKENS = 20_000

_SHALLOW_BYTES = 2_000  # cannot nest deeper than half of this: fits the smallest thread stacks (512 kB)
_STACK_BYTES = 64 * 1024 * 1024  # 800 bytes a level were measured; address space, not memory
_T = TypeVar("_T")


class TooLarge(Refused):
    """The text is longer or deeper than we parse."""


class SyntaxProblem(Refused):
    """PostgreSQL's grammar does not know the text."""


_deep_thread: ThreadPoolExecutor | None = None
_deep_lock = threading.Lock()
_COUNTED = re.compile(r"[^\W\d]\w*|\$?\d[\w.]*|[^\s\w]")


def printable(text: str) -> str:
    """The text as it can be handed to C: no NUL, no lone surrogate."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")


@functools.lru_cache(16)
def is_too_large(text: str) -> bool:
    """Whether the parser may not be given the text."""
    if len(text) <= _SHALLOW_BYTES:
        return False
    if len(text) > MAX_BYTES:
        return True
    return sum(1 for _ in _COUNTED.finditer(text)) > MAX_TOKENS


def run(call: Callable[[str], _T], text: str) -> _T:
    """Call the parser where its recursion fits."""
    if is_too_large(text):
        raise TooLarge("The statement is too large to parse")
    if len(text) <= _SHALLOW_BYTES:
        return call(text)
    return _deep().submit(call, text).result()


def _deep() -> ThreadPoolExecutor:
    global _deep_thread
    with _deep_lock:
        if _deep_thread is None:
            executor = ThreadPoolExecutor(1, thread_name_prefix="parse")
            before = threading.stack_size(_STACK_BYTES)
            try:
                executor.submit(int).result()  # starts the thread, with the stack size of this moment
            finally:
                threading.stack_size(before)
            _deep_thread = executor
        return _deep_thread


@functools.lru_cache(64)
def tree(text: str) -> Mapping[str, Any]:
    """The parser's JSON document: protobuf's Python reader stops at 100 levels, some 45 terms of `a || b || …`."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise SyntaxProblem("The text is not valid Unicode") from None
    document = run(_parse_json, text)
    try:
        found: Mapping[str, Any] = json.loads(document)
    except RecursionError:
        raise TooLarge("The statement nests too deeply to be examined") from None
    return found


def _parse_json(text: str) -> bytes:
    from postgast import PgQueryError
    from postgast.errors import check_error
    from postgast.native import lib

    result = lib.pg_query_parse(text.encode("utf-8"))
    try:
        check_error(result)
        document: bytes = result.parse_tree
        return document
    except PgQueryError as error:
        raise _problem(error) from None
    finally:
        lib.pg_query_free_parse_result(result)


def normalized(text: str) -> str:
    """The text with constants as `$n`, by libpg_query; raises TooLarge, SyntaxProblem."""
    return run(_normalized, text)


def fingerprint(text: str) -> str:
    """libpg_query's fingerprint, 16 hex digits; raises TooLarge, SyntaxProblem."""
    return run(_fingerprinted, text)


def _normalized(text: str) -> str:
    import postgast

    try:
        return str(postgast.normalize(text))
    except postgast.PgQueryError as error:
        raise _problem(error) from None


def _fingerprinted(text: str) -> str:
    import postgast

    try:
        return str(postgast.fingerprint(text).hex)
    except postgast.PgQueryError as error:
        raise _problem(error) from None


def _problem(error: Exception) -> Refused:
    """The parser's error as ours; its text quotes the statement, so only its place is kept."""
    if "memory exhausted" in str(error):
        return TooLarge("The statement nests too deeply to parse")
    position = getattr(error, "cursorpos", 0)
    return SyntaxProblem(f"The statement cannot be parsed (at byte {position})" if position else "Cannot be parsed")
