SELECT SCHEMA_NAME, {sample}
FROM performance_schema.events_statements_summary_by_digest
WHERE TRIM(TRAILING ' ' FROM DIGEST_TEXT) = %(text)s AND (%(schema)s IS NULL OR SCHEMA_NAME = %(schema)s)
ORDER BY SUM_TIMER_WAIT DESC LIMIT 3
