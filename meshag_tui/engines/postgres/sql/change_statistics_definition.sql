-- All that is said of extended statistics; the target is NULL (from version 17) or -1 where it has none of its own.
SELECT pg_catalog.pg_get_statisticsobjdef(s.oid), n.nspname, s.stxname, pg_catalog.pg_get_userbyid(s.stxowner),
       current_user, s.stxstattarget, pg_catalog.obj_description(s.oid, 'pg_statistic_ext')
FROM pg_catalog.pg_statistic_ext s
JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
WHERE s.oid = %s
