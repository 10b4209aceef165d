-- Digest texts of the statements asked for, each cut to %(limit)s characters.
SELECT s.SCHEMA_NAME, s.DIGEST, LEFT(s.DIGEST_TEXT, %(limit)s)
FROM performance_schema.events_statements_summary_by_digest s
{keys}
