-- Texts of the statements asked for ({keys}), each cut to %(limit)s characters, until %(total)s bytes are reached.
-- The function builds all texts before the first row comes, so it gets memory for it, for this statement only: else the
-- server would write temporary files.
SELECT q.userid, q.queryid, q.toplevel, q.text, q.role, q.dbid, q.database
FROM (
    SELECT t.*, pg_catalog.sum(pg_catalog.octet_length(t.text)) OVER (ROWS UNBOUNDED PRECEDING) AS so_far
    FROM (
        SELECT s.userid, s.queryid, {toplevel} AS toplevel, pg_catalog.left(s.query, %(limit)s) AS text, r.rolname::text AS role,
            s.dbid, d.datname::text AS database
        FROM (SELECT pg_catalog.set_config('work_mem', %(memory)s, true) AS memory OFFSET 0) m
        CROSS JOIN LATERAL {source} s
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.userid
        LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
        WHERE s.dbid = ANY (%(databases)s::pg_catalog.oid[]){keys}
    ) t
) q
WHERE q.so_far IS NULL OR q.so_far <= %(total)s
