"""The one protocol every engine speaks, and the errors all of them use.

An `Engine` knows a kind of server; a `Session` is one read-only conversation with one database of it. Sessions are
read-only with statement, lock and idle time-outs set by the engine, carry an application name, and every call ends
by a client deadline, also when the server is frozen. Only `DdlSession`, handed to `changes/` alone, can change a
thing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from meshag_tui.engines.words import Words
from meshag_tui.live import Ended, Ending, LiveReading
from meshag_tui.plan import Plan, PlanMode, Predicate
from meshag_tui.snapshot import Elsewhere, ServerFacts, Snapshot, StatementText
from meshag_tui.types import Change, EvidenceKind, Finding, IndexSpec, MeshagError, Target, WhatIfChoice

if TYPE_CHECKING:
    from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, Named, Rehearsal, Say


class EngineError(MeshagError):
    """Something a server said or did. `transient` errors may go away by themselves and are worth a retry."""

    code = "engine"
    transient = False

    def __init__(self, text: str, fix: str | None = None) -> None:
        super().__init__(text)
        self.fix = fix


class CannotConnect(EngineError):
    """Refused, unknown host, no answer in time, not the right protocol."""

    code = "cannot-connect"
    transient = True


class AuthenticationFailed(EngineError):
    code = "authentication"


class TlsFailed(EngineError):
    code = "tls"


class NoSuchDatabase(EngineError):
    code = "no-database"


class PermissionDenied(EngineError):
    code = "permission"


class DeadlinePassed(EngineError):
    """The server did not answer within the client's deadline; the session is gone."""

    code = "deadline"
    transient = True


class ServerFault(EngineError):
    """The server refused or failed a statement."""

    code = "server"


class Refused(EngineError):
    """We refused: the text is not one statement of an allowed class, or what it does is not for us to do.

    `by_hand` is the statement, and the one that puts it back, that a person could run who knows what it does to others.
    """

    code = "refused"

    def __init__(self, text: str, fix: str | None = None, by_hand: tuple[str, str] | None = None) -> None:
        super().__init__(text, fix)
        self.by_hand = by_hand


SYNC = "sync"
"""The purpose of the sessions that come again and again: what seldom changes of the server may be remembered there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines of a session; the server-side ones are set as well and are shorter. Where it looks first, how much it
    reads."""

    connect_s: float = 5.0
    call_s: float = 15.0
    lock_ms: int = 500
    statements_from: tuple[str, str] | None = (
        None  # schema and name of what stands for pg_stat_statements, if it is there
    )
    statements: int = 0  # counters of more statements are not read where the engine can choose; 0: of all


@dataclass(frozen=True, slots=True)
class WhatIfPlan:
    """A plan with hypothetical indexes: which of them it used, how large each was estimated, bytes, and its name there.

    What `WhatIf.sees` not is left out.
    """

    plan: Plan
    used: tuple[IndexSpec, ...]
    size_bytes: Mapping[IndexSpec, int]
    names: Mapping[IndexSpec, str] = field(default_factory=dict)


class WhatIf(Protocol):
    """Prices a statement as if indexes existed. Nothing is created on the server that is watched.

    There are three ways: HypoPG on the server itself; a statistics sandbox, an empty server of our own with the same
    schema and statistics; and, to come, a copy with data, where an index is made and its use *measured*.
    """

    method: str  # "hypopg", "sandbox"
    label: str  # for people: what planned, and the version of its planner
    differs: tuple[str, ...]  # what is not as on the server that is watched, in a few words each
    methods: frozenset[str]  # of indexes that can be planned with
    evidence: EvidenceKind
    calls: int  # planner calls so far
    seconds: float  # spent in `plan` so far

    def sees(self, statement: str, index: IndexSpec) -> bool:
        """Whether a plan of this statement could use such an index here."""

    async def plan(
        self,
        statement: str,
        indexes: Sequence[IndexSpec],
        mode: PlanMode | None = None,
        values: tuple[str, ...] = (),
        without: Collection[tuple[str, str]] = (),
    ) -> WhatIfPlan:
        """The plan of a statement as if these indexes existed.

        Args:
            values: `parameters` of a plan that was explained.
            without: (schema, name) of indexes that are there, to be left out.

        Raises:
            Refused: the statement may not be explained, an index cannot be, or none can be left out here.
        """


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """The planner's statistics of one column (pg_stats): n_distinct as PostgreSQL has it (negative = share of rows)."""

    column: str
    type: str
    null_fraction: float
    distinct: float
    average_width: int
    common_values: tuple[str, ...] = ()
    common_frequencies: tuple[float, ...] = ()
    histogram: tuple[str, ...] = ()
    correlation: float | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a statement took since the server began to count, ms, and how much of that was compiling its plans (JIT)."""

    calls: int
    total_ms: float
    compile_ms: float


class Session(Protocol):
    """One read-only conversation. Every method may raise EngineError."""

    facts: ServerFacts
    words: Words

    @property
    def keepable(self) -> bool:
        """Whether it is this session that the server knows by the settings we gave, and it can be used later."""

    async def collect(self, objects: bool = True, elsewhere: Elsewhere = "left out") -> Snapshot:
        """Counters, tables, indexes, schema: one sync's reading in a constant number of statements, no statement texts.

        `objects=False` reads statements and sessions only; the other sections are None, without a warning. `elsewhere`
        says what becomes of other databases' statements; where counting is free, it is done unasked.
        """

    async def texts(self, keys: Collection[str] | None) -> tuple[StatementText, ...]:
        """Texts of these statements (None: of all), normalised, passwords taken out, capped."""

    async def live(self, idle: bool = False, vitals: bool = False, databases: Collection[str] = ()) -> LiveReading:
        """What other sessions do now, ours left out: one statement, or two where some wait for each other.

        Args:
            idle: those that do nothing and hold nothing too.
            vitals: the server's vital figures as well, with one statement more.
            databases: those for which figures that are counted by database are read too; else of ours alone.
        """

    async def findings(self) -> tuple[Finding, ...]:
        """The doctor: one row for each capability, with the exact SQL or step that mends what is missing."""

    async def explain(
        self,
        statement: str,
        mode: PlanMode | None = None,
        search_path: str | None = None,
        database: str | None = None,
    ) -> Plan:
        """The plan, without executing. None chooses: literal without parameters, else custom samples, else generic.

        `database` is the one the statement ran in, for a session that watches several.

        Raises:
            Refused: the text is not exactly one SELECT, INSERT, UPDATE, DELETE or MERGE.
        """

    async def what_if(
        self, choice: WhatIfChoice = "auto", plans: Sequence[Plan] = (), notes: list[str] | None = None
    ) -> WhatIf | None:
        """A planner that takes indexes that do not exist, or None where there is none; it ends with the session.

        Args:
            choice: which one; "auto" takes the first that can be had.
            plans: present plans of the statements it will be asked for: a sandbox has what these read, and without
                any the whole database.
            notes: is given a line where one could not be had and that is not plain from the doctor.
        """

    async def column_statistics(self, schema: str, table: str) -> tuple[ColumnStatistics, ...]: ...

    async def compiled(self) -> Mapping[str, Compiled]:
        """Statements whose plans were compiled, by key; empty where the server does not compile or does not count it.

        Source: the jit columns of pg_stat_statements, PostgreSQL 15 and later.
        """

    def named(self, statement: str) -> frozenset[str]:
        """Names of the tables and views that a text names, without schema; none where it cannot be read."""

    def rewritten(self, rule: str, statement: str) -> str | None:
        """The statement as a rule's advice ("not-in-subquery") would have it written; None where we cannot write it.

        Its parameters keep the numbers they have in the statement, numbered by their first places. Nothing is claimed
        of its meaning: see `rehearsal.Rehearsal.compare`.
        """

    async def copy_plan(self, statements: Sequence[str], limits: CopyLimits, server: Named | None = None) -> CopyPlan:
        """What would be read so that these statements can be run in a sandbox with data. Reads the catalogue alone.

        Args:
            server: on which the sandbox is to be; None: a private server on this machine.

        Raises:
            Refused: there is no sandbox for this database; the text says why.
        """

    async def schema_plan(self, change: Change, limits: CopyLimits, server: Named | None = None) -> CopyPlan:
        """The same for a sandbox without rows, in which a change is only made and taken back.

        Raises:
            Refused: there is no sandbox for this database; the text says why.
        """

    def rehearse(self, plan: CopyPlan, say: Say, server: Named | None = None) -> AbstractAsyncContextManager[Rehearsal]:
        """Copy what the plan says, within its limits, in one read-only transaction; end the copy with the context.

        Raises:
            Refused: the sandbox would be on the watched server itself, cannot be made, or its limits are reached.
        """

    def predicates(self, plan: Plan) -> tuple[Predicate, ...]:
        """The conditions of a plan by relation, with aliases, views and sub-queries resolved."""

    async def render(self, change: Change) -> RenderedChange:
        """The exact SQL of a change and its undo, from catalogue-checked names. Refused when an object is not there."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RenderedChange:
    """Exactly what would run and what would put it back, and the object as the catalogue has it now."""

    sql: str
    undo_sql: str | None
    target: Mapping[str, Any]  # oid, definition, table oid, … re-checked immediately before running

    def identity(self, *, makes: bool) -> dict[str, Any]:
        """What tells later that the object is still the one that was looked at.

        `makes`: of something new only its table counts, as its own definition has a name that may be taken by then.
        """
        names = ("table_oid", "columns") if makes else ("table_oid", "definition", "columns")
        return {name: self.target[name] for name in names if name in self.target}


@dataclass(frozen=True, slots=True)
class Gate:
    """One pre-flight check: its value and its limit as shown, and whether it lets us through.

    Unknown is no. Where a right or a setting would make the value known, the gate blocks and `detail` says which. It is
    "unknown" only where nothing we may be given would: then somebody must say, gate by gate, that they go on without.
    """

    name: str
    value: str
    limit: str
    state: Literal["pass", "warn", "unknown", "block"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running change is (pg_stat_progress_create_index): phase, and share done where the server says."""

    phase: str
    share: float | None = None
    waiting_for: str | None = None
    making: int | None = None  # oid of the index that is being made, once it is in the catalogue


class DdlSession(Protocol):
    """A session that may run one rendered change. Its time-outs: lock_timeout short, no statement time-out."""

    backend_pid: int
    backend_start: int  # epoch ms

    async def gates(
        self, change: Change, rendered: RenderedChange, estimated_bytes: int | None
    ) -> tuple[Gate, ...]: ...

    async def run(self, change: Change, sql: str) -> None:
        """Run it once. `sql` must parse as one statement of the change's class. LockTimeout is worth another try."""

    async def adopt(self, backend_pid: int, backend_start: int, made: int | None) -> bool:
        """Stand in for an earlier session of ours that began the change; True while that one is still at work.

        One that does nothing any more is ended, so that it can begin nothing later; ask again until False. `made` is
        the oid of the index it was seen making, the only one that `clean_up` then removes.
        """

    async def stop_adopted(self) -> None:
        """End the session that was adopted, and the statement it runs."""

    async def verify(
        self, change: Change, rendered: RenderedChange
    ) -> Literal["done", "partial", "absent", "invalid", "running"]:
        """What the catalogue says of the change's object now; never the command tag.

        "partial": a restored index is there, but not all that is said of it; running the change again completes it.
        """

    async def clean_up(self, change: Change, rendered: RenderedChange) -> bool:
        """Remove an invalid leftover that this change made (same name, made after it began). True if removed."""

    async def close(self) -> None: ...


class LockTimeout(EngineError):
    """The lock was not had in time. `blockers` says who holds it."""

    code = "lock-timeout"
    transient = True


class Engine(Protocol):
    """A kind of server."""

    words: Words

    def connect(self, target: Target, purpose: str, limits: Limits) -> AbstractAsyncContextManager[Session]:
        """Open a read-only session. `purpose` goes into the application name: meshag/<purpose>."""

    def connect_for_change(self, target: Target, limits: Limits) -> AbstractAsyncContextManager[DdlSession]:
        """Open a session that may change things: for changes/ only."""

    async def progress(self, session: Session, backend_pid: int) -> Progress | None: ...

    def end_sql(self, ending: Ending) -> str:
        """Exactly what `end` runs."""

    async def end(self, target: Target, limits: Limits, ending: Ending) -> Ended:
        """Stop the statement of a session, or the session, if it still is what was seen: for changes/ only.

        Raises:
            PermissionDenied: the right that is missing is its `fix`.
        """

    async def reset_sql(self, target: Target, limits: Limits) -> str:
        """Exactly what `reset` runs."""

    async def reset(self, target: Target, limits: Limits, agreed: str) -> None:
        """Set the statement counters back to nothing, if `agreed` still is what that takes: for changes/ only.

        Raises:
            PermissionDenied: the right that is missing is its `fix`.
        """

    def setup_sql(self, user: str, database: str) -> str:
        """The least-rights role MeshAG needs, as a script for an administrator."""

    def normalise(self, text: str) -> str:
        """A statement's text with literals replaced by parameters; `<unparsable>` when it cannot be read."""

    def fingerprint(self, text: str) -> str | None: ...
