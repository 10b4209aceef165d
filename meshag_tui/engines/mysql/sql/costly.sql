-- The end of `statements` where there are too many: those that took as long, and what did not fit; and of the others of
-- each schema their oldest, calls, time and number together, without a digest, last. Were its types not the same, the
-- server would send all numbers as decimals.
WHERE s.SUM_TIMER_WAIT >= %(least)s OR s.DIGEST IS NULL
UNION ALL SELECT
    s.SCHEMA_NAME, '', CAST(UNIX_TIMESTAMP(MIN(s.FIRST_SEEN)) * 1000 AS SIGNED),
    CAST(SUM(s.COUNT_STAR) AS UNSIGNED), CAST(SUM(s.SUM_TIMER_WAIT) AS UNSIGNED), MIN(s.MIN_TIMER_WAIT),
    MAX(s.MAX_TIMER_WAIT), CAST(COUNT(*) AS UNSIGNED), MIN(s.SUM_ROWS_AFFECTED),
    MIN(s.SUM_ROWS_EXAMINED), MIN(s.SUM_NO_INDEX_USED), MIN(s.SUM_CREATED_TMP_TABLES),
    MIN(s.SUM_CREATED_TMP_DISK_TABLES), MIN(s.SUM_SORT_MERGE_PASSES), MIN(s.SUM_LOCK_TIME)
FROM performance_schema.events_statements_summary_by_digest s
WHERE s.SUM_TIMER_WAIT < %(least)s AND s.DIGEST IS NOT NULL
GROUP BY s.SCHEMA_NAME
