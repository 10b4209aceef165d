-- CHECK constraints, in the shape of the rows of `schema`.
UNION ALL
SELECT 'check', x.CONSTRAINT_SCHEMA, {table}.TABLE_NAME, x.CONSTRAINT_NAME, 0, x.CHECK_CLAUSE, NULL, NULL, NULL
FROM information_schema.CHECK_CONSTRAINTS x{join} WHERE {checks}
