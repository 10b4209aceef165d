-- What InnoDB knows of its tables beside information_schema.TABLES, as (part, schema, table, index, value): rows changed
-- since its statistics were made, with all else that it counts behind them, and in the place of an index the table's number;
-- pages of each index; when statistics were made.
-- Names of the first are InnoDB's, whole in the place of the schema: {schema_name} and {table_name} turn file names back
-- where one holds more than plain letters and the server can.
SELECT 'modified', {schema_name}, {table_name}, t.TABLE_ID,
    CONCAT_WS(' ', t.MODIFIED_COUNTER, t.STATS_INITIALIZED, t.NUM_ROWS, t.CLUST_INDEX_SIZE, t.OTHER_INDEX_SIZE, t.AUTOINC)
FROM information_schema.{tablestats} t
