"""Several suggestions looked at together: in the order they would run, with what speaks against having them together.

In: suggestions with a change each. Out: them by table and in order (an index is made before the one it replaces goes,
statistics are renewed last), what is wrong between them, and, with a review of each, one thing to agree to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from meshag_tui.changes.review import Review
from meshag_tui.engines.base import Gate
from meshag_tui.figures import size
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    HideIndex,
    IndexSpec,
    Rebuild,
    Reindex,
    RenameIndex,
    RestoreIndex,
    RestoreStatistics,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
    ShowIndex,
    Vacuum,
    table_of,
)

_ORDER: Sequence[tuple[type[Change], ...]] = (
    (SetSetting,),
    (SetTableOptions,),
    (Rebuild,),
    (CreateIndex, RestoreIndex, ShowIndex),
    (CreateStatistics, RestoreStatistics, SetStatisticsTarget),
    (Reindex,),
    (HideIndex, DropIndex, DropStatistics),
    (RenameIndex,),
    (Vacuum,),
    (Analyze,),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A suggestion in a basket. `kept`: schema.name of the index that one to be dropped is the same as."""

    suggestion_id: str
    title: str
    change: Change
    size_bytes: int | None = None
    kept: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One of a basket, and its review."""

    wanted: Wanted
    review: Review


@dataclass(frozen=True, slots=True)
class Basket:
    """What would run, in order, and all that speaks against it. Agreed to as a whole, by its `plan_hash`."""

    items: tuple[Item, ...]
    together: tuple[Gate, ...]  # what there is to say of them together

    @property
    def target_label(self) -> str:
        return self.items[0].review.target_label

    @property
    def dialect(self) -> Literal["postgres", "mysql"]:
        return self.items[0].review.dialect

    @property
    def sql(self) -> str:
        return ";\n".join(item.review.sql for item in self.items) + ";"

    @property
    def plan_hash(self) -> str:
        return hashlib.sha256("\n".join(item.review.plan_hash for item in self.items).encode()).hexdigest()[:32]

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Those of all together, then those of each, with its number."""
        each = (
            replace(gate, name=f"{n}. {gate.name}")
            for n, item in enumerate(self.items, 1)
            for gate in item.review.gates
        )
        return (*self.together, *each)

    @property
    def blocked_by(self) -> tuple[Gate, ...]:
        return tuple(gate for gate in self.gates if gate.state == "block")

    @property
    def warned_by(self) -> tuple[Gate, ...]:
        return tuple(gate for gate in self.gates if gate.state == "warn")

    @property
    def unknown(self) -> tuple[Gate, ...]:
        """Those of each without its number: what somebody goes on without, they go on without for all."""
        return tuple(gate for item in self.items for gate in item.review.unknown)

    @property
    def needs_name(self) -> str | None:
        """What to type before anything is dropped: the name, or of several "drop 3"."""
        names = [item.review.needs_name for item in self.items if item.review.needs_name is not None]
        return names[0] if len(names) == 1 else f"drop {len(names)}" if names else None


def in_order(wanted: Sequence[Wanted]) -> tuple[Wanted, ...]:
    """By table, in the order in which the tables come first, and within one so that nothing is missed meanwhile."""
    tables = list(dict.fromkeys(table_of(one.change) for one in wanted))
    return tuple(
        sorted(wanted, key=lambda one: (_rank(one.change) > 0, tables.index(table_of(one.change)), _rank(one.change)))
    )


def _rank(change: Change) -> int:
    return next(number for number, kinds in enumerate(_ORDER) if isinstance(change, kinds))


def between(wanted: Sequence[Wanted]) -> tuple[Gate, ...]:
    """What is wrong with having these together, and how much they take; numbers count from 1 in this order."""
    return (*_twice(wanted), *_left_without(wanted), *_overlaps(wanted), *_tables(wanted), *_disk(wanted))


def _twice(wanted: Sequence[Wanted]) -> Iterator[Gate]:
    """Two changes of one thing: the second would find another thing than was looked at."""
    seen: dict[tuple[str, ...], int] = {}
    for number, one in enumerate(wanted, 1):
        for about in dict.fromkeys(_about(one.change)):
            if about in seen:
                said = f"{seen[about]} and {number}"
                yield Gate("changed twice", said, "once", "block", f"Both are about {' '.join(about[1:])}: keep one")
            seen[about] = number


def _about(change: Change) -> Iterator[tuple[str, ...]]:
    """The things a change is about, by kind and name."""
    table = table_of(change) or ("", "")
    match change:
        case DropIndex() | HideIndex() | ShowIndex() | Reindex() | RestoreIndex() | RenameIndex():
            yield "index", *table, change.name
            if isinstance(change, RenameIndex):
                yield "index", *table, change.new_name
        case CreateIndex(spec):
            yield "keys", *table, _keys(spec)
            if spec.name is not None:
                yield "index", *table, spec.name
        case SetSetting():
            yield "setting", change.name, change.role or "", change.database or ""
        case SetTableOptions():
            yield from (("option", *table, name) for name, _ in change.options)
        case SetStatisticsTarget():
            yield "target", *table, change.column
        case CreateStatistics():
            yield "statistics", *table, *sorted(change.columns)
        case DropStatistics() | RestoreStatistics():
            yield "statistics", *table, change.name
        case Analyze() | Vacuum() | Rebuild():
            yield change.kind, *table


def _keys(spec: IndexSpec) -> str:
    """An index without its name: two that say the same here are one index."""
    keys = [f"{key.name}{f' {key.opclass}' if key.opclass else ''}{key.order}" for key in spec.columns]
    more = (f" including {', '.join(spec.include)}" if spec.include else "") + (
        f" where {spec.where}" * bool(spec.where)
    )
    return f"{spec.method} ({', '.join(keys)}){more}"


def _left_without(wanted: Sequence[Wanted]) -> Iterator[Gate]:
    """Of two that are the same one may go."""
    changes = [(number, one.change) for number, one in enumerate(wanted, 1)]
    going = {f"{one.schema}.{one.name}": n for n, one in changes if isinstance(one, DropIndex | HideIndex)}
    for number, one in enumerate(wanted, 1):
        if isinstance(one.change, DropIndex | HideIndex) and one.kept in going:
            yield Gate(
                "index that is kept",
                f"{one.kept} goes by {going[one.kept]}",
                "stays",
                "block",
                f"{number} may go because {one.kept} serves in its place: take one of them out",
            )


def _overlaps(wanted: Sequence[Wanted]) -> Iterator[Gate]:
    specs = [(n, one.change.spec) for n, one in enumerate(wanted, 1) if isinstance(one.change, CreateIndex)]
    for number, spec in specs:
        for other_number, other in specs:
            if number != other_number and _begins(other, spec) and spec.columns != other.columns:
                yield Gate(
                    "overlapping indexes",
                    f"{number} and {other_number}",
                    "none",
                    "warn",
                    f"{other_number} begins with the columns of {number}, and can do what it is for",
                )


def _begins(longer: IndexSpec, spec: IndexSpec) -> bool:
    alike = [(one.schema, one.table, one.method, one.where) for one in (longer, spec)]
    has = {column.name for column in longer.columns} | set(longer.include)
    return alike[0] == alike[1] and longer.columns[: len(spec.columns)] == spec.columns and set(spec.include) <= has


def _tables(wanted: Sequence[Wanted]) -> Iterator[Gate]:
    """One after the other, each with its lock: nothing wrong, but to be known."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, one in enumerate(wanted, 1):
        table = table_of(one.change)
        if table is not None:
            found.setdefault(table, []).append(number)
    for (schema, name), numbers in found.items():
        if len(numbers) > 1:
            yield Gate(f"changes of {schema}.{name}", ", ".join(map(str, numbers)), "one after the other", "pass")


def _disk(wanted: Sequence[Wanted]) -> Iterator[Gate]:
    made = [one.size_bytes for one in wanted if isinstance(one.change, CreateIndex)]
    gone = [one.size_bytes or 0 for one in wanted if isinstance(one.change, DropIndex)]
    if not made and not gone:
        return
    known = [number for number in made if number is not None]
    value = f"about {size(sum(known))}" + (f" and {len(made) - len(known)} not known" if len(known) < len(made) else "")
    freed = f", {size(sum(gone))} freed" if gone else ""
    yield Gate("disk for new indexes together", f"{value if made else 'none'}{freed}", "", "pass")
