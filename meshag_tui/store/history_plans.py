"""Plans of statements and versions of a schema: both are kept when they change."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from meshag_tui.plan import Plan, PlanNode
from meshag_tui.snapshot import Column
from meshag_tui.store import database, models
from meshag_tui.store.documents import document
from meshag_tui.store.history_windows import listed
from meshag_tui.types import MeshagError, Window

BY_RELATION = ("columns", "views", "constraints", "indexes")
"""The parts of a version's document that name a relation each; the foreign keys are a list."""


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan and when it was the plan, epoch ms."""

    id: int
    query_id: int
    taken_at: int
    last_seen_at: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """A schema as it was from `taken_at` (epoch ms) on."""

    id: int
    taken_at: int
    hash: str


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One difference between two schemas. `part`: table, column, index, constraint, view or foreign key."""

    kind: Literal["added", "removed", "changed"]
    part: str
    name: str
    before: str | None
    after: str | None


def save_plan(query_id: int, plan: Plan) -> bool:
    """Remember a plan; True if it is not the last one of its mode: the first, or another shape."""
    row = models.Plan
    with database.atomic():
        now = database.now_ms()
        mine = (row.query == query_id) & (row.mode == plan.mode)
        last = listed(row.select(row.id, row.hash).where(mine).order_by(row.id.desc()).limit(1))
        figures = {"last_seen_at": now, "cost": plan.cost, "document": document(asdict(plan))}
        if last and last[0][1] == plan.hash:
            row.update(**figures).where(row.id == last[0][0]).execute()
            return False
        row.insert(query=query_id, taken_at=now, hash=plan.hash, mode=plan.mode, **figures).execute()
    return True


def plans(query_id: int) -> tuple[StoredPlan, ...]:
    """The plans of a statement, the one seen last first."""
    row = models.Plan
    found = row.select(row.id, row.taken_at, row.last_seen_at, row.document).where(row.query == query_id)
    order = (row.last_seen_at.desc(), row.id.desc())
    return tuple(
        StoredPlan(plan_id, query_id, taken, seen, plan_from(plan))
        for plan_id, taken, seen, plan in listed(found.order_by(*order))
    )


def planned(query_ids: Collection[int], begin: int, end: int) -> dict[int, StoredPlan]:
    """Of each statement the plan that was seen last in a span of time, epoch ms, as far as one was."""
    row = models.Plan
    found = row.select(row.query, row.id, row.taken_at, row.last_seen_at, row.document).where(
        row.query.in_(list(query_ids)) & (row.taken_at <= end) & (row.last_seen_at >= begin)
    )
    newest: dict[int, StoredPlan] = {}
    for query_id, plan_id, taken, seen, plan in listed(found.order_by(row.last_seen_at, row.id)):
        newest[query_id] = StoredPlan(plan_id, query_id, taken, seen, plan_from(plan))
    return newest


def reads(query_ids: Collection[int]) -> dict[int, frozenset[tuple[str, str]]]:
    """Schema and name of the tables that the last plan kept of each statement reads; of those with a plan."""
    return {
        query_id: frozenset((node.schema, node.table) for node in stored.plan.root.walk() if node.schema and node.table)
        for query_id, stored in planned(query_ids, 0, 2**62).items()
    }


def plan_from(found: Mapping[str, Any]) -> Plan:
    """The plan of a stored document."""
    return Plan(
        root=_node(found["root"]),
        mode=found["mode"],
        hash=found["hash"],
        document=found["document"],
        statement=found["statement"],
        parameters=tuple(found["parameters"]),
    )


def _node(found: Mapping[str, Any]) -> PlanNode:
    values = dict(found)
    values["children"] = tuple(_node(child) for child in found["children"])
    for name in ("sort_keys", "group_keys", "output"):
        values[name] = tuple(found[name])
    return PlanNode(**values)


def schema_versions(connection_id: str, limit: int | None = None) -> tuple[SchemaVersion, ...]:
    """The newest versions of a connection's schema, or all, newest first."""
    row = models.SchemaVersion
    found = row.select(row.id, row.taken_at, row.hash).where(row.connection == connection_id)
    return tuple(SchemaVersion(*version) for version in listed(found.order_by(row.id.desc()).limit(limit)))


def schema_diff(a: int, b: int) -> tuple[SchemaChange, ...]:
    """What changed from version `a` to version `b`, by table.

    Raises:
        MeshagError: one of them is not in the store.
    """
    return differences(_document(a), _document(b))


def schema_changes(connection_id: str, window: Window) -> list[tuple[SchemaVersion, tuple[SchemaChange, ...]]]:
    """The versions that came in a window, newest first, each with what it changed; a first version changed nothing."""
    found = []
    read: dict[int, Mapping[str, Any]] = {}  # the one that the next pair begins with: each is read once
    for version, before in pairwise(schema_versions(connection_id)):
        if window.start < version.taken_at <= window.end:
            after = read.get(version.id) or _document(version.id)
            read = {before.id: _document(before.id)}
            found.append((version, differences(read[before.id], after)))
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[SchemaChange, ...]:
    """The same of two documents of versions, or of parts of them."""
    before, after = _parts(_beside(old, new)), _parts(_beside(new, old))
    changes = []
    for key in sorted(before.keys() | after.keys(), key=lambda key: (key[1], key[0])):
        was, is_now = before.get(key), after.get(key)
        if was != is_now:
            kind: Literal["added", "removed", "changed"] = (
                "added" if was is None else "removed" if is_now is None else "changed"
            )
            changes.append(SchemaChange(kind, key[0], key[1], was, is_now))
    return tuple(changes)


def _document(version_id: int) -> Mapping[str, Any]:
    row = models.SchemaVersion
    found = listed(row.select(row.document).where(row.id == version_id))
    if not found:
        raise MeshagError(f"There is no schema version {version_id} in the store")
    structure: Mapping[str, Any] = found[0][0]
    return structure


def _beside(structure: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What of a structure is not just so in the other one: hardly any relation of thousands."""
    parts: dict[str, Any] = {
        part: {relation: one for relation, one in structure[part].items() if one != other[part].get(relation)}
        for part in BY_RELATION
    }
    keys = structure["foreign_keys"]
    return parts | {"foreign_keys": [] if keys == other["foreign_keys"] else keys}


def _parts(structure: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Every part of a structure by (part, name), as text."""
    return dict(_each_part(structure))


def _each_part(structure: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    for relation, columns in structure["columns"].items():
        yield ("table", relation), ""
        for column in columns:
            said = Column(**column)
            yield ("column", f"{relation}.{said.name}"), f"{said.type}{said.conditions}"
    for relation, definition in structure["views"].items():
        yield ("view", relation), definition
    for relation, constraints in structure["constraints"].items():
        for constraint in constraints:
            yield ("constraint", f"{relation}: {constraint}"), constraint
    for relation, found in structure["indexes"].items():
        for name, definition in found.items():
            yield ("index", f"{relation}.{name}"), definition
    for key in structure["foreign_keys"]:
        columns = ", ".join(key["columns"])
        target = f"{key['ref_schema']}.{key['ref_table']} ({', '.join(key['ref_columns'])})"
        yield ("foreign key", f"{key['schema']}.{key['table']}.{key['name']}"), f"({columns}) REFERENCES {target}"
