"""One folder for each kind of database; `engine_for` is the only door. Drivers are imported when first used."""

from __future__ import annotations

from meshag_tui.engines.base import Engine
from meshag_tui.types import DbType


def engine_for(db_type: DbType) -> Engine:
    """The engine of a kind of database."""
    if db_type is DbType.MYSQL:
        from meshag_tui.engines.mysql import MysqlEngine

        return MysqlEngine()
    from meshag_tui.engines.postgres import PostgresEngine

    return PostgresEngine()
