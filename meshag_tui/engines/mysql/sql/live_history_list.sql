-- The number of undo logs that are still to be purged. Needs PROCESS.
SELECT m.`COUNT` FROM information_schema.INNODB_METRICS m WHERE m.NAME = 'trx_rseg_history_len' AND m.STATUS = 'enabled'
