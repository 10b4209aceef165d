"""Stopping a session of somebody else, for `changes/` alone: one statement, which finds it as it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from meshag_tui.engines.base import Limits, PermissionDenied
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.session import connect
from meshag_tui.live import Ended, Ending, LiveSession
from meshag_tui.types import Target

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession

_FUNCTIONS = {"cancel": "pg_cancel_backend", "terminate": "pg_terminate_backend"}


def end_sql(ending: Ending) -> str:
    """Exactly what runs. The condition is part of it: nothing can take the number between look and signal."""
    session = ending.session
    same = [f"s.backend_start = {_literal(session.began)}"]
    same.append(f"s.query_start = {_literal(session.begun)}" if session.begun else "s.query_start IS NULL")
    return (
        f"SELECT pg_catalog.{_FUNCTIONS[ending.way]}(s.pid)\n"
        f"FROM pg_catalog.pg_stat_get_activity({session.id:d}) s\n"
        f"WHERE {' AND '.join(same)}"
    )


async def end(target: Target, limits: Limits, ending: Ending) -> Ended:
    """Send it, and look whether the session obeyed. PermissionDenied says which right is missing."""
    async with connect(target, "ending", limits) as session:
        try:
            rows = await session.fetch(sql.SQL(end_sql(ending).replace("%", "%%")), {})
        except PermissionDenied as error:
            raise PermissionDenied(str(error), _grant(session, ending.session)) from error
        if rows:
            return Ended("sent", "" if rows[0][0] else "the server could not signal it")
        there = await session.fetch("SELECT 1 FROM pg_catalog.pg_stat_get_activity(%s) s", [ending.session.id])
        return Ended("changed" if there else "gone")


def _grant(session: PostgresSession, ended: LiveSession) -> str:
    return (
        f"GRANT pg_signal_backend TO {quoted(session.facts.user)}; lets it stop sessions of all but superusers; "
        f"being a member of {quoted(ended.user)} lets it stop those of that role"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
