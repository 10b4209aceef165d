"""What is left to the long run (`tests/run --soak`): variants whose like is part of every run, and long doubles.

One list, so that what a short run leaves out can be read in one place. A test stays in every run by at least one
variant, unless another test that is named beside it walks the same way.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

LEFT: dict[str, str] = {
    # the same on another server, its own ways being proven by shorter tests of both
    "acceptance/test_mysql.py::test_a_server_counts_resets_restarts_and_crashes": "mysql",
    "acceptance/test_losses.py::test_a_foreign_reset_is_told_and_nothing_is_invented": "15",
    "acceptance/test_texts.py::test_names_of_mysql_beyond_ascii_are_printed_in_any_locale": "mysql",
    "acceptance/test_texts.py::test_no_literal_of_a_statement_is_stored_printed_or_logged": "15",
    "acceptance/test_versions.py::test_databases_of_other_encodings_are_read": "WIN1252",
    "advisor/test_my_queries.py::test_a_column_whose_values_the_planner_guesses": "mysql",
    "changes/test_disk_full.py::test_a_disk_that_fills_is_said_in_a_line_and_nothing_is_half_made": "where it sorts-m*",
    "changes/test_mysql.py::test_after_five_attempts_it_gives_up_and_nobody_waited_for_long": "mysql",
    "changes/test_mysql.py::test_no_request_of_the_application_waits_for_a_change": "mysql",
    "changes/test_mysql.py::test_two_processes_apply_the_same_suggestion_and_one_executes": "*-[ha]*",
    "changes/test_verify.py::test_what_a_change_did_is_measured_beside_what_was_forecast": "mariadb",
    "cli/test_mysql_session.py::test_from_nothing_to_applied_and_undone": "mariadb",
    "demo/test_demo.py::test_the_shop_has_what_was_planted": "15",
    "engines/mysql/test_rehearsal.py::test_samples_come_with_their_parents": "mysql",
    "engines/mysql/test_rehearsal.py::test_a_named_server_gets_databases_that_are_gone_afterwards": "mysql",
    "engines/mysql/test_unaltered.py::test_every_alteration_is_seen_by_the_next_sync": "mysql",
    "engines/postgres/test_unaltered.py::test_every_alteration_is_seen_by_the_next_reading": "pg15",
    "engines/postgres/test_sandbox.py::test_nothing_is_left_after_a_kill": "15",
    "screens/test_connections.py::test_a_mysql_or_mariadb_connection_is_added_by_keys_alone": "mysql",
    # the same in the other store, of which the statements alone differ, and those are run by the rest of the file
    "cli/test_session.py::test_the_store_is_backed_up_restored_reset_and_seeded": "postgresql",
    "store/test_money.py::test_an_invoice_of_ten_thousand_lines_is_read_once": "postgresql",
    "store/test_snapshots.py::test_the_number_of_statements_does_not_depend_on_*": "postgresql-3000",
    "workflows/test_scheduler.py::test_a_server_that_is_silent_costs_the_others_no_sample": "postgresql",
    "workflows/test_scheduler.py::test_rules_look_for_improvements_by_themselves_*": "postgresql",
    "workflows/test_scheduler.py::test_run_stops_cleanly": "postgresql",
    # the same by another way
    "acceptance/test_journey_by_keys.py::test_from_launch_to_undo_and_out": "drawn",
    "acceptance/test_texts.py::test_names_beyond_ascii_are_printed_in_any_locale": "ascii",
    "advisor/test_kinds_of_index.py::test_each_kind_where_only_it_helps": "[!p]*-sandbox",
    "advisor/test_missing_index.py::test_keys_are_those_the_statement_wants": "[a-q]*-reckoned",
    "widgets/test_hostile.py::test_nothing_of_them_reaches_the_terminal": "{}",
    "workflows/test_rehearsal.py::test_a_statement_written_otherwise_is_proven_or_said_not_to_be": "not-null",
    # long doubles
    "demo/test_mysql.py::test_the_shop_has_what_was_planted_and_works_as_a_shop_does": "*",  # test_mysql_session's demo
    "changes/test_mysql_looking.py::test_looking_at_everything_changes_nothing": "*",  # test_journey's, test_traffic's
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        base, _, variant = item.nodeid.removeprefix("tests/").partition("[")
        if any(fnmatchcase(base, one) and fnmatchcase(variant.removesuffix("]"), left) for one, left in LEFT.items()):
            item.add_marker(pytest.mark.soak)
