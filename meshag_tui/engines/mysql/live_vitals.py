"""The vital figures of a MySQL or MariaDB server: a value, or why there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError, PermissionDenied
from meshag_tui.engines.mysql import capabilities, sources
from meshag_tui.engines.mysql.sql import load
from meshag_tui.figures import count, size
from meshag_tui.live import LiveSession, Vital

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

_STATUS = {"MySQL": "performance_schema.global_status", "MariaDB": "information_schema.GLOBAL_STATUS"}


class Vitals:
    """Reads them, and remembers the counters that a share is counted between."""

    def __init__(self, session: MysqlSession) -> None:
        self._session = session
        self._before: tuple[int, int] | None = None
        self._temporary: tuple[float, int, int] | None = None  # monotonic s, tables in all and on disk so far

    async def read(self, sessions: Sequence[LiveSession], unseen: bool) -> dict[str, Vital]:
        """Sources: global status, INNODB_METRICS, see `lag`. `unseen`: transactions are hidden from us."""
        server = self._session.server
        status = await self._status()
        grant = f"GRANT PROCESS ON *.* TO {capabilities.grantee(server)};"
        now = (int(status.get("innodb_buffer_pool_read_requests", 0)), int(status.get("innodb_buffer_pool_reads", 0)))
        before, self._before = self._before, now
        made = (int(status.get("created_tmp_tables", 0)), int(status.get("created_tmp_disk_tables", 0)))
        earlier, self._temporary = self._temporary, (time.monotonic(), *made)
        oldest = max((each.transaction_ms or 0.0 for each in sessions), default=0.0)
        return {
            "hit_ratio": _hit_ratio(before, now),
            "connections": Vital(
                "ok", float(status.get("threads_connected", 0)), float(server.settings.get("max_connections", 0))
            ),
            "lag_ms": await lag(self._session),
            "oldest_ms": Vital("insufficient privilege", fix=grant) if unseen else Vital("ok", oldest),
            "age": await self._history(status, grant),
            "checkpoints": _to_be_written(status),
            "temporary": _temporary(earlier, self._temporary),
        }

    async def connected(self) -> int:
        """How many sessions the server has, ours among them."""
        return int((await self._status()).get("threads_connected", 0))

    async def _status(self) -> dict[str, Any]:
        rows = await self._session.fetch(load("live_vitals").format(status=_STATUS[self._session.server.flavour]))
        return {str(name).lower(): value for name, value in rows}

    async def _history(self, status: dict[str, Any], grant: str) -> Vital:
        known = Vital("ok", detail="undo logs to be purged", title="history list")
        if "innodb_history_list_length" in status:
            return replace(known, value=float(status["innodb_history_list_length"]))
        found = await self._asked(load("live_history_list"))
        if isinstance(found, EngineError):
            return replace(known, state="insufficient privilege", fix=grant)
        return replace(known, value=float(found[0][0])) if found else replace(known, state="unsupported")

    async def _asked(self, statement: str) -> list[Any] | EngineError:
        """The rows; or the error, unless the session is lost."""
        try:
            return await self._session.fetch(statement)
        except EngineError as error:
            if self._session.wire.gone is not None:
                raise
            return error


async def lag(session: MysqlSession) -> Vital:
    """How far a replica is behind, in ms; of what is none, or may be none, that.

    Raises:
        EngineError: the session is lost.
    """
    server = session.server
    nobody = Vital("no data", detail="it replicates from nobody; replicas tell their lag themselves")
    if server.replicates is False:
        return nobody
    try:
        found = await sources.status(session.wire)
    except PermissionDenied:
        right, whom = sources.RIGHTS[server.flavour], capabilities.grantee(server)
        return Vital("insufficient privilege", fix=f"GRANT {right} ON *.* TO {whom};")
    if not found:
        return nobody
    behind = sources.behind_ms(server.flavour, found)
    return Vital("ok", behind) if behind is not None else Vital("no data", detail="replication does not run")


def _hit_ratio(before: tuple[int, int] | None, now: tuple[int, int]) -> Vital:
    """The share of page requests found in the buffer pool since the look before."""
    if before is None or now[0] < before[0] or now[1] < before[1]:
        return Vital("no data", detail="it is counted between two looks")
    requests, reads = now[0] - before[0], now[1] - before[1]
    return Vital("ok", 1 - min(1.0, reads / requests)) if requests else Vital("no data", detail="nothing was read")


def _to_be_written(status: Mapping[str, Any]) -> Vital:
    """How much of the redo log waits for a checkpoint, bytes: when it is full, all writing waits.

    Sources: Innodb_checkpoint_age (MariaDB), Innodb_redo_log_current_lsn and its kin (MySQL 8.0.30 and later).
    """
    known = Vital("unsupported", detail="the server does not tell it", title="redo log to be written")
    if "innodb_checkpoint_age" in status:
        age, most = status["innodb_checkpoint_age"], status.get("innodb_checkpoint_max_age", 0)
    elif "innodb_redo_log_current_lsn" in status:
        age = int(status["innodb_redo_log_current_lsn"]) - int(status["innodb_redo_log_checkpoint_lsn"])
        most = status["innodb_redo_log_capacity_resized"]
    else:
        return known
    if not int(most):
        return known
    detail = f"{size(int(age))} of {size(int(most))}"
    return replace(known, state="ok", value=float(age), limit=float(most), detail=detail)


def _temporary(before: tuple[float, int, int] | None, now: tuple[float, int, int]) -> Vital:
    """Internal temporary tables on disk, a second since the look before."""
    known = Vital("no data", detail="it is counted between two looks", title="temporary tables on disk")
    if before is None or now[1] < before[1] or now[2] < before[2] or now[0] <= before[0]:
        return known
    span_s, made, on_disk = (later - earlier for later, earlier in zip(now, before, strict=True))
    detail = f"of {count(made)} made in {span_s:.0f} s" if made else ""
    return replace(known, state="ok", value=on_disk / span_s, detail=detail)
