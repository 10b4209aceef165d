-- Schemas that InnoDB has tables of, as file names, for comparing with those we may see.
SELECT DISTINCT {schema_name} FROM information_schema.{tables} t WHERE t.NAME LIKE '%%/%%'
