-- What performance_schema is set to watch, whether the server is a replica and {source} it is one of, and how many others
-- have its data: replicas that read from it (its list of threads shows them without PROCESS, too), and {members} of its group.
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
SELECT 'replication', 'replicas', COUNT(*) FROM performance_schema.threads t WHERE t.PROCESSLIST_COMMAND LIKE 'Binlog Dump%%'
UNION ALL
SELECT 'replication', 'members', {members}
UNION ALL
SELECT 'source', {source}, '' FROM performance_schema.{sources} r WHERE r.CHANNEL_NAME NOT LIKE 'group\_replication\_%%'
