-- The columns of a table that are written, whether each may hold NULL, and the primary key's places.
SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.IS_NULLABLE = 'YES', c.COLUMN_KEY = 'PRI', c.ORDINAL_POSITION
FROM information_schema.COLUMNS c
JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME
WHERE c.TABLE_SCHEMA = %s AND c.TABLE_NAME = %s AND t.TABLE_TYPE = 'BASE TABLE'
  AND COALESCE(c.GENERATION_EXPRESSION, '') = ''
