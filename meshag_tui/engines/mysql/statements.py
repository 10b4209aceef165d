"""Counters of statements by digest, without texts; what could not be attributed to one is told apart.

What the server does not have is left out, so that it can never be read as 0. A figure beyond 63 bits is a negative one
that the server let wrap: it was not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.costly import STEPS_MS, TOO_FEW, Choice, Narrowed, narrowed
from meshag_tui.engines.mysql.scope import INTERNAL, watcher
from meshag_tui.engines.mysql.sql import load
from meshag_tui.snapshot import LOCK_TIME, Epoch, OtherDatabases, Statements

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.wire import Wire

_PS_PER_MS = 1e9
_LARGEST = 2**63
_WHOLE_SECOND_MS = 1000
_TOGETHER = ""  # in place of a digest: what a schema's statements that are not read did together
_SENT = 7  # where a row has what its statement sent; there, how many those are

COLUMNS = (
    *("calls", "total_time_ms", "min_time_ms", "max_time_ms", "rows", "rows_examined", "no_index_calls", "tmp_tables"),
    *("tmp_disk_tables", "sort_merge_passes", LOCK_TIME, "stats_since"),
)
_TIME = 1 + COLUMNS.index("total_time_ms")  # in a row, after its key


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
    narrowed: Narrowed | None = None

    def epoch(self, epoch: Epoch) -> Epoch:
        return replace(epoch, stats_reset=self.stats_reset)


def key_of(schema: str | None, digest: str) -> str:
    """A statement's key: what the server itself tells statements apart by."""
    return f"{schema or ''}.{digest}"


async def read(wire: Wire, server: Server, choice: Choice, elsewhere: bool = False) -> Reading:
    """One statement, and one more for each time that `choice` is to be made. Rows of the watched schemas; without one
    in the URL, those of no schema too; with `elsewhere` all but those of the server's own.

    The table drops nothing, so the oldest entry moves only when all were dropped: that is the time of the last reset.
    Left out, and counted as hidden: what ran in the server's own schemas, our sessions among it, what overflowed, and
    where there are too many those that took the least time. The time of the latter two is part of the server's total;
    of what overflowed nobody can tell whose it is.
    """
    fresh = not choice.asked or choice.elsewhere != elsewhere
    while True:
        if fresh:
            choice.narrowed, choice.elsewhere = await _narrowed(wire, server, elsewhere), elsewhere
        chosen = choice.narrowed
        query, given = load("statements"), None
        if chosen is not None:
            query, given = f"{query}\n{load('costly')}", {"least": _picoseconds(chosen.least_ms)}
        shaper = _Shaper(server, elsewhere)
        rows = await wire.fetch(query, given, shape=shaper.shape)
        if fresh or chosen is None or shaper.oldest == choice.stats_reset:
            break
        fresh = True  # emptied meanwhile
    few = chosen is not None and len(rows) < TOO_FEW * wire.limits.statements
    choice.asked, choice.stats_reset = not few, shaper.oldest
    statements = Statements(
        COLUMNS,
        rows,
        shaper.hidden,
        shaper.lost_time_ms + shaper.least_time_ms,
        least_ms=None if chosen is None else chosen.least_ms,
        elsewhere=frozenset(shaper.of_others) if elsewhere else None,
    )
    lost = int(server.status.get("Performance_schema_digest_lost", 0))
    unattributed = Unattributed(shaper.lost_calls, shaper.lost_time_ms, shaper.all_time_ms, lost)
    others = None if elsewhere else shaper.others
    if chosen is not None:  # counted at each reading, unlike that by which they were chosen
        number, time_ms = len(rows) + shaper.least, sum(row[_TIME] for row in rows) + shaper.least_time_ms
        chosen = replace(chosen, left_out=shaper.least, left_out_ms=shaper.least_time_ms, all=number, all_ms=time_ms)
    return Reading(statements, shaper.oldest, unattributed, shaper.digests, others, chosen)


async def _narrowed(wire: Wire, server: Server, elsewhere: bool) -> Narrowed | None:
    """Which statements to read, None: all. Asked only of a server that has room for more than are to be read."""
    most, room = wire.limits.statements, int(server.settings.get("performance_schema_digests_size", 0))
    if not most or 0 < room <= most:
        return None
    watched = watcher(server)
    found: dict[int, tuple[int, float]] = {}
    steps = ", ".join(str(_picoseconds(step)) for step in STEPS_MS)
    for schema, step, number, time_ps in await wire.fetch(load("statement_times").format(steps=steps)):
        if watched(schema) or (elsewhere and schema not in INTERNAL):
            so_far, time_ms = found.get(step, (0, 0.0))
            found[step] = so_far + number, time_ms + int(time_ps) / _PS_PER_MS
    return narrowed(((step, number, 0, time_ms) for step, (number, time_ms) in found.items()), most)


def _picoseconds(time_ms: float) -> int:
    return round(time_ms * _PS_PER_MS)


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
        self.least, self.least_time_ms = 0, 0.0  # what was not read, because it took too little
        self.oldest: int | None = None

    def shape(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """By the column: a row has two dozen steps, and there are tens of thousands of rows."""
        if rows[-1][1] == _TOGETHER:  # they come last
            rows = list(self._told_apart(rows))
            if not rows:
                return []
        schemas, digests, seen, calls, totals, shortest, longest, *others, locked = zip(*rows, strict=True)
        sent, affected, *others = others
        since = [at + self._round_up if at else None for at in seen]
        self._older(min(filter(None, since), default=None))
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

    def _older(self, oldest: int | None) -> None:
        self.oldest = oldest if self.oldest is None else min(self.oldest, oldest or self.oldest)

    def _told_apart(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Those of one statement; what a schema's others did together is counted."""
        for row in rows:
            schema, digest, oldest, calls, time_ps, *_ = row
            if digest != _TOGETHER:
                yield row
                continue
            number, time_ms = row[_SENT], time_ps / _PS_PER_MS
            self._older(oldest + self._round_up if oldest else None)
            self.digests += number
            self.all_time_ms += time_ms
            if self._watched(schema) or (self._elsewhere and schema not in INTERNAL):
                self.hidden += number
                self.least += number
                self.least_time_ms += time_ms
            elif schema in INTERNAL:
                self.hidden += number
            else:
                self._of_another(schema, number, calls, time_ms)

    def _of_another(self, schema: str | None, statements: int, calls: int, time_ms: float) -> None:
        self._schemas.add(schema)
        so_far = self.others
        self.others = OtherDatabases(
            len(self._schemas), so_far.statements + statements, so_far.calls + calls, so_far.time_ms + time_ms
        )

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
                self._of_another(schema, 1, calls, time_ms)
                continue
            self.hidden += 1
            if digest is None:
                self.lost_calls += calls
                self.lost_time_ms += time_ms


def _milliseconds(column: Iterable[int]) -> list[float]:
    return [picoseconds / _PS_PER_MS for picoseconds in column]


def _counted(column: Sequence[int]) -> Sequence[int | None]:
    return column if max(column) < _LARGEST else [value if value < _LARGEST else None for value in column]
