-- Counters by digest, without texts: all rows, because the oldest of them tells when the table was last emptied, and the
-- row of what did not fit into the table (no digest) belongs to no schema. Times are in picoseconds.
SELECT
    s.SCHEMA_NAME, s.DIGEST, CAST(UNIX_TIMESTAMP(s.FIRST_SEEN) * 1000 AS SIGNED),
    s.COUNT_STAR, s.SUM_TIMER_WAIT, s.MIN_TIMER_WAIT, s.MAX_TIMER_WAIT, s.SUM_ROWS_SENT, s.SUM_ROWS_AFFECTED,
    s.SUM_ROWS_EXAMINED, s.SUM_NO_INDEX_USED, s.SUM_CREATED_TMP_TABLES, s.SUM_CREATED_TMP_DISK_TABLES,
    s.SUM_SORT_MERGE_PASSES, s.SUM_LOCK_TIME
FROM performance_schema.events_statements_summary_by_digest s
