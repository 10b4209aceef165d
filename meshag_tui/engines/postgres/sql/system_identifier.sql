-- The cluster's identity, the same on its replicas.
SELECT c.system_identifier::text FROM pg_catalog.pg_control_system() c
