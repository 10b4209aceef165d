-- Whether the server shows metadata locks; refused without PROCESS, by which alone their transactions are seen.
SELECT COUNT(*)
FROM performance_schema.setup_instruments i, performance_schema.setup_consumers c
WHERE i.NAME = 'wait/lock/metadata/sql/mdl' AND i.ENABLED = 'YES'
  AND c.NAME = 'global_instrumentation' AND c.ENABLED = 'YES' AND @@GLOBAL.performance_schema = 1
  AND (SELECT COUNT(*) FROM information_schema.INNODB_TRX) >= 0
