"""Answers of models that were bought, kept so that the same question is not bought twice.

The key is a hash of all an answer rests on, see `agents.cache_key`. An answer has a time to live; beyond a size of all
together the ones least lately used go. A failure is never kept here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import peewee

from meshag_tui.store import database, models, people
from meshag_tui.store.documents import clean, document

DAY_MS = 86_400_000
THREAD = "thread"
"""The prompt version of answers in threads: no other speaks of what somebody said."""


class Cached(NamedTuple):
    """A kept answer. Times epoch ms."""

    key: str
    connection_id: str
    connection: str
    provider: str
    model: str
    prompt_version: str
    statements: tuple[str, ...]
    text: str
    size_bytes: int
    usage: Mapping[str, Any]
    hits: int
    last_hit_at: int | None
    expires_at: int
    created_at: int
    updated_at: int


class Size(NamedTuple):
    """Of the whole cache."""

    answers: int
    bytes: int
    hits: int


def take(key: str) -> Cached | None:
    """The answer under a key, its hit counted; None if there is none, or its time is over."""
    answer = models.CachedAnswer
    with database.atomic():
        now = database.now_ms()
        fresh = (answer.key == key) & (answer.expires_at > now)
        if not answer.update(hits=answer.hits + 1, last_hit_at=now, updated_at=now).where(fresh).execute():
            return None
        return _select(answer.key == key)[0]


def keep(
    key: str,
    connection_id: str,
    provider: str,
    model: str,
    prompt_version: str,
    statements: Sequence[str],
    text: str,
    usage: Mapping[str, Any],
    *,
    days: float,
    limit_bytes: int,
) -> None:
    """Keep an answer for so many days, and make room: what is over, then what was least lately used.

    An answer larger than the limit is not kept.
    """
    answer = models.CachedAnswer
    plain = clean(text)
    size = len(plain.encode())
    if days <= 0 or size > limit_bytes:
        return
    with database.atomic():
        now = database.now_ms()
        answer.delete().where((answer.key == key) | (answer.expires_at <= now)).execute()
        _make_room(limit_bytes - size)
        answer.create(
            key=key,
            connection=connection_id,
            provider=provider,
            model=model,
            prompt_version=prompt_version,
            statements=list(statements),
            text=plain,
            size_bytes=size,
            usage=document(dict(usage)),
            expires_at=now + round(days * DAY_MS),
            created_at=now,
            updated_at=now,
        )


def page(actor: str, limit: int = 200) -> tuple[Cached, ...]:
    """The answers kept, those used last first; those given in threads only for who may read what others said there."""
    seen = () if people.sees_all(actor) else (models.CachedAnswer.prompt_version != THREAD,)
    return _select(*seen, limit=limit)


def size() -> Size:
    answer = models.CachedAnswer
    row: Any = answer.select(
        peewee.fn.COUNT(answer.key),
        peewee.fn.COALESCE(peewee.fn.SUM(answer.size_bytes), 0),
        peewee.fn.COALESCE(peewee.fn.SUM(answer.hits), 0),
    ).tuples()
    return Size(*map(int, row[0]))


def clear(connection_id: str | None = None, key: str | None = None) -> int:
    """Forget answers: of one connection, of one key, or all; how many."""
    answer = models.CachedAnswer
    query = answer.delete()
    if connection_id is not None:
        query = query.where(answer.connection == connection_id)
    if key is not None:
        query = query.where(answer.key == key)
    return int(query.execute())


def _make_room(limit_bytes: int) -> None:
    answer = models.CachedAnswer
    used = size().bytes
    if used <= limit_bytes:
        return
    oldest: Any = (
        answer.select(answer.key, answer.size_bytes)
        .order_by(peewee.fn.COALESCE(answer.last_hit_at, answer.created_at))
        .tuples()
    )
    for key, size_bytes in list(oldest):
        if used <= limit_bytes:
            return
        answer.delete().where(answer.key == key).execute()
        used -= size_bytes


def _select(*where: Any, limit: int = 200) -> tuple[Cached, ...]:
    answer, connection = models.CachedAnswer, models.Connection
    query = (
        answer.select(answer, connection.name.alias("connection_name"))
        .join(connection)
        .order_by(peewee.fn.COALESCE(answer.last_hit_at, answer.created_at).desc(), answer.key)
        .limit(limit)
    )
    if where:
        query = query.where(*where)
    rows: Any = query.dicts()
    return tuple(
        Cached(
            connection_id=row.pop("connection"),
            connection=row.pop("connection_name"),
            statements=tuple(row.pop("statements")),
            **row,
        )
        for row in rows
    )
