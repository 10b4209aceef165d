-- How many statements, of this database or of all, took how much time in all, ms, by the step they reach: their number,
-- how many of them are hidden from us, and their time together.
SELECT pg_catalog.width_bucket(s.{time}, %(steps)s::float8[]), pg_catalog.count(*),
    pg_catalog.count(*) FILTER (WHERE s.queryid IS NULL), pg_catalog.sum(s.{time})
FROM {source} s
WHERE {within}
GROUP BY 1
