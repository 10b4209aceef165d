-- What the server is, as (part, name, value). All values of one statement are of its beginning, so that now - Uptime is
-- always the same moment. {variables} and {status} are views that every user may read.
SELECT 'server' AS part, 'version' AS name, VERSION() AS value
UNION ALL SELECT 'server', 'now', CAST(UNIX_TIMESTAMP(NOW(6)) AS CHAR)
UNION ALL SELECT 'server', 'current_user', CURRENT_USER()
UNION ALL SELECT 'server', 'connection', CAST(CONNECTION_ID() AS CHAR)
UNION ALL SELECT 'server', 'read_only', CAST({read_only} AS CHAR)
UNION ALL SELECT 'server', 'deadline', CAST({deadline} AS CHAR)
UNION ALL SELECT 'server', 'schema', (SELECT s.SCHEMA_NAME FROM information_schema.SCHEMATA s WHERE s.SCHEMA_NAME = %(database)s)
UNION ALL SELECT 'status', s.VARIABLE_NAME, s.VARIABLE_VALUE FROM {status} s WHERE s.VARIABLE_NAME IN %(status)s
UNION ALL SELECT 'variable', v.VARIABLE_NAME, v.VARIABLE_VALUE FROM {variables} v WHERE v.VARIABLE_NAME IN %(variables)s
UNION ALL SELECT 'readable', t.TABLE_NAME, '' FROM information_schema.TABLES t
WHERE t.TABLE_SCHEMA = 'mysql' AND t.TABLE_NAME IN ('innodb_index_stats', 'innodb_table_stats', 'column_stats')
UNION ALL SELECT 'right', p.PRIVILEGE_TYPE, p.GRANTEE FROM information_schema.USER_PRIVILEGES p
WHERE p.GRANTEE = CONCAT(
    '\'', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1),
    '\'@\'', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '\''
)
