-- How many statements of each schema took how much time in all, ps, by the step they reach: their number, and their time
-- together. What did not fit into the table is of no schema, and none of them.
SELECT s.SCHEMA_NAME, INTERVAL(s.SUM_TIMER_WAIT, {steps}) AS step, COUNT(*), SUM(s.SUM_TIMER_WAIT)
FROM performance_schema.events_statements_summary_by_digest s
WHERE s.DIGEST IS NOT NULL
GROUP BY s.SCHEMA_NAME, step
