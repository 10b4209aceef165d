-- What may differ at each connect: who and where we are, the clock, the {variables} that the server was seen to have, the same
-- in each row; and a figure of {status} in each. Asked for by name variables cost it a fifth of looking them up in the list
-- of all. (Beside an aggregate MariaDB has wrong values for them; a table made of figures goes over its disk.)
SELECT s.VARIABLE_NAME, s.VARIABLE_VALUE,
    VERSION(), CAST(UNIX_TIMESTAMP(NOW(6)) AS CHAR), CURRENT_USER(), CAST(CONNECTION_ID() AS CHAR),
    CAST({read_only} AS CHAR), CAST({deadline} AS CHAR),
    {variables}
FROM {status} s WHERE s.VARIABLE_NAME IN %(status)s
