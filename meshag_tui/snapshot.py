"""What one sync reads from a server: plain values between the engines and the store.

Statement rows are tuples under a header rather than objects: at 50,000 statements the difference is a second.
A counter the server does not have, or has switched off (track_io_timing), is absent or None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from meshag_tui.types import Aside, Finding

STATEMENT_COUNTERS = (
    "calls",
    "total_time_ms",
    "rows",
    "plans",
    "plan_time_ms",
    "shared_hit",
    "shared_read",
    "shared_dirtied",
    "shared_written",
    "temp_read",
    "temp_written",
    "io_read_ms",
    "io_write_ms",
    "wal_bytes",
    "rows_examined",
    "no_index_calls",
    "tmp_tables",
    "tmp_disk_tables",
    "sort_merge_passes",
)
"""Cumulative counters that become deltas, in server blocks, bytes and ms. Engines fill what they have."""

TIME_SQUARES = "time_squares"
"""Beside them: the sum of the squares of all times of a statement, ms², where the server keeps it (PostgreSQL). A float
that is made of others: it may fall by a hair."""

LOCK_TIME = "lock_time_ms"
"""And the time that a statement waited for locks, ms, where the server counts it (MySQL and MariaDB)."""

STATEMENT_GAUGES = ("min_time_ms", "max_time_ms", "stats_since")
"""Read with each row but not differenced: lifetime extremes (ms), the entry's own start (epoch ms; PostgreSQL 17+, and
FIRST_SEEN of MySQL and MariaDB)."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What must stay the same for two readings to be comparable; any difference starts a new baseline."""

    system_identifier: str
    role: Literal["primary", "replica"]
    started_at: int  # server start, epoch ms
    stats_reset: int | None  # pg_stat_statements_info.stats_reset and like, epoch ms
    evictions: int | None = None  # pg_stat_statements_info.dealloc: an increase marks the interval incomplete
    objects_reset: int | None = None  # pg_stat_database.stats_reset: of tables and indexes; NULL after a crash
    ran: int | None = None  # statements since its start, where all counters die with the server and none can reset this


@dataclass(frozen=True, slots=True)
class CostModel:
    """What the server's planner reckons with, in its own units; the defaults are PostgreSQL's."""

    random_page: float = 4.0
    sequential_page: float = 1.0
    row: float = 0.01
    index_entry: float = 0.005
    operator: float = 0.0025


@dataclass(frozen=True, slots=True)
class Traits:
    """What rules must know of a kind of server beside its costs: what an index may be there, and what figures mean.

    The defaults are PostgreSQL's.
    """

    index_methods: tuple[str, ...] = ("btree", "gin", "gist", "brin", "hash")
    index_includes: bool = True  # columns that are stored and not ordered by
    index_conditions: bool = True  # an index on some rows only
    index_expressions: bool = True
    pattern_classes: bool = True  # LIKE 'x%' needs an operator class; False: any B-tree of the column serves it
    key_bytes: int | None = None  # of a longer column only a prefix can be a key; None: there are no prefixes
    shares_repeats: bool = True  # an index keeps a value that repeats once (B-tree deduplication)
    counts_late: bool = True  # rows changed are reported up to seconds after they were, an ANALYZE between them
    foreign_keys_keep_index: bool = False  # each must have an index of its columns in their order, on both sides
    vacuums: bool = True  # old versions of rows stay in tables and indexes until a VACUUM has been there
    joint_statistics: bool = True  # the planner can be told of several columns together
    checks_rows_later: bool = True  # a foreign key can be added before the rows that are there are checked
    copies_identity: bool = True  # a standby has the identity of its primary
    quote: str = '"'  # around a name that is no plain word
    bare_names: bool = True  # plain words in lower case need none


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server is. `observed_at` is the server's own clock, epoch ms, read before the counters are."""

    engine: Literal["PostgreSQL", "MySQL", "MariaDB"]
    version: str
    version_number: int  # 180006 style for PostgreSQL, 80013 style for MySQL
    database: str
    database_oid: int | None
    user: str
    superuser: bool
    encoding: str
    in_recovery: bool
    observed_at: int
    epoch: Epoch
    latency_ms: float
    tls: str | None  # protocol and cipher in use, None when the line is clear
    extensions: Mapping[str, str] = field(default_factory=dict)  # installed name -> version
    settings: Mapping[str, str] = field(default_factory=dict)  # the server settings advice depends on
    block_size: int = 8192
    replicas: int = 0  # replicas reading from this server, as far as we may see them
    sources: tuple[str, ...] = ()  # servers this one replicates from, as it knows them, and
    known_as: tuple[str, ...] = ()  # what its replicas know it as: where neither has the other's system_identifier
    costs: CostModel = CostModel()
    hides_indexes: bool = False  # an index can be kept out of plans before it is dropped (INVISIBLE, IGNORED)
    traits: Traits = Traits()


@dataclass(frozen=True, slots=True)
class Statements:
    """Counters by statement. A row is (key, *values in the order of `columns`)."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    hidden: int = 0  # own, and not ours to see: rows the engine left out
    hidden_time_ms: float = 0.0
    whole: bool = True  # False: the server has rows we may not see; then absence proves nothing
    least_ms: float | None = None  # those that took less in all were left out, and are among the hidden; None: none was
    elsewhere: frozenset[str] | None = None  # keys of those of other databases; None: these were not read


Elsewhere = Literal["left out", "counted", "read"]
"""What becomes of the statements of other databases: PostgreSQL goes through all of them once more to count those."""


@dataclass(frozen=True, slots=True)
class OtherDatabases:
    """What other databases of the server did since its counters began, where that is only counted."""

    databases: int
    statements: int
    calls: int
    time_ms: float


@dataclass(frozen=True, slots=True)
class StatementText:
    """The text of one statement as the server keeps it (normalised), secrets already taken out."""

    key: str
    text: str | None
    state: Literal["ok", "forbidden", "unavailable", "undecodable", "cut"]
    fingerprint: str | None
    kind: Literal["select", "insert", "update", "delete", "utility", "other"]
    database: str | None = None
    user: str | None = None
    aside: Aside | None = None  # why it is hidden by default


@dataclass(frozen=True, slots=True)
class TableStats:
    """One table or partition parent; counters are cumulative, None where the server does not count."""

    key: str  # oid or schema.table: identity on the server
    schema: str
    name: str
    kind: Literal["table", "partitioned", "partition", "materialized view", "foreign"]
    parent: str | None  # schema.name of the partitioned parent
    rows_estimate: float  # reltuples, -1 = never analysed
    pages: int
    size_bytes: int | None  # heap incl. TOAST; None when it could not be read (locked, no privilege)
    index_bytes: int | None
    live_rows: int | None
    dead_rows: int | None
    modified_since_analyze: int | None
    last_vacuum: int | None  # epoch ms, manual or auto
    last_analyze: int | None
    counters: Mapping[str, int | None] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)  # reloptions such as autovacuum_enabled
    has_primary_key: bool = True
    frozen_age: int | None = None
    all_visible_pages: int | None = None  # marked so in the visibility map, as of the last VACUUM or ANALYZE
    free_bytes: int | None = None  # in the table's own file, no use to others; None: not known, or the file is shared
    counted_since: int | None = (
        None  # epoch ms; where each table's counters begin anew by themselves when it is altered
    )


TABLE_COUNTERS = (
    "seq_scan",
    "seq_rows",
    "index_scan",
    "index_rows",
    "inserts",
    "updates",
    "hot_updates",
    "deletes",
    "blocks_read",
    "blocks_hit",
)


@dataclass(frozen=True, slots=True)
class IndexKey:
    """One key column as the catalogue has it; `column` is None for an expression."""

    column: str | None
    expression: str | None
    opclass: str  # MySQL: the length of a prefix as "(10)", else ""
    collation: str | None
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class IndexStats:
    """One index with its definition and cumulative use."""

    key: str
    schema: str
    table: str
    name: str
    definition: str
    method: str
    keys: tuple[IndexKey, ...]
    include: tuple[str, ...]
    predicate: str | None
    unique: bool
    primary: bool
    valid: bool
    ready: bool
    constraint: str | None  # name of the constraint it backs
    replica_identity: bool
    clustered: bool
    parent: str | None  # schema.name of the partitioned index it is attached to
    size_bytes: int | None
    rows_estimate: float
    scans: int | None  # MySQL and MariaDB count no scans but the rows read by it: see Words.index_uses
    rows_read: int | None
    rows_fetched: int | None
    last_scan: int | None  # epoch ms; PostgreSQL 16+
    created_at: int | None = None  # where the server knows
    owned_by_extension: bool = False
    building: bool = False  # a build is in progress now (pg_stat_progress_create_index)
    nulls_not_distinct: bool = False
    hidden: bool = False  # kept out of plans (INVISIBLE, IGNORED)
    hidden_since: int | None = None  # since when we have seen it hidden, epoch ms of our clock; the store fills it
    counted_since: int | None = None  # as the table's
    suffix: tuple[str, ...] = ()  # columns the server adds to the keys by itself (InnoDB: those of the primary key)

    @property
    def in_table(self) -> bool:
        """Whether it is the table: the rows are kept in it (InnoDB's primary key), and it takes nothing beside them."""
        return self.clustered and self.size_bytes == 0


INDEX_COUNTERS = ("scans", "rows_read", "rows_fetched")


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    nullable: bool
    default: str | None = None
    extra: str | None = None  # what else its definition says: "auto_increment", "VIRTUAL GENERATED (…)"

    @property
    def conditions(self) -> str:
        """What its definition says after the type, as in CREATE TABLE; begins with a blank, or is empty."""
        default = f"DEFAULT {self.default}" if self.default is not None else None
        parts = (None if self.nullable else "NOT NULL", default, self.extra)
        return "".join(f" {part}" for part in parts if part)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    name: str
    schema: str
    table: str
    columns: tuple[str, ...]
    ref_schema: str
    ref_table: str
    ref_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence and the column it feeds; `limit` is the smaller of the sequence's and the column type's maximum."""

    schema: str
    name: str
    last_value: int | None
    limit: int
    increment: int
    cycles: bool
    table_schema: str | None = None
    table: str | None = None
    column: str | None = None
    column_type: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaSnapshot:
    """Structure only, no statistics: equal structure gives an equal document."""

    columns: Mapping[str, tuple[Column, ...]]  # "schema.table" -> columns in order
    views: Mapping[str, str]  # "schema.view" -> definition
    constraints: Mapping[str, tuple[str, ...]]  # "schema.table" -> definitions


UNSEEN = "not ours to see"
"""The state of a session whose state the server does not tell us."""


@dataclass(frozen=True, slots=True)
class SessionStats:
    """Sessions by state now, for connection advice."""

    max_connections: int
    reserved: int
    by_state: Mapping[str, int]
    idle_in_transaction: tuple[Mapping[str, Any], ...] = ()  # pid, user, application, age_ms, state_age_ms


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One sync's reading. A section that could not be read is None and a warning says why and what mends it."""

    facts: ServerFacts
    taken_at: int  # our clock, epoch ms
    statements: Statements | None
    tables: tuple[TableStats, ...] | None
    indexes: tuple[IndexStats, ...] | None
    schema: SchemaSnapshot | None
    foreign_keys: tuple[ForeignKey, ...] | None
    sequences: tuple[Sequence, ...] | None
    sessions: SessionStats | None
    warnings: tuple[Finding, ...] = ()
    other_databases: OtherDatabases | None = None  # None: not counted this time
    server_statements: int = 0  # SQL statements this sync sent
