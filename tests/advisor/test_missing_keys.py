"""References that no foreign key ties, and columns that only look like such."""

from __future__ import annotations

import pytest

from tests.advisor.conftest import Watch, by_rule
from tests.rig.postgres import Database

SHOP = """
CREATE TABLE users (id int PRIMARY KEY, uuid int NOT NULL UNIQUE, name text NOT NULL);
CREATE TABLE countries (country_code int PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, user_id bigint NOT NULL, paid int NOT NULL, grid int NOT NULL,
    owner_id int NOT NULL, owner_type text NOT NULL, uuid int NOT NULL, country_code int NOT NULL, users_id int);
CREATE TABLE outside (id int PRIMARY KEY, user_id int NOT NULL);
CREATE TABLE tied (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users (id));
INSERT INTO users SELECT g, g, 'u' || g FROM generate_series(1, 5000) g;
INSERT INTO countries SELECT g, 'c' || g FROM generate_series(1, 900) g;
INSERT INTO orders SELECT g, g * 7919 % 5000 + 1, g % 2, g % 90 + 1, g % 900 + 1, 'user', g % 5000 + 1, g % 900 + 1,
    g % 100 + 1 FROM generate_series(1, 30000) g;
INSERT INTO outside SELECT g, CASE WHEN g % 9 = 0 THEN 0 ELSE g % 5000 + 1 END FROM generate_series(1, 9000) g;
INSERT INTO tied SELECT g, g % 5000 + 1 FROM generate_series(1, 9000) g;
"""


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        ("SELECT count(u.name) FROM orders o JOIN users u ON u.id = o.user_id", "orders.user_id"),
        ("SELECT count(u.name) FROM orders o JOIN users u ON u.id = o.users_id", "orders.users_id"),
        (
            "SELECT max(c.name) FROM orders o JOIN countries c ON c.country_code = o.country_code",
            "orders.country_code",
        ),
        ("SELECT count(u.name) FROM orders o JOIN users u ON u.id = o.paid", None),
        ("SELECT count(u.name) FROM orders o JOIN users u ON u.id = o.grid", None),
        ("SELECT count(u.name) FROM orders o JOIN users u ON u.uuid = o.uuid", None),
        ("SELECT count(u.name) FROM orders o JOIN users u ON u.id = o.owner_id", None),
        ("SELECT count(u.name) FROM outside o JOIN users u ON u.id = o.user_id", None),
        ("SELECT count(u.name) FROM tied o JOIN users u ON u.id = o.user_id", None),
        ("SELECT count(*) FROM orders WHERE user_id > 5", None),
    ],
)
async def test_what_looks_like_a_reference(watch: Watch, pg15: Database, statement: str, column: str | None) -> None:
    pg15.execute(SHOP, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work(statement, times=3)
    found = by_rule(await shop.advice(), "missing-foreign-key")
    if column is None:
        assert found == []
        return
    (one,) = found
    assert one.title.startswith(f"{column} looks like a reference") and one.sql is None and one.confidence <= 0.4
    assert "NOT VALID" in one.text and "was not counted" in one.text and len(one.query_ids) == 1
    pg15.execute(one.text.partition("reference: ")[2].partition(", which")[0])  # what is shown can be run


async def test_a_schema_without_foreign_keys_is_so_by_choice(watch: Watch, pg15: Database) -> None:
    pg15.execute(SHOP, "DROP TABLE tied", "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work("SELECT count(u.name) FROM orders o JOIN users u ON u.id = o.user_id", times=3)
    assert by_rule(await shop.advice(), "missing-foreign-key") == []
