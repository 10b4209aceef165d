"""Counters of statements by digest, without texts; what could not be attributed to one is told apart.

What the server does not have is left out, so that it can never be read as 0. A figure beyond 63 bits is a negative one
that the server let wrap: it was not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.mysql.scope import INTERNAL, watcher
from meshag_tui.engines.mysql.sql import load
from meshag_tui.snapshot import LOCK_TIME, Epoch, OtherDatabases, Statements

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.wire import Wire

_PS_PER_MS = 1e9
_LARGEST = 2**63
_WHOLE_SECOND_MS = 1000

COLUMNS = (
    *("calls", "total_time_ms", "min_time_ms", "max_time_ms", "rows", "rows_examined", "no_index_calls", "tmp_tables"),
    *("tmp_disk_tables", "sort_merge_passes", LOCK_TIME, "stats_since"),
)


@dataclass(frozen=True, slots=True)
class Unattributed:
    """What ran but has no digest of its own, because the table of digests was full; since the counters began."""

    calls: int = 0
    time_ms: float = 0.0
    all_time_ms: float = 0.0  # of everything the server counted, to know the share of
    lost: int = 0  # Performance_schema_digest_lost

    @property
    def share(self) -> float:
        return self.time_ms / self.all_time_ms if self.all_time_ms else 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters, with the moment the first of them began."""

    statements: Statements
    stats_reset: int | None
    unattributed: Unattributed
    digests: int  # rows in the table, of all schemas
    others: OtherDatabases | None = None  # what is not watched, unless it is read too

    def epoch(self, epoch: Epoch) -> Epoch:
        return replace(epoch, stats_reset=self.stats_reset)


def key_of(schema: str | None, digest: str) -> str:
    """A statement's key: what the server itself tells statements apart by."""
    return f"{schema or ''}.{digest}"


async def read(wire: Wire, server: Server, elsewhere: bool = False) -> Reading:
    """One statement. Rows of the watched schemas; without one in the URL, those of no schema too; with
    `elsewhere` all but those of the server's own.

    The table drops nothing, so the oldest entry moves only when all were dropped: that is the time of the last reset.
    Left out, and counted as hidden: what ran in the server's own schemas, our sessions among it, and what overflowed.
    The time of the latter is part of the server's total, though nobody can tell whose it is; that of the former is not.
    """
    shaper = _Shaper(server, elsewhere)
    rows = await wire.fetch(load("statements"), shape=shaper.shape)
    of_others = frozenset(shaper.of_others) if elsewhere else None
    statements = Statements(COLUMNS, rows, shaper.hidden, shaper.lost_time_ms, elsewhere=of_others)
    lost = int(server.status.get("Performance_schema_digest_lost", 0))
    unattributed = Unattributed(shaper.lost_calls, shaper.lost_time_ms, shaper.all_time_ms, lost)
    return Reading(statements, shaper.oldest, unattributed, shaper.digests, None if elsewhere else shaper.others)


class _Shaper:
    """Turns fetched rows into (key, *values), keeping count of what it leaves out."""

    def __init__(self, server: Server, elsewhere: bool) -> None:
        self._watched = watcher(server)
        self._elsewhere = elsewhere
        self.of_others: list[str] = []  # keys of what is read though it is not watched
        self.others = OtherDatabases(0, 0, 0, 0.0)
        self._schemas: set[str | None] = set()
        # MariaDB keeps whole seconds: rounded up, an entry never seems older than it is.
        self._round_up = _WHOLE_SECOND_MS if server.flavour == "MariaDB" else 0
        self.hidden = self.digests = self.lost_calls = 0
        self.lost_time_ms = self.all_time_ms = 0.0
        self.oldest: int | None = None

    def shape(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """By the column: a row has two dozen steps, and there are tens of thousands of rows."""
        schemas, digests, seen, calls, totals, shortest, longest, *others, locked = zip(*rows, strict=True)
        sent, affected, *others = others
        since = [at + self._round_up if at else None for at in seen]
        oldest = min(filter(None, since), default=None)
        self.oldest = oldest if self.oldest is None else min(self.oldest, oldest or self.oldest)
        times = _milliseconds(totals)
        self.digests += len(rows)
        self.all_time_ms += sum(times)
        watched = self._watched
        ours = [digest is not None and watched(schema) for schema, digest in zip(schemas, digests, strict=True)]
        if not all(ours):
            ours = list(self._not_watched(zip(ours, schemas, digests, calls, times, strict=True)))
        changed = [one + other for one, other in zip(sent, affected, strict=True)]
        shaped = zip(
            map(key_of, schemas, digests),
            [min(count, _LARGEST - 1) for count in calls] if max(calls) >= _LARGEST else calls,
            times,
            _milliseconds(shortest),
            _milliseconds(longest),
            *map(_counted, (changed, *others)),
            _milliseconds(locked),
            since,
            strict=True,
        )
        return list(compress(shaped, ours))

    def _not_watched(self, rows: Iterable[tuple[bool, str | None, str | None, int, float]]) -> Iterator[bool]:
        """Which are read; the others are counted."""
        for ours, schema, digest, calls, time_ms in rows:
            others = digest is not None and schema not in INTERNAL
            yield ours or (others and self._elsewhere)
            if ours:
                continue
            if digest is not None and others:
                if self._elsewhere:
                    self.of_others.append(key_of(schema, digest))
                self._schemas.add(schema)
                so_far = self.others
                self.others = OtherDatabases(
                    len(self._schemas), so_far.statements + 1, so_far.calls + calls, so_far.time_ms + time_ms
                )
                continue
            self.hidden += 1
            if digest is None:
                self.lost_calls += calls
                self.lost_time_ms += time_ms


def _milliseconds(column: Iterable[int]) -> list[float]:
    return [picoseconds / _PS_PER_MS for picoseconds in column]


def _counted(column: Sequence[int]) -> Sequence[int | None]:
    return column if max(column) < _LARGEST else [value if value < _LARGEST else None for value in column]
