-- What InnoDB knows of its tables beside information_schema.TABLES, as (part, schema, table, index, value): rows changed
-- since its statistics were made and (in the place of an index) its number, whether a table has a file of its own, pages of each index, when statistics were made.
-- Names of the first two are file names: {schema_name} and {table_name} turn them back where the server can.
SELECT 'modified', {schema_name}, {table_name}, t.TABLE_ID, t.MODIFIED_COUNTER FROM information_schema.{tablestats} t
UNION ALL
SELECT 'own file', {schema_name}, {table_name}, NULL, 1 FROM information_schema.{spaces} t WHERE t.SPACE_TYPE = 'Single'
