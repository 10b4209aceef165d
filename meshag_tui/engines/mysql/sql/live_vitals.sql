-- Figures of the server as a whole, as (name, value). {status} is a view that every user may read.
SELECT s.VARIABLE_NAME, s.VARIABLE_VALUE FROM {status} s
WHERE s.VARIABLE_NAME IN ('Innodb_buffer_pool_read_requests', 'Innodb_buffer_pool_reads', 'Threads_connected',
    'Innodb_history_list_length', 'Created_tmp_tables', 'Created_tmp_disk_tables', 'Innodb_checkpoint_age',
    'Innodb_checkpoint_max_age', 'Innodb_redo_log_current_lsn', 'Innodb_redo_log_checkpoint_lsn',
    'Innodb_redo_log_capacity_resized')
