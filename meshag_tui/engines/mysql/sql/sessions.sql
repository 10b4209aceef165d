-- Other client sessions by state, then those that sit in a transaction doing nothing, oldest first. InnoDB tells time by
-- the clock of the system, in its zone.
SELECT CASE WHEN p.COMMAND = 'Sleep' AND t.trx_mysql_thread_id IS NOT NULL THEN 'idle in transaction'
            WHEN p.COMMAND = 'Sleep' THEN 'idle' ELSE 'active' END AS kind,
    COUNT(*), NULL, NULL, NULL, NULL
FROM {processes} p
LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID
WHERE {clients}
GROUP BY kind
UNION ALL
SELECT * FROM (
    SELECT NULL AS kind, p.ID, p.USER, SUBSTRING_INDEX(p.HOST, ':', 1) AS host,
        TIMESTAMPDIFF(SECOND, CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00'), NOW()) * 1000 AS age, p.TIME * 1000
    FROM {processes} p
    JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID
    WHERE p.COMMAND = 'Sleep' AND {clients}
    ORDER BY t.trx_started
    LIMIT 50
) idle
