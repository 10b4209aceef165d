"""How a database fares, as a sum that can be checked: 100 less what each measure takes, with the figure it rests on.

Nothing but figures decides: what could not be read takes nothing and is said to be not counted. A measure takes nothing
below its warning limit, a quarter of its points there, all of them at its critical limit, and in between in proportion,
in whole points: so 100 less the score is exactly the sum of the items. In: `store.health.found`. Out: `Health`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from meshag_tui.figures import count, duration, percent
from meshag_tui.live import Known
from meshag_tui.types import ConnectionStatus, UsageError

if TYPE_CHECKING:
    from meshag_tui.store.health import Found, Limits

WHOLE = 100
LEAST_JUDGED = 25
"""Of 100 points: where fewer could be judged, a score alone would say that all is well."""
_AT_WARNING = 0.25
Verdict = Literal["ok", "warning", "critical", "not counted"]
Unit = Literal["share", "ms", "number"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing a score looks at. `warning` and `critical` are the usual limits; `points` what it takes at most.

    Values are shares of 1, ms, or numbers by `unit`; `source` is where they are from. Where `warning` is above
    `critical`, less is worse.
    """

    name: str
    title: str
    unit: Unit
    warning: float
    critical: float
    points: int
    source: str

    def says(self, value: float | None) -> str:
        """A value for people."""
        return _SAYS[self.unit](value)

    @property
    def less_is_worse(self) -> bool:
        return self.warning > self.critical


def _number(value: float | None) -> str:
    return count(value) if value is None or value >= 100 else f"{value:.1f}".removesuffix(".0")


_SAYS: Mapping[Unit, Callable[[float | None], str]] = {"share": percent, "ms": duration, "number": _number}
MEASURES: tuple[Measure, ...] = (
    Measure("reading", "Syncs missed", "number", 3, 10, 15, "time since the last sync, in intervals"),
    Measure("connections", "Connections taken", "share", 0.80, 0.95, 12, "vital figures: taken of all that may be"),
    Measure("blocked", "Longest wait for another", "ms", 5_000, 30_000, 12, "samples that saw a session blocked"),
    Measure("oldest", "Oldest transaction", "ms", 300_000, 1_800_000, 10, "vital figures"),
    Measure("lag", "Replication lag", "ms", 10_000, 60_000, 10, "vital figures"),
    Measure("hits", "Cache hits", "share", 0.95, 0.80, 8, "vital figures: between two looks at the server"),
    Measure("wraparound", "Way to wraparound", "share", 0.50, 0.80, 8, "vital figures: age of the oldest unfrozen"),
    Measure("undo", "Undo to be purged", "number", 100_000, 1_000_000, 8, "vital figures: InnoDB's history list"),
    Measure("slow", "Time in slow statements", "share", 0.30, 0.80, 10, "statements of the last hour"),
    Measure("idle", "Idle in a transaction", "number", 1, 5, 5, "sessions in the newest samples, for a minute or more"),
    Measure("advice", "Urgent advice", "number", 1, 5, 10, "open suggestions of high priority"),
)
"""Of `wraparound` and `undo` a server has one, so that all a server has add up to a hundred points; which one, its
samples tell."""
_IDLE_MS = 60_000.0
_LIMIT = re.compile(r"(\d+(?:\.\d+)?)\s*(%|[a-z]*)")
_UNITS: Mapping[Unit, Mapping[str, float]] = {
    "share": {"%": 0.01, "": 1.0},
    "ms": {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "min": 60_000.0, "h": 3_600_000.0},
    "number": {"": 1.0, "k": 1e3, "m": 1e6},
}
_EXAMPLES: Mapping[Unit, str] = {"share": "80%", "ms": "30s or 5min", "number": "5"}


class Reading(NamedTuple):
    """The value of a measure, or why there is none. `fix` is what would mend that."""

    state: Known
    value: float | None = None
    detail: str = ""
    fix: str = ""


_UNREAD = Reading("no data", detail="nobody looked in the last ten minutes")


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the score. `lost` is what it takes; of one that is not counted, `detail` and `fix` say why."""

    name: str
    title: str
    verdict: Verdict
    value: float | None
    said: str
    warning: float
    critical: float
    own: bool  # whether the limits are this connection's own
    points: int
    lost: int
    detail: str
    fix: str
    source: str


@dataclass(frozen=True, slots=True)
class Health:
    """A score and the items it is the sum of. `judged`: points of those whose figures could be read, of 100."""

    score: int
    judged: int
    items: tuple[Item, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst that is said of an item."""
        verdicts = {item.verdict for item in self.items}
        known: tuple[Verdict, ...] = ("critical", "warning", "ok")
        return next((each for each in known if each in verdicts), "not counted")


def measure(name: str) -> Measure:
    """A measure by name. UsageError: there is none; the text names those there are."""
    for each in MEASURES:
        if each.name == name:
            return each
    raise UsageError(f"There is no measure {name!r}; there are {', '.join(each.name for each in MEASURES)}")


def checked(limits: Limits) -> dict[str, tuple[float, float]]:
    """Limits that can be. UsageError: a measure that is none, a value that is none, or a pair the wrong way round."""
    for name, (warning, critical) in limits.items():
        known = measure(name)
        if not all(math.isfinite(each) and each >= 0 for each in (warning, critical)):
            raise UsageError(f"The limits of {name} are two numbers from 0 on")
        if warning == critical or (warning > critical) != known.less_is_worse:
            order = "above" if known.less_is_worse else "below"
            raise UsageError(f"The warning limit of {name} lies {order} its critical limit")
    return dict(limits)


def limit_from(name: str, text: str) -> float:
    """A limit of a measure as people write it: "80%", "30s", "5". UsageError: it is none."""
    unit = measure(name).unit
    found = _LIMIT.fullmatch(text.strip().lower())
    factor = _UNITS[unit].get(found[2]) if found is not None else None
    if found is None or factor is None:
        raise UsageError(f"A limit of {name} is written as {_EXAMPLES[unit]}, not {text[:20]!r}")
    return float(found[1]) * factor


def score(readings: Mapping[str, Reading], own: Limits | None = None) -> Health:
    """Judge readings by the usual limits, or those of the connection. Measures without a reading are left out."""
    items = tuple(_item(each, readings[each.name], own or {}) for each in MEASURES if each.name in readings)
    judged = sum(item.points for item in items if item.verdict != "not counted")
    return Health(WHOLE - sum(item.lost for item in items), judged, items)


def lost(value: float, warning: float, critical: float, points: int) -> int:
    """The points that a value takes."""
    reached = (value - warning) / (critical - warning)
    if reached < 0:
        return 0
    if reached >= 1:
        return points
    return min(points - 1, max(1, round(points * (_AT_WARNING + (1 - _AT_WARNING) * reached))))


def _item(of: Measure, reading: Reading, own: Limits) -> Item:
    warning, critical = own.get(of.name, (of.warning, of.critical))
    taken, verdict = 0, "not counted"
    if reading.state == "ok" and reading.value is not None:
        taken = lost(reading.value, warning, critical, of.points)
        past = (reading.value - critical) / (critical - warning) >= 0
        verdict = "critical" if past else "warning" if taken else "ok"
    return Item(
        of.name,
        of.title,
        verdict,  # type: ignore[arg-type]
        reading.value,
        of.says(reading.value) if verdict != "not counted" else reading.state,
        warning,
        critical,
        of.name in own,
        of.points,
        taken,
        reading.detail,
        reading.fix,
        of.source,
    )


def readings(found: Found) -> dict[str, Reading]:
    """The readings that the figures of a connection give."""
    given = {
        "reading": _synced(found),
        "connections": _vital(found, "connections", of_limit=True),
        "blocked": _blocked(found),
        "oldest": _vital(found, "oldest_ms"),
        "lag": _vital(found, "lag_ms"),
        "hits": _vital(found, "hit_ratio"),
        "slow": _slow(found),
        "idle": _idle(found),
        "advice": Reading("ok", float(found.urgent)),
    }
    if found.ages_to_limit is not None:
        name = "wraparound" if found.ages_to_limit else "undo"
        given[name] = _vital(found, "age", of_limit=found.ages_to_limit)
    return given


def _synced(found: Found) -> Reading:
    info = found.info
    if info.status is ConnectionStatus.INACTIVE:
        return Reading("no data", detail="it is not synced: it was switched off")
    if info.last_sync_at is None:
        return Reading("no data", detail=info.last_error or "it was never synced")
    interval = 1000.0 * (info.interval_s or 60)
    if info.next_sync_at is not None:  # the pace may have been stretched
        interval = max(interval, float(info.next_sync_at - info.last_sync_at))
    return Reading("ok", max(0.0, (found.at - info.last_sync_at) / interval), detail=info.last_error or "")


def _vital(found: Found, name: str, of_limit: bool = False) -> Reading:
    if found.vitals is None:
        return _UNREAD
    vital = found.vitals.get(name)
    if vital is None:
        return Reading("unsupported", detail="this server does not tell it")
    if vital.state != "ok" or vital.value is None:
        return Reading(vital.state, detail=vital.detail, fix=vital.fix)
    if not of_limit:
        return Reading("ok", vital.value, vital.detail)
    if not vital.limit:
        return Reading("no data", detail="its limit is not known")
    return Reading("ok", vital.value / vital.limit, f"{count(vital.value)} of {count(vital.limit)}")


def _blocked(found: Found) -> Reading:
    """How long one session was seen to wait for another: the share of samples that saw it, of the time they span."""
    span = found.span
    if span is None or not span.samples:
        return _UNREAD
    each_ms = (span.end_at - span.start_at) / span.samples
    waited: dict[int, int] = {}
    for session in span.sessions:
        if session.blocked_by:
            waited[session.id] = waited.get(session.id, 0) + session.seen
    if not waited:
        return Reading("ok", 0.0)
    longest = max(waited, key=lambda session: waited[session])
    return Reading("ok", waited[longest] * each_ms, f"session {longest}, of {len(waited)} that waited")


def _idle(found: Found) -> Reading:
    if found.span is None:
        return _UNREAD
    idle = {
        session.id
        for session in found.span.sessions
        if session.state == "idle in transaction" and (session.ms or 0) >= _IDLE_MS
    }
    return Reading("ok", float(len(idle)), f"session {', '.join(map(str, sorted(idle)))}" if idle else "")


def _slow(found: Found) -> Reading:
    if found.time_ms is None or found.slow_ms is None:
        return Reading("no data", detail="no statement was observed in the last hour")
    if not found.time_ms:
        return Reading("no data", detail="no statement ran in the last hour")
    share = found.slow_ms / found.time_ms
    said = f"{duration(found.slow_ms)} of {duration(found.time_ms)} in those of {duration(found.slow_from_ms)} or more"
    return Reading("ok", share, said)
