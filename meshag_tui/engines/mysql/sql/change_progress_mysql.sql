-- Where the statement of one session is: its stage with the share of it done, where stages are watched, else its state.
SELECT CASE WHEN p.COMMAND <> 'Sleep' THEN COALESCE(SUBSTRING_INDEX(s.EVENT_NAME, '/', -1), NULLIF(p.STATE, ''), 'running') END,
       s.WORK_COMPLETED / NULLIF(s.WORK_ESTIMATED, 0)
FROM information_schema.PROCESSLIST p
LEFT JOIN performance_schema.threads t ON t.PROCESSLIST_ID = p.ID
LEFT JOIN performance_schema.events_stages_current s ON s.THREAD_ID = t.THREAD_ID
WHERE p.ID = %s
