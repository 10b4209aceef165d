"""Statements whose plans take long to compile (JIT) beside what they take to run.

The server counts it for each statement, PostgreSQL 15 and later. Its counts are since they were last reset, not of the
window: they are read when some statement takes long enough, and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.engines.base import Compiled, EngineError, Session
from meshag_tui.figures import count, duration, percent
from meshag_tui.types import Suggestion

NOTABLE_SHARE = 0.02
COMPILING = 0.20
"""Share of a statement's time from which compiling it is worth a word."""
LEAST_MS = 5.0
"""Of a call."""


async def compiling(examined: Sequence[Examined], session: Session, notes: list[str]) -> list[Suggestion]:
    """Advice for the statements that are compiled for longer than it pays."""
    long = [one for one in examined if (one.query.mean_time_ms or 0.0) >= LEAST_MS and one.share >= NOTABLE_SHARE]
    try:
        return list(_found(long, await session.compiled())) if long else []
    except EngineError as error:
        if error.transient:
            raise
        notes.append(f"What compiling plans took could not be read: {error}")
        return []


def _found(examined: Sequence[Examined], known: Mapping[str, Compiled]) -> Iterator[Suggestion]:
    for one in examined:
        spent = known.get(one.query.key)
        if spent is None or not spent.calls:
            continue
        each, share = spent.compile_ms / spent.calls, spent.compile_ms / max(spent.total_ms, 1e-9)
        if each < LEAST_MS or share < COMPILING:
            continue
        cost = f" (its plan costs {count(one.plan.cost)})" if one.plan is not None else ""
        yield advice(
            "jit-overhead",
            one,
            f"{one.query.uid} spends {percent(share)} of its time on compiling its plan",
            f"Its plan is dear enough to be compiled (JIT){cost}, but runs too short to win that back: "
            f"{duration(each)} of {duration(spent.total_ms / spent.calls)} a call. Raise jit_above_cost above that, or "
            "switch it off for this work: ALTER ROLE … SET jit = off.",
            [
                f"compiled for {duration(spent.compile_ms)} of {duration(spent.total_ms)} in {count(spent.calls)} "
                "calls since the server began to count",
            ],
            0.85,
        )
