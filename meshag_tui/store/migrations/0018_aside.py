"""Why a statement is set aside. Frozen.

Of those that are known already, ours are not told from others that read catalogues.
"""

from __future__ import annotations

from typing import Any


def up(migrator: Any, db: Any) -> None:
    # Not by Peewee's migrator: on SQLite it would make the table anew, and dropping the old one would cascade.
    db.execute_sql("ALTER TABLE query ADD COLUMN aside TEXT")
    db.execute_sql(
        "UPDATE query SET aside = CASE WHEN kind = 'utility' THEN 'utility' ELSE 'catalogue' END WHERE internal"
    )
