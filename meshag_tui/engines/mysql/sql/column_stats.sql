-- What ANALYZE TABLE … PERSISTENT kept of a table's columns for MariaDB's planner; a histogram where it is kept as text.
SELECT c.column_name, c.nulls_ratio, c.avg_frequency, IF(c.hist_type = 'JSON_HB', CONVERT(c.histogram USING utf8mb4), NULL)
FROM mysql.column_stats c
WHERE c.db_name = %(schema)s AND c.table_name = %(table)s
