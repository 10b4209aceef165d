"""What must not break it, case by case, and the tests that prove each: an index that is checked."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CASES: dict[str, tuple[str, ...]] = {
    # the network: hangs, silence, slowness
    "N-01 a backend is frozen while it is asked": (
        "engines/postgres/test_faults.py::test_freezing_in_the_middle_of_a_collection",
        "engines/postgres/test_session.py::test_a_frozen_backend_ends_by_the_deadline",
        "workflows/test_scheduler.py::test_a_frozen_backend_is_given_up_and_the_next_sync_is_fine",
        "engines/mysql/test_faults.py::test_a_frozen_server",
    ),
    "N-02 a server is frozen before we come": ("engines/postgres/test_faults.py::test_a_frozen_postmaster",),
    "N-04 a listener that says nothing": (
        "engines/postgres/test_faults.py::test_connecting_ends_in_time_and_in_words",
        "engines/mysql/test_dial.py::test_connecting_ends_in_time_and_in_words",
    ),
    "N-05 a listener that drips, talks rubbish or something else": (
        "engines/postgres/test_faults.py::test_connecting_ends_in_time_and_in_words",
        "engines/mysql/test_dial.py::test_connecting_ends_in_time_and_in_words",
    ),
    "N-07 a line cut half open": (
        "engines/postgres/test_faults.py::test_a_line_cut_half_open",
        "engines/mysql/test_faults.py::test_a_line_cut_half_open",
        "engines/postgres/test_session.py::test_no_descriptor_is_left",
    ),
    "N-08 one stalled server among many": (
        "workflows/test_scheduler.py::test_a_server_that_is_silent_costs_the_others_no_sample",
        "engines/postgres/test_faults.py::test_one_stalled_server_delays_no_other",
        "engines/mysql/test_faults.py::test_one_stalled_server_delays_no_other",
    ),
    "N-10 a pooler that drops settings": (
        "engines/postgres/test_pooler.py::test_every_statement_gets_our_settings",
        "engines/mysql/test_ddl.py::test_a_pooler_is_refused_and_said",
    ),
    "N-11 a server that is slower than the interval": (
        "engines/postgres/test_faults.py::test_a_server_that_answers_slowly_is_given_up_not_waited_for",
        "engines/mysql/test_faults.py::test_a_server_that_answers_slowly_is_asked_seldom_and_one_thing_at_a_time",
        "workflows/test_scheduler.py::test_the_interval_is_stretched_until_reading_is_cheap",
    ),
    "N-13 fifty locked tables": (
        "engines/postgres/test_faults.py::test_fifty_locked_tables_cost_no_wait",
        "engines/mysql/test_faults.py::test_locked_tables_cost_no_wait",
    ),
    # kills and crashes
    "K-01 killed while it writes": ("acceptance/test_kills.py::test_kill_9_while_syncing",),
    "K-02 killed while the server works for it": (
        "acceptance/test_watched_server.py::test_a_killed_program_leaves_no_session_for_long",
        "engines/mysql/test_faults.py::test_a_killed_program_leaves_no_session_for_long",
    ),
    "K-04 the server crashes and is there again": (
        "store/test_snapshots_live.py::test_a_crash_loses_the_use_of_indexes_and_says_so",
        "screens/test_connections.py::test_a_server_that_is_gone_is_down_since_its_last_answer_and_then_up",
    ),
    "K-05 MySQL or MariaDB is killed, also while it alters": (
        "acceptance/test_mysql.py::test_a_server_counts_resets_restarts_and_crashes",
        "changes/test_mysql.py::test_a_server_killed_in_the_middle_is_asked_when_it_is_back",
        "changes/test_kill_points.py::test_a_mysql_server_killed_at_each_point",
    ),
    "K-07 a mistake in any worker": (
        "workflows/test_mistakes.py::test_a_mistake_in_any_workflow_fails_its_run_alone",
        "workflows/test_mistakes.py::test_a_mistake_in_what_the_scheduler_does_does_not_end_it",
        "workflows/test_mistakes.py::test_a_mistake_in_sampling_does_not_end_it",
        "screens/test_shell.py::test_a_pane_that_fails_leaves_the_application_alive",
    ),
    "K-08 a mistake as the screens begin": (
        "widgets/test_terminal.py::test_a_failure_is_told_without_locals_or_secrets_and_exits_non_zero",
    ),
    "K-10 ctrl+c twice, suspended and taken up again": (
        "widgets/test_terminal.py::test_ctrl_c_twice_in_a_row_leaves",
        "widgets/test_terminal.py::test_suspended_by_ctrl_z_the_shell_has_its_screen_and_fg_gives_ours_back",
    ),
    # pg_stat_statements
    "P-01 a reset between two syncs": (
        "store/test_snapshots_live.py::test_a_reset_between_syncs",
        "store/test_deltas.py::test_random_histories_never_invent_and_every_loss_is_flagged",
    ),
    "P-02 one entry is reset": ("store/test_snapshots_live.py::test_one_entry_reset_is_rebased_alone",),
    "P-04 the file of texts is lost": (
        "engines/postgres/test_texts.py::test_a_lost_file_of_texts_leaves_the_counters",
    ),
    "P-07 roles that may see less": (
        "engines/postgres/test_collect.py::test_hidden_statements_are_a_warning_with_the_grant",
        "engines/postgres/test_texts.py::test_texts_we_may_not_see",
        "engines/postgres/test_doctor.py::test_no_privilege_is_not_an_empty_list",
    ),
    "P-08 the extension is missing, elsewhere or old": (
        "engines/postgres/test_doctor.py::test_six_states_of_pg_stat_statements",
        "engines/postgres/test_collect.py::test_an_extension_left_behind_by_an_upgrade",
    ),
    "P-10 timing is switched on meanwhile": (
        "engines/postgres/test_collect.py::test_without_timing_there_is_no_zero",
        "store/test_deltas.py::test_a_counter_that_becomes_measured_makes_no_spike",
    ),
    "P-11 a table made anew, lists of any length": (
        "store/test_snapshots_live.py::test_lists_of_any_length_and_a_table_made_anew_are_one_statement",
    ),
    "P-13 every version, and one to come": (
        "engines/postgres/test_collect.py::test_counters_on_every_version",
        "engines/postgres/test_collect.py::test_columns_of_a_version_to_come",
    ),
    "P-14 somebody else resets": (
        "acceptance/test_losses.py::test_a_foreign_reset_is_told_and_nothing_is_invented",
        "acceptance/test_losses.py::test_resets_every_half_minute_for_ten_minutes",
        "store/test_snapshots.py::test_a_reset_is_counted_once_though_tables_are_read_more_seldom",
    ),
    # advice on indexes
    "X-01 needed indexes that nothing uses": (
        "advisor/test_hygiene.py::test_no_needed_index_is_ever_proposed",
        "advisor/test_my_indexes.py::test_an_unused_index_is_hidden_first_and_no_needed_one_is_proposed",
    ),
    "X-02 an index that only a standby uses": (
        "advisor/test_hygiene.py::test_what_a_standby_does_with_an_index_counts",
        "changes/test_mysql_replicas.py::test_what_replicas_do_with_an_index_counts",
    ),
    "X-04 an index that is used seldom": ("advisor/test_hygiene.py::test_every_circumstance_keeps_the_unused_one_too",),
    "X-05 partitioned tables": (
        "advisor/test_missing_index.py::test_a_partitioned_table_is_advised_as_a_whole",
        "engines/postgres/test_render.py::test_a_partitioned_table_is_refused_with_the_steps",
    ),
    "X-07 a table nobody may look at now": (
        "engines/postgres/test_faults.py::test_a_waiting_lock_counts_as_locked",
        "engines/postgres/test_explain.py::test_a_locked_table_is_not_waited_for",
    ),
    "X-08 copies that differ in something": ("advisor/test_hygiene.py::test_what_differs_in_anything_is_no_duplicate",),
    "X-10 fifty thousand indexes": (
        "advisor/test_hygiene.py::test_fifty_thousand_indexes_are_not_compared_pair_by_pair",
    ),
    "X-11 foreign keys, prefixes of the key and hidden indexes of MySQL": (
        "engines/mysql/test_render.py::test_a_foreign_key_needs_its_parents_index",
        "advisor/test_my_indexes.py::test_copies_are_those_innodb_cannot_tell_apart",
        "advisor/test_my_indexes.py::test_a_hidden_index_that_statements_want_is_shown_again",
    ),
    # MySQL and MariaDB
    "M-01 performance_schema is off": (
        "acceptance/test_mysql.py::test_without_performance_schema_nothing_looks_empty",
        "engines/mysql/test_collect.py::test_performance_schema_off_is_said_and_the_rest_is_there",
    ),
    "M-02 more statements than there is room for": (
        "engines/mysql/test_collect.py::test_what_overflowed_is_shown_as_unattributed",
    ),
    "M-04 the digests are emptied": (
        "store/test_deltas_digests.py::test_a_truncated_table_counts_all_calls_and_marks_the_interval",
    ),
    "M-05 an account without rights": (
        "engines/mysql/test_collect.py::test_each_missing_right_is_named_and_the_rest_works",
    ),
    "M-07 figures at the end of their bits": (
        "engines/mysql/test_collect.py::test_figures_that_wrapped_are_not_measured",
        "engines/mysql/test_collect.py::test_the_largest_number_a_column_holds",
    ),
    "M-08 consumers and instruments are off": (
        "engines/mysql/test_collect.py::test_consumers_and_instruments_that_are_off",
    ),
    "M-10 a change that would copy the table": (
        "engines/mysql/test_ddl.py::test_what_would_copy_the_table_is_refused_by_the_server_and_nothing_changed",
        "changes/test_mysql.py::test_what_would_copy_the_table_is_refused_and_nothing_changed",
    ),
    "M-11 modes, folded names, character sets": (
        "engines/mysql/test_ddl.py::test_names_are_right_under_any_mode_and_the_binary_log_has_the_change",
        "engines/mysql/test_session.py::test_names_fold_where_the_server_folds_them",
        "engines/mysql/test_collect.py::test_texts_of_every_character_set",
    ),
    # encodings and names
    "E-01 bytes of no encoding": ("engines/postgres/test_texts.py::test_one_bad_byte_of_another_database",),
    "E-02 databases of other encodings": ("acceptance/test_versions.py::test_databases_of_other_encodings_are_read",),
    "E-04 texts that are none": (
        "store/test_snapshots.py::test_a_text_no_database_would_take_is_cleaned",
        "cli/test_contract.py::test_json_survives_hostile_text",
    ),
    "E-05 monsters": (
        "acceptance/test_texts.py::test_monsters_from_a_real_server_are_read_stored_and_planned_or_refused",
        "acceptance/test_texts.py::test_monsters_from_mysql_are_read_stored_and_planned_or_refused",
        "engines/postgres/test_parse.py::test_monsters_neither_crash_nor_block",
        "engines/mysql/test_parse.py::test_monsters_neither_crash_nor_block",
    ),
    "E-07 locales without Unicode": (
        "acceptance/test_texts.py::test_names_beyond_ascii_are_printed_in_any_locale",
        "cli/test_contract.py::test_a_terminal_without_unicode_is_survived",
    ),
    "E-08 any name of a database, any password": (
        "acceptance/test_versions.py::test_any_name_of_a_database_is_only_a_name",
        "engines/mysql/test_session.py::test_hostile_database_names",
        "acceptance/test_secrets.py::test_every_way_to_give_a_password_works_and_none_leaves_it",
    ),
    # the terminal
    "T-01 sequences in what a server says": ("widgets/test_hostile.py::test_nothing_of_them_reaches_the_terminal",),
    "T-02 markup in what a server says": (
        "widgets/test_hostile.py::test_nothing_of_them_reaches_the_terminal",
        "widgets/test_terminal.py::test_a_message_is_never_markup",
    ),
    "T-04 a storm of sizes": (
        "acceptance/test_terminal_life.py::test_a_storm_of_sizes_and_a_line_that_is_cut",
        "widgets/test_terminal.py::test_resizes_do_not_hurt",
    ),
    "T-05 the line goes": (
        "widgets/test_terminal.py::test_a_signal_ends_it_with_its_code_and_the_terminal_restored",
        "widgets/test_terminal.py::test_it_is_gone_a_second_after_its_terminal",
        "widgets/test_terminal.py::test_a_line_that_goes_after_a_signal_leaves_no_more_time_than_one_that_goes_alone",
        "widgets/test_terminal.py::test_a_stuck_application_is_ended_too",
        "acceptance/test_terminal_life.py::test_the_line_goes_while_it_syncs_and_makes_an_index",
    ),
    "T-07 terminals that cannot draw": (
        "acceptance/test_terminal_life.py::test_a_terminal_that_cannot_draw_is_told_what_to_do",
        "widgets/test_terminal.py::test_where_screens_cannot_be_drawn_it_says_why",
        "widgets/test_terminal.py::test_no_colour_means_none",
    ),
    "T-08 no terminal at all": (
        "cli/test_contract.py::test_without_a_terminal_the_screens_are_refused",
        "cli/test_contract.py::test_a_reader_that_leaves_early_is_no_crash",
        "cli/test_contract.py::test_a_closed_stdout_is_refused",
    ),
    "T-10 a hundred thousand rows": (
        "widgets/test_table.py::test_a_hundred_thousand_rows_open_and_scroll",
        "screens/test_queries.py::test_at_most_two_thousand_rows_are_kept",
    ),
    "T-11 replies of the terminal": ("widgets/test_terminal.py::test_what_a_terminal_replies_is_not_typed",),
    # changes
    "D-01 looking changes nothing": (
        "changes/test_traffic.py::test_looking_at_everything_changes_nothing",
        "changes/test_mysql_looking.py::test_looking_at_everything_changes_nothing",
        "screens/test_journey.py::test_a_walk_through_every_screen_changes_nothing",
    ),
    "D-02 an open writer": (
        "changes/test_faults.py::test_an_open_writer_is_named_and_its_index_made_when_it_ends",
        "changes/test_faults.py::test_after_five_attempts_it_gives_up_and_removes_its_index_when_it_can",
        "changes/test_mysql.py::test_an_open_writer_is_named_and_the_index_made_when_it_ends",
        "changes/test_mysql.py::test_after_five_attempts_it_gives_up_and_nobody_waited_for_long",
    ),
    "D-04 an old transaction elsewhere": (
        "engines/postgres/test_ddl.py::test_an_old_transaction_blocks_and_is_named",
        "engines/mysql/test_ddl.py::test_gates_say_who_is_in_the_way",
    ),
    "D-05 killed while the server builds": (
        "changes/test_faults.py::test_killed_while_the_server_works_the_next_one_adopts_it",
        "changes/test_mysql.py::test_killed_while_the_server_works_the_next_one_adopts_it",
        "changes/test_kill_points.py::test_meshag_killed",
    ),
    "D-07 drops hold nobody up": (
        "changes/test_faults.py::test_a_drop_does_not_begin_while_the_table_is_in_use",
        "changes/test_traffic.py::test_no_request_of_the_application_waits_for_a_change",
        "changes/test_mysql.py::test_no_request_of_the_application_waits_for_a_change",
    ),
    "D-08 what can fail in the middle": (
        "changes/test_faults.py::test_a_unique_violation_leaves_nothing",
        "changes/test_faults.py::test_of_a_deadlock_the_build_is_the_victim_and_leaves_nothing",
        "changes/test_faults.py::test_a_build_that_the_server_ends_leaves_nothing",
        "changes/test_faults.py::test_a_table_that_was_given_away_since_it_was_looked_at_is_left_alone",
        "changes/test_mysql.py::test_of_a_deadlock_the_change_is_not_the_victim",
        "changes/test_disk_full.py::test_a_disk_that_fills_is_said_in_a_line_and_nothing_is_half_made",
    ),
    "D-10 two apply the same at once": (
        "changes/test_faults.py::test_two_processes_apply_the_same_suggestion_and_one_executes",
        "changes/test_mysql.py::test_two_processes_apply_the_same_suggestion_and_one_executes",
    ),
    "D-11 the server became a standby": (
        "changes/test_refusals.py::test_a_server_that_became_a_standby_is_refused",
        "changes/test_mysql_replicas.py::test_a_primary_that_became_a_replica_is_refused",
    ),
    "D-13 undone exactly": (
        "changes/test_apply_undo.py::test_made_indexes_are_undone_after_a_restart",
        "changes/test_apply_undo.py::test_dropped_indexes_are_put_back_exactly",
        "changes/test_apply_undo.py::test_a_tablespace_is_kept",
        "changes/test_mysql.py::test_every_kind_is_undone_exactly_after_a_restart",
    ),
    "D-14 gates": (
        "engines/postgres/test_gates.py::test_a_replica_that_lags_or_whose_lag_is_not_known_blocks",
        "engines/postgres/test_gates.py::test_a_busy_server_blocks_where_its_cores_are_known_and_warns_elsewhere",
        "engines/postgres/test_gates.py::test_disk_that_is_not_known_must_be_gone_on_without_and_too_little_blocks",
        "engines/postgres/test_gates.py::test_an_autovacuum_gives_way_but_not_one_against_wraparound",
    ),
    "D-16 a review left open": (
        "changes/test_refusals.py::test_a_review_left_open_must_be_made_again",
        "screens/test_apply_dialog.py::test_an_old_review_is_not_run",
    ),
    "D-17 a role that only watches": (
        "changes/test_refusals.py::test_a_role_that_only_watches_changes_nothing",
        "changes/test_refusals.py::test_without_the_gate_the_server_denies_it_and_nothing_is_half_done",
        "changes/test_mysql.py::test_an_account_that_only_watches_changes_nothing",
    ),
    # the store
    "S-01 places that cannot be a store": (
        "store/test_place.py::test_places_that_cannot_be_a_store_are_refused",
        "store/test_place.py::test_read_only_place_is_refused",
        "store/test_place.py::test_files_are_private_whatever_the_umask",
    ),
    "S-02 a damaged store": (
        "store/test_place.py::test_a_damaged_file_is_never_lost_silently",
        "store/test_schema.py::test_store_of_a_newer_version_is_refused",
    ),
    "S-04 no room": (
        "store/test_database.py::test_a_full_disk_is_named_and_survived",
        "store/test_place.py::test_a_file_that_may_not_grow_is_named_and_survived",
    ),
    "S-05 killed in a migration": (
        "store/test_database.py::test_killed_in_a_migration_rolls_back",
        "store/test_schema.py::test_an_older_store_is_upgraded_with_its_data",
    ),
    "S-07 somebody reads the store for long": (
        "store/test_place.py::test_a_log_that_a_reader_keeps_from_being_taken_in_is_said",
    ),
    "S-08 ninety days of ten servers": ("store/test_ninety_days.py::test_ninety_days_are_what_their_parts_add_up_to",),
    "S-10 a network file system": ("store/test_place.py::test_network_file_systems_are_named",),
    # clocks
    "C-01 a clock that jumps or stands still": (
        "acceptance/test_clocks.py::test_a_clock_that_jumps_and_is_set_right",
        "acceptance/test_clocks.py::test_a_clock_that_stands_still",
        "store/test_retention.py::test_a_leaping_clock_does_not_cost_the_history",
    ),
    "C-02 days of 23 and 25 hours": (
        "acceptance/test_clocks.py::test_each_sync_is_made_once_where_the_clock_is_put_forward_or_back",
        "widgets/test_chart.py::test_local_time_and_days_of_23_and_25_hours",
    ),
    "C-04 a suspended machine": (
        "cli/test_session.py::test_collect_syncs_until_told_to_stop_and_makes_up_for_nothing",
        "workflows/test_scheduler.py::test_missed_slots_are_not_made_up_for",
    ),
    "C-05 a second of correction": ("store/test_deltas.py::test_a_second_by_which_a_clock_is_corrected_has_no_effect",),
    # several instances
    "I-01 five collectors": ("acceptance/test_collectors.py::test_of_five_each_is_killed_one_frozen_and_one_cut_off",),
    "I-02 the one that collects is killed": (
        "acceptance/test_collectors.py::test_of_three_two_are_killed_in_turn",
        "workflows/test_durable.py::test_kill_9_is_resumed_behind_the_last_step",
        "store/test_executions.py::test_killed_owner_is_resumed_by_another_process_without_doubling",
    ),
    "I-04 cut off from the store, or frozen": (
        "acceptance/test_collectors.py::test_of_five_each_is_killed_one_frozen_and_one_cut_off",
        "workflows/test_durable.py::test_a_stopped_owner_writes_nothing_after_its_lease_is_lost",
        "store/test_executions.py::test_an_old_owner_writes_nothing",
    ),
    "I-05 one database under two names": (
        "acceptance/test_versions.py::test_a_server_under_other_addresses_is_reached_and_recognised",
        "workflows/test_sync.py::test_the_same_database_under_two_names_is_noticed",
    ),
    # models
    "L-01 answers that are none": (
        "agents/test_provider.py::test_an_endless_body_is_not_read",
        "agents/test_provider.py::test_a_compressed_body_is_refused",
        "agents/test_provider.py::test_a_body_that_is_no_answer_is_an_error",
        "agents/test_provider.py::test_a_byte_order_mark_is_read_over_and_figures_that_are_none_are_not_taken",
        "agents/test_provider.py::test_silence_ends_at_the_deadline",
        "agents/test_answer.py::test_no_list_is_an_error_and_never_advice",
    ),
    "L-02 refusals and redirections": (
        "agents/test_provider.py::test_a_refusal_says_what_to_check_and_is_not_retried",
        "agents/test_provider.py::test_a_retry_after_of_an_hour_is_not_slept",
        "agents/test_provider.py::test_a_retry_after_that_is_none_is_waited_for_as_usual",
        "agents/test_provider.py::test_no_redirection_is_followed_to_another_host_or_a_file",
        "agents/test_desk.py::test_a_key_goes_to_its_own_address_alone",
    ),
    "L-04 answers that would do harm": (
        "agents/test_advise.py::test_no_sql_of_a_model_reaches_the_server",
        "changes/test_hostile.py::test_no_other_text_is_sent_to_postgresql",
        "changes/test_hostile.py::test_no_other_text_is_sent_to_mysql_or_mariadb",
    ),
    "L-05 a hundred injected texts": ("agents/test_injections.py::test_a_hundred_injected_texts_change_nothing",),
    "L-07 a large schema": (
        "agents/test_advise.py::test_ten_thousand_tables_and_a_megabyte_of_statement_fit_the_prompt",
    ),
    "L-08 answers that are shown": (
        "screens/test_threads.py::test_an_answer_of_ten_thousand_lines_is_text_and_can_be_scrolled",
        "agents/test_figures.py::test_a_long_answer_is_looked_through_once",
        "agents/test_advise.py::test_words_of_a_model_are_only_words",
        "widgets/test_hostile.py::test_nothing_of_them_reaches_the_terminal",
    ),
    "L-10 proposals that make no sense": (
        "agents/test_advise.py::test_what_does_not_hold_is_refused_with_its_reason",
        "agents/test_advise.py::test_a_planner_that_sees_no_gain_refuses",
        "agents/test_advise.py::test_busy_tables_are_not_given_more_to_keep",
        "agents/test_advise.py::test_a_column_that_is_updated_all_the_time_is_not_indexed",
    ),
    # secrets and transport
    "Z-01 passwords in every form": (
        "acceptance/test_secrets.py::test_every_way_to_give_a_password_works_and_none_leaves_it",
        "acceptance/test_secrets.py::test_the_process_list_forgets_every_form",
        "acceptance/test_secrets.py::test_no_screen_shows_one",
    ),
    "Z-02 a crash with a secret at hand": (
        "widgets/test_terminal.py::test_a_failure_is_told_without_locals_or_secrets_and_exits_non_zero",
        "cli/test_contract.py::test_an_unexpected_error_is_one_line_and_its_traceback_is_in_the_log",
    ),
    "Z-04 a configuration that others may read": (
        "acceptance/test_secrets.py::test_a_configuration_with_a_password_that_others_may_read_is_refused",
    ),
    "Z-05 literals": (
        "acceptance/test_texts.py::test_nothing_personal_of_two_hundred_statements_leaves_the_server",
        "acceptance/test_texts.py::test_no_literal_of_a_statement_is_stored_printed_or_logged",
        "agents/test_advise.py::test_no_value_leaves",
    ),
    "Z-07 certificates": (
        "engines/postgres/test_tls.py::test_a_certificate_that_is_not_right",
        "engines/mysql/test_tls.py::test_certificates_that_are_not_right",
    ),
    "Z-08 no TLS where it is asked for": (
        "engines/postgres/test_tls.py::test_no_silent_downgrade",
        "engines/mysql/test_tls.py::test_no_silent_downgrade",
    ),
    "Z-10 the log at its most talkative": (
        "acceptance/test_texts.py::test_nothing_personal_of_two_hundred_statements_leaves_the_server",
        "acceptance/test_texts.py::test_no_literal_of_a_statement_is_stored_printed_or_logged",
        "acceptance/test_secrets.py::test_every_way_to_give_a_password_works_and_none_leaves_it",
    ),
    # load
    "Q-04 a very large file of texts": (
        "engines/postgres/test_texts.py::test_reading_texts_writes_no_temporary_file",
        "engines/postgres/test_texts.py::test_one_reading_takes_so_much_and_no_more",
    ),
    # rights and set-up
    "G-01 a superuser is offered less": ("engines/postgres/test_doctor.py::test_a_superuser_is_offered_less",),
    "G-02 parts that are closed": (
        "workflows/test_sync.py::test_three_closed_databases_of_ten_are_named_and_the_others_are_read",
        "engines/postgres/test_collect.py::test_a_hardened_server_still_says_what_it_can",
    ),
    "G-04 what vendors forbid": (
        "engines/postgres/test_collect.py::test_a_hardened_server_still_says_what_it_can",
        "engines/postgres/test_doctor.py::test_a_provider_is_known_by_what_it_leaves_in_each_cluster",
    ),
    "G-05 another function in the view's place": (
        "engines/postgres/test_collect.py::test_what_stands_for_the_view_can_be_named",
    ),
}


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_the_tests_that_are_named(case: str) -> None:
    named = [each.split("::") for each in CASES[case]]
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(TESTS / path)]
    assert named and not missing, missing
