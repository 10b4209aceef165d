-- The table of a schema and name; names that differ by case only may both come. The last value is the page size.
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, CAST(DATA_LENGTH + INDEX_LENGTH AS SIGNED),
       CAST(UNIX_TIMESTAMP(CREATE_TIME) AS SIGNED), ROW_FORMAT, @@GLOBAL.innodb_page_size
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
