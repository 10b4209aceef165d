-- Texts of the statements asked for ({keys}), each cut to %(limit)s characters. The function builds all texts before the
-- first row comes, so it gets memory for it, for this statement only: else the server would write temporary files.
SELECT s.userid, s.queryid, {toplevel}, pg_catalog.left(s.query, %(limit)s), r.rolname::text
FROM (SELECT pg_catalog.set_config('work_mem', %(memory)s, true) AS memory OFFSET 0) m
CROSS JOIN LATERAL {function}(m.memory IS NOT NULL) s
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.userid
WHERE s.dbid = %(database)s{keys}
