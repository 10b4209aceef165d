-- Who waits for a row that whom has locked: sessions.
SELECT DISTINCT r.PROCESSLIST_ID, b.PROCESSLIST_ID
FROM performance_schema.data_lock_waits w
JOIN performance_schema.threads r ON r.THREAD_ID = w.REQUESTING_THREAD_ID
JOIN performance_schema.threads b ON b.THREAD_ID = w.BLOCKING_THREAD_ID
