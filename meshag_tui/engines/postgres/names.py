"""Names for what is made: free, and no longer than the server keeps them."""

from __future__ import annotations

from collections.abc import Collection

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres.catalogue import Reader

MAX_NAME_BYTES = 63


async def names_of_relations(session: Reader, schema: str) -> set[str]:
    """The names that are taken in a schema by tables, indexes and what shares their names."""
    rows = await session.fetch(
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s",
        (schema,),
    )
    return {row[0] for row in rows}


def checked_name(name: str, taken: Collection[str], what: str) -> str:
    """A name somebody gave, if it can be used; or Refused."""
    if not name or "\x00" in name:
        raise Refused(f"The {what} needs a name")
    if len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise Refused(f"The name is longer than {MAX_NAME_BYTES} bytes: PostgreSQL would cut it")
    if name in taken:
        raise Refused(f"The name {name} is taken")
    return name


def free_name(stem: str, ending: str, taken: Collection[str], what: str) -> str:
    """`stem` and `ending`, as PostgreSQL names its own: cut at a character to 63 bytes, numbered if taken."""
    for number in range(1_000):
        suffix = ending if number == 0 else f"{ending}{number}"
        name = stem.encode()[: MAX_NAME_BYTES - len(suffix)].decode("utf-8", "ignore") + suffix
        if name not in taken:
            return name
    raise Refused(f"There is no free name for the {what}")
