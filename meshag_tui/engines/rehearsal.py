"""A sandbox with data, for every engine: statements run there before and after a change, away from production.

In: statements, and limits. Out: a `CopyPlan`, which says exactly what would be read of the watched server and is shown
before anything is; then a `Rehearsal`, a private copy in which one side has the change and the other has not. It is
bounded in rows, bytes and time, and gone with the process that made it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Protocol, TypeVar

from meshag_tui.engines.base import DeadlinePassed
from meshag_tui.plan import Plan
from meshag_tui.types import Change, Target

Side = Literal["before", "after"]
Say = Callable[[str], None]
T = TypeVar("T")
Values = tuple[str | None, ...]
"""Of parameters, as the server prints them; None: NULL."""


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """What a copy may take of the watched server and of this machine: rows, bytes, seconds of reading."""

    rows: int
    bytes: int
    seconds: float

    def clock(self) -> Callable[[], float]:
        """From now on: the seconds that are left of reading. It raises DeadlinePassed when none are."""
        until = time.monotonic() + self.seconds

        def left() -> float:
            seconds = until - time.monotonic()
            if seconds <= 0:
                raise DeadlinePassed(f"Copying took longer than the {self.seconds:g} s allowed ([rehearsal] copy_s)")
            return seconds

        return left


@dataclass(frozen=True, slots=True)
class Named:
    """A server that was named as the place of sandboxes, by a database of it.

    `template`: that database is a copy of the watched one, restored from a backup say, and the sandbox a copy of it:
    then no row of the watched server is read at all.
    """

    target: Target
    template: bool = False

    @property
    def said(self) -> str:
        return f"a copy of {self.target.label}" if self.template else f"a database of its own on {self.target.label}"


@dataclass(frozen=True, slots=True)
class TableCopy:
    """What is read of one table. `rows` and `bytes` are those of the whole, as its server knows them.

    `share` is the part of its pages that is read: 1 the whole table, 0 only the rows that others name.
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    rows: int
    bytes: int
    share: float
    most_rows: int
    routed: bool = False  # it has parts of its own, to which its rows go

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class KeyCopy:
    """A foreign key to follow: rows of the parent that copied rows of the child name come along."""

    schema: str
    table: str
    columns: tuple[str, ...]
    parent_schema: str
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What would be read, where it would go, and the exact statements. `place` says the sandbox in words."""

    source: str
    source_id: str
    place: str
    tables: tuple[TableCopy, ...]
    keys: tuple[KeyCopy, ...]
    statements: tuple[str, ...]
    limits: CopyLimits
    asked: tuple[str, ...]  # the statements it is made for
    notes: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """What is agreed to: everything above, as 16 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> CopyPlan:
        """The plan again, from `dataclasses.asdict` of it that has been JSON."""
        given = dict(document)
        for name, kind in (("tables", TableCopy), ("keys", KeyCopy)):
            given[name] = tuple(_value(kind, one) for one in given[name])
        given["limits"] = CopyLimits(**given["limits"])
        return _value(cls, given)


def _value(kind: type[T], document: Mapping[str, Any]) -> T:
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in document.items()
            if name in known
        }
    )


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied of one table: rows here, and of how many."""

    name: str
    rows: int
    of: int
    bytes: int

    @property
    def share(self) -> float:
        return min(1.0, self.rows / self.of) if self.of else 1.0


@dataclass(frozen=True, slots=True)
class Runnable:
    """A statement made ready to be run with each of `sets`, values of its parameters that rows of the copy hold."""

    text: str  # as it was given
    prepared: str
    path: str
    types: tuple[str, ...]
    sets: tuple[Values, ...]
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """One run: the server's own time in ms, without planning; blocks found in its cache and read; rows returned."""

    ms: float
    hit: int
    read: int
    rows: float
    plan: Plan

    @property
    def blocks(self) -> int:
        return self.hit + self.read


@dataclass(frozen=True, slots=True)
class Answer:
    """All rows that a statement returns, as a multiset: how many, and a sum that tells one multiset from another."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether two statements were found to mean the same. `doubts` say why not, in a line each; none: proven.

    `sets` sets of values were compared on the copy as it is, and each on `trials` altered copies: with NULLs, with rows
    twice, with empty tables.
    """

    sets: int
    trials: int
    doubts: tuple[str, ...]

    @property
    def proven(self) -> bool:
        return not self.doubts


@dataclass(frozen=True, slots=True)
class Undone:
    """The exact statements of a change and of what puts it back, run one after the other in the sandbox.

    `doubt` says in a line why it is not proven that all is as before then; None: the catalogue is.
    """

    sql: str
    undo_sql: str
    doubt: str | None

    @property
    def proven(self) -> bool:
        return self.doubt is None


class Rehearsal(Protocol):
    """The copy, once it is filled. `notes` say what is not as on the source; every method may raise EngineError."""

    copied: Sequence[Copied]
    prepared_s: float
    source_plans: Mapping[str, Plan]  # how the source plans each statement now

    @property
    def label(self) -> str:
        """Where it is: "PostgreSQL 18.6 on this machine"."""

    @property
    def notes(self) -> Sequence[str]: ...

    async def ready(self, statement: str, sets: int, seed: int) -> Runnable:
        """Make a statement ready, with up to so many sets of values; the same seed gives the same."""

    async def change(self, change: Change) -> str:
        """From now on the side "after" has this change, and "before" has it not; returns its SQL."""

    async def run(self, side: Side, runnable: Runnable, values: Values) -> Execution:
        """Run it once; what it writes is rolled back."""

    async def undone(self, change: Change, sql: str, undo_sql: str) -> Undone:
        """Run what would run on the watched server and what would put it back; no more can be measured afterwards."""

    async def answer(self, runnable: Runnable, values: Values) -> Answer:
        """The rows it returns on the side "before"."""

    async def rewritten(self, runnable: Runnable, text: str) -> Runnable:
        """Another statement made ready, with the values of the first; Refused when its parameters are others."""

    async def compare(self, one: Runnable, other: Runnable) -> Proof:
        """Look for anything in which they could differ: in their texts, and on data made to tell them apart."""
