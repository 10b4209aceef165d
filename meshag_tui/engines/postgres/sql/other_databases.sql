-- What other databases did since the counters began, in the shape of a counter row; the number of databases stands for
-- the statement's. Our own role's statements (%(own)s, where it only watches) are not counted.
SELECT NULL::pg_catalog.oid, pg_catalog.count(DISTINCT s.dbid), NULL::boolean, {values}
FROM {source} s
WHERE s.dbid <> %(database)s AND s.userid IS DISTINCT FROM %(own)s::pg_catalog.oid
