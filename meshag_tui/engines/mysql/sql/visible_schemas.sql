-- Schemas we may see.
SELECT s.SCHEMA_NAME FROM information_schema.SCHEMATA s
