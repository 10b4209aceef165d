-- Other client sessions by state, each that sits in a transaction doing nothing by itself. InnoDB tells time by the clock of
-- the system, in its zone.
SELECT
    CASE WHEN p.COMMAND <> 'Sleep' THEN 'active' WHEN t.trx_mysql_thread_id IS NULL THEN 'idle' ELSE 'idle in transaction' END AS kind,
    COUNT(*), IF(p.COMMAND = 'Sleep', t.trx_mysql_thread_id, NULL) AS holder,
    MIN(p.USER), MIN(SUBSTRING_INDEX(p.HOST, ':', 1)),
    MAX(TIMESTAMPDIFF(SECOND, CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00'), NOW())) * 1000 AS age, MAX(p.TIME) * 1000
FROM {processes} p
LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID
WHERE {clients}
GROUP BY kind, holder
ORDER BY age DESC
