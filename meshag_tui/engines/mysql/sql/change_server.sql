-- What a change depends on of the server as a whole, as (name, value). All of one statement is of its beginning, so that
-- now - uptime is always the same moment. {variables} and {status} are views that every user may read.
SELECT 'now' AS name, CAST(UNIX_TIMESTAMP() AS CHAR) AS value
UNION ALL SELECT 'connection_id', CAST(CONNECTION_ID() AS CHAR)
UNION ALL SELECT 'current_user', CURRENT_USER()
UNION ALL SELECT v.VARIABLE_NAME, v.VARIABLE_VALUE FROM {variables} v
WHERE v.VARIABLE_NAME IN ('read_only', 'super_read_only', 'innodb_read_only', 'max_connections', 'datadir', 'tmpdir',
                          'innodb_tmpdir', 'log_bin', 'thread_pool_size', 'wsrep_on', 'wsrep_provider', 'wsrep_osu_method',
                          'performance_schema')
UNION ALL SELECT s.VARIABLE_NAME, s.VARIABLE_VALUE FROM {status} s
WHERE s.VARIABLE_NAME IN ('Uptime', 'Threads_connected', 'Threads_running', 'Slave_running')
