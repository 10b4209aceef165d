-- Digest texts that may fill the server's array of tokens, longest first.
SELECT s.SCHEMA_NAME, s.DIGEST_TEXT FROM performance_schema.events_statements_summary_by_digest s
WHERE LENGTH(s.DIGEST_TEXT) > %(length)s AND s.SCHEMA_NAME NOT IN %(internal)s
ORDER BY LENGTH(s.DIGEST_TEXT) DESC LIMIT 500
