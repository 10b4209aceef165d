-- Rows read by index, where performance_schema is off and userstat is on (MariaDB).
SELECT u.TABLE_SCHEMA AS OBJECT_SCHEMA, u.TABLE_NAME, u.INDEX_NAME, u.ROWS_READ, NULL, NULL, NULL
FROM information_schema.INDEX_STATISTICS u
WHERE {schemas}
