"""How MySQL and MariaDB say what all engines have; see `engines.base.Words`."""

from __future__ import annotations

from meshag_tui.engines.words import Words

WORDS = Words(
    name="MySQL or MariaDB",
    dialect="mysql",
    url="mysql://user@host:3306/database",
    counters="performance_schema",
    index_uses="row reads",
    text_forbidden="GRANT SELECT ON performance_schema.* TO '{user}'@'%';",
    texts_for="those who may read performance_schema",
    text_cut="cut by the server after max_digest_length: several statements may be counted as this one",
    no_what_if="this server has no hypothetical indexes",
    figures=(
        *("examined_per_call", "rows_examined", "no_index_share"),
        *("tmp_tables", "tmp_disk_tables", "sort_merge_passes", "lock_time", "spread"),
    ),
    statement_findings=("performance-schema-", "digest", "statistics-reset", "section-statement-statistics"),
    no_measure="wraparound",
    replicas="its lists of threads and members",
    session_id="connection",
    no_statement="none, or not ours to see",
    keyless="auth_socket or none",
    home_schema=None,
    script_run="mysql DATABASE < {file}",
    script_head=(
        "SET NAMES utf8mb4;",
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';",
        "SET SESSION lock_wait_timeout = 2;",
    ),
    client=("mysql", "-h", "{host}", "-P", "{port}", "-u", "{user}", "-p", "{database}", "-e", "{sql}"),
    own_unread="MeshAG's sessions run in information_schema, which is not read; what they explain is a utility",
    remedies={
        "stale-statistics": "Wrong row counts make it choose wrong joins and scans. ANALYZE TABLE reads a few pages of "
        "each index and takes seconds.",
        "table-bloat": "Deleted rows left it: this table alone will use it, if it grows again. It costs disk and time "
        "of backups; scans do not read it. The table is written anew beside itself while it is read and written, which "
        "takes what its rows and indexes take on disk until the end.",
        "temp-table-spill": "Group or sort fewer rows and leave out long columns, or give this report more memory: SET "
        "SESSION tmp_table_size before it, and temptable_max_ram for the server. Raising it for all multiplies by "
        "every session.",
        "sort-spill": "Sort fewer rows or columns, or let an index give the order; for this report alone SET SESSION "
        "sort_buffer_size may do. Raising it for all multiplies by every session.",
        "no-index-used": "It could not be explained, so no index was tried: compare the columns of its WHERE with the "
        "indexes of its tables.",
        "no-primary-key": "rows cannot be told apart, a replica reads the whole table for each row that is changed, "
        "and group replication refuses it.",
        "sequence-exhaustion": "Plan the move to BIGINT UNSIGNED, with the columns that refer to it: changing the type "
        "copies the table and keeps writers out, so do it with gh-ost or pt-online-schema-change, or on a replica "
        "first.",
        "idle-in-transaction": "An open transaction keeps its row and metadata locks and keeps the purge from removing "
        "any row version since it began. Find where the application does not commit, and lower wait_timeout as a net",
        "connection-saturation": "When the last one is taken, new sessions are refused. Lower the pools of the "
        "applications or put a proxy in front; raising max_connections costs memory for each of them.",
        "offset-pagination": "WHERE (a > ? OR (a = ? AND id > ?)) ORDER BY a, id LIMIT n.",
        "not-in-subquery": "unless neither side can be NULL, the sub-query's result is searched for each row.",
        "order-by-random": "Take a random key from the range of the primary key and read from there.",
        "long-in-list": "A list longer than eq_range_index_dive_limit is planned from averages. Write the values into "
        "a temporary table and join it.",
        "leading-wildcard": "For words, a FULLTEXT index and MATCH … AGAINST; for parts of words one with an n-gram "
        "parser (MySQL).",
        "like-pattern": "an index on the column looks them up.",
        "function-on-column": "Compare the bare column, or index a generated column of the expression.",
        "correlated-subquery": "Compute it once for all rows (a join with a grouped derived table, or a window "
        "function).",
        "reset-often": "Find what truncates performance_schema.events_statements_summary_by_digest (another monitoring "
        "tool, a cron job), or what makes the server restart",
        "slow-reading": "lower performance_schema_digests_size",
        "wide-rows": "Keep them in a table of their own with the same key, read when they are shown. Where few columns "
        "are asked for, an index that has them all serves the scan as well.",
        "partition-candidate": "The column becomes part of every unique key, a partitioned table has no foreign keys "
        "and none refers to it, and the rows have to be copied: make it beside this one and change their names.",
        "n-plus-one": "a join, or WHERE key IN (…).",
    },
)


def words_of(server: str) -> Words:
    """The words of "MySQL" or "MariaDB", where they differ."""
    if server != "MariaDB":
        return WORDS._replace(name="MySQL")
    own = {
        "idle-in-transaction": "An open transaction keeps its row and metadata locks and keeps the purge from removing "
        "any row version since it began. Find where the application does not commit, and set idle_transaction_timeout "
        "as a net",
        "temp-table-spill": "Group or sort fewer rows and leave out long columns, or give this report more memory: SET "
        "SESSION tmp_memory_table_size and max_heap_table_size before it. Raising them for all multiplies by every "
        "session.",
        "leading-wildcard": "For words, a FULLTEXT index and MATCH … AGAINST.",
        "no-primary-key": "rows cannot be told apart, a replica reads the whole table for each row that is changed, "
        "and Galera does not support deleting them.",
    }
    return WORDS._replace(
        name="MariaDB",
        no_statement="unknown: MariaDB tells a statement while it runs, no longer",
        remedies={**WORDS.remedies, **own},
    )
