"""Texts of statements, read apart from their counters: the digest texts alone, which have no literals.

Texts with literals, which MySQL keeps as samples, are never read here. Parsing thousands of texts takes seconds, so it
is done in a thread.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.mysql.capabilities import counts_statements
from meshag_tui.engines.mysql.scope import watcher
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.statements import key_of
from meshag_tui.engines.mysql.written import as_written
from meshag_tui.snapshot import StatementText
from meshag_tui.types import Aside

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.session import MysqlSession

LIMIT = 65_536
"""Characters kept of one text."""
TOTAL = 16 * 1024 * 1024
"""Characters one reading takes; what does not fit is left out, to be asked for again."""
_LONGEST_TOKEN = 4 + 64  # bytes in the server's array of tokens: an identifier of 64 letters
_TOKEN = re.compile(r"`(?:[^`]|``)*`|\S+")
_BYTES = re.compile(r"\\x[89a-f][0-9a-f]")
Raw = tuple[str, str | None, str | None, Aside | None]  # key, text, schema, whether it is another database


async def texts(session: MysqlSession, keys: Collection[str] | None) -> tuple[StatementText, ...]:
    """Texts of these statements (None: of all watched), one for each key, but for those beyond `TOTAL`.

    Source: DIGEST_TEXT of events_statements_summary_by_digest. A state other than "ok": unavailable (dropped
    meanwhile), undecodable (bytes that are no UTF-8), cut (it fills max_digest_length: the digest may stand for several
    statements).

    Raises:
        EngineError: the session is lost, or the user may not read performance_schema.
    """
    if not counts_statements(session.server) or (keys is not None and not keys):
        return ()
    raw, full = await _read(session, keys)
    found = await asyncio.to_thread(_described, raw, longest(session.server))
    if keys is None:
        return tuple(found.values())
    if full:  # what is missing may be there
        return tuple(found[key] for key in dict.fromkeys(keys) if key in found)
    return tuple(found.get(key) or _without(key) for key in dict.fromkeys(keys))


def longest(server: Server) -> int:
    """Bytes of tokens that the server keeps of a statement."""
    names = ("max_digest_length", "performance_schema_max_digest_length")
    return min(int(server.settings.get(name, 1024)) for name in names)


def is_cut(text: str, most: int) -> bool:
    """Whether a digest's text fills the server's array of tokens, so that the statement may go on.

    Nothing in the text says so. A token takes two bytes there, an identifier four and its own; what did not fit was at
    most an identifier.
    """
    taken = sum(2 + len(token.encode()) if token[0] == "`" else 2 for token in _TOKEN.findall(text))
    return taken + _LONGEST_TOKEN > most


async def _read(session: MysqlSession, keys: Collection[str] | None) -> tuple[list[Raw], bool]:
    wanted = "" if keys is None else "WHERE s.DIGEST IN %(digests)s"
    digests = sorted({key.rpartition(".")[2] for key in keys or ()})
    asked = None if keys is None else frozenset(keys)
    watched = watcher(session.server)
    size = 0

    def shape(rows: list[tuple[Any, ...]]) -> list[Raw]:
        nonlocal size
        shaped: list[Raw] = []
        for schema, digest, text in rows:
            if digest is None:
                continue
            key, ours = key_of(schema, digest), watched(schema)
            if (ours if asked is None else key in asked) and size < TOTAL:
                size += len(text or "")
                shaped.append((key, text, schema, None if ours else "elsewhere"))
        return shaped

    query = load("texts").format(keys=wanted)
    return await session.fetch(query, {"limit": LIMIT + 1, "digests": digests}, shape=shape), size >= TOTAL


def _described(raw: list[Raw], most: int) -> dict[str, StatementText]:
    from meshag_tui.engines.mysql import parse

    found = {}
    for key, text, schema, elsewhere in raw:
        if text is None:
            found[key] = _without(key, schema, elsewhere)
            continue
        described = parse.describe(text[:LIMIT])
        cut = len(text) > LIMIT or described.cut or is_cut(text, most)
        found[key] = StatementText(
            key=key,
            text=as_written(described.text),
            state="cut" if cut else "undecodable" if _BYTES.search(text) else "ok",
            fingerprint=described.fingerprint,
            kind=described.kind,
            database=schema,
            aside=elsewhere or described.aside,
        )
    return found


def _without(key: str, schema: str | None = None, aside: Aside | None = None) -> StatementText:
    database = schema or _schema_of(key)
    return StatementText(key, None, "unavailable", fingerprint=None, kind="other", database=database, aside=aside)


def _schema_of(key: str) -> str | None:
    return key.rpartition(".")[0] or None
