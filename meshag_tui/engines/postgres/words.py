"""How PostgreSQL says what all engines have; see `engines.base.Words`."""

from __future__ import annotations

from meshag_tui.engines.base import Words

WORDS = Words(
    name="PostgreSQL",
    dialect="postgres",
    url="postgresql://user@host:5432/database",
    counters="pg_stat_statements",
    index_uses="scans",
    text_forbidden="GRANT pg_read_all_stats",
    no_what_if="there are no hypothetical indexes here (CREATE EXTENSION hypopg would give them)",
    remedies={},
)
