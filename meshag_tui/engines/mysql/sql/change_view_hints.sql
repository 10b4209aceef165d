-- Views of a schema with a hint about indexes and a name (as LIKE has it), and those whose text, empty here, is not ours
-- to see.
SELECT CONCAT('the view ', TABLE_NAME), VIEW_DEFINITION
FROM information_schema.VIEWS
WHERE TABLE_SCHEMA = %s
  AND (COALESCE(VIEW_DEFINITION, '') = ''
       OR (VIEW_DEFINITION LIKE '%% INDEX %%' AND LOWER(VIEW_DEFINITION) LIKE LOWER(%s)))
LIMIT 200
