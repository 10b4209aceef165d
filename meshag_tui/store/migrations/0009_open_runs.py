"""Of each kind and key one run is open at most: the database sees to it. Frozen."""

from __future__ import annotations

from typing import Any


def up(migrator: Any, db: Any) -> None:
    # Instances took turns to ask, so there should be no second one; the newest is the one that goes on.
    db.execute_sql("""
        UPDATE execution SET state = 'interrupted', fence = fence + 1
        WHERE state IN ('ready', 'running') AND EXISTS (
            SELECT 1 FROM execution newer
            WHERE newer.kind = execution.kind AND newer.key = execution.key AND newer.slot > execution.slot
              AND newer.state IN ('ready', 'running'))
    """)
    db.execute_sql("""
        CREATE UNIQUE INDEX execution_kind_key ON execution (kind, key) WHERE state IN ('ready', 'running')
    """)
