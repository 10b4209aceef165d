"""The workflow `keep_store`: sum, roll up and prune the store's history, and copy it when that is due, once an hour on
all instances together; and what there is to say of the store itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from meshag_tui.figures import ago, duration, moment, number_of, size
from meshag_tui.settings import Settings
from meshag_tui.store import connections, database, digests, executions, place, remembered, retention
from meshag_tui.store.database import Spent, Store
from meshag_tui.types import ExecutionState, Finding
from meshag_tui.workflows.durable import Run, Workflow

KIND = "keep_store"
_MOST_ROUNDS = 100
_SUMS = {600: "ten minutes", 3_600: "an hour", 86_400: "a day"}
_BACKUP = "backup.last"
_HOUR_MS, _WEEK_MS = 3_600_000, 7 * 86_400_000
_SLOW_MS = 300.0
"""Longer than this nothing should take that a screen waits for."""
_LARGE_FILE, _MANY = 5 * 2**30, 20
"""Bytes, and connections, from which a store in PostgreSQL does better than one in a file."""


def workflow(store: Store, settings: Settings) -> Workflow:
    """The workflow function, bound to a store."""

    async def keep_store(run: Run) -> Mapping[str, Any]:
        intervals, pruned = 0, Counter[str]()
        async with run.phase("sum"):
            for info in await store(connections.listing):  # one at a time, for the same reason
                await store(digests.close, info.id)
        async with run.phase("roll up"):
            for _ in range(_MOST_ROUNDS):  # a bounded piece of work at a time: syncs wait for the store's thread
                rolled = await store(retention.roll_up, settings.retention)
                intervals += rolled.intervals
                if not rolled.more:
                    break
        async with run.phase("prune"):
            for _ in range(_MOST_ROUNDS):
                found = await store(retention.prune, settings.retention)
                pruned.update(found.rows)
                if not found.more:
                    break
        said: dict[str, Any] = {"rolled_up": intervals, "pruned": dict(pruned)}
        async with run.phase("back up"):
            said["backup"] = await _backed_up(store, settings)
        slowest = [each._asdict() for each in store.slowest()]
        return {**said, "bytes": await store.read(retention.total_bytes), "slowest": slowest}

    return keep_store


async def _backed_up(store: Store, settings: Settings) -> str | None:
    """The copy that was due and made. MeshagError: it could not be made, which fails the run, and so is alerted of."""
    every = settings.backup.every_h
    if store.path is None or not every:
        return None
    now = await store.read(database.now_ms)
    before = await store.read(remembered.recall, _BACKUP)
    if before is not None and now - before["at"] < every * _HOUR_MS:
        return None
    made = await asyncio.to_thread(_copied, store.path, settings)
    await store(remembered.remember, _BACKUP, {"at": now, **made})
    return str(made["file"])


def _copied(path: Path, settings: Settings) -> dict[str, Any]:
    folder = Path(settings.backup.folder).expanduser() if settings.backup.folder else path.parent / "backups"
    made = place.backup_beside(path, folder, settings.backup.keep)
    return {"file": str(made), "bytes": made.stat().st_size}


class Counted(NamedTuple):
    """How much the store took at a moment (epoch ms)."""

    at: int
    bytes: int


class Kept(NamedTuple):
    """What is to be said of a store: bytes in all, the levels, how many connections, what it took a week ago or when
    it was counted first since, the last copy made by itself, and what took longest."""

    total: int
    levels: tuple[retention.Level, ...]
    connections: int
    before: Counted | None
    backup: Mapping[str, Any] | None
    slowest: Sequence[Spent]


def kept() -> Kept:
    """In the store's thread; `slowest` is what the last upkeep had seen in its process."""
    done = (ExecutionState.DONE,)
    runs = executions.listing(kind=KIND, states=done, since=database.now_ms() - _WEEK_MS)
    counted = [run for run in runs if isinstance(run.result, Mapping) and "bytes" in run.result]
    before = Counted(counted[-1].finished_at or 0, int(counted[-1].result["bytes"])) if counted else None
    slowest = [Spent(**each) for each in counted[0].result["slowest"]] if counted else []
    return Kept(
        retention.total_bytes(),
        retention.levels(),
        len(connections.listing()),
        before,
        remembered.recall(_BACKUP),
        slowest,
    )


def grown(found: Kept) -> str:
    """How much the store grew, and since when; "" where nobody counted yet."""
    if found.before is None:
        return ""
    more = found.total - found.before.bytes
    return f"{size(abs(more))} {'less' if more < 0 else 'more'} than {ago(found.before.at)}"


def in_words(each: Spent) -> str:
    """What took long: "history.queries, read 12 times: 320 ms at most, 80 ms on average"."""
    did = "read" if each.read else "done"
    mean = duration(each.total_ms / max(1, each.calls))
    return f"{each.name}, {did} {number_of(each.calls, 'time')}: {duration(each.longest_ms)} at most, {mean} on average"


async def store_findings(store: Store, settings: Settings) -> tuple[Finding, ...]:
    """Where the store is, what it takes, how far back it goes and how it grew; its copies; what took long; and what is
    wrong with its place."""
    found = await store.read(kept)
    held = "; ".join(f"{_what(each)} since {moment(each.oldest)}" for each in found.levels if each.oldest is not None)
    said = "; ".join(filter(None, (f"{store.url_label} takes {size(found.total)}", grown(found))))
    findings = [Finding("store", "ok", "Store", f"{said}{': ' if held else ''}{held}")]
    log = None if store.path is None else place.kept_log(store.path)
    warnings = [*store.warnings, *([] if log is None else [log])]
    findings += [Finding("store-place", "degraded", "Store", warning) for warning in warnings]
    if store.path is not None:
        findings.append(_backups(found, settings))
    slow = sorted((*store.slowest(), *found.slowest), key=lambda each: -each.longest_ms)[:5]
    if slow:
        severity: Literal["info", "ok"] = "info" if slow[0].longest_ms > _SLOW_MS else "ok"
        findings.append(Finding("store-slow", severity, "Slowest in the store", "; ".join(map(in_words, slow))))
    if store.kind == "sqlite" and (found.total > _LARGE_FILE or found.connections > _MANY):
        many = number_of(found.connections, "connection")
        detail = f"{size(found.total)} of {many} in one file, which one process at a time writes"
        findings.append(
            Finding("store-large", "info", "Store in PostgreSQL", detail, "export MESHAG_STORE=postgresql://…")
        )
    return tuple(findings)


def _backups(found: Kept, settings: Settings) -> Finding:
    last = found.backup
    made = f"the last, {size(last['bytes'])}, {ago(last['at'])}: {last['file']}" if last else "none was made yet"
    if settings.backup.every_h:
        return Finding("backup", "ok", "Backup", f"every {settings.backup.every_h:g} h, {made}")
    said = f"none is made by itself; {made}" if last else "none is made by itself"
    return Finding(
        "backup", "info", "Backup", said, "[backup] every_h = 24 in config.toml, or meshag store backup FILE"
    )


def _what(level: retention.Level) -> str:
    if not level.resolution_s:
        return number_of(level.intervals, "sync")
    return f"{number_of(level.intervals, 'sum')} of {_SUMS[level.resolution_s]}"
