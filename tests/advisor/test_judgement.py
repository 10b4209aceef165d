"""Confidence, priority and impact: each point has its reason, and the figures are those that were counted."""

from __future__ import annotations

import pytest

from meshag_tui.advisor.judgement import DAY_MS
from tests.advisor.conftest import Watch, by_rule
from tests.advisor.test_queries import BOOKS
from tests.rig.postgres import Database


async def test_every_point_of_a_confidence_has_its_reason(watch: Watch, pg15: Database) -> None:
    if not pg15.hypopg:
        pytest.skip("PostgreSQL 15 without HypoPG")
    pg15.execute("CREATE EXTENSION hypopg", BOOKS, "CREATE INDEX twice ON books (shelf, id)", "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work(
        "SELECT id, title FROM books ORDER BY id LIMIT 20 OFFSET 30000",
        "SELECT title FROM books WHERE author_id = 77",
        times=5,
    )
    advice = await shop.advice()
    assert {one.rule for one in advice.suggestions} == {"offset-pagination", "missing-index", "duplicate-index"}
    for one in advice.suggestions:
        points = one.evidence["confidence"]
        assert round(one.confidence * 100) == sum(point["points"] for point in points)
        assert all(point["why"] for point in points)
        assert one.evidence["priority"].startswith(one.priority.lower() + ": ")
    (index,) = by_rule(advice, "missing-index")
    whys = {point["why"]: point["points"] for point in index.evidence["confidence"]}
    assert next(iter(whys)).startswith("the server's planner priced it (") and whys["only 5 calls were counted"] == -10
    assert any("the planner expects" in why and "calls returned 4" in why for why in whys)
    assert index.gain_ms_per_day is not None
    assert 0 < index.gain_ms_per_day <= index.evidence["affected_ms_per_day"]

    (offset,) = by_rule(advice, "offset-pagination")
    (query,) = [one for one in shop.workload() if one.id in offset.query_ids]
    a_day = query.total_time_ms * DAY_MS / shop.window().span_ms
    assert offset.evidence["affected_ms_per_day"] == pytest.approx(a_day, rel=1e-3)
    assert f"{offset.evidence['affected_share']:.0%}".rstrip("%") in offset.evidence["priority"]
    (copy,) = by_rule(advice, "duplicate-index")
    assert "affected_ms_per_day" not in copy.evidence and "read from the catalogue" in str(copy.evidence["confidence"])
