-- Tables with their sizes: {figures} is what they cost most for.
SELECT
    t.TABLE_SCHEMA, t.TABLE_NAME, t.ENGINE, t.ROW_FORMAT, {figures},
    UNIX_TIMESTAMP(t.CREATE_TIME), t.CREATE_OPTIONS, t.TABLE_COLLATION, t.TABLE_COMMENT
FROM information_schema.TABLES t
WHERE {schemas} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
