-- Which statements to read, where there may be too many: `reached`, how many took how much time in all, ms, by the step
-- they reach, those hidden from us apart, and `least`, the step from which on they are read. The same rule as
-- `costly.narrowed`, which is given `reached`.
reached AS MATERIALIZED (
    SELECT pg_catalog.width_bucket(s.{time}, %(steps)s::float8[]) AS step, s.queryid IS NULL AS hidden,
        pg_catalog.count(*) AS number, pg_catalog.sum(s.{time}) AS spent
    FROM {source} s
    WHERE {within}
    GROUP BY 1, 2
),
least AS MATERIALIZED (
    SELECT pg_catalog.min(b.step) AS step
    FROM (
        SELECT r.step, pg_catalog.sum(r.number) AS number,
            pg_catalog.sum(pg_catalog.sum(r.number)) OVER (ORDER BY r.step DESC) AS read
        FROM reached r
        GROUP BY r.step
    ) b
    WHERE b.read <= %(most)s::int8 OR b.read - b.number < %(few)s::float8
)
