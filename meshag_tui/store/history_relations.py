"""One table's structure as it is and as it was: its columns and keys, and what changed of it in which version.

Read from the stored versions of the schema alone. A version is kept when anything in the schema changed, so that of one
table most of them say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshag_tui.snapshot import Column, ForeignKey
from meshag_tui.store import models
from meshag_tui.store.history_objects import foreign_key, schema_of
from meshag_tui.store.history_plans import BY_RELATION, SchemaChange, differences

MOST_VERSIONS = 200
"""Versions of the schema that are compared, the newest: each is a document of the whole schema."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What the newest version says of a table. Empty `columns`: it is not in that version."""

    read_at: int  # epoch ms since when the schema is so
    columns: tuple[Column, ...]
    constraints: tuple[str, ...]
    view: str | None  # its definition, of what is made by a query
    refers: tuple[ForeignKey, ...]
    referred_by: tuple[ForeignKey, ...]


@dataclass(frozen=True, slots=True)
class RelationChange:
    """A difference between two versions that is about the table; it was seen at `at` (epoch ms)."""

    at: int
    change: SchemaChange


@dataclass(frozen=True, slots=True)
class Past:
    """A table's structure with its past. `structure` None: no schema was ever read.

    `since` is when the oldest version that was compared was taken, and `versions` how many were.
    """

    structure: Structure | None
    changes: tuple[RelationChange, ...]  # newest first
    since: int | None
    versions: int


def past(connection_id: str, schema: str, table: str) -> Past:
    """What the schema's versions say of a table."""
    row = models.SchemaVersion
    query = row.select(row.taken_at, row.document).where(row.connection == connection_id).order_by(row.id.desc())
    newest: Structure | None = None
    found: list[RelationChange] = []
    later: tuple[int, Mapping[str, Any]] | None = None
    versions = 0
    for taken_at, document in query.limit(MOST_VERSIONS).tuples().iterator():
        mine = _part(document, schema, table)
        newest = newest or _structure(taken_at, document, schema, table)
        if later is not None:
            found += [RelationChange(later[0], each) for each in differences(mine, later[1])]
        later, versions = (taken_at, mine), versions + 1
    return Past(newest, tuple(found), None if later is None else later[0], versions)


def _part(document: Mapping[str, Any], schema: str, table: str) -> dict[str, Any]:
    """The structure with only this table in it."""
    relation = f"{schema}.{table}"
    only = {part: {relation: document[part][relation]} if relation in document[part] else {} for part in BY_RELATION}
    return {**only, "foreign_keys": [each for each in document["foreign_keys"] if _is(each, "", schema, table)]}


def _structure(taken_at: int, document: Mapping[str, Any], schema: str, table: str) -> Structure:
    relation, found = f"{schema}.{table}", schema_of(document)
    keys: Sequence[Mapping[str, Any]] = document["foreign_keys"]
    return Structure(
        read_at=taken_at,
        columns=found.columns.get(relation, ()),
        constraints=found.constraints.get(relation, ()),
        view=found.views.get(relation),
        refers=tuple(foreign_key(each) for each in keys if _is(each, "", schema, table)),
        referred_by=tuple(foreign_key(each) for each in keys if _is(each, "ref_", schema, table)),
    )


def _is(key: Mapping[str, Any], end: str, schema: str, table: str) -> bool:
    """Whether a foreign key begins ("") or ends ("ref_") at a table."""
    return (key[f"{end}schema"], key[f"{end}table"]) == (schema, table)
