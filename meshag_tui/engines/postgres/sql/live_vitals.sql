-- Figures of the server as a whole: sessions, lag of this server and of those that read from it (their number, those whose
-- lag is not ours to see), age of the oldest unfrozen transaction, the server's {checkpoints}: by time, on request, when
-- their counting began. Of this database and of those named: blocks found in memory and read, temporary files.
SELECT
    (SELECT pg_catalog.sum(o.numbackends) FROM pg_catalog.pg_stat_database o)::int8,
    pg_catalog.pg_is_in_recovery(),
    CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN NULL
         WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
         ELSE pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) * 1000
    END::float8,
    r.readers, r.unseen, r.lag,
    (SELECT pg_catalog.max(pg_catalog.age(a.datfrozenxid)) FROM pg_catalog.pg_database a)::int8,
    (SELECT pg_catalog.max(pg_catalog.mxid_age(a.datminmxid)) FROM pg_catalog.pg_database a)::int8,
    c.timed, c.requested, c.since, d.counted
FROM (
    SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
        o.datname = pg_catalog.current_database(), o.datname, o.blks_hit, o.blks_read, o.temp_files, o.temp_bytes)) AS counted
    FROM pg_catalog.pg_stat_database o
    WHERE o.datname = pg_catalog.current_database() OR o.datname::text = ANY (%(databases)s::text[])) d, (
    SELECT pg_catalog.count(*) AS readers, pg_catalog.count(*) FILTER (WHERE s.state IS NULL) AS unseen,
        (pg_catalog.date_part('epoch', pg_catalog.max(s.replay_lag)) * 1000)::float8 AS lag
    FROM pg_catalog.pg_stat_replication s) r, ({checkpoints}) c
