-- How far each replica is behind, as time and as bytes.
SELECT coalesce(application_name, ''), state, pg_catalog.date_part('epoch', replay_lag)::float8,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn)::bigint END
FROM pg_catalog.pg_stat_replication
ORDER BY replay_lag DESC NULLS LAST
