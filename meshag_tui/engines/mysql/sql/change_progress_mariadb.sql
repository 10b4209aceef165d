-- Where the statement of one session is: its state, and the share of the work done over all stages.
SELECT CASE WHEN COMMAND <> 'Sleep' THEN COALESCE(NULLIF(STATE, ''), 'running') END,
       CASE WHEN MAX_STAGE > 0 THEN (GREATEST(STAGE, 1) - 1 + PROGRESS / 100) / MAX_STAGE END
FROM information_schema.PROCESSLIST
WHERE ID = %s
