UNION ALL
SELECT 'pages', i.database_name, i.table_name, i.index_name, i.stat_value FROM mysql.innodb_index_stats i WHERE i.stat_name = 'size'
UNION ALL
SELECT 'analysed', a.database_name, a.table_name, NULL, UNIX_TIMESTAMP(a.last_update) FROM mysql.innodb_table_stats a
