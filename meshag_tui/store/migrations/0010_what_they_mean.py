"""A number of what a statement means, so that those that mean the same are merged without comparing texts. Frozen."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def up(migrator: Any, db: Any) -> None:
    # Not by Peewee's migrator: on SQLite it would make the table anew, and dropping the old one would cascade.
    integer = "INTEGER" if db.param == "?" else "BIGINT"
    db.execute_sql(f"ALTER TABLE query ADD COLUMN meaning {integer}")
    found = db.execute_sql("SELECT fingerprint, db_user, db_name, id FROM query WHERE fingerprint IS NOT NULL")
    numbers = [(_number(row[:3]), row[3]) for row in found.fetchall()]
    db.connection().cursor().executemany(
        f"UPDATE query SET meaning = {db.param} WHERE id = {db.param}",  # noqa: S608
        numbers,
    )


def _number(identity: tuple[Any, ...]) -> int:
    digest = hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
