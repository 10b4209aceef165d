"""The score: its items add up exactly, whatever the figures; what is not known takes nothing and says so."""

from __future__ import annotations

import random

import pytest

from meshag_tui.advisor import score
from meshag_tui.advisor.score import MEASURES, Reading
from meshag_tui.types import UsageError

STATES = ("ok", "ok", "ok", "insufficient privilege", "unsupported", "no data")


def test_the_items_add_up_to_what_is_missing_of_a_hundred() -> None:
    chance = random.Random(7)
    for _ in range(1_000):
        given = {}
        for each in MEASURES:
            spread = abs(each.critical - each.warning)
            value = max(0.0, chance.uniform(-0.5, 1.5) * spread + min(each.warning, each.critical))
            given[each.name] = Reading(chance.choice(STATES), value)  # type: ignore[arg-type]
        given.pop(chance.choice(("wraparound", "undo")))
        found = score.score(given)
        assert sum(item.lost for item in found.items) == 100 - found.score
        assert 0 <= found.score <= 100
        assert sum(item.points for item in found.items) == 100
        assert found.judged == sum(item.points for item in found.items if given[item.name].state == "ok")
        for item in found.items:
            assert (item.lost > 0) == (item.verdict in ("warning", "critical"))
            assert (item.lost == item.points) == (item.verdict == "critical")
            assert (item.verdict == "not counted") == (given[item.name].state != "ok")
        assert found == score.score(given), "the same figures give the same score"


@pytest.mark.parametrize(
    ("value", "verdict", "lost"),
    [(0.0, "ok", 0), (9_999, "ok", 0), (10_000, "warning", 2), (35_000, "warning", 6), (60_000, "critical", 10)],
)
def test_a_measure_takes_in_proportion_from_its_warning_limit_on(value: float, verdict: str, lost: int) -> None:
    (item,) = score.score({"lag": Reading("ok", value)}).items
    assert (item.verdict, item.lost) == (verdict, lost)


def test_less_can_be_worse() -> None:
    found = [score.score({"hits": Reading("ok", share)}).items[0] for share in (0.99, 0.95, 0.85, 0.80, 0.1)]
    assert [each.lost for each in found] == [0, 2, 6, 8, 8]


def test_limits_of_ones_own_count_and_are_said() -> None:
    (item,) = score.score({"lag": Reading("ok", 5_000)}, {"lag": (1_000, 5_000)}).items
    assert (item.verdict, item.own, item.critical) == ("critical", True, 5_000)


@pytest.mark.parametrize(
    "limits", [{"lag": (2.0, 1.0)}, {"hits": (0.8, 0.9)}, {"lag": (1.0, 1.0)}, {"lag": (-1.0, 1.0)}, {"x": (1.0, 2.0)}]
)
def test_limits_that_cannot_be_are_refused(limits: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(UsageError):
        score.checked(limits)


def test_what_cannot_be_read_says_why_and_takes_nothing() -> None:
    grant = "GRANT pg_read_all_stats TO watcher;"
    (item,) = score.score({"oldest": Reading("insufficient privilege", fix=grant)}).items
    assert (item.verdict, item.said, item.lost, item.fix) == ("not counted", "insufficient privilege", 0, grant)
