"""The review of MySQL's and MariaDB's settings, as the server names and counts them."""

from __future__ import annotations

from meshag_tui.engines.reviewing import Figures, Given, Judgement, Reviewed, number_of, switch
from meshag_tui.figures import count, duration, percent, size

_MB = 1024**2
_DAY_S = 86_400


def _buffer_pool(given: Given, figures: Figures) -> tuple[Judgement, str]:
    value = number_of(given, "innodb_buffer_pool_size") or 0
    stored, hits = figures.stored_bytes, figures.hit_ratio
    if value <= 128 * _MB and stored is not None and stored > 8 * value:
        found = "" if hits is None else f", and {percent(hits)} of page requests were served from it"
        return "look", (
            f"It is as small as it comes, for {size(stored)} of tables and indexes{found}. Half to three quarters of "
            "the memory of a machine that serves only this database is usual; it can be changed while the server runs."
        )
    if hits is not None and hits < 0.95:
        return "look", f"Only {percent(hits)} of page requests were served from it: the working set may be larger."
    return "ok", "Nothing that was counted says it is too small."


def _each_session(name: str, most: float, what: str) -> Reviewed:
    def rule(given: Given, _: Figures) -> tuple[Judgement, str]:
        value = number_of(given, name) or 0
        if value > most:
            return "look", f"Each {what} of every session may take that much: set it for the sessions that need it."
        return "ok", f"What each {what} may take is small beside what sessions take anyway."

    return Reviewed(name, size, rule)


def _flush(given: Given, _: Figures) -> tuple[Judgement, str]:
    if given["innodb_flush_log_at_trx_commit"] == "1":
        return "ok", "A commit is on disk before it is answered."
    return "look", "A crash may lose up to a second of commits that were answered: right only where that is accepted."


def _temporary(given: Given, _: Figures) -> tuple[Judgement, str]:
    value, other = number_of(given, "tmp_table_size") or 0, number_of(given, "max_heap_table_size") or 0
    if other and value > other:
        return "look", f"Of the two the lesser holds: max_heap_table_size is {size(other)}."
    return "ok", "Temporary tables in memory may be this large."


def _redo(given: Given, figures: Figures) -> tuple[Judgement, str]:
    value = number_of(given, "innodb_redo_log_capacity") or 0
    if value <= 100 * _MB and (figures.written_rows or 0) > 1_000_000:
        return "look", (
            f"{count(figures.written_rows)} rows were written in the last day through a redo log this small: pages are "
            "flushed in a hurry when it fills."
        )
    return "ok", "Nothing that was counted says the redo log is too small."


def _metadata_wait(given: Given, _: Figures) -> tuple[Judgement, str]:
    value = number_of(given, "lock_wait_timeout") or 0
    if value >= _DAY_S:
        return "look", (
            f"A statement that alters a table waits {duration(value * 1000)} for those that read it, and all new ones "
            "wait behind it. Changes applied from here wait two seconds, whatever this says."
        )
    return "ok", "A statement that alters a table gives up after this time."


def _connections(given: Given, figures: Figures) -> tuple[Judgement, str]:
    value, most = number_of(given, "max_connections") or 0, figures.most_connections
    if most is not None and most >= 0.8 * value:
        return "look", f"{count(most)} were taken at once: when the last is taken, new sessions are refused."
    said = "." if most is None else f": {count(most)} were taken at once at most."
    return "ok", f"There is room{said}"


def _sql_mode(given: Given, _: Figures) -> tuple[Judgement, str]:
    if "STRICT_" in given["sql_mode"].upper():
        return "ok", "What does not fit into a column is refused."
    return "wrong", "Without a STRICT mode what does not fit into a column is cut, and only a warning says so."


RULES: tuple[Reviewed, ...] = (
    Reviewed("sql_mode", None, _sql_mode),
    Reviewed(
        "performance_schema",
        None,
        switch("on", "wrong", "No statement is counted: all figures of statements are missing.", "It counts.")(
            "performance_schema"
        ),
    ),
    Reviewed("innodb_flush_log_at_trx_commit", None, _flush),
    Reviewed(
        "innodb_file_per_table",
        None,
        switch("on", "look", "Space of dropped tables never goes back to the disk.", "Each table has its own file.")(
            "innodb_file_per_table"
        ),
    ),
    Reviewed(
        "innodb_stats_on_metadata",
        None,
        switch("off", "look", "Looking at the catalogue reckons statistics anew: plans change by it.", "It is off.")(
            "innodb_stats_on_metadata"
        ),
    ),
    Reviewed(
        "innodb_stats_persistent",
        None,
        switch("on", "look", "Statistics are reckoned anew at each start: plans differ by chance.", "They are kept.")(
            "innodb_stats_persistent"
        ),
    ),
    Reviewed("innodb_buffer_pool_size", size, _buffer_pool),
    Reviewed("innodb_redo_log_capacity", size, _redo),
    _each_session("sort_buffer_size", 8 * _MB, "sort"),
    _each_session("join_buffer_size", 8 * _MB, "join without an index"),
    _each_session("read_rnd_buffer_size", 8 * _MB, "read in order of an index"),
    Reviewed("tmp_table_size", size, _temporary),
    Reviewed("max_connections", None, _connections),
    Reviewed("lock_wait_timeout", None, _metadata_wait),
    Reviewed(
        "log_bin",
        None,
        lambda given, _: (
            ("ok", "Changes are logged: a backup can be rolled forward, and replicas can follow.")
            if given["log_bin"].upper() in ("ON", "1")
            else ("look", "Without a binary log a backup cannot be rolled forward to a moment.")
        ),
    ),
    Reviewed(
        "slow_query_log",
        None,
        lambda given, _: (
            ("ok", "The server's own log tells slow statements.")
            if given["slow_query_log"].upper() in ("ON", "1")
            else ("look", "The server's log tells no slow statement: what was slow before we looked is lost.")
        ),
    ),
)
