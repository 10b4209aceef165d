"""One folder for each kind of database; `engine_for` is the only door. Drivers are imported when first used."""

from __future__ import annotations

from meshag_tui.engines.base import Engine
from meshag_tui.types import DbType, MeshagError


def engine_for(db_type: DbType) -> Engine:
    """The engine of a kind of database. Raises MeshagError for a kind this build cannot reach."""
    if db_type is DbType.POSTGRES:
        from meshag_tui.engines.postgres import PostgresEngine

        return PostgresEngine()
    raise MeshagError(f"This build cannot reach {db_type} yet: only POSTGRES")
