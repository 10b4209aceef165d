-- Columns of the foreign keys that a table has, or is referred to by from its own schema; MariaDB would open every table
-- of the server to find the others, and refuses by itself to drop what they need.
SELECT CONSTRAINT_NAME, COLUMN_NAME
FROM (SELECT CONSTRAINT_NAME, COLUMN_NAME, ORDINAL_POSITION
      FROM information_schema.KEY_COLUMN_USAGE
      WHERE TABLE_SCHEMA = %(schema)s AND TABLE_NAME = %(table)s AND REFERENCED_TABLE_NAME IS NOT NULL
      UNION ALL
      SELECT CONCAT(TABLE_NAME, '.', CONSTRAINT_NAME), REFERENCED_COLUMN_NAME, ORDINAL_POSITION
      FROM information_schema.KEY_COLUMN_USAGE
      WHERE TABLE_SCHEMA = %(schema)s AND REFERENCED_TABLE_SCHEMA = %(schema)s AND REFERENCED_TABLE_NAME = %(table)s) k
ORDER BY CONSTRAINT_NAME, ORDINAL_POSITION
