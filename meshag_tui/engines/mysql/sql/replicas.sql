-- Replicas that read from this server, as far as we may see them.
SELECT 'replication', 'replicas', CAST(COUNT(*) AS CHAR) FROM information_schema.PROCESSLIST p WHERE p.COMMAND LIKE 'Binlog Dump%%'
