-- How many statements that change a structure the server has begun, in a row of no table; in the shape of `tables`. All
-- figures are unsigned, as they are there: beside others the server would make decimal numbers of them.
UNION ALL
SELECT '', '', '', '', CAST(0 AS UNSIGNED), CAST(0 AS UNSIGNED), CAST(0 AS UNSIGNED), CAST(0 AS UNSIGNED),
    (SELECT CAST(SUM(c.VARIABLE_VALUE) AS UNSIGNED) FROM information_schema.GLOBAL_STATUS c WHERE c.VARIABLE_NAME IN %(altering)s),
    NULL, '', '', ''
