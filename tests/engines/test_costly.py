"""Which statements are read where there are too many."""

from __future__ import annotations

from typing import Any

import pytest

from meshag_tui.engines.costly import STEPS_MS, TOO_FEW, narrowed
from meshag_tui.engines.postgres.sql import load
from tests.rig.postgres import Database

cases = pytest.mark.parametrize(
    ("found", "most", "least_ms", "left"),
    [
        ([(3, 900, 0, 5.0)], 1000, None, 0),
        ([(3, 900, 0, 5.0), (9, 90, 0, 50.0), (8, 20, 0, 5.0)], 100, STEPS_MS[8], 920),
        ([(1, 700, 0, 0.9), (3, 900, 5, 5.0), (9, 3, 0, 50.0)], 500, STEPS_MS[2], 700),  # three would be too few
        ([(0, 2000, 0, 0.5), (9, 3, 0, 50.0)], 1000, None, 0),  # and nothing tells the others apart
        ([(0, 2000, 7, 0.5), (1, 700, 0, 0.9), (9, 700, 0, 50.0)], 1000, STEPS_MS[8], 2700),
    ],
)


@cases
def test_how_statements_are_narrowed(found: list[Any], most: int, least_ms: float | None, left: int) -> None:
    chosen = narrowed(found, most)
    assert (chosen.least_ms if chosen else None, chosen.left_out if chosen else 0) == (least_ms, left)


@cases
def test_postgres_chooses_by_the_same_rule(
    pg18: Database, found: list[Any], most: int, least_ms: float | None, left: int
) -> None:
    kept = ", ".join(f"({STEPS_MS[step - 1] if step else 0.0}::float8, {number})" for step, number, *_ in found)
    source = f"(SELECT k.spent, 1 AS queryid FROM (VALUES {kept}) k (spent, times), generate_series(1, k.times))"
    chosen = load("statement_times").format(time="spent", source=source, within="true")
    with pg18.connect() as connection:
        given = {"steps": list(STEPS_MS), "most": most, "few": TOO_FEW * most}
        ((step,),) = connection.execute(f"WITH {chosen} SELECT step FROM least".encode(), given).fetchall()
    assert step == (min(step for step, *_ in found) if least_ms is None else STEPS_MS.index(least_ms) + 1)
