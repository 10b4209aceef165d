"""What is asked of people, agents, runs, flows and the store, row by row, and the tests that show it: checked as the
faults are."""

from __future__ import annotations

import pytest

from tests.test_faults import TESTS, names_in

ROWS: dict[str, tuple[str, ...]] = {
    # people and projects
    "E-01 the account is the first user, once": (
        "cli/test_people.py::test_people_keys_and_projects_by_commands",
        "store/test_people.py::test_people_are_told_apart_and_one_stays_admin",
    ),
    "E-02 a used e-mail": (
        "cli/test_people.py::test_people_keys_and_projects_by_commands",
        "store/test_people.py::test_people_are_told_apart_and_one_stays_admin",
    ),
    "E-05 a project with its settings": (
        "cli/test_people.py::test_people_keys_and_projects_by_commands",
        "screens/test_people.py::test_a_project_has_a_look_of_its_own",
    ),
    "E-10 projects side by side": (
        "screens/test_people.py::test_a_project_is_gone_to_and_its_files_are_put_into_its_folder",
        "workflows/test_scheduler.py::test_a_server_that_is_silent_costs_the_others_no_sample",
    ),
    # agents and flows
    "E-19 an agent's notes and figures": (
        "agents/test_flow.py::test_a_document_that_is_none_names_the_key",
        "agents/test_flow.py::test_figures_of_an_agent_stand_in_for_the_usual_ones_and_not_for_what_a_node_says",
    ),
    "E-29 one flow an agent": ("cli/test_agents.py::test_agents_are_made_from_files_and_do_what_a_document_says",),
    "E-34 a flow of another format": (
        "agents/test_flow.py::test_a_document_that_is_none_names_the_key",
        "workflows/test_agents.py::test_a_flow_of_a_later_release_is_refused_and_stays_as_it_is",
        "cli/test_agents.py::test_agents_are_made_from_files_and_do_what_a_document_says",
    ),
    # runs
    "E-22 runs by status, agent, project, time": (
        "store/test_executions.py::test_pages_stay_as_they_are_while_others_are_asked_for",
        "screens/test_runs.py::test_f_asks_the_store_for_some_of_the_runs",
    ),
    "E-23 the log of a run": (
        "store/test_executions.py::test_a_log_is_read_by_pages_from_its_end",
        "screens/test_runs.py::test_a_long_log_is_shown_by_pages_and_a_run_is_noted_on",
    ),
    "E-24 a run is cancelled": (
        "workflows/test_sync.py::test_a_cancelled_sync_leaves_no_statement_of_ours_and_touches_no_other",
        "screens/test_runs.py::test_a_run_is_shown_while_it_works_and_cancelled_by_a_key",
    ),
    # the store
    "E-41 a transcript, in the store, and as Markdown": (
        "store/test_threads.py::test_a_thread_holds_what_was_said_and_what_it_cost",
        "screens/test_threads.py::test_a_query_is_talked_about_by_keys",
        "cli/test_threads.py::test_a_suggestion_is_talked_about",
    ),
    "E-71 made and changed": ("store/test_schema.py::test_every_entity_says_when_it_was_made_and_when_it_was_changed",),
    "E-72 pages": (
        "screens/test_models.py::test_no_list_holds_more_than_a_page",
        "screens/test_pages.py::test_no_list_fetches_more_than_is_asked_for",
        "screens/test_models.py::test_a_list_in_another_order_is_not_said_to_be_the_newest",
        "store/test_suggestions.py::test_no_more_are_read_than_a_list_holds_and_the_open_ones_first",
        "cli/test_activity_export.py::test_a_log_longer_than_a_page_is_written_whole",
        "store/test_money.py::test_a_million_calls_take_no_more_memory_than_a_thousand",
    ),
    "E-73 all or nothing": ("workflows/test_all_or_nothing.py::test_a_write_that_fails_leaves_nothing",),
    "E-80 copies of the store": (
        "workflows/test_upkeep.py::test_copies_are_made_when_due_and_can_be_restored",
        "store/test_place.py::test_backup_while_in_use_and_restore",
        "store/test_place.py::test_reset_keeps_the_old_store",
    ),
    "E-82 a server that goes and comes": (
        "screens/test_connections.py::test_a_server_that_is_gone_is_down_since_its_last_answer_and_then_up",
        "workflows/test_kept.py::test_a_session_that_ended_meanwhile_is_no_failure",
        "workflows/test_turns.py::test_thirty_databases_of_one_server_never_have_more_than_two_sessions",
        "store/test_database.py::test_postgresql_store_comes_back_after_its_server_went_away",
    ),
    "E-84 each fault in its own words": (
        "cli/test_session.py::test_each_fault_of_the_store_has_words_of_its_own",
        "cli/test_session.py::test_doctor_names_each_fault_and_its_cure",
    ),
    "E-85 what the store takes": (
        "workflows/test_upkeep.py::test_what_the_store_takes_how_it_grew_and_what_took_long_are_said",
    ),
    "E-86 threads of others, and a role for every command": (
        "cli/test_roles.py::test_every_command_is_listed",
        "cli/test_roles.py::test_every_command_asks_for_its_right",
        "cli/test_roles.py::test_a_key_is_asked_for_where_no_workbench_is_opened",
        "workflows/test_rights.py::test_what_others_said_with_models_is_seen_by_them_and_by_admins",
        "screens/test_viewer.py::test_a_viewer_is_refused_nothing_but_what_is_asked_for",
        "screens/test_viewer.py::test_every_verb_says_what_right_it_takes",
        "cli/test_contract.py::test_what_it_writes_is_for_its_owner_alone",
    ),
    "E-65 each kind of entry": (
        "store/test_activity_kinds.py::test_what_is_written_is_listed_and_what_is_listed_is_written",
        "store/test_activity_kinds.py::test_a_test_asks_the_log_for_it",
        "store/test_activity_kinds.py::test_every_kind_is_shown_by_a_test",
        "workflows/test_all_or_nothing.py::test_a_write_that_fails_leaves_nothing",
    ),
    # plans and news
    "O-28 a plan in plain words": (
        "advisor/test_in_words.py::test_figures_are_those_of_the_plan",
        "advisor/test_in_words.py::test_figures_of_mysql_and_mariadb_too",
        "screens/test_threads.py::test_a_query_is_talked_about_by_keys",
    ),
    "O-52 each alert by its fault": (
        "workflows/test_watching.py::test_a_statement_that_became_slower_is_planned_anew",
        "workflows/test_watching.py::test_a_wait_on_a_real_server_is_seen_and_ends",
        "workflows/test_watching.py::test_a_measure_past_its_limit_and_a_fall_of_the_score",
        "workflows/test_watching.py::test_a_run_that_fails_and_one_that_works_again",
        "workflows/test_watching.py::test_a_budget_that_is_nearly_spent",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_the_tests_that_are_named(row: str) -> None:
    named = [each.split("::") for each in ROWS[row]]
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(TESTS / path)]
    assert named and not missing, missing
