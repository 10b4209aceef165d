-- A table as it would be copied: how it is kept, about how many rows and bytes it has, and its columns. One that is made
-- of others is not copied but made again.
SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.ENGINE, t.TABLE_ROWS, t.DATA_LENGTH, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE,
       COALESCE(c.GENERATION_EXPRESSION, '') <> '',
       (SELECT s.SEQ_IN_INDEX FROM information_schema.STATISTICS s
        WHERE s.TABLE_SCHEMA = c.TABLE_SCHEMA AND s.TABLE_NAME = c.TABLE_NAME AND s.INDEX_NAME = 'PRIMARY'
          AND s.COLUMN_NAME = c.COLUMN_NAME), c.ORDINAL_POSITION
FROM information_schema.TABLES t
JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME
WHERE t.TABLE_SCHEMA = %s AND t.TABLE_NAME = %s
