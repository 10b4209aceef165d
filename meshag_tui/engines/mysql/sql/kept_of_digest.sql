-- What is kept of a digest's text, in a schema or any. Units of time have a word of their own there, see the lexer.
SELECT SCHEMA_NAME, {sample}
FROM performance_schema.events_statements_summary_by_digest
WHERE REPLACE(TRIM(TRAILING ' ' FROM DIGEST_TEXT), 'SQL_TSI_', '') = REPLACE(%(text)s, 'SQL_TSI_', '')
    AND (%(schema)s IS NULL OR SCHEMA_NAME = %(schema)s)
ORDER BY SUM_TIMER_WAIT DESC LIMIT 3
