"""Relations of the system that a statement may name without a schema: those of pg_catalog on PostgreSQL 13 to 18.

A prefix would not do: pg_ may begin the name of a user's table, whose statements must not be hidden as the system's.
A relation of a version to come is taken for a user's, and shown.
"""

from __future__ import annotations

_CATALOGUE = (
    "aggregate aios am amop amproc attrdef attribute auth_members authid available_extension_versions "
    "available_extensions backend_memory_contexts cast class collation config constraint conversion cursors database "
    "db_role_setting default_acl depend description enum event_trigger extension file_settings foreign_data_wrapper "
    "foreign_server foreign_table group hba_file_rules ident_file_mappings index indexes inherits init_privs language "
    "largeobject largeobject_metadata locks matviews namespace opclass operator opfamily parameter_acl "
    "partitioned_table policies policy prepared_statements prepared_xacts proc publication publication_namespace "
    "publication_rel publication_tables range replication_origin replication_origin_status replication_slots rewrite "
    "roles rules seclabel seclabels sequence sequences settings shadow shdepend shdescription shmem_allocations "
    "shmem_allocations_numa shseclabel statistic statistic_ext statistic_ext_data stats stats_ext stats_ext_exprs "
    "subscription subscription_rel tables tablespace timezone_abbrevs timezone_names transform trigger ts_config "
    "ts_config_map ts_dict ts_parser ts_template type user user_mapping user_mappings views wait_events "
)
_NAMES = frozenset(f"pg_{name}" for name in _CATALOGUE.split())
_OF_EXTENSIONS = ("pg_stat_", "pg_statio_", "pg_buffercache", "pg_qualstats", "pg_wait_sampling", "pg_toast_")


def is_catalogue(name: str) -> bool:
    """Whether an unqualified name is a system relation's, or a view's of a well-known monitoring extension."""
    return name in _NAMES or name.startswith(_OF_EXTENSIONS)
