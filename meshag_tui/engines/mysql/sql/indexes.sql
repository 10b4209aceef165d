-- Index keys in order. {expression} and {hidden} are what this flavour calls them.
SELECT
    s.TABLE_SCHEMA, s.TABLE_NAME, s.INDEX_NAME, s.NON_UNIQUE, s.COLUMN_NAME, s.SUB_PART, s.COLLATION, s.NULLABLE,
    s.INDEX_TYPE, s.COMMENT, s.INDEX_COMMENT, {hidden}, {expression}
FROM information_schema.STATISTICS s
WHERE {schemas}
ORDER BY s.TABLE_SCHEMA, s.TABLE_NAME, s.INDEX_NAME, s.SEQ_IN_INDEX
