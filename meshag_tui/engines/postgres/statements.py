"""Counters of pg_stat_statements: whatever columns it has, wherever it lives, without its texts.

The columns are those the function really has, not what the version should have. What the server does not count, or has
switched off (`track_io_timing`, `track_planning`), is left out, so that it can never be read as 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines import costly
from meshag_tui.engines.base import Compiled, ServerFault
from meshag_tui.engines.costly import STEPS_MS, TOO_FEW, Choice, Narrowed
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.postgres.wire import MOMENTS_BEGIN_US
from meshag_tui.snapshot import TIME_SQUARES, Elsewhere, Epoch, OtherDatabases, Statements

if TYPE_CHECKING:
    from psycopg import sql

    from meshag_tui.engines.postgres.facts import Server
    from meshag_tui.engines.postgres.wire import Wire

# Our name -> the server's, newest name first; the SQL of a column that is not sent as it is.
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "calls": ("calls",),
    "total_time_ms": ("total_exec_time", "total_time"),
    "rows": ("rows",),
    "plans": ("plans",),
    "plan_time_ms": ("total_plan_time",),
    "shared_hit": ("shared_blks_hit",),
    "shared_read": ("shared_blks_read",),
    "shared_dirtied": ("shared_blks_dirtied",),
    "shared_written": ("shared_blks_written",),
    "temp_read": ("temp_blks_read",),
    "temp_written": ("temp_blks_written",),
    "io_read_ms": ("shared_blk_read_time", "blk_read_time"),
    "io_write_ms": ("shared_blk_write_time", "blk_write_time"),
    "wal_bytes": ("wal_bytes",),
    "min_time_ms": ("min_exec_time", "min_time"),
    "max_time_ms": ("max_exec_time", "max_time"),
    "stats_since": ("stats_since",),
    TIME_SQUARES: ("stddev_exec_time", "stddev_time"),
}
_NEEDS_SETTING = {
    "plans": "pg_stat_statements.track_planning",
    "plan_time_ms": "pg_stat_statements.track_planning",
    "io_read_ms": "track_io_timing",
    "io_write_ms": "track_io_timing",
}
_SQUARES = "s.calls * (s.{deviation} * s.{deviation} + s.{mean} * s.{mean})"
_EXPRESSIONS = {
    ("wal_bytes", "wal_bytes"): "s.wal_bytes::int8",
    (TIME_SQUARES, "stddev_exec_time"): _SQUARES.format(deviation="stddev_exec_time", mean="mean_exec_time"),
    (TIME_SQUARES, "stddev_time"): _SQUARES.format(deviation="stddev_time", mean="mean_time"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters, with when they were last reset and how often entries were evicted at that moment."""

    statements: Statements
    stats_reset: int | None
    evictions: int | None
    unseen: int  # rows of other roles, hidden from ours
    own: int
    narrowed: Narrowed | None = None
    others: OtherDatabases | None = None  # what other databases did, where that was counted

    def epoch(self, epoch: Epoch) -> Epoch:
        return replace(epoch, stats_reset=self.stats_reset, evictions=self.evictions)


def columns(available: Collection[str], settings: Mapping[str, str]) -> dict[str, str]:
    """Our columns this server counts -> the server's column, from the names its function has."""
    found: dict[str, str] = {}
    for name, sources in _SOURCES.items():
        source = next((source for source in sources if source in available), None)
        if source is not None and settings.get(_NEEDS_SETTING.get(name, ""), "on") != "off":
            found[name] = source
    return found


async def read(wire: Wire, server: Server, choice: Choice, elsewhere: Elsewhere = "left out") -> Reading | None:
    """One statement (two when a reset fell into it); None when resets come faster than readings.

    Source: pg_stat_statements(false), rows of the session's database, and of others as `elsewhere` says. A row's
    key is dbid.userid.queryid.toplevel.
    Left out, and counted as hidden: rows of other roles we may not see (they have no queryid), and those of our own
    role when it only watches; of a role that also owns things, ours are known by the marker in their text.
    """
    everywhere = elsewhere == "read"
    for _ in range(2):
        fresh = not choice.asked or choice.elsewhere != everywhere
        if fresh:
            choice.narrowed, choice.elsewhere = None, everywhere
        asks = fresh and _may_be_too_many(server, wire.limits.statements)
        query, names = _query(server, elsewhere, asks, choice.narrowed is not None)
        given: dict[str, Any] = {"database": server.facts.database_oid}
        given["own"] = server.user_oid if server.dedicated else None
        if asks:
            most = wire.limits.statements
            given |= {"steps": list(STEPS_MS), "most": most, "few": TOO_FEW * most}
        elif choice.narrowed is not None:
            given["least"] = choice.narrowed.least_ms
        shaper = _Shaper(server, names, everywhere)
        rows = await wire.fetch(query, given, shape=shaper.shape, bare_moments=True)
        if asks:
            choice.narrowed = costly.narrowed(shaper.reached, wire.limits.statements)
        narrowed = choice.narrowed
        since_reset = fresh or narrowed is None or shaper.stats_reset == choice.stats_reset
        choice.asked = shaper.consistent and since_reset
        choice.stats_reset = shaper.stats_reset
        if choice.asked:
            if narrowed is not None and len(rows) < TOO_FEW * wire.limits.statements:
                choice.asked = False  # the next reading asks
            unseen, hidden, hidden_ms = shaper.unseen, shaper.unseen + shaper.own, shaper.hidden_time_ms
            least_ms = None
            if narrowed is not None:
                unseen, least_ms = unseen + narrowed.unseen, narrowed.least_ms
                hidden, hidden_ms = hidden + narrowed.left_out, hidden_ms + narrowed.left_out_ms
            others = frozenset(shaper.elsewhere) if everywhere else None
            statements = Statements(tuple(names), rows, hidden, hidden_ms, not unseen, least_ms, others)
            return Reading(
                statements, shaper.stats_reset, shaper.evictions, unseen, shaper.own, narrowed, shaper.others
            )
    return None


def _may_be_too_many(server: Server, most: int) -> bool:
    """Whether the server has room for more statements than are to be read."""
    room = server.session_settings.get("pg_stat_statements.max") if server.statements_elsewhere is None else None
    return most > 0 and not (room is not None and room.isdecimal() and int(room) <= most)


def _time(found: Mapping[str, str]) -> str:
    if "total_time_ms" not in found or "calls" not in found:
        missing = next(name for name in ("calls", "total_time_ms") if name not in found)
        raise ServerFault(f"This pg_stat_statements has no column {' or '.join(_SOURCES[missing])}")
    return found["total_time_ms"]


async def compiled(wire: Wire, server: Server) -> dict[str, Compiled]:
    """Statements whose plans were compiled, by key; see `base.Session.compiled`."""
    from psycopg import sql

    if "jit_functions" not in server.statement_columns:
        return {}
    query = sql.SQL(load("compiling")).format(source=source(server))
    database = server.facts.database_oid
    return {
        key_of(database, user, queryid, toplevel): Compiled(calls, total, spent)
        for user, queryid, toplevel, calls, total, spent in await wire.fetch(query, {"database": database})
    }


class _Shaper:
    """Turns fetched rows into (key, *values), keeping count of what it leaves out."""

    def __init__(self, server: Server, names: list[str], elsewhere: bool) -> None:
        self._names = names
        self._told = elsewhere  # then the last value of a row is its database
        self.elsewhere: list[str] = []
        self.others: OtherDatabases | None = None
        self.reached: list[tuple[int, int, int, float]] = []  # as `costly.narrowed` takes it
        self._database = server.facts.database_oid
        self._own_user = server.user_oid if server.dedicated else None
        self._since = 3 + names.index("stats_since") if "stats_since" in names else None
        self._info: list[tuple[Any, ...]] = []
        self._expects_info = server.has_statement_info
        self.unseen = self.own = 0
        self.hidden_time_ms = 0.0

    def shape(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        shaped = []
        database, own, since, told = self._database, self._own_user, self._since, self._told
        end = -1 if told else None
        for row in rows:
            user, queryid, toplevel = row[0], row[1], row[2]
            if queryid is None or user is None or user == own:
                self._left_out(row)
                continue
            key = key_of(row[-1] if told else database, user, queryid, toplevel)
            if told and row[-1] != database:
                self.elsewhere.append(key)
            if since is None:
                shaped.append((key, *row[3:end]))
            else:
                shaped.append((key, *row[3:since], _ms(row[since]), *row[since + 1 : end]))
        return shaped

    def _left_out(self, row: tuple[Any, ...]) -> None:
        user, queryid, hidden = row[:3]
        if user is not None:
            if queryid is None:
                self.unseen += 1
            else:
                self.own += 1
            self.hidden_time_ms += self._of(row, "total_time_ms")
        elif queryid is None:  # of pg_stat_statements_info: reset moment in calls' place, evictions in rows'
            self._info.append(row)
        elif hidden is None:  # of other databases: their number in the statement's place
            self.others = OtherDatabases(
                queryid, self._of(row, "rows"), self._of(row, "calls"), self._of(row, "total_time_ms")
            )
        else:  # of how many took how much: the step in the statement's place
            number = self._of(row, "calls")
            self.reached.append((queryid, number, number if hidden else 0, self._of(row, "total_time_ms")))

    def _of(self, row: tuple[Any, ...], name: str) -> Any:
        return row[3 + self._names.index(name)]

    @property
    def consistent(self) -> bool:
        """Whether no reset fell between the first row and the last."""
        return not self._expects_info or (len(self._info) == 2 and self._info[0][3] == self._info[1][3])

    @property
    def stats_reset(self) -> int | None:
        return self._of_info("calls")

    @property
    def evictions(self) -> int | None:
        return self._of_info("rows")

    def _of_info(self, place: str) -> int | None:
        return self._of(self._info[0], place) if self._info and place in self._names else None


def _within(elsewhere: bool) -> sql.SQL:
    from psycopg import sql

    return sql.SQL("%(database)s IS NOT NULL" if elsewhere else "s.dbid = %(database)s")


def _query(server: Server, elsewhere: Elsewhere, asks: bool, narrowed: bool) -> tuple[sql.Composed, list[str]]:
    """`asks`: which of them to read is found out in the same statement; `narrowed`: it is known."""
    from psycopg import sql

    everywhere = elsewhere == "read"
    found = columns(server.statement_columns, server.session_settings)
    time = _time(found)
    expressions = [_EXPRESSIONS.get((name, source)) or f"s.{source}" for name, source in found.items()]
    within, time_column, union = _within(everywhere), sql.Identifier(time), sql.SQL(" UNION ALL ")
    # Another view than the extension's may lack what others are counted by.
    counts = elsewhere == "counted" and found.keys() >= _OF_OTHERS.keys()
    before = after = sql.Composed([])
    tables, read_from = [], source(server)
    if asks or counts:
        tables.append(sql.SQL("seen AS MATERIALIZED (SELECT * FROM {} s)").format(read_from))
        read_from = sql.Composed([sql.SQL("seen")])
    least = sql.Composed([])
    if narrowed:
        least = sql.SQL(" AND s.{} >= %(least)s").format(time_column)
    if asks:
        least = sql.SQL(" AND s.{} >= {}").format(time_column, sql.SQL(_LEAST))
        tables.append(sql.SQL(load("statement_times")).format(time=time_column, source=read_from, within=within))
        reached = sql.SQL(load("statements_reached")).format(values=_values(_REACHED, found, everywhere))
        after += union + reached
    if counts:
        others = sql.SQL(load("other_databases")).format(
            values=_values(_OF_OTHERS, found, everywhere), source=read_from
        )
        after += union + others
    if server.has_statement_info:
        function = sql.Identifier(server.extension_schemas["pg_stat_statements"], "pg_stat_statements_info")
        info = sql.SQL(load("statement_info")).format(values=_values(_INFO, found, everywhere), function=function)
        before, after = info + union, after + union + info
    composed = sql.SQL(load("statements")).format(
        seen=sql.SQL("WITH {} ").format(sql.SQL(", ").join(tables)) if tables else sql.SQL(""),
        before=before,
        after=after,
        toplevel=toplevel(server),
        columns=sql.SQL(", ".join([*expressions, "s.dbid"] if everywhere else expressions)),
        within=within,
        source=read_from,
        narrowed=least,
    )
    return composed, list(found)


def _values(of: Mapping[str, str], found: Mapping[str, str], everywhere: bool) -> sql.Composed:
    """The values of a row that is no statement, in the places of those that it has."""
    from psycopg import sql

    listed = [sql.SQL(of.get(name, "NULL")).format(time=sql.Identifier(found["total_time_ms"])) for name in found]
    return sql.SQL(", ").join([*listed, sql.SQL("NULL")] if everywhere else listed)


def _ms(moment: int) -> int:
    """A bare moment in ms since 1970, rounded as the server's own date_part('epoch', …) is."""
    return round((moment + MOMENTS_BEGIN_US) / 1_000_000 * 1000)


def key_of(database: int | None, user: int, queryid: int, toplevel: bool) -> str:
    """A statement's key: what the server itself tells statements apart by."""
    return f"{database}.{user}.{queryid}.{'t' if toplevel else 'f'}"


def source(server: Server, texts: str = "false") -> sql.Composed:
    """What the rows are read from; `texts` is the SQL of whether texts are wanted, where it can be told so."""
    from psycopg import sql

    named = server.statements_elsewhere
    if named is None:
        function = sql.Identifier(server.extension_schemas["pg_stat_statements"], "pg_stat_statements")
        return sql.SQL("{}({})").format(function, sql.SQL(texts))
    here = sql.Identifier(named.schema, named.name)
    if named.form == "view":
        return sql.SQL("(SELECT * FROM {})").format(here)
    return sql.SQL("{}({})").format(here, sql.SQL(texts if named.form == "flag" else ""))


def toplevel(server: Server) -> sql.SQL:
    """The column that says whether a statement was sent by a client, from 14 on; before, all kept ones were."""
    from psycopg import sql

    return sql.SQL("s.toplevel" if "toplevel" in server.statement_columns else "true")


# What stands in a counter's place in the rows of pg_stat_statements_info.
_INFO = {
    "calls": "(pg_catalog.date_part('epoch', i.stats_reset) * 1000)::int8",
    "total_time_ms": "0::float8",
    "rows": "i.dealloc",
}
# The same of the row of other databases, with the number of their statements in place of the rows they sent.
_OF_OTHERS = {
    "calls": "COALESCE(pg_catalog.sum(s.calls), 0)::int8",
    "total_time_ms": "COALESCE(pg_catalog.sum(s.{time}), 0)::float8",
    "rows": "pg_catalog.count(*)",
}
# The same of how many statements took how much time, with their number in place of their calls.
_REACHED = {"calls": "r.number", "total_time_ms": "r.spent"}
_LEAST = "COALESCE((%(steps)s::float8[])[(SELECT l.step FROM least l)], '-Infinity')"
