-- Other client sessions by state, where we may not see transactions.
SELECT CASE WHEN p.COMMAND = 'Sleep' THEN 'idle' ELSE 'active' END AS kind, COUNT(*), NULL, NULL, NULL, NULL, NULL
FROM {processes} p
WHERE {clients}
GROUP BY kind
