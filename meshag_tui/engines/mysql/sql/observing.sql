-- What performance_schema is set to watch, whether the server is a replica, and how many replicas read from it.
-- {processes} lists the server's threads.
SELECT 'consumer' AS part, c.NAME AS name, c.ENABLED AS value FROM performance_schema.setup_consumers c
UNION ALL
SELECT 'instrument', i.NAME, CONCAT(i.ENABLED, i.TIMED) FROM performance_schema.setup_instruments i WHERE i.NAME IN %(instruments)s
UNION ALL
SELECT 'actors', 'all', COUNT(*) FROM performance_schema.setup_actors a WHERE a.HOST = '%%' AND a.USER = '%%'{enabled}
UNION ALL
SELECT 'actors', 'some', COUNT(*) FROM performance_schema.setup_actors a
UNION ALL
SELECT 'replication', 'sources', COUNT(*) FROM performance_schema.replication_connection_configuration r
    WHERE r.CHANNEL_NAME NOT LIKE 'group\_replication\_%%'
UNION ALL
SELECT 'replication', 'replicas', COUNT(*) FROM {processes} p WHERE p.COMMAND LIKE 'Binlog Dump%%'
