"""The workflow `keep_store`: sum, roll up and prune the store's history, once an hour on all instances together; and
what there is to say of the store itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from meshag_tui.settings import Settings
from meshag_tui.store import connections, digests, place, retention
from meshag_tui.store.database import Store
from meshag_tui.text import moment, number_of, size
from meshag_tui.types import Finding
from meshag_tui.workflows.durable import Run, Workflow

KIND = "keep_store"
_MOST_ROUNDS = 100
_SUMS = {600: "ten minutes", 3_600: "an hour", 86_400: "a day"}
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
        return {"rolled_up": intervals, "pruned": dict(pruned)}

    return keep_store


async def store_findings(store: Store) -> tuple[Finding, ...]:
    """Where the store is, what it takes and how far back it goes; and what is wrong with its place."""
    total, levels, known = await store.read(_kept)
    kept = "; ".join(f"{_what(each)} since {moment(each.oldest)}" for each in levels if each.oldest is not None)
    found = [Finding("store", "ok", "Store", f"{store.url_label} takes {size(total)}{': ' if kept else ''}{kept}")]
    grown = None if store.path is None else place.kept_log(store.path)
    warnings = [*store.warnings, *([] if grown is None else [grown])]
    found += [Finding("store-place", "degraded", "Store", warning) for warning in warnings]
    if store.kind == "sqlite" and (total > _LARGE_FILE or known > _MANY):
        detail = f"{size(total)} of {number_of(known, 'connection')} in one file, which one process at a time writes"
        found.append(
            Finding("store-large", "info", "Store in PostgreSQL", detail, "export MESHAG_STORE=postgresql://…")
        )
    return tuple(found)


def _kept() -> tuple[int, tuple[retention.Level, ...], int]:
    return retention.total_bytes(), retention.levels(), len(connections.listing())


def _what(level: retention.Level) -> str:
    if not level.resolution_s:
        return number_of(level.intervals, "sync")
    return f"{number_of(level.intervals, 'sum')} of {_SUMS[level.resolution_s]}"
