-- Metadata locks on what somebody waits for: object, session, kind, whether it waits, in the order they were asked for.
SELECT CONCAT_WS('.', m.OBJECT_TYPE, m.OBJECT_SCHEMA, m.OBJECT_NAME), t.PROCESSLIST_ID, m.LOCK_TYPE, m.LOCK_STATUS = 'PENDING'
FROM performance_schema.metadata_locks m
JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
JOIN (
    SELECT DISTINCT p.OBJECT_TYPE, p.OBJECT_SCHEMA, p.OBJECT_NAME
    FROM performance_schema.metadata_locks p WHERE p.LOCK_STATUS = 'PENDING'
) w ON w.OBJECT_TYPE = m.OBJECT_TYPE AND w.OBJECT_SCHEMA <=> m.OBJECT_SCHEMA AND w.OBJECT_NAME <=> m.OBJECT_NAME
