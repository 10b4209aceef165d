-- The servers that this one replicates from, also when it has stopped to; those of its group are none.
SELECT CONCAT(r.HOST, ':', r.PORT) FROM performance_schema.replication_connection_configuration r
WHERE r.CHANNEL_NAME NOT LIKE 'group\_replication\_%%'
