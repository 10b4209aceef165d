-- Other sessions now, where performance_schema does not tell (and of MariaDB, whose list numbers statements).
SELECT p.ID, 0, {statement}, p.USER, p.HOST, p.DB, p.COMMAND, p.STATE, {time}, NULL, NULL, LEFT(p.INFO, 16384),
    {program}, {columns}
FROM information_schema.PROCESSLIST p
{attributes}
{transactions}
WHERE p.ID <> CONNECTION_ID() AND p.COMMAND <> 'Daemon' AND p.USER <> 'system user' AND ({idle} OR p.COMMAND <> 'Sleep'{holds}){own}
ORDER BY p.COMMAND = 'Sleep', {order}p.TIME DESC
LIMIT {limit}
