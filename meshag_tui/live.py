"""What sessions do now: plain values between the engines, the store and the screens.

A *sample* is one look at a server. Each session that worked counts in its wait class; the mean of that over samples is
the number of *average active sessions*, the load. Texts are normalised by the engine: no literal is in any of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from meshag_tui.types import Finding

WaitClass = Literal["cpu", "io", "lock", "latch", "network", "other"]
"""What a working session waits for; "cpu": for nothing that its server tells."""
WAIT_CLASSES: tuple[WaitClass, ...] = get_args(WaitClass)
WAIT_WORDS: Mapping[str, str] = {
    "cpu": "running",
    "io": "I/O",
    "lock": "lock",
    "latch": "latch",
    "network": "network",
    "other": "other",
}
SessionState = Literal["active", "idle in transaction", "idle", "unknown"]
"""What a session does; "unknown": the server does not tell us."""
Known = Literal["ok", "insufficient privilege", "unsupported", "no data"]
"""Why a figure is there or not. "no data": the server has it, and nothing can be said yet."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """One session of a server at one moment. Ages in ms by the server's clock, None where there is none.

    `began` and `begun` tell this session and its present statement from later ones of the same number: opaque, and only
    good for being compared. `statement` is what the server calls its statement (queryid, digest).
    """

    id: int
    began: str
    begun: str
    user: str
    database: str
    client: str
    application: str
    kind: str  # "client", or what it does for the server: "autovacuum", "replication", "parallel worker"
    state: SessionState
    wait: WaitClass | None  # None: it does not work
    event: str  # the server's own name of what it waits for, "" for nothing
    statement_ms: float | None
    transaction_ms: float | None
    state_ms: float | None
    text: str | None  # normalised; None: not ours to see, or it never ran one
    fingerprint: str | None
    statement: str | None = None
    blocked_by: tuple[int, ...] = ()

    @property
    def who(self) -> str:
        """ "app@shop" """
        return f"{self.user}@{self.database}" if self.database else self.user

    @property
    def same_as(self) -> tuple[int, str, str]:
        """What must be unchanged for it to be the session, at the statement, that somebody saw."""
        return self.id, self.began, self.begun


@dataclass(frozen=True, slots=True)
class Vital:
    """One figure of a server's health, or why there is none; `fix` is the statement that would mend that."""

    state: Known
    value: float | None = None
    limit: float | None = None
    detail: str = ""
    fix: str = ""
    title: str = ""  # where not all engines count the same under this name


VITALS: Mapping[str, str] = {
    "hit_ratio": "Cache hits",
    "connections": "Connections",
    "lag_ms": "Replication lag",
    "oldest_ms": "Oldest transaction",
    "age": "Age",
    "checkpoints": "Checkpoints asked",
    "temporary": "Temporary files",
}
"""The figures and how they are called. `hit_ratio` is a share since the look before; `age` is of PostgreSQL's oldest
unfrozen transaction against its limit, and on MySQL and MariaDB the length of InnoDB's history list. `checkpoints` are
those that did not come by time, of all, and on MySQL and MariaDB the bytes of redo log that wait for one, of what it
holds; `temporary` are files (of MySQL and MariaDB tables on disk) a second since the look before."""


@dataclass(frozen=True, slots=True)
class LiveReading:
    """One sample: sessions that are not ours, those that matter first; idle ones only where they were asked for.

    `state` says whether the server shows them at all: "insufficient privilege" when some are hidden, whose number is
    `hidden`; "unsupported" when it does not track what sessions do. `finding` is then what mends it.
    """

    taken_at: int  # our clock, epoch ms
    took_ms: float  # from the question to the answer
    sessions: tuple[LiveSession, ...]
    state: Known = "ok"
    hidden: int = 0
    more: int = 0  # sessions beyond those that one reading takes
    blockers: Known = "ok"  # whether it can be told who blocks whom
    finding: Finding | None = None
    vitals: Mapping[str, Vital] | None = None  # None: not read this time
    by_database: Mapping[str, Mapping[str, Vital]] = field(default_factory=dict)  # figures counted by database

    def vitals_of(self, database: str) -> Mapping[str, Vital] | None:
        """The vital figures as a session in that database would have read them."""
        return None if self.vitals is None else {**self.vitals, **self.by_database.get(database, {})}

    def active(self) -> dict[WaitClass, int]:
        """How many sessions worked, by wait class."""
        found: dict[WaitClass, int] = {}
        for session in self.sessions:
            if session.state == "active" and session.wait is not None and session.kind in WORKING:
                found[session.wait] = found.get(session.wait, 0) + 1
        return found


WORKING = ("client", "parallel worker")
"""Kinds of sessions that are load when they are active: what a server does for itself is not."""


Way = Literal["cancel", "terminate"]
"""How a session is stopped: its statement only, or the session with its transaction."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A session that is to be stopped, as somebody saw it."""

    session: LiveSession
    way: Way


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of it. "changed": it is no more what was seen, and nothing was sent."""

    outcome: Literal["done", "sent", "changed", "gone"]
    detail: str = ""
