"""What sessions of a PostgreSQL server do now, and its vital figures: one statement each, over no table of a user's.

Source: pg_stat_get_activity(), the function under pg_stat_activity; pg_blocking_pids() of those that wait for a lock.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from meshag_tui.engines.live_texts import LiveTexts, Said
from meshag_tui.engines.postgres import parse
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.sql import load
from meshag_tui.figures import size
from meshag_tui.live import LiveReading, LiveSession, SessionState, Vital, WaitClass
from meshag_tui.types import Finding

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession

LISTED = 500
_MS = timedelta(milliseconds=1)
_WRAPAROUND = 2_146_483_647.0  # the server takes no more writes from here, 2^31 less its margin
_CHECKPOINTS = (
    "SELECT checkpoints_timed AS timed, checkpoints_req AS requested, stats_reset AS since"
    " FROM pg_catalog.pg_stat_bgwriter",
    "SELECT num_timed + restartpoints_timed AS timed, num_requested + restartpoints_req AS requested,"
    " stats_reset AS since FROM pg_catalog.pg_stat_checkpointer",  # from 17 on
)
_CLASSES: dict[str, WaitClass] = {
    "IO": "io",
    "Lock": "lock",
    "LWLock": "latch",
    "BufferPin": "latch",
    "Client": "network",
    "IPC": "other",
}
_KINDS = {"client backend": "client", "autovacuum worker": "autovacuum", "walsender": "replication"}


class Live:
    """Reads sessions over one open session, and remembers what figures it counts from."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session
        self._texts = LiveTexts(parse.normalise, parse.fingerprint)
        self._counted: dict[str, _Counted] = {}  # by database, at the look before

    async def read(self, idle: bool, vitals: bool, databases: Collection[str] = ()) -> LiveReading:
        """One sample; see `base.Session.live`."""
        wire, server = self._session.wire, self._session.server
        query = sql.SQL(load("live_sessions")).format(
            idle=sql.SQL("true" if idle else "false"),
            query_id=sql.SQL("s.query_id" if server.facts.version_number >= 140000 else "NULL::int8"),
            limit=sql.SQL(str(LISTED + 1)),
        )
        began = time.monotonic()
        rows = await wire.fetch(query, {})
        took_ms = (time.monotonic() - began) * 1000
        taken_at = int(time.time() * 1000)
        seen = [row for row in rows[:LISTED] if row[8] is not None or row[7] is not None]
        said = await self._texts.of(row[14] for row in seen)
        sessions = tuple(_session(row, said) for row in seen)
        hidden = len(rows[:LISTED]) - len(seen)
        tracked = server.session_settings.get("track_activities") != "off"
        finding = None if tracked else _untracked()
        if hidden:
            finding = _unseen(server.facts.user, hidden)
        found, others = await self._vitals(sessions, hidden, databases) if vitals else (None, {})
        return LiveReading(
            taken_at,
            took_ms,
            sessions,
            state="insufficient privilege" if hidden else "ok" if tracked else "unsupported",
            hidden=hidden,
            more=len(rows) - len(rows[:LISTED]),
            finding=finding,
            vitals=found,
            by_database=others,
        )

    async def _vitals(
        self, sessions: tuple[LiveSession, ...], hidden: int, databases: Collection[str]
    ) -> tuple[dict[str, Vital], dict[str, dict[str, Vital]]]:
        """The figures, and those that are of one database for each that is named.

        Sources: pg_stat_database, pg_stat_replication, pg_last_xact_replay_timestamp(), pg_database, and
        pg_stat_checkpointer (before 17 pg_stat_bgwriter).
        """
        checkpoints = _CHECKPOINTS[self._session.facts.version_number >= 170000]
        query = sql.SQL(load("live_vitals")).format(checkpoints=sql.SQL(checkpoints))
        rows = await self._session.wire.fetch(query, {"databases": list(databases)})
        connected, standby, lag, readers, unseen, readers_lag, age, multi_age = rows[0][:8]
        timed, requested, since, counted = rows[0][8:]
        settings, user = self._session.server.session_settings, self._session.facts.user
        limit = float(settings.get("max_connections", 0)) - float(settings.get("superuser_reserved_connections", 0))
        grant = f"GRANT pg_read_all_stats TO {quoted(user)};"
        before, now, own = self._counted, time.monotonic(), ""
        self._counted = {}
        for here, name, *numbers in counted or ():
            self._counted[name] = _Counted(now, *map(int, numbers))
            own = name if here else own
        of = {name: _of_database(before.get(name), now) for name, now in self._counted.items()}
        return {
            **(of.get(own) or _of_database(None, None)),
            "connections": Vital("ok", float(connected), limit),
            "lag_ms": _lag(standby, lag, readers, unseen, readers_lag, grant),
            "oldest_ms": Vital("insufficient privilege", fix=grant)
            if hidden
            else Vital(
                "ok", max((each.transaction_ms or 0.0 for each in sessions if each.kind == "client"), default=0)
            ),
            "age": Vital("ok", float(max(age, multi_age)), _WRAPAROUND, "transactions until wraparound"),
            "checkpoints": _requested(int(timed), int(requested), since),
        }, {name: of[name] for name in databases if name in of}


class _Counted(NamedTuple):
    """What the server has counted of a database at a moment (monotonic s)."""

    at: float
    hit: int
    read: int
    files: int
    written: int


def _of_database(before: _Counted | None, now: _Counted | None) -> dict[str, Vital]:
    """The figures that are counted by database, since the look before."""
    return {"hit_ratio": _hit_ratio(before, now), "temporary": _temporary(before, now)}


def _hit_ratio(before: _Counted | None, now: _Counted | None) -> Vital:
    """The share of blocks found in the server's memory since the look before."""
    if before is None or now is None or now.hit < before.hit or now.read < before.read:
        return Vital("no data", detail="it is counted between two looks")
    hit, read = now.hit - before.hit, now.read - before.read
    return Vital("ok", hit / (hit + read)) if hit + read else Vital("no data", detail="nothing was read")


def _requested(timed: int, requested: int, since: datetime | None) -> Vital:
    """Checkpoints that were asked for, by WAL that filled up for the most part, of all."""
    if not timed + requested:
        return Vital("no data", detail="there was none yet")
    when = f" since {since:%Y-%m-%d}" if since is not None else ""
    return Vital(
        "ok",
        float(requested),
        float(timed + requested),
        f"{requested:,} of {timed + requested:,}{when}, not due by time: max_wal_size was reached, or somebody asked",
    )


def _temporary(before: _Counted | None, now: _Counted | None) -> Vital:
    """Temporary files a second since the look before: what did not fit into work_mem."""
    if before is None or now is None or now.files < before.files or now.at <= before.at:
        return Vital("no data", detail="it is counted between two looks")
    span_s, files, written = now.at - before.at, now.files - before.files, now.written - before.written
    return Vital("ok", files / span_s, detail=f"files, {size(written)} in {span_s:.0f} s" if files else "")


def _lag(standby: bool, lag: float | None, readers: int, unseen: int, readers_lag: float | None, grant: str) -> Vital:
    if standby:
        return Vital("no data", detail="nothing was replayed yet") if lag is None else Vital("ok", max(0.0, lag))
    if not readers:
        return Vital("no data", detail="nobody replicates from it")
    if unseen:
        return Vital("insufficient privilege", fix=grant)
    return Vital("ok", readers_lag or 0.0, detail=f"of {readers} that read from it, the slowest")


def _session(row: tuple[Any, ...], said: dict[str, Said]) -> LiveSession:
    pid, began, begun, user, database, client, application, backend, state, wait, event = row[:11]
    transaction, changed, query_id, text, blockers, now = row[11:]
    text, fingerprint = said.get(text, (None, None))
    shown = _state(state)
    active = shown == "active"
    return LiveSession(
        id=pid,
        began=_stamp(began),
        begun=_stamp(begun),
        user=user or "",
        database=database or "",
        client=client or ("local" if backend == "client backend" else ""),
        application=application or "",
        kind=_KINDS.get(backend, backend or ""),
        state=shown,
        wait=(_CLASSES.get(wait, "other") if wait else "cpu") if active else None,
        event=f"{wait}: {event}" if active and wait else "",
        statement_ms=_age(begun, now) if active else None,
        transaction_ms=_age(transaction, now),
        state_ms=_age(changed, now),
        text=text,
        fingerprint=fingerprint,
        statement=None if query_id is None else str(query_id),
        blocked_by=tuple(dict.fromkeys(blockers or ())),
    )


def _state(state: str | None) -> SessionState:
    if state is None or state == "disabled":
        return "unknown"
    if state.startswith("idle in transaction"):
        return "idle in transaction"
    return "idle" if state == "idle" else "active"


def _stamp(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (now - moment) / _MS)


def _unseen(user: str, hidden: int) -> Finding:
    return Finding(
        "sessions-insufficient-privilege",
        "degraded",
        f"What {hidden:,} sessions of other roles do is hidden from {user}",
        "The server shows it only to members of pg_read_all_stats (<insufficient privilege>)",
        f"GRANT pg_read_all_stats TO {quoted(user)};",
        {"hidden": hidden},
    )


def _untracked() -> Finding:
    return Finding(
        "sessions-untracked",
        "degraded",
        "The server does not track what sessions do",
        "track_activities is off: neither state nor statement of a session is known",
        "ALTER SYSTEM SET track_activities = on; SELECT pg_reload_conf();",
    )
