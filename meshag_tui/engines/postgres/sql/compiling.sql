-- What compiling the plans of this database's statements took (JIT), since the counters were last reset. PostgreSQL 15+.
SELECT s.userid, s.queryid, s.toplevel, s.calls, s.total_exec_time,
    s.jit_generation_time + s.jit_inlining_time + s.jit_optimization_time + s.jit_emission_time
FROM {source} s
WHERE s.dbid = %(database)s AND s.jit_functions > 0 AND s.queryid IS NOT NULL
