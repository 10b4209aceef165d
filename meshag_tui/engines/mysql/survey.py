"""What a statement's plan needs to know of its tables: where they are, their columns and sizes, what views are made of.

In: a session and the words of a statement. Out: `Surveyed`. A digest does not keep the case of some names, so a table
that is not there is looked for without regard to case.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import PermissionDenied, ServerFault
from meshag_tui.engines.mysql import parse
from meshag_tui.engines.mysql.errors import account, quoted
from meshag_tui.engines.mysql.lexer import Token, words
from meshag_tui.engines.mysql.named import named
from meshag_tui.engines.mysql.reckoned import Size
from meshag_tui.engines.mysql.resolve import Catalogue
from meshag_tui.engines.mysql.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

Key = tuple[str, str]
_SYSTEM = tuple(sorted(parse.SYSTEM_SCHEMAS))
_VIEWS_DEEP = 4


@dataclass(frozen=True, slots=True)
class Surveyed:
    """`names` are tables' true names by their place among the words, where the statement has them in another case."""

    catalogue: Catalogue
    sizes: Mapping[Key, Size]
    types: Mapping[tuple[str, str, str], str]
    names: Mapping[int, str]
    aliases: Mapping[str, Key]  # of base tables


async def survey(session: MysqlSession, parts: Sequence[Token], schema: str | None) -> Surveyed:
    """Look up every table and view that a statement names, and what its views are over.

    Raises:
        ServerFault: one of them is not there, or not ours to see: a view that we cannot see we cannot check.
        PermissionDenied: it reads a view whose definition is not ours to see.
    """
    places = named(parts)
    wanted = {(one.schema or schema or "", one.name) for one in places}
    kinds, sizes = await _tables(session, wanted)
    names: dict[int, str] = {}
    any_case = session.facts.settings.get("lower_case_table_names", "0") != "0"
    for one in places:
        home = one.schema or schema or ""
        if (home, one.name) not in kinds and (any_case or not (one.quoted or one.common)):
            true = await _in_any_case(session, home, one.name)
            if true is not None:
                wanted.add((home, true))
                if not one.common:
                    names[one.at] = true
    if len(wanted) > len(kinds):
        kinds, sizes = await _tables(session, wanted)
    needed = [one for one in places if not one.common]
    _all_there({(one.schema or schema or "", names.get(one.at, one.name)) for one in needed}, kinds)
    views: dict[Key, str] = {}
    for _ in range(_VIEWS_DEEP):
        new = [key for key, kind in kinds.items() if kind == "VIEW" and key not in views]
        if not new:
            break
        views |= await _views(session, new)
        inside = [(key, one) for key in new for one in named(words(views[key]))]
        below = {(one.schema or key[0], one.name) for key, one in inside}
        more, more_sizes = await _tables(session, below - set(kinds))
        kinds, sizes = kinds | more, sizes | more_sizes
        _all_there({(one.schema or key[0], one.name) for key, one in inside if not one.common}, kinds)
    else:
        raise ServerFault("Its views are over views too many times to be looked into")
    columns = await _columns(session, kinds)
    types = {(*key, name): kind for key, known in columns.items() for name, kind in known.values()}
    homes = {one.alias or one.name: (one.schema or schema or "", names.get(one.at, one.name)) for one in needed}
    aliases = {alias: key for alias, key in homes.items() if key in sizes}
    return Surveyed(Catalogue(schema, columns, views), sizes, types, names, aliases)


def _all_there(wanted: Collection[Key], kinds: Mapping[Key, str]) -> None:
    for schema, name in sorted(wanted):
        if (schema, name) not in kinds:
            raise ServerFault(f"There is no table {schema}.{name}, or it is not ours to see")


async def home_of(session: MysqlSession, parts: Sequence[Token]) -> str | None:
    """The schema in which a statement's unqualified tables are: the connection's own, else the one with all of them."""
    names = sorted({one.name for one in named(parts) if one.schema is None and not one.common})
    own = session.facts.database
    if own and own not in parse.SYSTEM_SCHEMAS:
        return own
    if not names:
        return None
    asked = {"names": [name.lower() for name in names], "system": _SYSTEM}
    rows = await session.fetch(load("homes_of_tables"), asked)
    found: dict[str, set[str]] = {}
    for schema, name in rows:
        found.setdefault(schema, set()).add(name.lower())
    # Of several that have them all the first by name: the same again the next time.
    return min(found, key=lambda schema: (-len(found[schema]), schema)) if found else None


async def _tables(session: MysqlSession, wanted: Collection[Key]) -> tuple[dict[Key, str], dict[Key, Size]]:
    page = int(session.facts.settings.get("innodb_page_size", 16_384))
    rows = await _for_each(session, "surveyed_tables", wanted)
    kinds = {(schema, name): str(kind) for schema, name, kind, _, _ in rows}
    sizes = {
        (schema, name): Size(float(count or 0), float(length or 0), page)
        for schema, name, kind, count, length in rows
        if kind != "VIEW"
    }
    return kinds, sizes


async def _views(session: MysqlSession, wanted: Collection[Key]) -> dict[Key, str]:
    rows = await _for_each(session, "surveyed_views", wanted)
    found = {(schema, name): str(text) for schema, name, text in rows if text}
    for schema, name in wanted:
        if (schema, name) not in found:
            raise PermissionDenied(
                f"The view {schema}.{name} may be read but not looked into, so a statement over it cannot be planned",
                f"GRANT SHOW VIEW ON {quoted(schema)}.* TO {account(session.facts.user)};",
            )
    return found


async def _columns(session: MysqlSession, wanted: Collection[Key]) -> dict[Key, dict[str, tuple[str, str]]]:
    rows = await _for_each(session, "surveyed_columns", wanted)
    found: dict[Key, dict[str, tuple[str, str]]] = {}
    for schema, table, name, kind in rows:
        found.setdefault((schema, table), {})[name.lower()] = (name, str(kind))
    return found


async def _in_any_case(session: MysqlSession, schema: str, name: str) -> str | None:
    rows = await session.fetch(load("table_in_any_case"), {"schema": schema, "name": name.lower()})
    return str(rows[0][0]) if len(rows) == 1 else None


async def _for_each(session: MysqlSession, query: str, wanted: Collection[Key]) -> list[tuple[Any, ...]]:
    """One statement for all tables. Each is named by itself: only so does MariaDB not open every table there is."""
    keys = sorted(wanted)
    if not keys:
        return []
    parts = " UNION ALL ".join([load(query)] * len(keys))
    return await session.fetch(parts, [value for key in keys for value in key])
