"""What an adviser must do to be believed, row by row, and the tests that show it: checked as the faults are."""

from __future__ import annotations

import pytest

from tests.test_faults import TESTS, names_in

ROWS: dict[str, tuple[str, ...]] = {
    "M-52 a proposed index is verified": (
        "advisor/test_missing_index.py::test_a_planner_checked_index_says_what_it_saves",
        "advisor/test_missing_index.py::test_without_hypothetical_indexes_it_is_said_to_be_unchecked",
        "advisor/test_missing_index.py::test_a_sandbox_checks_where_the_server_has_no_hypothetical_indexes",
        "advisor/test_my_indexes.py::test_what_statements_lack_is_reasoned_from_plan_statistics_and_rows_read",
    ),
    "M-54 the life of a suggestion": (
        "screens/test_suggestions.py::test_reviewed_dismissed_with_a_reason_and_taken_up_again",
        "screens/test_suggestions.py::test_filters_by_status_priority_and_type",
        "screens/test_suggestions.py::test_enter_leads_to_its_query",
        "screens/test_journey.py::test_three_keys_apply_and_two_undo",
        "store/test_suggestions.py::test_moves_that_make_no_sense_are_refused",
        "store/test_suggestions.py::test_applied_reopens_only_on_younger_data",
        "cli/test_session.py::test_from_nothing_to_applied_and_undone",
        "cli/test_mysql_session.py::test_from_nothing_to_applied_and_undone",
    ),
    "O-10 live rates": (
        "acceptance/test_rates.py::test_fifty_a_second_are_shown_as_fifty_within_three_intervals",
        "changes/test_verify.py::test_what_a_change_did_is_measured_beside_what_was_forecast",
    ),
    "O-34 what if": (
        "engines/postgres/test_whatif.py::test_an_index_that_helps_is_used_and_one_that_does_not_is_not",
        "engines/postgres/test_whatif.py::test_nothing_is_left_in_the_catalogue_or_for_others",
        "engines/postgres/test_whatif.py::test_what_cannot_be_is_an_error_and_the_next_call_works",
        "engines/postgres/test_sandbox.py::test_plans_as_its_source_does",
        "advisor/test_missing_index.py::test_an_index_that_would_only_cost_is_not_suggested",
        "workflows/test_rehearsal.py::test_an_index_nobody_uses_is_not_called_a_gain",
        "advisor/test_verdicts.py::test_without_a_planner_to_ask_it_is_reckoned_and_says_so",
    ),
    "O-35 the statements on its table": (
        "advisor/test_workload_check.py::test_every_statement_of_most_time_on_the_table_is_counted",
        "advisor/test_missing_index.py::test_one_statement_that_cannot_be_planned_does_not_stop_the_others",
        "workflows/test_rehearsal.py::test_one_statement_that_cannot_be_run_stops_no_other",
    ),
    "O-36 what writers pay": (
        "advisor/test_workload_check.py::test_every_statement_of_most_time_on_the_table_is_counted",
        "advisor/test_workload_check.py::test_what_is_asked_for_a_foreign_key_says_what_writers_pay_too",
        "advisor/test_missing_index.py::test_writers_and_all_statements_that_could_use_an_index_are_heard",
        "advisor/test_missing_index.py::test_upkeep_counts_against_an_index",
        "changes/test_verdicts.py::test_what_it_costs_writers_counts",
        "store/test_outcomes.py::test_a_forecast_is_worth_a_range_of_all_that_can_be_and_a_rehearsal_its_interval",
    ),
    "O-37 a statement written otherwise": (
        "engines/postgres/test_rehearsal.py::test_what_means_the_same_is_proven_and_nothing_else",
        "engines/postgres/test_rehearsal.py::test_with_nothing_to_be_null_not_in_is_not_exists",
        "engines/mysql/test_proving.py::test_what_means_the_same_is_proven_and_nothing_else",
        "engines/mysql/test_proving.py::test_it_is_proven_on_a_server_that_was_named_and_nothing_is_left_there",
        "workflows/test_rehearsal.py::test_a_statement_written_otherwise_is_proven_or_said_not_to_be",
        "workflows/test_rehearsal.py::test_on_mysql_and_mariadb_it_is_proven_on_a_server_that_was_named",
    ),
    "O-38 confidence": (
        "advisor/test_judgement.py::test_every_point_of_a_confidence_has_its_reason",
        "store/test_outcomes.py::test_outcomes_are_counted_by_rule_method_and_confidence",
        "store/test_outcomes.py::test_experience_moves_a_confidence_only_when_there_is_enough_of_it",
        "screens/test_suggestions.py::test_what_a_suggestion_rests_on_is_said_point_by_point",
    ),
    "O-40 a sandbox": (
        "engines/postgres/test_rehearsal.py::test_it_is_never_on_the_watched_server",
        "engines/postgres/test_rehearsal.py::test_on_a_server_that_was_named_it_is_a_database_of_its_own",
        "engines/postgres/test_rehearsal.py::test_samples_come_with_their_parents",
        "engines/mysql/test_rehearsal.py::test_samples_come_with_their_parents",
        "engines/mysql/test_rehearsal.py::test_a_large_table_is_read_all_over_its_key_of_whatever_kind",
        "engines/mysql/test_rehearsal.py::test_a_named_server_gets_databases_that_are_gone_afterwards",
        "workflows/test_rehearsal.py::test_killed_it_leaves_nothing_and_is_marked",
    ),
    "O-41 a benchmark": (
        "changes/test_benchmark.py::test_a_planted_fifth_less_reads_as_a_fifth_less",
        "changes/test_benchmark.py::test_a_planted_regression_is_never_a_gain",
        "changes/test_benchmark.py::test_noise_is_inconclusive",
        "changes/test_benchmark.py::test_sides_take_turns_and_every_run_is_kept",
        "workflows/test_rehearsal.py::test_a_missing_index_is_measured_end_to_end",
        "workflows/test_rehearsal.py::test_on_mysql_and_mariadb_it_is_measured_as_well_and_taking_back_a_setting_is_tried",
        "engines/mysql/test_rehearsal.py::test_statements_run_on_both_sides",
    ),
    "O-42 a failure is one": (
        "workflows/test_rehearsal.py::test_a_sandbox_that_dies_is_a_failure",
        "workflows/test_rehearsal.py::test_on_mysql_and_mariadb_it_is_measured_as_well_and_taking_back_a_setting_is_tried",
    ),
    "O-43 a basket": (
        "changes/test_basket.py::test_what_others_need_comes_first",
        "changes/test_basket.py::test_what_does_not_go_together_is_said",
        "changes/test_basket.py::test_several_run_in_order_and_each_is_put_back_by_itself",
        "changes/test_basket.py::test_the_first_that_fails_ends_it",
        "changes/test_basket.py::test_psql_runs_it_up_and_down",
        "changes/test_basket.py::test_the_client_of_mysql_runs_it_up_and_down",
        "screens/test_journey.py::test_what_is_marked_is_applied_together_and_written_as_files",
    ),
    "O-44 only what is listed": (
        "changes/test_hostile.py::test_no_other_text_is_sent_to_postgresql",
        "changes/test_hostile.py::test_no_other_text_is_sent_to_mysql_or_mariadb",
        "changes/test_refusals.py::test_another_server_at_the_same_address_is_not_taken_for_the_one_reviewed",
        "changes/test_faults.py::test_cancelling_ends_it_on_the_server_and_leaves_no_invalid_index",
        "changes/test_faults.py::test_cancelled_at_any_moment",
        "changes/test_mysql.py::test_cancelling_ends_it_on_the_server_and_leaves_nothing",
        "changes/test_house_rules.py::test_outside_its_window_nothing_begins",
        "changes/test_house_rules.py::test_an_approver_needs_no_other",
    ),
    "O-45 put back": (
        "changes/test_apply_undo.py::test_made_indexes_are_undone_after_a_restart",
        "changes/test_apply_undo.py::test_dropped_indexes_are_put_back_exactly",
        "changes/test_mysql.py::test_every_kind_is_undone_exactly_after_a_restart",
        "changes/test_rollback.py::test_what_has_changed_since_is_not_put_back",
        "engines/postgres/test_rehearsal.py::test_every_change_that_can_be_taken_back_is_seen_to_be",
        "engines/mysql/test_rehearsal.py::test_every_change_that_can_be_taken_back_is_seen_to_be",
        "changes/test_verify.py::test_it_is_undone_by_itself_only_where_that_was_asked_for_and_nothing_stands_in_the_way",
    ),
    "O-46 what it did": (
        "changes/test_verify.py::test_what_a_change_did_is_measured_beside_what_was_forecast",
        "changes/test_verdicts.py::test_a_regression_is_never_shown_as_a_gain",
        "store/test_outcomes.py::test_outcomes_are_counted_by_rule_method_and_confidence",
        "screens/test_applied.py::test_what_was_applied_is_measured_and_undone_by_keys",
    ),
    "O-50 money": (
        "store/test_outcomes.py::test_money_is_a_range_with_its_arithmetic_and_nothing_without_a_rate",
        "store/test_outcomes.py::test_reads_that_are_paid_for_count_too",
        "store/test_outcomes.py::test_a_forecast_is_worth_a_range_of_all_that_can_be_and_a_rehearsal_its_interval",
    ),
    "every change, killed at twenty points": (
        "changes/test_kill_points.py::test_meshag_killed",
        "changes/test_kill_points.py::test_meshag_killed_on_version_15",
        "changes/test_kill_points.py::test_meshag_killed_on_mariadb",
        "changes/test_kill_points.py::test_meshag_killed_on_mysql",
        "changes/test_kill_points.py::test_the_server_killed_at_each_point",
        "changes/test_kill_points.py::test_a_mysql_server_killed_at_each_point",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_the_tests_that_are_named(row: str) -> None:
    named = [each.split("::") for each in ROWS[row]]
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(TESTS / path)]
    assert named and not missing, missing
