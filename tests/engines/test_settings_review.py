"""The review of settings: each judgement follows from the settings and figures it is given, and names them."""

from __future__ import annotations

import pytest

from meshag_tui.engines import reviewed_settings
from meshag_tui.engines.reviewing import Figures

MB, GB = 1024**2, 1024**3
POSTGRES = {
    "fsync": "on",
    "track_counts": "on",
    "autovacuum": "on",
    "track_io_timing": "on",
    "shared_buffers": str(128 * MB),
    "effective_cache_size": str(4 * GB),
    "work_mem": str(4 * MB),
    "random_page_cost": "4",
    "seq_page_cost": "1",
    "max_connections": "100",
    "autovacuum_vacuum_scale_factor": "0.2",
    "log_min_duration_statement": "-1",
}
MYSQL = {
    "sql_mode": "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES",
    "performance_schema": "ON",
    "innodb_flush_log_at_trx_commit": "1",
    "innodb_buffer_pool_size": str(128 * MB),
    "sort_buffer_size": str(256 * 1024),
    "lock_wait_timeout": "31536000",
    "tmp_table_size": str(64 * MB),
    "max_heap_table_size": str(16 * MB),
    "max_connections": "151",
}


def judged(server: str, figures: Figures, **changed: str) -> dict[str, tuple[str, str]]:
    given = (POSTGRES if server == "PostgreSQL" else MYSQL) | changed
    return {each.name: (each.judgement, each.reason) for each in reviewed_settings(server, given, figures)}


_LAZY = {"innodb_flush_log_at_trx_commit": "2"}
_HITS = Figures(40 * GB, hit_ratio=0.91)


@pytest.mark.parametrize(
    ("server", "name", "changed", "figures", "expected", "said"),
    [
        ("PostgreSQL", "fsync", {}, Figures(), "ok", ""),
        ("PostgreSQL", "fsync", {"fsync": "off"}, Figures(), "wrong", "cannot be trusted"),
        ("PostgreSQL", "autovacuum", {"autovacuum": "off"}, Figures(), "wrong", "wraparound"),
        ("PostgreSQL", "shared_buffers", {}, Figures(), "ok", "Nothing that was counted"),
        ("PostgreSQL", "shared_buffers", {}, _HITS, "look", "40 GB of tables and indexes, and 91 "),
        ("PostgreSQL", "effective_cache_size", {"effective_cache_size": "9"}, Figures(), "look", "below shared"),
        ("PostgreSQL", "work_mem", {}, Figures(temp_bytes=3 * GB), "look", "3.0 GB to temporary files"),
        ("PostgreSQL", "work_mem", {"work_mem": str(GB)}, Figures(), "look", "100 GB"),
        ("PostgreSQL", "random_page_cost", {}, Figures(), "look", "1.1"),
        ("PostgreSQL", "random_page_cost", {"random_page_cost": "1.1"}, Figures(), "ok", ""),
        ("PostgreSQL", "max_connections", {}, Figures(most_connections=85), "look", "85 were taken"),
        ("PostgreSQL", "autovacuum_vacuum_scale_factor", {}, Figures(largest_rows=50_000_000), "look", "10.0 M rows"),
        ("PostgreSQL", "log_min_duration_statement", {}, Figures(), "look", ""),
        ("MySQL", "sql_mode", {"sql_mode": ""}, Figures(), "wrong", "is cut"),
        ("MariaDB", "performance_schema", {"performance_schema": "OFF"}, Figures(), "wrong", "counted"),
        ("MySQL", "innodb_flush_log_at_trx_commit", _LAZY, Figures(), "look", "a second"),
        ("MySQL", "innodb_buffer_pool_size", {}, Figures(40 * GB), "look", "40 GB"),
        ("MySQL", "sort_buffer_size", {"sort_buffer_size": str(64 * MB)}, Figures(), "look", "Each sort"),
        ("MySQL", "lock_wait_timeout", {}, Figures(), "look", "wait behind it"),
        ("MySQL", "tmp_table_size", {}, Figures(), "look", "max_heap_table_size is 16 MB"),
    ],
)  # fmt: skip
def test_each_judgement_follows_from_what_it_names(
    server: str, name: str, changed: dict[str, str], figures: Figures, expected: str, said: str
) -> None:
    judgement, reason = judged(server, figures, **changed)[name]
    assert judgement == expected
    assert said in reason and reason.endswith(".")


def test_what_was_not_read_is_not_judged() -> None:
    assert reviewed_settings("PostgreSQL", {}, Figures()) == ()
    assert {each.name for each in reviewed_settings("MySQL", {"sql_mode": "x"}, Figures())} == {"sql_mode"}
