"""What sessions of a MySQL or MariaDB server do now, and its vital figures.

Sources: performance_schema's threads and statements of MySQL, the list of processes of MariaDB (it numbers statements,
and its performance_schema is mostly off); information_schema.INNODB_TRX, which needs PROCESS. Who blocks whom is asked
when somebody waits: data_lock_waits or INNODB_LOCK_WAITS for rows, metadata_locks for tables.
"""

from __future__ import annotations

import time
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError, PermissionDenied
from meshag_tui.engines.live_texts import LiveTexts, Said
from meshag_tui.engines.mysql import capabilities, live_vitals, parse
from meshag_tui.engines.mysql.sql import load
from meshag_tui.live import Known, LiveReading, LiveSession, SessionState, WaitClass
from meshag_tui.types import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshag_tui.engines.mysql.session import MysqlSession

LISTED = 500
_TRANSACTIONS = "LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = {id}"
_IN_TRANSACTION = (
    "t.trx_state, TIMESTAMPDIFF(MICROSECOND, CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00'), NOW(6)) / 1000"
)
_ATTRIBUTES = (
    "LEFT JOIN performance_schema.session_connect_attrs a ON a.PROCESSLIST_ID = p.ID AND a.ATTR_NAME = 'program_name'"
)
_STRONG = frozenset({"EXCLUSIVE", "SHARED_NO_READ_WRITE", "SHARED_NO_WRITE", "SHARED_READ_ONLY"})
"""Metadata locks that others cannot be had beside; a weak one waits for these alone."""
# What the server says a session does, by its beginning: those that are a wait. Everything else is work.
_WAITS: tuple[tuple[str, WaitClass], ...] = (
    ("Waiting for table flush", "lock"),
    ("Waiting for global read lock", "lock"),
    ("Waiting for backup lock", "lock"),
    ("User lock", "lock"),
    ("Waiting for semi-sync", "network"),
    ("Sending to client", "network"),
    ("Reading from net", "network"),
    ("Writing to net", "network"),
    ("Receiving from client", "network"),
    ("Opening tables", "io"),
    ("waiting for handler commit", "io"),
    ("Commit", "io"),
    ("Copying to tmp table on disk", "io"),
    ("Waiting for commit", "lock"),
    ("Waiting for query cache", "latch"),
    ("User sleep", "other"),
    ("Waiting", "other"),
)


class Live:
    """Reads sessions over one open session, and remembers what it found out about its rights."""

    def __init__(self, session: MysqlSession) -> None:
        self._session = session
        self._texts = LiveTexts(parse.normalise, parse.fingerprint)
        self._sees_transactions: bool | None = None  # not asked yet
        self._vitals = live_vitals.Vitals(session)

    async def read(self, idle: bool, vitals: bool) -> LiveReading:
        """One sample; see `base.Session.live`."""
        if self._sees_transactions is None:
            self._sees_transactions = await self._may_see_transactions()
        unseen = not self._sees_transactions
        began = time.monotonic()
        rows = await self._session.fetch(self._query(idle or unseen, not unseen), {})
        took_ms = (time.monotonic() - began) * 1000
        taken_at = int(time.time() * 1000)
        shown = rows[:LISTED]
        said = await self._texts.of(row[11] for row in shown)
        server = self._session.server
        waits = any(_waits_for_lock(row[7], row[13]) for row in shown)
        pairs, blockers, finding = await self._blockers(shown) if waits else ({}, "ok", None)
        sessions = tuple(_session(row, said, pairs) for row in shown)
        # Without PROCESS the server lists, by its version, all sessions or those of our own account alone.
        hides_others = unseen and all(row[3] == server.facts.user for row in shown)
        if unseen:
            finding = capabilities.process_missing(server)
        found = await self._vitals.read(sessions, unseen) if vitals else None
        return LiveReading(
            taken_at,
            took_ms,
            sessions,
            state="insufficient privilege" if hides_others else "ok",
            hidden=await self._unlisted(len(rows)) if hides_others else 0,
            more=len(rows) - len(shown),
            blockers="insufficient privilege" if unseen else blockers,
            finding=finding,
            vitals=found,
        )

    async def _may_see_transactions(self) -> bool:
        """Asked once: MySQL refuses the list of transactions only when there is a session to look up in it."""
        try:
            await self._session.fetch("SELECT COUNT(*) FROM information_schema.INNODB_TRX")
        except PermissionDenied:
            return False
        return True

    def _query(self, idle: bool, transactions: bool) -> str:
        server = self._session.server
        watched = server.flavour == "MySQL" and server.observing is not None
        number = "p.PROCESSLIST_ID" if watched else "p.ID"
        parts = {
            "columns": _IN_TRANSACTION if transactions else "NULL, NULL",
            "transactions": _TRANSACTIONS.format(id=number) if transactions else "",
            "holds": " OR t.trx_mysql_thread_id IS NOT NULL" if transactions else "",
            "order": "t.trx_started IS NULL, t.trx_started, " if transactions else "",
            "idle": "1" if idle else "0",
            "limit": str(LISTED + 1),
        }
        if watched:
            return load("live_sessions").format(**parts)
        mariadb, attributes = server.flavour == "MariaDB", server.observing is not None
        # Where nothing tells programs apart, an idle session of our own account is one of ours.
        account = self._session.facts.user.replace("'", "''").replace("%", "%%")
        nothing_held = " AND t.trx_mysql_thread_id IS NULL" if transactions else ""
        own = (
            " AND COALESCE(a.ATTR_VALUE, '') NOT LIKE 'meshag/%%'"
            if attributes
            else f" AND NOT (p.USER = '{account}' AND p.COMMAND = 'Sleep'{nothing_held})"
            " AND COALESCE(p.INFO, '') NOT LIKE '%%/* meshag */%%'"
        )
        return load("live_processes").format(
            **parts,
            statement="p.QUERY_ID" if mariadb else "NULL",
            time="p.TIME_MS" if mariadb else "p.TIME * 1000",
            program="a.ATTR_VALUE" if attributes else "NULL",
            attributes=_ATTRIBUTES if attributes else "",
            own=own,
        )

    async def _unlisted(self, listed: int) -> int:
        connected = await self._vitals.connected()
        return max(0, connected - listed - 1)

    async def _blockers(
        self, rows: Sequence[tuple[Any, ...]]
    ) -> tuple[Mapping[int, tuple[int, ...]], Known, Finding | None]:
        """Who blocks each session that waits, whether that can be told, and what mends it if not."""
        server = self._session.server
        pairs: dict[int, list[int]] = defaultdict(list)
        try:
            if any(row[13] == "LOCK WAIT" for row in rows):
                name = "live_row_locks" if server.flavour == "MySQL" else "live_row_locks_mariadb"
                for waiting, blocking in await self._session.fetch(load(name)):
                    pairs[int(waiting)].append(int(blocking))
            tables = [row for row in rows if "metadata lock" in (row[7] or "")]
            if tables:
                locks = [] if server.observing is None else await self._session.fetch(load("live_metadata_locks"))
                for waiting, blocking in _metadata_blockers(locks):
                    pairs[waiting].append(blocking)
                if not locks:
                    return _distinct(pairs), "unsupported", _no_metadata_locks(server.observing is None)
        except EngineError as error:
            if self._session.wire.gone is not None:
                raise
            denied = isinstance(error, PermissionDenied)
            finding = Finding("blockers", "degraded", "It cannot be told who blocks whom", str(error), error.fix)
            return _distinct(pairs), "insufficient privilege" if denied else "no data", finding
        return _distinct(pairs), "ok", None


def _distinct(pairs: Mapping[int, list[int]]) -> dict[int, tuple[int, ...]]:
    return {waiting: tuple(dict.fromkeys(blocking)) for waiting, blocking in pairs.items()}


def _metadata_blockers(locks: Sequence[tuple[Any, ...]]) -> list[tuple[int, int]]:
    """(waiting, blocking) from locks as (object, session, kind, waits).

    A strong lock waits for whoever holds any; a weak one for who holds a strong one, or else waits for one before it.
    """
    by_object: dict[str, list[tuple[int, str, bool]]] = defaultdict(list)
    for name, session, kind, waits in locks:
        if session is not None:
            by_object[name].append((int(session), kind, bool(waits)))
    found = []
    for each in by_object.values():
        held = [(session, kind) for session, kind, waits in each if not waits]
        asked = [(session, kind) for session, kind, waits in each if waits]
        for waiting, kind in asked:
            blocking = [s for s, other in held if s != waiting and (kind in _STRONG or other in _STRONG)]
            if not blocking and kind not in _STRONG:
                blocking = [s for s, other in asked if s != waiting and other in _STRONG]
            found += [(waiting, one) for one in blocking]
    return found


def _session(row: tuple[Any, ...], said: dict[str, Said], blockers: Mapping[int, tuple[int, ...]]) -> LiveSession:
    number, thread, event_id, user, host, database, command, doing, time_ms, timed_ms, digest, text = row[:12]
    program, in_transaction, transaction_ms = row[12:]
    shown, fingerprint = said.get(text or "", (None, None))
    state = _state(command, in_transaction)
    active = state == "active"
    blocked_by = blockers.get(int(number), ())
    age_ms = None if time_ms is None else max(0.0, float(time_ms))
    # MySQL numbers what a thread does; where nothing does, the text stands for it.
    begun = event_id if event_id is not None else zlib.crc32((text or "").encode("utf-8", "replace"))
    return LiveSession(
        id=int(number),
        began=f"{thread} {user}@{host}",
        begun=str(begun),
        user=user or "",
        database=database or "",
        client=host or "",
        application=program or "",
        kind="replication" if str(command).startswith("Binlog Dump") else "client",
        state=state,
        wait=("lock" if blocked_by else _wait(doing, in_transaction)) if active else None,
        event=(doing or "") if active else "",
        statement_ms=(age_ms if timed_ms is None else float(timed_ms)) if active else None,
        transaction_ms=None if transaction_ms is None else max(0.0, float(transaction_ms)),
        state_ms=age_ms,
        text=shown,
        fingerprint=fingerprint,
        statement=digest,
        blocked_by=blocked_by,
    )


def _state(command: str, in_transaction: str | None) -> SessionState:
    if command != "Sleep":
        return "active"
    return "idle" if in_transaction is None else "idle in transaction"


def _waits_for_lock(doing: str | None, in_transaction: str | None) -> bool:
    return _wait(doing, in_transaction) == "lock"


def _wait(doing: str | None, in_transaction: str | None) -> WaitClass:
    """The class of what a working session waits for, by the server's words for it."""
    said = doing or ""
    if in_transaction == "LOCK WAIT" or ("lock" in said.lower() and said.startswith("Waiting")):
        return "lock"
    return next((kind for beginning, kind in _WAITS if said.lower().startswith(beginning.lower())), "cpu")


def _no_metadata_locks(switched_off: bool) -> Finding:
    if switched_off:
        return Finding(
            "metadata-locks",
            "degraded",
            "Who holds a table's metadata lock is not known",
            "performance_schema is off, or not ours to read",
            "Set performance_schema = ON in the server's file and restart it",
        )
    return Finding(
        "metadata-locks",
        "degraded",
        "Who holds a table's metadata lock is not known",
        "The instrument wait/lock/metadata/sql/mdl is off",
        "UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' WHERE NAME = 'wait/lock/metadata/sql/mdl';",
    )
