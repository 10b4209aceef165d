-- How many statements that change a structure the server has begun, in a row of no table; in the shape of `tables`.
UNION ALL
SELECT '', '', '', '', NULL, NULL, NULL, NULL,
    (SELECT CAST(SUM(c.VARIABLE_VALUE) AS SIGNED) FROM information_schema.GLOBAL_STATUS c WHERE c.VARIABLE_NAME IN %(altering)s),
    NULL, '', '', ''
