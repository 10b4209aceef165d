"""Texts of statements, read apart from their counters: dear to the server, and sometimes not to be had.

Texts are normalised, passwords and literals taken out, and capped. Parsing thousands of them takes seconds, so it is
done in a thread.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import psycopg

from meshag_tui.engines.base import EngineError
from meshag_tui.engines.postgres.capabilities import readable
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.postgres.statements import key_of, source, toplevel
from meshag_tui.snapshot import StatementText
from meshag_tui.types import Aside

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession

LIMIT = 65_536
"""Characters kept of one text."""
TOTAL = 16 * 1024 * 1024
"""Bytes of text one reading takes; what does not fit is left out, to be asked for again."""
_MEMORY = "64MB"  # for the one statement that reads texts, so that the server writes no temporary file
_HIDDEN = "<insufficient privilege>"
_ESCAPED_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")
_BAD_BYTES = ("22021", "22P05")  # a text of another database that this database's encoding cannot hold
Raw = tuple[str, str | None, str | None, str | None]  # key, text, role, the database where it is another


async def texts(session: PostgresSession, keys: Collection[str] | None) -> tuple[StatementText, ...]:
    """Texts of these statements (None: of all of this database): one for each key, but for those beyond `TOTAL` bytes.

    Source: pg_stat_statements(true). A state other than "ok": forbidden (another role's, and we may not see it),
    unavailable (evicted meanwhile, or the server lost its file of texts), undecodable (a text with bytes of another
    encoding; one such in the whole cluster keeps a UTF-8 database from reading any), cut (longer than `LIMIT`).

    Raises:
        EngineError: the session is lost, or the role may not read pg_stat_statements.
    """
    server = session.server
    if not readable(server) or (keys is not None and not keys):
        return ()
    try:
        raw = await _read(session, keys)
    except EngineError as error:
        if not isinstance(error.__cause__, psycopg.Error) or error.__cause__.sqlstate not in _BAD_BYTES:
            raise
        # Zeros are what a file of texts has where it was cut off and has grown since.
        state = "unavailable" if "0x00" in str(error) else "undecodable"
        return tuple(_without(key, state) for key in keys or ())
    found = await asyncio.to_thread(_described, raw, server.facts.database, server.facts.encoding == "SQL_ASCII")
    if keys is None:
        return tuple(found.values())
    if sum(len(text or "") for _, text, *_ in raw) > TOTAL - 4 * LIMIT:  # full: what is missing may be there
        return tuple(found[key] for key in dict.fromkeys(keys) if key in found)
    return tuple(found.get(key) or _without(key, "unavailable") for key in dict.fromkeys(keys))


async def _read(session: PostgresSession, keys: Collection[str] | None) -> list[Raw]:
    from psycopg import sql

    server = session.server
    home = server.facts.database_oid
    params: dict[str, Any] = {"databases": [home], "limit": LIMIT + 1, "total": TOTAL, "memory": _MEMORY}
    wanted = sql.SQL("")
    if keys is not None:
        wanted = sql.SQL(" AND s.queryid = ANY (%(ids)s::int8[])")
        params["ids"] = sorted({int(key.split(".")[2]) for key in keys})
        params["databases"] = sorted({int(key.split(".")[0]) for key in keys})
    query = sql.SQL(load("texts")).format(
        source=source(server, texts="m.memory IS NOT NULL"),
        toplevel=toplevel(server),
        keys=wanted,
    )
    asked = None if keys is None else frozenset(keys)

    def shape(rows: list[tuple[Any, ...]]) -> list[Raw]:
        shaped = []
        for user, queryid, top, text, role, database, name in rows:
            if queryid is not None:
                key = key_of(database, user, queryid, top)
                if asked is None or key in asked:
                    shaped.append((key, text, role, None if database == home else name or f"dropped, of id {database}"))
        return shaped

    return await session.fetch(query, params, shape=shape)


def _described(raw: list[Raw], database: str, bytes_escaped: bool) -> dict[str, StatementText]:
    from meshag_tui.engines.postgres import parse

    found = {}
    for key, text, role, other in raw:
        aside: Aside | None = "elsewhere" if other else None
        if text is None or text == _HIDDEN:
            state = "unavailable" if text is None else "forbidden"
            found[key] = _without(key, state, other or database, role, aside)
            continue
        cut = len(text) > LIMIT
        described = parse.describe(text[:LIMIT] if cut else text)
        undecodable = bytes_escaped and _ESCAPED_BYTE.search(text) is not None
        found[key] = StatementText(
            key=key,
            text=described.text,
            state="cut" if cut or described.cut else "undecodable" if undecodable else "ok",
            fingerprint=described.fingerprint,
            kind=described.kind,
            database=other or database,
            user=role,
            aside=described.aside if described.aside == "own" else aside or described.aside,
        )
    return found


def _without(
    key: str, state: Any, database: str | None = None, role: str | None = None, aside: Aside | None = None
) -> StatementText:
    return StatementText(key, None, state, fingerprint=None, kind="other", database=database, user=role, aside=aside)


async def texts_readable(session: PostgresSession) -> str | None:
    """None when texts can be read, else why not. Reads them all on the server, so it is for the doctor."""
    try:
        await _read(session, ())
    except EngineError as error:
        if session.wire.gone is not None:
            raise
        return str(error)
    return None
