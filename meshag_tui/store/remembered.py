"""Small things the store remembers by name: consents, the state of the screens. Values are JSON.

What is about one connection has a name that ends with ":" and its id: it goes when the connection does.
"""

from __future__ import annotations

import json
from typing import Any

from meshag_tui.store import database, models
from meshag_tui.store.documents import document


def recall(key: str, default: Any = None) -> Any:
    """What was remembered under `key`, or `default`."""
    statement = f"SELECT CAST(value AS TEXT) FROM setting WHERE key = {models.database.param}"  # noqa: S608
    found = models.database.execute_sql(statement, (key,)).fetchone()
    return default if found is None else json.loads(found[0])


def remember(key: str, value: Any) -> None:
    """Keep `value` (JSON) under `key`, in place of what was there."""
    row = models.Setting
    with database.atomic():
        kept = document(value)
        row.insert(key=key, value=kept).on_conflict(conflict_target=[row.key], update={row.value: kept}).execute()


def forget(key: str) -> bool:
    """Remove what is under `key`; True if there was something."""
    row = models.Setting
    return bool(row.delete().where(row.key == key).execute())
