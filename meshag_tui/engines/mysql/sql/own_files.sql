-- Tables and partitions with a file of their own, in the shape of the rows of `schema`; names are those of `storage`.
UNION ALL
SELECT 'own file', {schema_name}, {table_name}, '', 0, NULL, NULL, NULL, NULL
FROM information_schema.{spaces} t WHERE t.SPACE_TYPE = 'Single'
