"""What was forecast of a change and what became of it: kept with the change, upgraded into older stores, counted."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from meshag_tui.advisor.calibration import ENOUGH, Calibration, said
from meshag_tui.changes import record
from meshag_tui.changes.money import estimate, worth
from meshag_tui.settings import MoneySettings
from meshag_tui.store import changes, connections, models, outcomes, schema, suggestions
from meshag_tui.store.database import Store
from meshag_tui.store.outcomes import OutcomeState, Track
from meshag_tui.types import CreateIndex, DropIndex, IndexColumn, IndexSpec
from tests.store.test_suggestions import MISSING


def _agreed(store: Store, connection: str, number: int = 0, confidence: float = 0.9) -> str:
    """The id of a change that was agreed to for a suggestion of this confidence."""
    advice = replace(MISSING, identity=f"missing-index:{number}", confidence=confidence)

    def agree() -> str:
        (suggestion,) = suggestions.save(connection, [advice]).ids
        return record.planned(
            connection,
            advice.change,  # type: ignore[arg-type]
            "CREATE INDEX …",
            actor="dba",
            plan_hash="abc",
            target={},
            undo_sql=None,
            gates=[],
            suggestion_id=suggestion,
            undoes=None,
        ).id

    return store.run(agree)


def test_a_forecast_is_kept_as_it_was_when_somebody_said_yes(store: Store, connection: str) -> None:
    change = _agreed(store, connection)
    later = replace(MISSING, identity="missing-index:0", gain_ms_per_day=1.0, confidence=0.1, query_ids=(1,))
    store.run(suggestions.save, connection, [later])
    found = store.run(outcomes.get, change)
    assert found is not None and found.state is OutcomeState.PENDING
    assert (found.rule, found.method, found.confidence) == ("missing-index", "planned", 0.9)
    assert found.gain_ms_per_day == 1234.5 and found.forecast["query_ids"] == [7, 9]
    assert store.run(outcomes.applied) == (), "nothing was done yet"
    store.run(record.failed, change, "not run")
    assert store.run(outcomes.applied) == () and store.run(outcomes.due) == ()


def test_outcomes_are_counted_by_rule_method_and_confidence(store: Store, connection: str) -> None:
    for number, (confidence, held) in enumerate(
        [(0.9, True), (0.9, True), (0.86, False), (0.9, None), (0.6, True), (0.2, False)]
    ):
        change = _agreed(store, connection, number, confidence)
        store.run(lambda change=change, held=held: outcomes.save(change, settled=True, held=held, state="better"))
    _agreed(store, connection, 99)  # not looked at yet
    assert store.run(outcomes.tracks) == (
        Track("missing-index", "planned", 0.0, 0.5, 1, 0, 1),
        Track("missing-index", "planned", 0.5, 0.7, 1, 1, 0),
        Track("missing-index", "planned", 0.85, 1.0, 4, 2, 1),
    )


def test_undone_because_it_was_worse_is_an_outcome_and_undone_before_the_end_is_none(
    store: Store, connection: str
) -> None:
    for number, state in enumerate((OutcomeState.WORSE, OutcomeState.BETTER, OutcomeState.WAITING)):
        change = _agreed(store, connection, number)
        store.run(lambda change=change, state=state: outcomes.save(change, settled=False, state=state))
        store.run(outcomes.end, change)
    assert store.run(outcomes.tracks) == (Track("missing-index", "planned", 0.85, 1.0, 1, 0, 1),)


def test_experience_moves_a_confidence_only_when_there_is_enough_of_it() -> None:
    few = Calibration([Track("missing-index", "hypopg", 0.85, 1.0, 4, 0, ENOUGH - 1)])
    told = few.weigh("missing-index", "hypopg", 0.9)
    assert told.confidence == 0.9 and "too few" in str(told.why)
    assert few.weigh("missing-index", "sandbox", 0.9) == (0.9, None), "of another method nothing is known"
    assert few.weigh("missing-index", "hypopg", 0.6) == (0.6, None), "nor of another class"
    bad = Calibration([Track("missing-index", "hypopg", 0.85, 1.0, 20, 2, 18)])
    weighed = bad.weigh("missing-index", "hypopg", 0.9)
    assert weighed.confidence == pytest.approx((2 + 5 * 0.9) / 25) and "2 of 20" in str(weighed.why)
    good = Track("missing-index", "hypopg", 0.5, 0.7, 20, 20, 0)
    assert Calibration([good]).weigh("missing-index", "hypopg", 0.6).confidence > 0.9
    assert said(good) == "60% becomes 92%"
    assert "too few to judge by" in said(Track("missing-index", "hypopg", 0.5, 0.7, 2, 1, 0))


def test_money_is_a_range_with_its_arithmetic_and_nothing_without_a_rate() -> None:
    result = {
        "saved": {"value": 7_200_000.0, "low": 3_600_000.0, "high": 10_800_000.0},
        "index": {"size_bytes": 2_000_000_000},
    }
    assert worth(result, MoneySettings()) is None
    assert worth({}, MoneySettings(cpu_hour=0.1)) is None
    money = worth(result, MoneySettings(cpu_hour=0.1, gb_month=0.5, currency="EUR"))
    assert money is not None and (money.low, money.high) == (pytest.approx(2.0), pytest.approx(8.0))
    assert money.how == (
        "1.0 h to 3.0 h a day × 30 d × 0.1 an hour of one CPU = 3.00 EUR to 9.00 EUR",
        "less 1.9 GB × 0.5 a GB = 1.00 EUR",
    ) or money.how[0].endswith("= 3.00 EUR to 9.00 EUR")
    costs = worth({"saved": {"value": -1.0, "low": -3_600_000.0, "high": 1.0}}, MoneySettings(cpu_hour=1.0))
    assert costs is not None and costs.low == pytest.approx(-30.0)


def test_reads_that_are_paid_for_count_too() -> None:
    rates = MoneySettings(io_million=0.2, currency="USD")
    result = {"saved": {"value": 2.0, "low": 1.0, "high": 3.0}, "reads": {"value": 2e6, "low": -1e6, "high": 5e6}}
    money = worth(result, rates)
    assert money is not None and (money.low, money.high) == (pytest.approx(-6.0), pytest.approx(30.0))
    assert len(money.how) == 1 and "blocks read a day × 30 d × 0.2 a million = -6.00 USD to 30.00 USD" in money.how[0]
    assert worth({**result, "reads": None}, rates) is None, "a server that counts none"


def test_a_forecast_is_worth_a_range_of_all_that_can_be_and_a_rehearsal_its_interval() -> None:
    rates = MoneySettings(cpu_hour=0.1, gb_month=0.5, currency="EUR")
    make = CreateIndex(IndexSpec("public", "orders", (IndexColumn("id"),)))
    evidence = {
        "affected_ms_per_day": 7_200_000.0,
        "upkeep": {"ms_per_day": 3_600_000.0},
        "size_bytes": 2_000_000_000,
    }
    money = estimate(1_800_000.0, evidence, make, rates)
    assert money is not None and money.basis == "estimated"
    assert (money.low, money.high) == (pytest.approx(-3.0 - 1.0), pytest.approx(3.0 - 1.0))
    assert money.how[-1].startswith("forecast: ") and "1.50 EUR" in money.how[-1]
    tried = {**evidence, "rehearsal": {"saved_ms_per_day": {"about": 1.0, "least": 3_600_000.0, "most": 10_800_000.0}}}
    money = estimate(1_800_000.0, tried, make, rates)
    assert money is not None and money.basis == "measured in a sandbox"
    assert (money.low, money.high) == (pytest.approx(2.0), pytest.approx(8.0))
    read = {**evidence, "affected_reads_per_day": 5e6, "upkeep": {"ms_per_day": 3_600_000.0, "entries_per_day": 1e6}}
    money = estimate(1_800_000.0, read, make, MoneySettings(io_million=0.2, currency="USD"))
    assert money is not None and (money.low, money.high) == (pytest.approx(-6.0), pytest.approx(30.0))
    paid = {**read, "rehearsal": tried["rehearsal"]}
    money = estimate(1_800_000.0, paid, make, rates._replace(io_million=0.2))
    assert money is not None and money.basis == "measured in a sandbox, reads estimated"
    assert (money.low, money.high) == (pytest.approx(2.0 - 6.0), pytest.approx(8.0 + 30.0))
    money = estimate(1_800_000.0, {**read, "affected_reads_per_day": None}, make, MoneySettings(io_million=0.2))
    assert money is None, "a server that counts none"
    freed = estimate(None, {"size_bytes": 2_000_000_000}, DropIndex("public", "orders", "old"), rates)
    assert freed is not None and (freed.low, freed.high) == (pytest.approx(1.0), pytest.approx(1.0))
    assert estimate(None, {}, make, rates) is None and estimate(5.0, evidence, make, MoneySettings()) is None


def test_a_store_from_before_keeps_its_data_and_its_changes_have_no_forecast(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'old.db'}")
    store.close()
    with sqlite3.connect(tmp_path / "old.db") as old:  # as the first version made it
        old.executescript(
            "DROP TABLE outcome; ALTER TABLE connection DROP COLUMN undo_worse;"
            "DELETE FROM schema_migration WHERE name = '0002_outcomes';"
            "DELETE FROM schema_checksum WHERE name = '0002_outcomes';"
            "INSERT INTO project(id, name, settings, created_at, updated_at) VALUES ('prj_1', 'p', '{}', 1, 1);"
            "INSERT INTO connection(id, project_id, name, db_type, host, port, database, username, tls, status,"
            " read_only, failures, facts, warnings, created_at, updated_at)"
            " VALUES ('con_1', 'prj_1', 'shop', 'MYSQL', 'h', 1, 'd', 'u', 'prefer', 'ACTIVE', 0, 0, '{}', '[]', 1, 1);"
            "INSERT INTO change(id, connection_id, actor, state, change, sql, plan_hash, target, gates, attempts,"
            " created_at, updated_at) VALUES ('chg_1', 'con_1', 'ada', 'done',"
            ' \'{"kind": "analyze", "schema": "s", "table": "t"}\', \'ANALYZE s.t\', \'h\', \'{}\', \'[]\', 1, 1, 1);'
        )
    old.close()
    store = Store.open(f"sqlite:///{tmp_path / 'old.db'}")
    try:
        assert store.migrated == ("0002_outcomes",)
        assert store.run(connections.get, "con_1").undo_worse is False
        assert store.run(changes.get, "chg_1").sql == "ANALYZE s.t"
        (found,) = store.run(outcomes.applied)
        assert found.change.id == "chg_1" and found.outcome is None
        assert store.run(models.Outcome.select().count) == 0
        assert {each.state for each in store.run(schema.status, store._database)} == {"applied"}
    finally:
        store.close()
