"""How PostgreSQL says what all engines have; see `engines.base.Words`."""

from __future__ import annotations

from meshag_tui.engines.words import Words

WORDS = Words(
    name="PostgreSQL",
    dialect="postgres",
    url="postgresql://user@host:5432/db, service=NAME",
    counters="pg_stat_statements",
    index_uses="scans",
    text_forbidden='GRANT pg_read_all_stats TO "{user}";',
    texts_for="members of pg_read_all_stats",
    text_cut="cut after 65,536 characters",
    no_what_if="no planner can be asked (CREATE EXTENSION hypopg on the server would let us, "
    "or pip install 'meshag-tui[demo]' here)",
    figures=("hit_ratio", "temp", "io", "shared_read", "wal", "stddev"),
    statement_findings=("pgss-", "query-id-off", "statistics-reset", "section-statement-statistics"),
    no_measure="undo",
    replicas="pg_stat_replication",
    session_id="pid",
    no_statement="none, or not ours to see",
    keyless=".pgpass, peer or trust",
    home_schema="public",
    script_run="psql -X -f {file} DATABASE   (not with -1: CONCURRENTLY cannot be in a transaction)",
    script_head=(
        "\\set ON_ERROR_STOP on",
        "SET client_encoding = 'UTF8';",
        "SET standard_conforming_strings = on;",
        "SET search_path = pg_catalog, pg_temp;",
        "SET default_tablespace = '';",
        "SET lock_timeout = '2s';",
        "SET statement_timeout = 0;",
    ),
    client=("psql", "-h", "{host}", "-p", "{port}", "-U", "{user}", "-d", "{database}", "-c", "{sql}"),
    own_unread="Where MeshAG's role only watches, what it runs is not read",
    remedies={
        "stale-statistics": "Wrong row counts make it choose wrong joins and scans. ANALYZE reads a sample and takes "
        "seconds.",
        "table-bloat": "scans read them and new rows find no room. VACUUM makes their space usable again; it does not "
        "make the file smaller.",
        "autovacuum-off": "If there is no reason left for it, let autovacuum in again.",
        "no-primary-key": "rows cannot be told apart, duplicates are not kept out, and logical replication refuses its "
        "updates.",
        "sequence-exhaustion": "Plan the move to bigint: a new column filled in the background and swapped in, since "
        "changing the type rewrites the table under a lock.",
        "idle-in-transaction": "An open transaction keeps its locks and keeps VACUUM from removing any row that died "
        "since it began. Find where the application does not commit, and set idle_in_transaction_session_timeout as a "
        "net",
        "connection-saturation": "When the last one is taken, new sessions are refused. Put a connection pooler in "
        "front or lower the pools of the applications; raising max_connections costs memory for each of them.",
        "work-mem-spill": "Sort or keep fewer rows, or give this report more memory: SET LOCAL work_mem = '{wanted}' "
        "in its transaction. Raising work_mem for all multiplies by every session.",
        "work-mem-of-role": "What can be applied here gives {wanted} to each sort and hash of every new session of "
        "{role} in this database, and to no other.",
        "offset-pagination": "WHERE (sort columns) > (last values) ORDER BY … LIMIT n.",
        "not-in-subquery": "it cannot be planned as an anti-join: the sub-query's result is searched for each row.",
        "order-by-random": "Take a random key from the range of the primary key and read from there, or use "
        "TABLESAMPLE.",
        "long-in-list": "Each length of list is a statement of its own to parse, plan and count. Pass one array and "
        "write = ANY ($1), or join unnest($1).",
        "leading-wildcard": "A trigram index (extension pg_trgm, USING gin (… gin_trgm_ops)) finds such patterns; for "
        "words, full-text search.",
        "like-pattern": "a B-tree on the column with text_pattern_ops looks them up.",
        "function-on-column": "Compare the bare column, or index the expression.",
        "correlated-subquery": "Compute it once for all rows (a join with a grouped sub-query, or a window function) "
        "or look rows up with LATERAL and an index.",
        "reset-often": "Find what calls pg_stat_statements_reset() (another monitoring tool, a cron job), or what "
        "makes the server crash",
        "slow-reading": "lower pg_stat_statements.max",
        "wide-rows": "Keep them in a table of their own with the same key, read when they are shown; or, for values of "
        "some hundred bytes, SET (toast_tuple_target = 128) and rewrite the rows: then they lie beside the table. "
        "Where few columns are asked for, an index that has them all serves the scan as well.",
        "partition-candidate": "The partition key becomes part of every unique key, and the rows have to be copied: "
        "make the partitioned table beside it, attach the old one as its first partition, and let new rows go to new "
        "ones.",
        "n-plus-one": "a join, or WHERE key = ANY ($1).",
        "half-dropped-index": "REINDEX INDEX CONCURRENTLY brings it back",
    },
)
