"""How sure a suggestion is and how much hangs on it, point by point, so that nobody has to believe a number.

In: a suggestion as its rule made it, whose confidence is what its kind of evidence carries at best or worst; the
statements it is about, with their plans and counts; the window; what became of such changes before. Out: the same
suggestion with the points that its confidence is the sum of, why it has its priority, and the time a day at stake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.calibration import Calibration
from meshag_tui.advisor.examined import Examined
from meshag_tui.figures import count, duration, percent
from meshag_tui.plan import Plan
from meshag_tui.store.outcomes import method_of
from meshag_tui.types import EvidenceKind, Rebuild, Suggestion, Window

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

DAY_MS = 86_400_000
MOST, LEAST = 99, 5
FEW_CALLS, MANY_CALLS = 10, 1_000
RIGHT_BY, WRONG_BY = 2.0, 10.0

_GROUNDS: Mapping[EvidenceKind, str] = {
    EvidenceKind.MEASURED: "it was run and timed",
    EvidenceKind.PLANNED: "the server's planner priced it",
    EvidenceKind.COUNTED: "the server counted it",
    EvidenceKind.STATED: "reasoned from plan and statistics, not checked by the planner",
}
_RULE_GROUNDS = {
    **dict.fromkeys(
        ("duplicate-index", "redundant-index", "invalid-index", "no-primary-key", "autovacuum-off"),
        "read from the catalogue: it is so",
    ),
    "unused-index": "no use was counted, though rare work may still want it",
    "sequence-exhaustion": "last value and limit are read from the catalogue",
    "function-on-column": "the condition is read from the plan; what the application means is not",
    "implicit-cast": "the cast is read from the plan or follows from the rows read",
    "not-in-subquery": "read from the text and the columns' NOT NULL",
    "leading-wildcard": "the operator is read from the plan, the pattern from a text or from what calls read",
    "like-pattern": "the operator is read from the plan; the pattern is a parameter",
    "long-in-list": "the list is read from the text, or follows from the rows returned",
    "array-membership": "the condition is read from the plan, the type from the catalogue",
    "select-star": "the text says *, the sizes are counted; what is shown of it is not known",
    "n-plus-one": "follows from counts of calls and rows, not from the application's code",
    "missing-histogram": "rows read were counted, the values sampled; another plan is not certain",
    "wide-rows": "widths are from the statistics, what is asked for from the plans",
    "partition-candidate": "size and rows were counted; what moving the rows takes is not known",
    "jit-overhead": "the server counted what compiling took",
    "work-mem-spill": "temporary blocks were counted; the memory wanted is reckoned from them",
}
_STAKES = {
    "invalid-index": "every write keeps an index up to date that nothing can use",
    "duplicate-index": "every write pays twice; nothing is lost without it",
    "redundant-index": "every write pays for it; nothing is lost without it",
    "unused-index": "every write pays for it",
    "unindexed-foreign-key": "each deleted parent row reads the whole child",
    "stale-statistics": "plans of all its statements rest on wrong counts",
    "table-bloat": "every scan reads it, and the cache holds it",
    "rebuild": "it takes disk that no other table can use",
    "index-bloat": "every look-up and the cache carry the dead weight",
    "autovacuum-late": "scans read the dead rows until the next, long vacuum",
    "foreign-key-type": "rows cannot be inserted once the key passes the smaller type",
    "autovacuum-off": "dead rows and wrong counts pile up until somebody cleans by hand",
    "no-primary-key": "it costs nothing today",
    "sequence-exhaustion": "inserts fail when the numbers run out",
    "transaction-wraparound": "the server stops taking writes when the numbers run out",
    "idle-in-transaction": "locks and dead rows are kept for as long as it sits",
    "connection-saturation": "new sessions are refused when the last one is taken",
}


def judged(
    made: Sequence[Suggestion],
    examined: Sequence[Examined],
    catalog: Catalog,
    window: Window | None,
    calibration: Calibration,
) -> list[Suggestion]:
    """The suggestions with "confidence" (points), "priority" and "affected_ms_per_day" added to their evidence, and
    "affected_reads_per_day" (blocks) where the server counts them.

    The last point is experience: what became of such changes. "uncalibrated" is the confidence without it, by which
    the outcome of this one will be counted.
    """
    by_id = {one.query.id: one for one in examined}
    lost = any(event.kind != "gap" for event in catalog.events)
    return [
        _judged(one, [by_id[query] for query in one.query_ids if query in by_id], window, lost, calibration)
        for one in made
    ]


def _judged(
    made: Suggestion, about: Sequence[Examined], window: Window | None, lost: bool, calibration: Calibration
) -> Suggestion:
    points = [(round(made.confidence * 100), _RULE_GROUNDS.get(made.rule) or _ground(made))]
    points += _of_statements(made, about, window, lost) if about else _of_observation(made)
    if made.evidence_kind is EvidenceKind.STATED:
        points = [points[0], *(one for one in points[1:] if one[0] < 0)]
    alone = whole = min(MOST, max(LEAST, sum(number for number, _ in points)))
    weighed = calibration.weigh(made.rule, method_of(made.evidence_kind, made.evidence), alone / 100)
    if weighed.why is not None:
        whole = min(MOST, max(LEAST, round(weighed.confidence * 100)))
        points.append((whole - alone, weighed.why))
    spent = sum(one.query.total_time_ms for one in about)
    share = sum(one.share for one in about)
    evidence = {
        **made.evidence,
        "confidence": [{"points": number, "why": why} for number, why in points],
        "uncalibrated": alone / 100,
        "priority": _priority(made, share if about else None),
    }
    if about and window is not None and window.span_ms > 0:
        evidence["affected_ms_per_day"] = round(spent * DAY_MS / window.span_ms, 3)
        evidence["affected_share"] = round(share, 4)
        reads = [one.query.shared_read for one in about]
        if None not in reads:
            evidence["affected_reads_per_day"] = round(sum(each or 0 for each in reads) * DAY_MS / window.span_ms, 3)
    return replace(made, confidence=whole / 100, evidence=evidence)


def _ground(made: Suggestion) -> str:
    method, planner = made.evidence.get("method"), made.evidence.get("planner")
    if method == "sandbox":
        return f"a planner with the server's statistics priced it ({planner})"
    return _GROUNDS[made.evidence_kind] + (f" ({method})" if isinstance(method, str) else "")


def _of_statements(
    made: Suggestion, about: Sequence[Examined], window: Window | None, lost: bool
) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    calls = sum(one.query.calls for one in about)
    if calls < FEW_CALLS:
        found.append((-10, f"only {count(calls)} calls were counted"))
    elif calls >= MANY_CALLS:
        found.append((5, f"{count(calls)} calls were counted"))
    if window is not None:
        days = window.span_ms / DAY_MS
        if days < 1 / 24:
            found.append((-5, f"watched for {duration(window.span_ms)} only"))
        elif days >= 1:
            found.append((5, f"watched for {days:.1f} days"))
    if lost:
        found.append((-5, "counters were reset or lost in the window"))
    if made.evidence_kind is not EvidenceKind.COUNTED or any(one.plan is None for one in about):
        errors = [(error, one) for one in about if (error := estimate_error(one)) is not None]
        if errors:
            worst, one = max(errors, key=lambda each: each[0])
            said = f"the planner expects {count(one.plan.root.rows if one.plan else None)} rows of {one.query.uid}, "
            said += f"calls returned {count(one.rows_per_call)}"
            if worst >= WRONG_BY:
                found.append((-15, said))
            elif worst <= RIGHT_BY:
                found.append((5, said))
    return found


def _of_observation(made: Suggestion) -> list[tuple[int, str]]:
    observed, asked = made.evidence.get("observed_days"), made.evidence.get("asked_days")
    if isinstance(observed, int | float) and isinstance(asked, int | float) and observed >= 2 * asked:
        return [(10, f"watched for {observed:.0f} days without a break, twice what is asked for")]
    return []


def estimate_error(one: Examined) -> float | None:
    """How many times the rows of a call are off from what the planner expects; None where that cannot be told."""
    rows = one.rows_per_call
    if one.plan is None or rows is None or one.query.kind != "select" or not _returns_what_it_expects(one.plan):
        return None
    ratio = max(rows, 1.0) / max(one.plan.root.rows, 1.0)
    return max(ratio, 1.0 / ratio)


def _returns_what_it_expects(plan: Plan) -> bool:
    """Whether the estimate of the root is of the rows a call returns: not where a LIMIT is a parameter."""
    return plan.root.kind != "Limit" or plan.mode != "generic"


def _priority(made: Suggestion, share: float | None) -> str:
    said = made.priority.lower()
    if share is not None:
        return f"{said}: the statements it is about take {percent(share)} of all query time"
    # What a rebuild gives back are whole pages that were freed, which nothing reads.
    stake = _STAKES.get("rebuild" if isinstance(made.change, Rebuild) else made.rule)
    return f"{said}: {stake}" if stake is not None else said
