-- Tables: when each was last altered, and {figures}, which are what they cost MySQL most for.
SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.ENGINE, t.ROW_FORMAT, UNIX_TIMESTAMP(t.CREATE_TIME), {figures}
FROM information_schema.TABLES t
WHERE {schemas} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
