-- Every other session that we may see: id, user, host, command, seconds in it, state, text.
SELECT ID, USER, HOST, COMMAND, TIME, STATE, INFO
FROM information_schema.PROCESSLIST
WHERE ID <> CONNECTION_ID()
