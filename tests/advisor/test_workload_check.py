"""An index and all that runs on its table: who gains, who loses, who could not be asked, and what writers pay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshag_tui.types import CreateIndex
from tests.advisor.conftest import Watch, Watchable, by_rule, filled

TABLES = (
    "CREATE TABLE tickets (id int PRIMARY KEY, owner int NOT NULL, state int NOT NULL, note varchar(100) NOT NULL)",
    "CREATE TABLE gone (id int PRIMARY KEY)",
    "CREATE TABLE parents (id int PRIMARY KEY)",
    "CREATE TABLE elsewhere (tickets int PRIMARY KEY)",
)
PARENTS = 400
READS = "SELECT note FROM tickets WHERE owner = 9"
COUNTS = "SELECT count(*) FROM tickets WHERE owner = 8"
BY_KEY = "SELECT note FROM tickets WHERE id = 12"
LOST = "SELECT count(*) FROM tickets, gone WHERE tickets.id = gone.id AND gone.id < 3"
OTHER = "SELECT tickets FROM elsewhere WHERE tickets = 5"


@pytest.fixture(params=["pg15", "pg18", "mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[Watchable]:
    yield request.getfixturevalue(request.param)


def put(database: Watchable) -> None:
    postgres = hasattr(database, "server") and hasattr(database.server, "dsn")
    database.execute(*TABLES)
    rows = "n, n % 4000, n % 997, repeat('t', 80)"
    if postgres:
        database.execute(f"INSERT INTO tickets SELECT {rows} FROM generate_series(1, 40000) n", "VACUUM ANALYZE")
    else:
        database.execute(filled("tickets", 40_000, rows), "ANALYZE TABLE tickets, gone, elsewhere")


async def test_every_statement_of_most_time_on_the_table_is_counted(watch: Watch, database: Watchable) -> None:
    """One that cannot be explained any more stops none of the others."""
    put(database)
    shop = watch(database)
    inserts = [
        f"INSERT INTO tickets (id, owner, state, note) VALUES ({at}, 1, 1, 'new')" for at in range(50_000, 50_200)
    ]
    await shop.work(*inserts, times=1)
    await shop.work(READS, COUNTS, BY_KEY, LOST, OTHER, times=30)
    database.execute("DROP TABLE gone")
    await shop.sync()
    advice = await shop.advice()
    assert any("could not be explained" in note for note in advice.notes), advice.notes
    (found,) = by_rule(advice, "missing-index")
    assert isinstance(found.change, CreateIndex) and [key.name for key in found.change.spec.columns] == ["owner"]
    checked = found.evidence["workload"]
    assert checked["listed"] == checked["tested"] + checked["failed"]
    assert (checked["improved"], checked["improved_calls"], checked["worse"]) == (2, 60, 0), checked
    assert (checked["failed"], checked["failed_calls"]) == (1, 30), "the one whose other table is gone"
    assert checked["unchanged"] >= 2 and checked["unchanged_calls"] >= 230, "looked up by its key, and inserted"
    assert f"of {checked['listed']} statements of most time on its table: 2 better (60 calls), 0 worse" in str(
        found.evidence["facts"]
    )

    kept = found.evidence["upkeep"]
    assert found.evidence["size_bytes"] > 100_000 and kept["entries"] == 200 and kept["ms"] > 0
    assert kept["entries_per_day"] > 0 and "Writers would have kept 200 entries" in found.text
    span = shop.window().span_ms
    gross = sum(
        one["total_time_ms"] * (1 - one["cost_after"] / one["cost_before"]) for one in found.evidence["statements"]
    )
    net = (gross - kept["ms"]) * 86_400_000 / span
    assert found.gain_ms_per_day == pytest.approx(net, rel=0.05), "what writers pay is taken off"


@pytest.mark.parametrize("database", ["pg15", "pg18"], indirect=True)
async def test_what_is_asked_for_a_foreign_key_says_what_writers_pay_too(watch: Watch, database: Watchable) -> None:
    put(database)
    database.execute(
        f"INSERT INTO parents SELECT n FROM generate_series(0, {PARENTS}) n",
        "UPDATE tickets SET owner = owner % 400",
        "ALTER TABLE tickets ADD FOREIGN KEY (owner) REFERENCES parents (id)",
        "VACUUM ANALYZE",
    )
    shop = watch(database)
    await shop.work(f"DELETE FROM parents WHERE id = {PARENTS}", "UPDATE tickets SET owner = 4 WHERE id = 77", times=5)
    (found,) = by_rule(await shop.advice(), "unindexed-foreign-key")
    kept = found.evidence["upkeep"]
    assert found.evidence["size_bytes"] > 100_000 and kept["entries"] >= 5 and "Writers would have kept" in found.text
