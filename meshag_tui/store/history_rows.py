"""What `history` answers with: statements in a window of time, as values."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshag_tui.store.history_windows import Loss, Series
from meshag_tui.types import Aside, Window


class QueryRow(NamedTuple):
    """One statement in a window. Times ms, sizes bytes, blocks the server's; None: the server did not measure it."""

    id: int
    uid: str
    key: str
    fingerprint: str | None
    text: str | None
    text_state: str
    kind: str
    internal: bool
    db_user: str | None
    database: str | None
    calls: int
    total_time_ms: float
    mean_time_ms: float | None
    min_time_ms: float | None  # since the server's own statistics began, as is the maximum
    max_time_ms: float | None
    mean_before_ms: float | None  # in the window before: of a page sorted by change, and of one statement
    rows: int | None
    share: float  # of the time of all statements, 0..1
    shared_hit: int | None
    shared_read: int | None
    temp_read: int | None
    temp_written: int | None
    io_time_ms: float | None
    wal_bytes: int | None
    rows_examined: int | None
    no_index_calls: int | None  # calls in which a table was read without an index
    tmp_tables: int | None
    tmp_disk_tables: int | None
    sort_merge_passes: int | None
    lock_time_ms: float | None  # waiting for locks, as the server counts it
    first_seen_at: int
    last_seen_at: int
    spark: tuple[float | None, ...] = ()  # ms in each second over the window, None where nothing was observed
    stddev_ms: float | None = None  # standard deviation of the time of a call
    longest_ms: float | None = None  # of the calls in the window; None: no longer than one before, or nobody asked


class QueryPage(NamedTuple):
    """A page of statements, and what it is a page of."""

    rows: tuple[QueryRow, ...]
    window: Window
    total_rows: int  # that match, on all pages
    hidden: int  # catalogue, utility and own statements that match but are hidden
    hidden_time_ms: float
    total_time_ms: float  # of all statements, those hidden from us too
    calls: int
    covered_share: float | None  # of that time, what is known by statement; None: no time was spent
    complete: bool
    events: tuple[Loss, ...]
    slow: int | None = None  # of those that match, slow by what was asked for; None: nobody asked


class Statement(NamedTuple):
    """What a statement is, without figures."""

    id: int
    uid: str
    connection_id: str
    key: str
    fingerprint: str | None
    text: str | None
    text_state: str
    kind: str
    internal: bool
    aside: Aside | None  # why it is internal
    db_user: str | None
    database: str | None
    min_time_ms: float | None
    max_time_ms: float | None
    first_seen_at: int
    last_seen_at: int


class QueryDetail(NamedTuple):
    """One statement in a window with what it is; `members`: ids of the statements that are shown as this one."""

    statement: Statement
    row: QueryRow
    members: tuple[int, ...]
    window: Window
    complete: bool
    events: tuple[Loss, ...]


class Overview(NamedTuple):
    """A connection in a window, in a few figures."""

    window: Window
    calls: int
    total_time_ms: float
    mean_time_ms: float | None
    calls_per_s: float | None  # over what was observed with a known length; None: nothing was
    ms_per_s: float | None  # time spent by all, ms in each second of that
    statements: int  # that ran, without internal ones
    slow: int  # of them, with a mean of `slow_ms` or more, or a call that took as long where that is asked for
    sessions: Mapping[str, Any] | None  # SessionStats of the last sync in the window
    load: Series  # over what was observed of the window
    syncs: int
    complete: bool
    events: tuple[Loss, ...]
