-- Figures of the server as a whole: blocks of this database found in memory and read, sessions, lag of this server and of
-- those that read from it (their number, those whose lag is not ours to see), age of the oldest unfrozen transaction,
-- temporary files of this database and the server's {checkpoints}: by time, on request, when their counting began.
SELECT d.blks_hit, d.blks_read,
    (SELECT pg_catalog.sum(o.numbackends) FROM pg_catalog.pg_stat_database o)::int8,
    pg_catalog.pg_is_in_recovery(),
    CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN NULL
         WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
         ELSE pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) * 1000
    END::float8,
    r.readers, r.unseen, r.lag,
    (SELECT pg_catalog.max(pg_catalog.age(a.datfrozenxid)) FROM pg_catalog.pg_database a)::int8,
    (SELECT pg_catalog.max(pg_catalog.mxid_age(a.datminmxid)) FROM pg_catalog.pg_database a)::int8,
    d.temp_files, d.temp_bytes, c.timed, c.requested, c.since
FROM pg_catalog.pg_stat_database d, (
    SELECT pg_catalog.count(*) AS readers, pg_catalog.count(*) FILTER (WHERE s.state IS NULL) AS unseen,
        (pg_catalog.date_part('epoch', pg_catalog.max(s.replay_lag)) * 1000)::float8 AS lag
    FROM pg_catalog.pg_stat_replication s) r, ({checkpoints}) c
WHERE d.datname = pg_catalog.current_database()
