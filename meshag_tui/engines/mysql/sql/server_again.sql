-- What may differ at each connect, in one row: the figures of {status} as lines of name and value, who and where we are,
-- the clock, the {variables} that the server was seen to have. Asked for by name variables cost it a fifth of looking them up
-- in the list of all. (Beside an aggregate of the same SELECT MariaDB has wrong values for them; a table made of figures goes
-- over its disk.)
SELECT (
    SELECT GROUP_CONCAT(s.VARIABLE_NAME, ' ', s.VARIABLE_VALUE SEPARATOR '\n') FROM {status} s
    WHERE s.VARIABLE_NAME IN %(status)s
), VERSION(), CAST(UNIX_TIMESTAMP(NOW(6)) AS CHAR), CURRENT_USER(), CAST(CONNECTION_ID() AS CHAR),
    CAST({read_only} AS CHAR), CAST({deadline} AS CHAR), {variables}
