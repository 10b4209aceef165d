"""What a suggestion says once it was measured: never a gain that was none, and always what was forecast beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshag_tui.advisor.rehearsed import VALID_MS, forecast, rehearsed, saving, signed, with_rehearsals
from meshag_tui.advisor.rewrites import unproven
from meshag_tui.types import (
    CreateIndex,
    DropIndex,
    EvidenceKind,
    IndexColumn,
    IndexSpec,
    Risk,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
)

PLANNED = Suggestion(
    rule="missing-index",
    identity="missing-index:orders",
    type=SuggestionType.INDEX_OPTIMIZATION,
    priority=SuggestionPriority.MEDIUM,
    title="Index orders (customer): about 40 % of all query time",
    text="",
    evidence_kind=EvidenceKind.PLANNED,
    evidence={
        "kind": "planned",
        "facts": ["planner cost 900 → 9"],
        "confidence": [{"points": 85, "why": "planned"}, {"points": -10, "why": "only 8 calls were counted"}],
        "affected_share": 0.4,
    },
    confidence=0.75,
    risk=Risk.MEDIUM,
    change=CreateIndex(IndexSpec("public", "orders", (IndexColumn("customer"),))),
    gain_ms_per_day=1_000.0,
)


def measured(estimate: float, *, wide: float = 0.05, **more: Any) -> dict[str, Any]:
    low, high = estimate - wide, estimate + wide
    verdict = "faster" if high < -0.03 else "slower" if low > 0.03 else "inconclusive"
    figures = {"median_ms": 10.0, "p95_ms": 12.0, "blocks": 100.0, "rows": 1.0}
    statement = {
        "query_id": "qry_0000000001", "main": True, "ms_per_day": 5_000.0, "verdict": verdict, "sets": 5, "rounds": 8,
        "before": figures, "after": figures, "change": {"estimate": estimate, "low": low, "high": high},
        "same_plan": True, "same_work": False,
    }  # fmt: skip
    ends = {"about": -estimate * 5_000, "least": -high * 5_000, "most": -low * 5_000}
    saved = None if verdict == "inconclusive" else ends
    return {
        "verdict": verdict, "share": 1.0, "sandbox": "PostgreSQL 18.6", "saved_ms_per_day": saved, "sql": "SELECT 2",
        "statements": [statement], **more,
    }  # fmt: skip


def total(one: Suggestion) -> int:
    return sum(point["points"] for point in one.evidence["confidence"])


def test_what_is_faster_rests_on_the_measurement() -> None:
    one = rehearsed(PLANNED, "reh_1", 7, measured(-0.6))
    assert one.title == "Index orders (customer): −60 % (−65 % to −55 %) measured"
    assert (one.evidence_kind, one.evidence["kind"]) == (EvidenceKind.MEASURED, "measured")
    assert one.priority is SuggestionPriority.HIGH and one.gain_ms_per_day == pytest.approx(3_000)
    assert total(one) == round(one.confidence * 100) == 80 and "only 8 calls" in str(one.evidence["confidence"])
    assert one.evidence["rehearsal"]["id"] == "reh_1"


def test_what_outcomes_said_of_the_planner_says_nothing_of_a_measurement() -> None:
    points = [*PLANNED.evidence["confidence"], {"points": -30, "why": "of 9 such changes 2 did what was forecast"}]
    weighed = replace(
        PLANNED, confidence=0.45, evidence={**PLANNED.evidence, "confidence": points, "uncalibrated": 0.75}
    )
    one, plain = (rehearsed(each, "reh_1", 7, measured(-0.6)) for each in (weighed, PLANNED))
    assert one.confidence == plain.confidence == one.evidence["uncalibrated"]
    assert one.evidence["method"] == "rehearsal" and "such changes" not in str(one.evidence["confidence"])
    assert forecast(one) == weighed
    assert "such changes" in str(rehearsed(weighed, "reh_1", 7, measured(0.0)).evidence["confidence"])


def test_what_is_slower_is_never_shown_as_a_gain() -> None:
    one = rehearsed(PLANNED, "reh_1", 7, measured(0.2))
    assert "slower" in one.title and "of all query time" not in one.title
    assert one.priority is SuggestionPriority.LOW and one.gain_ms_per_day == pytest.approx(-1_000)
    assert one.confidence == 0.05 and one.evidence_kind is EvidenceKind.MEASURED
    assert "more would be spent" in saving(one.evidence["rehearsal"]["saved_ms_per_day"])


def test_noise_changes_the_confidence_alone() -> None:
    one = rehearsed(PLANNED, "reh_1", 7, measured(0.0))
    assert (one.title, one.evidence_kind, one.gain_ms_per_day) == (PLANNED.title, EvidenceKind.PLANNED, 1_000.0)
    assert total(one) == 65


def test_a_candidate_that_does_nothing_is_labelled_no_effect_and_what_may_go_gains_by_it() -> None:
    nothing = {"verdict": "no effect", "saved_ms_per_day": None}
    one = rehearsed(PLANNED, "reh_1", 7, measured(0.0) | nothing)
    assert one.title == "Index orders (customer): no effect" and one.priority is SuggestionPriority.LOW
    assert (one.evidence_kind, one.gain_ms_per_day, one.confidence) == (EvidenceKind.MEASURED, 0.0, 0.05)
    assert forecast(one) == PLANNED
    part = rehearsed(PLANNED, "reh_1", 7, measured(0.0, share=0.02) | nothing)
    assert part.title.endswith("no effect on 2.0 % of the rows") and part.evidence_kind is EvidenceKind.PLANNED
    assert total(part) == 45 and part.gain_ms_per_day == 1_000.0, "on all rows it may be otherwise"
    drop = replace(PLANNED, change=DropIndex("public", "orders", "orders_old"), gain_ms_per_day=None)
    gone = rehearsed(drop, "reh_1", 7, measured(0.0) | nothing)
    assert gone.title == drop.title and total(gone) == 80, "nobody misses it: as it should be"


def test_a_small_copy_and_another_plan_are_held_against_it() -> None:
    document = measured(-0.6, share=0.02)
    document["statements"][0]["same_plan"] = False
    whys = {point["why"]: point["points"] for point in rehearsed(PLANNED, "r", 7, document).evidence["confidence"]}
    assert whys["only 2.0 % of a table was copied"] == -10
    assert whys["the sandbox plans the statement otherwise than the server does now"] == -15


def test_the_forecast_is_kept_and_the_next_rehearsal_begins_from_it() -> None:
    once = rehearsed(PLANNED, "reh_1", 7, measured(0.2))
    assert forecast(once) == PLANNED == forecast(PLANNED)
    assert rehearsed(once, "reh_2", 8, measured(-0.6)) == rehearsed(PLANNED, "reh_2", 8, measured(-0.6))


def test_only_a_fresh_rehearsal_of_the_same_counts() -> None:
    newest = {PLANNED.identity: ("reh_1", 1_000, measured(-0.6))}
    assert with_rehearsals([PLANNED], newest, 2_000)[0].evidence_kind is EvidenceKind.MEASURED
    assert with_rehearsals([PLANNED], newest, 2_000 + VALID_MS) == [PLANNED]
    assert with_rehearsals([replace(PLANNED, identity="another")], newest, 2_000)[0].identity == "another"
    proof = {"proven": True, "doubts": [], "sets": 5, "trials": 9}
    rewritten = {PLANNED.identity: ("reh_1", 1_000, measured(-0.6, proof=proof))}
    asked = unproven(replace(PLANNED, change=None, title="qry_1: write it otherwise"), "SELECT 3")
    assert with_rehearsals([asked], rewritten, 2_000) == [asked], "it was of another text"
    same = unproven(replace(PLANNED, change=None, title="qry_1: write it otherwise"), "SELECT 2")
    (one,) = with_rehearsals([same], rewritten, 2_000)
    assert one.title.startswith("qry_1: write it otherwise (proven): −60 %") and one.evidence["rewrite"]["proven"]


def test_a_faster_statement_that_is_not_proven_says_so_first() -> None:
    proof = {"proven": False, "doubts": ["their rows differ with NULL in t.a"], "sets": 5, "trials": 9}
    asked = unproven(replace(PLANNED, change=None, title="qry_1: write it otherwise"), "SELECT 2")
    one = rehearsed(asked, "reh_1", 7, measured(-0.6, proof=proof))
    assert one.title.startswith("qry_1: write it otherwise (not proven): ")
    assert one.evidence["facts"][0].startswith("not proven to return the same rows: their rows differ with NULL")
    assert total(one) == 40 and forecast(one) == asked


def test_what_takes_a_little_time_still_takes_some() -> None:
    assert [signed(share) for share in (-0.9976, -0.99999, -0.994, -1.0, 0.998)] == [
        "−99.8 %",
        "−99.9 %",
        "−99 %",
        "−100 %",
        "+100 %",
    ]
