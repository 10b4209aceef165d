"""The tiles are what SQL over the tables says."""

from __future__ import annotations

from typing import Any

from meshag_tui.store import alerts, budgets, connections, health, models, suggestions, tiles
from meshag_tui.store.database import Store
from meshag_tui.types import ConnectionStatus, EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType

HOUR = 3_600_000
AT = 1_790_000_000_000


def test_tiles_equal_sql(store: Store, connection: str) -> None:
    def fill() -> None:
        connections.set_status(connection, ConnectionStatus.ACTIVE)
        ended = (("done", 1, 100), ("done", 2, 300), ("failed", 3, 50), ("cancelled", 4, 9), ("done", 30, 7))
        for number, (state, ago, took) in enumerate((*ended, ("running", 1, None))):
            at = AT - ago * HOUR
            end = None if took is None else at + took
            known = {"id": f"exec_{number}", "kind": "k", "key": "x", "slot": number, "state": state}
            models.Execution.create(started_at=at, finished_at=end, created_at=at, updated_at=at, **known)
        for title in ("one", "two"):
            suggestions.save(connection, [_advice(title)])
        budgets.add_plan("Team", "10")
        budgets.subscribe("Team")
        alerts.put(connection, "critical", "lag", subject="lag")
        health.keep(connection, AT, 73, 100, [])

    store.run(fill)
    found = store.run(tiles.tiles, AT - 24 * HOUR)

    def sql(statement: str) -> Any:
        return store.run(lambda: models.database.execute_sql(statement).fetchone()[0])

    since = AT - 24 * HOUR
    assert found.runs == sql(f"SELECT COUNT(*) FROM execution WHERE finished_at > {since}") == 4
    assert (found.running, found.failed) == (1, 1)
    assert found.success_rate == 2 / 3
    mean = sql(f"SELECT AVG(finished_at - started_at) FROM execution WHERE state = 'done' AND finished_at > {since}")
    assert found.mean_ms == float(mean) == 200
    assert found.open_suggestions == sql("SELECT COUNT(*) FROM suggestion WHERE resolved_at IS NULL") == 2
    assert found.connections == {"ACTIVE": 1}
    agents = store.run(lambda: dict(models.database.execute_sql("SELECT status, COUNT(*) FROM agent GROUP BY status")))
    assert found.agents == agents
    assert [(each.plan, each.cap) for each in found.budgets] == [("Team", 10)]
    assert (found.open_alerts, found.worst_health) == (1, 73)
    later = store.run(tiles.tiles, AT)
    assert (later.runs, later.success_rate, later.mean_ms) == (0, None, None)


def _advice(title: str) -> Suggestion:
    return Suggestion(
        rule="n-plus-one", identity=title, type=SuggestionType.QUERY_OPTIMIZATION, priority=SuggestionPriority.LOW,
        title=title, text=title, evidence_kind=EvidenceKind.COUNTED, evidence={"kind": "counted", "facts": []},
        confidence=0.9, risk=Risk.LOW,
    )  # fmt: skip
