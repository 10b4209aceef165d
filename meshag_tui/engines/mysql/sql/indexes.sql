-- Keys of indexes, in the shape of the rows of `schema`: the name is the index's, the place that in its key, the first value
-- all others of the key. {expression} and {hidden} are what this flavour calls them.
UNION ALL
SELECT 'index key', s.TABLE_SCHEMA, s.TABLE_NAME, s.INDEX_NAME, s.SEQ_IN_INDEX,
    JSON_ARRAY(
        s.NON_UNIQUE, s.COLUMN_NAME, s.SUB_PART, s.COLLATION, s.NULLABLE, s.INDEX_TYPE, s.COMMENT, s.INDEX_COMMENT,
        {hidden}, {expression}
    ), NULL, NULL, NULL
FROM information_schema.STATISTICS s WHERE {indexes}
