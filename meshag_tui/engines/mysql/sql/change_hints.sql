-- Statements with a hint about indexes and this name (as LIKE has it): those that name an index in a hint fail when it is
-- hidden or gone.
SELECT LEFT(DIGEST_TEXT, 200), DIGEST_TEXT
FROM performance_schema.events_statements_summary_by_digest
WHERE (DIGEST_TEXT LIKE '%% INDEX %%' OR DIGEST_TEXT LIKE '%% KEY %%') AND LOWER(DIGEST_TEXT) LIKE LOWER(%s)
LIMIT 200
