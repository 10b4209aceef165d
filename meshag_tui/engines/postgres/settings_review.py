"""The review of PostgreSQL's settings. Sizes are in bytes and times in ms, as `facts` keeps them."""

from __future__ import annotations

from meshag_tui.engines.reviewing import Figures, Given, Judgement, Reviewed, number_of, switch
from meshag_tui.figures import count, percent, size

_GB = 1024**3
_DEFAULT_CACHE = 128 * 1024**2


def _shared_buffers(given: Given, figures: Figures) -> tuple[Judgement, str]:
    value = number_of(given, "shared_buffers") or 0
    stored, hits = figures.stored_bytes, figures.hit_ratio
    if value <= _DEFAULT_CACHE and stored is not None and stored > 8 * value:
        found = "" if hits is None else f", and {percent(hits)} of reads found their page there"
        return "look", (
            f"It is as small as initdb leaves it, for {size(stored)} of tables and indexes{found}. A quarter of the "
            "memory of a machine that serves only this database is usual; it takes a restart."
        )
    if hits is not None and hits < 0.9:
        return "look", f"Only {percent(hits)} of reads found their page there: the working set may be larger."
    return "ok", "Nothing that was counted says it is too small."


def _effective_cache(given: Given, _: Figures) -> tuple[Judgement, str]:
    value, buffers = number_of(given, "effective_cache_size"), number_of(given, "shared_buffers")
    if value is not None and buffers is not None and value < buffers:
        return "look", (
            "It is what the planner believes is cached, the kernel's cache too, and lies below shared_buffers: index "
            "scans look dearer than they are."
        )
    return "ok", "It only tells the planner what may be cached; it is not below shared_buffers."


def _work_mem(given: Given, figures: Figures) -> tuple[Judgement, str]:
    value, connections = number_of(given, "work_mem") or 0, number_of(given, "max_connections") or 0
    if figures.temp_bytes:
        return "look", (
            f"Statements wrote {size(figures.temp_bytes)} to temporary files in the last day: advice names those "
            "that spill most. Raise it for these, not for all: each sort and hash of every session may take as much."
        )
    if value * connections > 64 * _GB:
        return "look", (
            f"With max_connections sessions that each sort once it is {size(value * connections)}: set it for roles "
            "that need it instead."
        )
    return "ok", "No statement was seen to write temporary files for want of it."


def _random_page_cost(given: Given, _: Figures) -> tuple[Judgement, str]:
    random, sequential = number_of(given, "random_page_cost"), number_of(given, "seq_page_cost") or 1.0
    if random is not None and random >= 4 * sequential:
        return "look", (
            "It is the figure for spinning disks. On solid state disks 1.1 is near the truth, and the planner then "
            "takes indexes it now avoids. What disks these are is not told by the server."
        )
    return "ok", "A random page is reckoned for less than that of a spinning disk."


def _connections(given: Given, figures: Figures) -> tuple[Judgement, str]:
    value, most = number_of(given, "max_connections") or 0, figures.most_connections
    if most is not None and most >= 0.8 * value:
        return "look", f"{count(most)} were taken at once: when the last is taken, new sessions are refused."
    if value > 500:
        said = "" if most is None else f" {count(most)} were ever taken at once."
        return "look", f"Every session costs memory, and snapshots cost more with their number.{said} Use a pooler."
    said = "." if most is None else f": {count(most)} were taken at once at most."
    return "ok", f"There is room{said}"


def _scale_factor(given: Given, figures: Figures) -> tuple[Judgement, str]:
    value, rows = number_of(given, "autovacuum_vacuum_scale_factor") or 0, figures.largest_rows or 0
    capped = number_of(given, "autovacuum_vacuum_max_threshold")
    waits = value * rows if not capped or capped < 0 else min(value * rows, capped)
    if waits > 2_000_000:
        return "look", (
            f"Autovacuum waits until {count(waits)} rows of the largest table are dead. Set a smaller one for such "
            "tables (ALTER TABLE … SET (autovacuum_vacuum_scale_factor = 0.02))."
        )
    return "ok", f"No table is so large that autovacuum would wait for more than {count(max(waits, 0))} dead rows."


def _statements(given: Given, _: Figures) -> tuple[Judgement, str]:
    if given["pg_stat_statements.track"] == "none":
        return "wrong", "No statement is counted: all figures of statements are missing."
    return "ok", "Statements are counted."


_APART = "A crash of the machine then leaves a database that cannot be trusted."
RULES: tuple[Reviewed, ...] = (
    Reviewed("fsync", None, switch("on", "wrong", f"Nothing is forced to disk. {_APART}", "It must be on.")("fsync")),
    Reviewed(
        "track_counts",
        None,
        switch("on", "wrong", "Autovacuum knows of no dead rows, and use of tables is not counted.", "It must be on.")(
            "track_counts"
        ),
    ),
    Reviewed(
        "autovacuum",
        None,
        switch(
            "on", "wrong", "Dead rows stay, statistics grow old, and wraparound comes nearer.", "Tables are cleaned."
        )("autovacuum"),
    ),
    Reviewed(
        "track_activities",
        None,
        switch("on", "look", "What sessions do is not shown: no live screen, no waits.", "Sessions show what they do.")(
            "track_activities"
        ),
    ),
    Reviewed(
        "track_io_timing",
        None,
        switch(
            "on",
            "look",
            "How long reads take is not measured, so I/O times are blank. pg_test_timing says what measuring costs.",
            "Times of reads and writes are measured.",
        )("track_io_timing"),
    ),
    Reviewed(
        "compute_query_id",
        None,
        lambda given, _: (
            ("wrong", "Statements have no number, so none is counted.")
            if given["compute_query_id"] == "off"
            else ("ok", "Statements can be counted, and sessions show which they run.")
        ),
    ),
    Reviewed("pg_stat_statements.track", None, _statements),
    Reviewed(
        "pg_stat_statements.save",
        None,
        switch("on", "look", "All counts begin anew with each restart.", "Counts outlive a clean restart.")(
            "pg_stat_statements.save"
        ),
    ),
    Reviewed("shared_buffers", size, _shared_buffers),
    Reviewed("effective_cache_size", size, _effective_cache),
    Reviewed("work_mem", size, _work_mem),
    Reviewed("random_page_cost", None, _random_page_cost),
    Reviewed("max_connections", None, _connections),
    Reviewed("autovacuum_vacuum_scale_factor", None, _scale_factor),
    Reviewed(
        "log_min_duration_statement",
        None,
        lambda given, _: (
            ("look", "The server's log tells no slow statement: what was slow before we looked is lost.")
            if (number_of(given, "log_min_duration_statement") or 0) < 0
            else ("ok", "The log tells statements from that time on.")
        ),
    ),
)
