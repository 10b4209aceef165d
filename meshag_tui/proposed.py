"""What can be proposed and applied: indexes, changes and suggestions, as values. `types` hands them on by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meshag_tui.types import EvidenceKind, Risk, SuggestionPriority, SuggestionType


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """One key of an index: a column name, or an expression text as the server prints it."""

    name: str
    is_expression: bool = False
    descending: bool = False
    opclass: str | None = None
    nulls_turned: bool = False  # NULLs at the other end than its direction puts them: DESC NULLS LAST, NULLS FIRST

    @property
    def order(self) -> str:
        """Its order as SQL has it after the name: "", " DESC", " DESC NULLS LAST", " NULLS FIRST"."""
        nulls = f" NULLS {'LAST' if self.descending else 'FIRST'}" if self.nulls_turned else ""
        return " DESC" * self.descending + nulls


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index that could be made. Names are bare catalogue names; quoting is the engine's business."""

    schema: str
    table: str
    columns: tuple[IndexColumn, ...]
    method: str = "btree"
    include: tuple[str, ...] = ()
    where: str | None = None  # predicate text as the server prints it
    name: str | None = None  # None: the engine chooses a free one


@dataclass(frozen=True, slots=True)
class CreateIndex:
    spec: IndexSpec
    kind: Literal["create-index"] = "create-index"


@dataclass(frozen=True, slots=True)
class DropIndex:
    schema: str
    table: str
    name: str
    kind: Literal["drop-index"] = "drop-index"


@dataclass(frozen=True, slots=True)
class RestoreIndex:
    """Put a dropped index back exactly: the statements captured from the catalogue before the drop, in order."""

    schema: str
    table: str
    name: str
    statements: tuple[str, ...]
    kind: Literal["restore-index"] = "restore-index"


@dataclass(frozen=True, slots=True)
class Analyze:
    schema: str
    table: str
    kind: Literal["analyze"] = "analyze"


@dataclass(frozen=True, slots=True)
class Vacuum:
    schema: str
    table: str
    kind: Literal["vacuum"] = "vacuum"


@dataclass(frozen=True, slots=True)
class HideIndex:
    """Keep an index up to date but out of every plan (MySQL INVISIBLE, MariaDB IGNORED): the trial before a drop."""

    schema: str
    table: str
    name: str
    kind: Literal["hide-index"] = "hide-index"


@dataclass(frozen=True, slots=True)
class ShowIndex:
    """Let plans use a hidden index again."""

    schema: str
    table: str
    name: str
    kind: Literal["show-index"] = "show-index"


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Write a table anew beside itself, without the space that deleted rows left (MySQL, MariaDB)."""

    schema: str
    table: str
    kind: Literal["rebuild"] = "rebuild"


@dataclass(frozen=True, slots=True)
class RenameIndex:
    schema: str
    table: str
    name: str
    new_name: str
    kind: Literal["rename-index"] = "rename-index"


@dataclass(frozen=True, slots=True)
class Reindex:
    """Build an index anew beside the old one and put it in its place (PostgreSQL, REINDEX CONCURRENTLY)."""

    schema: str
    table: str
    name: str
    kind: Literal["reindex"] = "reindex"


@dataclass(frozen=True, slots=True)
class SetTableOptions:
    """Options that a table is kept with, each with its value as the server prints it; None: the server's default.

    A name may come twice, first with None: then it is taken away and set anew, which puts it last in the server's list.
    """

    schema: str
    table: str
    options: tuple[tuple[str, str | None], ...]
    kind: Literal["set-table-options"] = "set-table-options"


@dataclass(frozen=True, slots=True)
class SetStatisticsTarget:
    """How closely ANALYZE looks at a column (PostgreSQL): 0 to 10000; None: as default_statistics_target has it."""

    schema: str
    table: str
    column: str
    target: int | None
    kind: Literal["set-statistics-target"] = "set-statistics-target"


@dataclass(frozen=True, slots=True)
class CreateStatistics:
    """What the planner is to know of several columns together (PostgreSQL), or of one column's values (MySQL).

    `kinds` are "ndistinct", "dependencies" and "mcv", or "histogram" alone.
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    name: str | None = None  # None: the engine chooses a free one
    kind: Literal["create-statistics"] = "create-statistics"


@dataclass(frozen=True, slots=True)
class DropStatistics:
    """`name` is the object's, or of a histogram its column's."""

    schema: str
    table: str
    name: str
    kind: Literal["drop-statistics"] = "drop-statistics"


@dataclass(frozen=True, slots=True)
class RestoreStatistics:
    """Put dropped statistics back exactly: the statements captured from the catalogue before the drop, in order."""

    schema: str
    table: str
    name: str
    statements: tuple[str, ...]
    kind: Literal["restore-statistics"] = "restore-statistics"


@dataclass(frozen=True, slots=True)
class SetSetting:
    """A setting of the server, or of what a role or a database gets at its start; None: what it would be without it.

    PostgreSQL: ALTER SYSTEM where neither role nor database is named, else ALTER ROLE or ALTER DATABASE (of the
    database we are in). MySQL: SET PERSIST; MariaDB: SET GLOBAL.
    """

    name: str
    value: str | None
    role: str | None = None
    database: str | None = None
    until_restart: str | None = None  # MySQL, where `value` is None: what it is meanwhile
    kind: Literal["set-setting"] = "set-setting"


Change = (
    CreateIndex
    | DropIndex
    | RestoreIndex
    | RenameIndex
    | Reindex
    | HideIndex
    | ShowIndex
    | Analyze
    | Vacuum
    | Rebuild
    | SetTableOptions
    | SetStatisticsTarget
    | CreateStatistics
    | DropStatistics
    | RestoreStatistics
    | SetSetting
)
"""What can be applied. A change is data; only an engine turns it into SQL, from catalogue names."""


def table_of(change: Change) -> tuple[str, str] | None:
    """Schema and table that a change is about; None for one of the whole server, a database or a role."""
    if isinstance(change, SetSetting):
        return None
    if isinstance(change, CreateIndex):
        return change.spec.schema, change.spec.table
    return change.schema, change.table


FOLLOWED_BY = ";\n"
"""Between a change's statement and what follows it: line ends within a statement of ours are written as escapes."""


def statement_of(sql: str) -> tuple[str, tuple[str, ...]]:
    """A change's one statement, and what follows it of itself, without which it does nothing yet or lacks something.

    New statistics are filled by ANALYZE, ALTER SYSTEM is taken up by a reload, a restored index gets its comment again.
    """
    first, *rest = sql.split(FOLLOWED_BY)
    return first, tuple(rest)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposed improvement, before it has a row in the store.

    `identity` says what it is about (rule and object), so that the same advice is stored once.
    `sql` and `undo_sql` are exactly what would run and what would put it back, see `statement_of`; both None for advice
    to the application.
    `evidence` is a JSON document; its "kind" is an EvidenceKind, its "facts" a list of lines with figures.
    """

    rule: str
    identity: str
    type: SuggestionType
    priority: SuggestionPriority
    title: str
    text: str
    evidence_kind: EvidenceKind
    evidence: Mapping[str, Any]
    confidence: float  # 0..1
    risk: Risk
    schema: str | None = None
    table: str | None = None
    change: Change | None = None
    sql: str | None = None
    undo_sql: str | None = None
    query_ids: tuple[int, ...] = ()
    origin: Literal["rule", "llm"] = "rule"
    model: str | None = None
    gain_ms_per_day: float | None = None  # estimated time saved, ms per day; None = not estimated
