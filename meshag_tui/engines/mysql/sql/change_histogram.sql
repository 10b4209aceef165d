-- Whether a column has a histogram (MySQL).
SELECT 1
FROM information_schema.COLUMN_STATISTICS
WHERE SCHEMA_NAME = %s AND TABLE_NAME = %s AND COLUMN_NAME = %s
