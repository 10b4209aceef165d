"""The shop on PostgreSQL.

In: the URL of an empty database and a superuser. Out: schema `shop`, the roles of `create_roles`, and `PLANTED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files

from meshag_tui.demo.shop import MONITOR, OWNER, ROLES, Planted

PLANTED: tuple[Planted, ...] = (
    Planted("missing-index", "orders", "customer_id", "a customer's orders are read by scanning all orders"),
    Planted("missing-index", "events", "kind, occurred_at", "the newest events of a kind: all are read for 50"),
    Planted("unused-index", "orders", "orders_updated_at_idx", "written with every order, read by nothing"),
    Planted("duplicate-index", "customers", "customers_country_idx1", "equal to customers_country_idx"),
    Planted("redundant-index", "order_items", "order_items_order_id_idx", "a prefix of the index on order and product"),
    Planted("invalid-index", "sessions", "sessions_token_key", "a unique index whose concurrent build failed"),
    Planted("unindexed-foreign-key", "reviews", "customer_id", "deleting a customer scans all reviews"),
    Planted("stale-statistics", "price_history", "", "analyzed at 200 rows, has 60,000"),
    Planted("table-bloat", "carts", "", "nine of ten row versions are dead"),
    Planted("autovacuum-off", "carts", "", "autovacuum is switched off for the table"),
    Planted("sequence-exhaustion", "audit_log", "audit_log_id_seq", "an integer sequence at 99.7 % of its range"),
)


def create_roles(url: str, passwords: Mapping[str, str]) -> None:
    """Create the shop's three roles in the server of `url` (a superuser's); `passwords` by role name.

    `shop_owner` owns the schema and is a member of pg_monitor: a connection with it can be read and changed.
    `meshag_monitor` may read everything and change nothing. `shop_app` is what the shop's own programs use.
    """
    import psycopg
    from psycopg import sql

    with psycopg.connect(url, autocommit=True) as connection:
        for role in ROLES:
            secret = sql.Literal(passwords[role])
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), secret))
        connection.execute(sql.SQL("GRANT pg_monitor TO {}, {}").format(*map(sql.Identifier, (OWNER, MONITOR))))
        if connection.info.server_version >= 140000:
            connection.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(MONITOR)))
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(OWNER)))


def load(url: str) -> None:
    """Create and fill schema `shop`, its problems and its statistics, in the database of `url` (a superuser's).

    The roles must exist. Takes a few seconds for about 1.1 million rows.
    """
    import psycopg
    from psycopg import sql

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("SET maintenance_work_mem = '128MB'")
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER)))
        for name in ("schema", "data", "keys", "problems"):
            connection.execute(_text(name))
        with suppress(psycopg.errors.UniqueViolation):  # as planned: an invalid index stays behind
            connection.execute("UPDATE shop.sessions SET token = md5('session1') WHERE id = 2")
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY sessions_token_key ON shop.sessions (token)")
        connection.execute(_text("grants"))
        connection.execute(_text("vacuum"))
        connection.execute("ANALYZE shop.carts")  # and no vacuum: its dead rows are the point
        connection.execute(_text("stale"))
        connection.execute("RESET ROLE")
        connection.execute("SELECT pg_stat_statements_reset()")  # loading is not the shop's workload


def _text(name: str) -> bytes:
    return files(__name__).joinpath(f"{name}.sql").read_bytes()
