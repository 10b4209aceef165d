-- Other sessions now, as performance_schema has them: what a client runs is the first of its statements, those that it calls
-- come after. {transactions} tells who is in a transaction, where that is ours to see.
SELECT p.PROCESSLIST_ID, p.THREAD_ID, s.EVENT_ID, p.PROCESSLIST_USER, p.PROCESSLIST_HOST, p.PROCESSLIST_DB,
    p.PROCESSLIST_COMMAND, p.PROCESSLIST_STATE, p.PROCESSLIST_TIME * 1000, IF(s.END_EVENT_ID IS NULL, s.TIMER_WAIT / 1000000000, NULL),
    s.DIGEST, LEFT(COALESCE(s.SQL_TEXT, p.PROCESSLIST_INFO), 16384), a.ATTR_VALUE, {columns}
FROM performance_schema.threads p
LEFT JOIN performance_schema.events_statements_current s ON s.THREAD_ID = p.THREAD_ID AND s.NESTING_EVENT_LEVEL = 0
LEFT JOIN performance_schema.session_connect_attrs a ON a.PROCESSLIST_ID = p.PROCESSLIST_ID AND a.ATTR_NAME = 'program_name'
{transactions}
WHERE p.TYPE = 'FOREGROUND' AND p.PROCESSLIST_ID <> CONNECTION_ID() AND COALESCE(a.ATTR_VALUE, '') NOT LIKE 'meshag/%%'
    AND p.PROCESSLIST_COMMAND <> 'Daemon' AND ({idle} OR p.PROCESSLIST_COMMAND <> 'Sleep'{holds})
ORDER BY p.PROCESSLIST_COMMAND = 'Sleep', {order}p.PROCESSLIST_TIME DESC
LIMIT {limit}
