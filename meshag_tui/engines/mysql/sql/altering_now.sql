-- Statements under way that may be altering something, in the shape of the rows of `storage`: whatever does not begin as one
-- that cannot (SET STATEMENT and BEGIN NOT ATOMIC may hold anything), and what the server does not tell.
UNION ALL
SELECT 'altering', NULL, NULL, NULL, COUNT(*) FROM information_schema.PROCESSLIST p
WHERE IF(p.INFO IS NULL, p.COMMAND IN ('Query', 'Execute', 'Busy'), COALESCE(LEFT(p.INFO, 1000) REGEXP
    '(?is)^(\\s|\\(|/\\*(?!M?!).*?\\*/)*+(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|SHOW|COMMIT|ROLLBACK)\\b', 0) = 0)
