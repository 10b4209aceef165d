-- What is kept of a digest's text, in a schema or any; blanks and quotes are not what tells two apart. Units of time have a
-- word of their own there, see the lexer, and so has DISTINCT. (Its length, which is never less and seldom more than twice that of what is asked
-- for, is looked at first: it is the cheapest.)
SELECT SCHEMA_NAME, {sample}
FROM performance_schema.events_statements_summary_by_digest
WHERE LENGTH(DIGEST_TEXT) BETWEEN LENGTH(%(text)s) AND 100 + 3 * LENGTH(%(text)s)
    AND REPLACE(REPLACE(REPLACE(REPLACE(DIGEST_TEXT, 'SQL_TSI_', ''), 'DISTINCTROW', 'DISTINCT'), ' ', ''), '`', '')
        = REPLACE(REPLACE(REPLACE(REPLACE(%(text)s, 'SQL_TSI_', ''), 'DISTINCTROW', 'DISTINCT'), ' ', ''), '`', '')
    AND (%(schema)s IS NULL OR SCHEMA_NAME = %(schema)s)
ORDER BY SUM_TIMER_WAIT DESC LIMIT 3
