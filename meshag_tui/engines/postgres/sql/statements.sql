-- Counters of statements, of this database or of all, without their texts (false).
-- {columns}: what this version has of what we want.
-- {narrowed}, where there are too many of them, leaves out those that took little time in all.
-- {before} and {after} are one row each from pg_stat_statements_info, so that a reset meanwhile is seen.
-- {seen} keeps the counters for a statement that looks at them more than once: to go through them all is what is dear.
{seen}{before}SELECT s.userid, s.queryid, {toplevel}, {columns}
FROM {source} s
WHERE {within}{narrowed}{after}
