-- When the counters were last reset and how often entries were evicted (14 and later), in the shape of a counter row.
SELECT NULL::pg_catalog.oid, NULL::int8, NULL::boolean, {values} FROM {function}() i
