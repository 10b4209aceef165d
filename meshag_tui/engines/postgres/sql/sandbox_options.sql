-- Options that tables are kept with, and how closely ANALYZE looks at their columns: what a sandbox with rows goes without.
SELECT n.nspname, c.relname, NULL, o.option_name, o.option_value
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
CROSS JOIN LATERAL (
    SELECT x.option_name, x.option_value FROM pg_catalog.pg_options_to_table(c.reloptions) x
    UNION ALL
    SELECT 'toast.' || x.option_name, x.option_value FROM pg_catalog.pg_options_to_table(t.reloptions) x
) o
WHERE c.oid = ANY(%(oids)s) AND c.relkind IN ('r', 'm')
UNION ALL
SELECT n.nspname, c.relname, a.attname, NULL, a.attstattarget::text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%(oids)s) AND c.relkind IN ('r', 'p', 'm') AND a.attnum > 0 AND a.attstattarget >= 0
    AND NOT a.attisdropped
