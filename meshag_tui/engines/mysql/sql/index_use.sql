-- Rows read and changed by table and index since the table was last altered, or the server started. Without an index
-- (NULL): rows read by going over the table, and rows inserted.
SELECT u.OBJECT_SCHEMA, u.OBJECT_NAME, u.INDEX_NAME, u.COUNT_FETCH, u.COUNT_INSERT, u.COUNT_UPDATE, u.COUNT_DELETE
FROM performance_schema.table_io_waits_summary_by_index_usage u
WHERE u.OBJECT_TYPE = 'TABLE' AND {schemas}
