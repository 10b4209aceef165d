"""The functions of MySQL 8.0 to 9.x and MariaDB 10.11 to 12 that only compute.

EXPLAIN is not free of execution: what depends on no row is computed while the statement is planned, and a derived table
without tables is filled. Seen on MySQL 9.7 and MariaDB 10.11: SLEEP and BENCHMARK ran, GET_LOCK locked, LOAD_FILE read.
A stored or loadable function is code we do not know. So nothing that calls another function than these is planned.
"""

from __future__ import annotations

import re

EFFECTS = frozenset(
    re.findall(
        r"\w+",
        """
        benchmark get_lock is_free_lock is_used_lock lastval load_file master_gtid_wait master_pos_wait
        nextval release_all_locks release_lock setval sleep source_pos_wait wait_for_executed_gtid_set
        wait_until_sql_thread_after_gtids wsrep_sync_wait_upto_gtid
        """,
    )
)
"""Built in, and they wait, lock, read files or count on."""

PURE = frozenset(
    re.findall(
        r"\w+",
        """
        abs acos add_months adddate addtime aes_decrypt aes_encrypt any_value approx_count_distinct ascii
        asin astext atan atan2 avg bin bin_to_uuid binlog_gtid_pos bit_and bit_count bit_length bit_or
        bit_xor can_access_column cast ceil ceiling char char_length character_length chr coalesce
        coercibility collation column_check column_exists column_json column_list compress concat
        concat_operator_oracle concat_ws connection_id conv convert convert_tz cos cot count crc32 crc32c
        cume_dist curdate current_date current_time current_timestamp current_user curtime database date
        date_add date_format date_sub datediff datetime day dayname dayofmonth dayofweek dayofyear decode
        decode_histogram decode_oracle default degrees dense_rank des_decrypt des_encrypt elt encode encrypt
        exp export_set extract extractvalue field find_in_set first_value floor format format_bytes
        format_pico_time found_rows from_base64 from_days from_unixtime from_vector geomcollection
        geometrycollection geomfromtext get_format greatest group_concat grouping hex hour icu_version if
        ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interval is_ipv4 is_ipv4_compat
        is_ipv4_mapped is_ipv6 is_uuid isnull json_array json_array_append json_array_insert
        json_array_intersect json_arrayagg json_compact json_contains json_contains_path json_depth
        json_detailed json_equals json_exists json_extract json_insert json_key_value json_keys json_length
        json_loose json_merge json_merge_patch json_merge_preserve json_normalize json_object
        json_object_filter_keys json_object_to_array json_objectagg json_overlaps json_pretty json_query
        json_quote json_remove json_replace json_schema_valid json_schema_validation_report json_search
        json_set json_storage_free json_storage_size json_table json_type json_unquote json_valid json_value
        kdf lag last_day last_insert_id last_value lcase lead least left length lengthb linestring ln
        localtime localtimestamp locate log log10 log2 lower lpad lpad_oracle ltrim ltrim_oracle make_set
        makedate maketime match max mbrcontains mbrcoveredby mbrcovers mbrdisjoint mbrequals mbrintersects
        mbroverlaps mbrtouches mbrwithin md5 median member_of microsecond mid min minute mod month monthname
        multilinestring multipoint multipolygon name_const natural_sort_key now nth_value ntile nullif nvl
        nvl2 oct octet_length old_password ord password percent_rank percentile_cont percentile_disc
        period_add period_diff pi point polygon position pow power ps_current_thread_id quarter quote
        radians rand random_bytes rank regexp_instr regexp_like regexp_replace regexp_substr repeat replace
        replace_oracle reverse right roles_graphml round row_count row_number rpad rpad_oracle rtrim
        rtrim_oracle schema schemas sec_to_time second session_user sformat sha sha1 sha2 sign sin soundex
        space sqrt st_area st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_buffer st_centroid
        st_contains st_convexhull st_crosses st_difference st_dimension st_disjoint st_distance
        st_distance_sphere st_endpoint st_envelope st_equals st_exteriorring st_geohash st_geomcollfromtext
        st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext st_geomfromwkb st_interiorringn
        st_intersection st_intersects st_isclosed st_isempty st_issimple st_isvalid st_latfromgeohash
        st_latitude st_length st_linefromtext st_longfromgeohash st_longitude st_makeenvelope
        st_numgeometries st_numinteriorrings st_numpoints st_overlaps st_pointfromgeohash st_pointfromtext
        st_pointn st_polyfromtext st_simplify st_srid st_startpoint st_swapxy st_symdifference st_touches
        st_transform st_union st_validate st_within st_x st_y statement_digest statement_digest_text std
        stddev stddev_pop stddev_samp str_to_date strcmp string_to_vector subdate substr substr_oracle
        substring substring_index subtime sum sys_guid sysdate system_user tan time time_format time_to_sec
        timediff timestamp timestampadd timestampdiff to_base64 to_char to_days to_seconds to_vector trim
        trim_oracle truncate ucase uncompress uncompressed_length unhex unix_timestamp updatexml upper
        utc_date utc_time utc_timestamp uuid uuid_short uuid_to_bin values var_pop var_samp variance
        vec_distance vec_distance_cosine vec_distance_euclidean vec_fromtext vec_totext vector_dim
        vector_to_string version week weekday weekofyear weight_string wsrep_last_seen_gtid
        wsrep_last_written_gtid year yearweek
        """,
    )
)
"""Built in, and harmless at any moment."""

OF_GRAMMAR = frozenset(
    re.findall(
        r"\w+",
        """
        adddate bit_and bit_or bit_xor cast count curdate curtime date_add date_sub extract group_concat
        json_arrayagg json_objectagg max mid min now position session_user st_collect std stddev stddev_pop
        stddev_samp subdate substr substring sum sysdate system_user trim var_pop var_samp variance
        """,
    )
)
"""Known by the grammar, not by name: quoted, each would be a stored function."""

BEFORE_BRACKETS = frozenset(
    re.findall(
        r"\w+",
        """
        against all and any as between binary by case character columns dec decimal distinct div double else
        escape except exists float for from group having in index intersect is join key keys lateral like
        limit nchar not numeric of offset on or order over partition real recursive regexp return rlike
        rollup row rows select separator some straight_join then union use using varbinary varchar varying
        when where window with xor
        """,
    )
)
"""Words of the grammar that a bracket may follow, none of which can name a function."""
