-- Counters of this database's statements, without their texts (false). {columns}: what this version has of what we want.
-- {before} and {after} are one row each from pg_stat_statements_info, so that a reset meanwhile is seen.
{before}SELECT s.userid, s.queryid, {toplevel}, {columns}
FROM {source} s
WHERE s.dbid = %(database)s{after}
