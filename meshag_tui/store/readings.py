"""How one reading of a server stands to the last: the same counters, reset ones, or another server's.

In: the last `Reading` and the new epoch and clocks. Out: a `Continuity`, on which every delta rests, and the interval's
`Span` in time. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from meshag_tui.snapshot import Epoch, ServerFacts, Statements

Event = dict[str, Any]
"""{"kind": …, "detail": one line for people}. Kinds: reset, restart, failover, eviction, decrease, visibility, gap,
clock, setting, unread. All but restart, gap, clock and setting mean that something was lost."""

LOSSLESS = frozenset({"restart", "gap", "clock", "setting"})


def event(kind: str, detail: str) -> Event:
    return {"kind": kind, "detail": detail}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading leaves for the next to be compared with. Times are epoch ms."""

    epoch: Epoch
    observed_at: int  # the server's clock, read before the counters were
    taken_at: int  # our clock
    visibility: tuple[str, ...]  # who read, and where: a change may uncover rows that are not new
    whole: bool
    hidden: int
    hidden_time_ms: float
    least_ms: float | None = None  # statements that took less in all were left out

    @classmethod
    def of(cls, facts: ServerFacts, statements: Statements, taken_at: int) -> Reading:
        who = (facts.user, str(facts.superuser), str(facts.database_oid), facts.database, facts.version)
        extension = facts.extensions.get("pg_stat_statements", "")
        scope = () if statements.elsewhere is None else ("all databases",)
        return cls(
            epoch=facts.epoch,
            observed_at=facts.observed_at,
            taken_at=taken_at,
            visibility=(*who, extension, *scope),
            whole=statements.whole,
            hidden=statements.hidden,
            hidden_time_ms=statements.hidden_time_ms,
            least_ms=statements.least_ms,
        )

    def as_document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Reading:
        values = dict(document)
        values["epoch"] = Epoch(**values["epoch"])
        values["visibility"] = tuple(values["visibility"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Continuity:
    """How a new reading stands to the last one.

    `state`: first (nothing before), broken (another server, or one we cannot tie to the last: baselines only), reset
    (the same server, its counters were reset since: lower bounds), same. `restarted`: the server started anew in
    between, so that a counter that fell proves nothing about when its new life began.
    """

    state: Literal["first", "broken", "reset", "same"]
    restarted: bool = False
    events: tuple[Event, ...] = ()


def continuity(previous: Reading | None, epoch: Epoch) -> Continuity:
    """Compare epochs. Statement, table and index counters all follow from this."""
    if previous is None:
        return Continuity("first")
    old = previous.epoch
    if epoch.system_identifier != old.system_identifier:
        return Continuity("broken", events=(event("failover", "another server answers at this address"),))
    if epoch.role != old.role:
        return Continuity("broken", events=(event("failover", f"the server was a {old.role} and is a {epoch.role}"),))
    # Where starts are told in whole seconds two of them may look like one: then what only grows in a life has fallen.
    new_life = epoch.ran is not None and old.ran is not None and epoch.ran < old.ran
    restarted = new_life or epoch.started_at != old.started_at
    if new_life and epoch.stats_reset is not None and epoch.stats_reset == old.stats_reset:
        return Continuity("reset", True, (event("reset", "the server restarted without its statistics"),))
    if epoch.stats_reset == old.stats_reset:
        if not restarted:
            return Continuity("same")
        if epoch.stats_reset is None:
            # The counters may have survived, or it may be another node of the same cluster: nothing tells them apart.
            return Continuity("broken", True, (event("failover", "the server restarted; counters cannot be tied up"),))
        # Statistics come through a restart with their reset time only when they were saved whole.
        return Continuity("same", True, (event("restart", "the server restarted and kept its statistics"),))
    if epoch.stats_reset is None or old.stats_reset is None:
        return Continuity("broken", restarted, (event("reset", "the time of the last reset became known or unknown"),))
    if epoch.stats_reset <= previous.observed_at:
        # Reset before we last looked, yet the last reading did not see it: these are another node's counters.
        return Continuity("broken", restarted, (event("failover", "another node of the cluster answers"),))
    if restarted:
        return Continuity("reset", True, (event("reset", "the server restarted without its statistics"),))
    return Continuity("reset", events=(event("reset", "statement statistics were reset, or the server crashed"),))


@dataclass(frozen=True, slots=True)
class Span:
    """The interval's place in time, epoch ms on our clock; `start_at` None for a baseline."""

    start_at: int | None
    end_at: int
    events: tuple[Event, ...] = ()


CLOCK_TOLERANCE_MS = 5_000
GAP_FACTOR = 3


def span(previous: Reading | None, reading: Reading, expected_ms: int) -> Span:
    """Place the interval in time.

    Two clocks measure it, ours and the server's. Where they differ by more than 5 s one of them was set: the interval
    keeps the shorter positive length and is marked, so that no rate is made from it. An interval longer than three
    times what was expected is marked as a gap; its counts are whole, only their place in time is coarse.
    """
    if previous is None:
        return Span(None, reading.taken_at)
    ours = reading.taken_at - previous.taken_at
    servers = reading.observed_at - previous.observed_at
    if ours >= 0 and abs(ours - servers) <= CLOCK_TOLERANCE_MS:
        if ours > GAP_FACTOR * expected_ms:
            gap = event("gap", f"{ours // 1000} s without a sync")
            return Span(previous.taken_at, reading.taken_at, (gap,))
        return Span(previous.taken_at, reading.taken_at)
    length = min((elapsed for elapsed in (ours, servers) if elapsed > 0), default=expected_ms)
    jump = event("clock", f"our clock moved {ours / 1000:.0f} s while the server's moved {servers / 1000:.0f} s")
    return Span(reading.taken_at - length, reading.taken_at, (jump,))
