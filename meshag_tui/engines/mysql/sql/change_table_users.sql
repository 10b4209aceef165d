-- Who holds or waits for a metadata lock on a table, longest first: session, user, host, mode, whether it waits, and for
-- how many seconds its transaction, or what it does, has gone on.
SELECT th.PROCESSLIST_ID, th.PROCESSLIST_USER, th.PROCESSLIST_HOST, m.LOCK_TYPE, m.LOCK_STATUS = 'PENDING',
       GREATEST(COALESCE(TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), 0), COALESCE(th.PROCESSLIST_TIME, 0)) AS age
FROM performance_schema.metadata_locks m
JOIN performance_schema.threads th ON th.THREAD_ID = m.OWNER_THREAD_ID
LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = th.PROCESSLIST_ID
WHERE m.OBJECT_TYPE = 'TABLE' AND m.OBJECT_SCHEMA = %s AND m.OBJECT_NAME = %s
  AND th.PROCESSLIST_ID <> CONNECTION_ID()
ORDER BY age DESC
LIMIT 20
