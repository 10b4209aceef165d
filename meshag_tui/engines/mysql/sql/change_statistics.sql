-- When InnoDB last wrote down statistics of a table and of its partitions, epoch s.
SELECT CAST(UNIX_TIMESTAMP(last_update) AS SIGNED)
FROM mysql.innodb_table_stats
WHERE database_name = %s AND (table_name = %s OR table_name LIKE %s)
