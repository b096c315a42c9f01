//! The engine contract: what doors rely on, held against every engine there is.
//!
//! A case is a function over a [`subject::Subject`]. The list at the end of this file is the only one: each case in it
//! runs on the engine of one machine, with the machine in memory and in simulated time, and on containerd with CNI, as
//! root; and on the engine in memory that other tests stand on. Another engine is another subject, and one line more in
//! the macro.
#![allow(missing_docs, unreachable_pub, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

mod cleaning;
mod deletes;
mod deploys;
mod fake;
mod fixture;
mod freezing;
mod local;
mod logs;
mod memory;
mod namespaces;
mod reads;
mod real;
mod resting;
mod rollbacks;
mod scale;
mod secrets;
mod spares;
mod subject;
mod updates;
mod watch;
mod zero;

#[path = "../support/leaks.rs"]
mod leaks;
#[path = "../support/memory_engine/mod.rs"]
mod memory_engine;
#[path = "../support/oci_runtimes.rs"]
mod oci_runtimes;
#[path = "../support/real_host.rs"]
mod real_host;
#[path = "../host_contract/registry.rs"]
mod registry;
#[path = "../support/run.rs"]
mod run;
#[path = "../support/sample.rs"]
mod sample;

macro_rules! contract {
    ($($module:ident: $($case:ident)*;)*) => {
        mod the_local_engine_on_the_fake {
            $($(
                #[test]
                fn $case() {
                    crate::fake::run(crate::$module::$case);
                }
            )*)*
        }

        mod the_local_engine_on_the_real_host {
            $($(
                #[test]
                fn $case() {
                    crate::real::run(crate::$module::$case);
                }
            )*)*
        }

        mod the_engine_in_memory {
            $($(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    crate::memory::run(crate::$module::$case).await;
                }
            )*)*
        }
    };
}

contract! {
    deploys:
        what_was_deployed_serves_and_is_shown_as_it_was_asked_for
        as_many_instances_are_started_as_the_label_says
        a_name_has_one_winner_among_many_who_create_it
        a_create_of_what_is_there_is_refused_and_changes_nothing
        a_create_that_cannot_run_leaves_nothing
        what_ends_at_once_never_serves_and_says_why
        a_secret_that_is_not_there_is_refused_and_nothing_is_kept
        a_function_whose_secrets_are_there_serves
        a_deploy_into_a_namespace_that_is_not_there_is_refused
        what_was_deployed_is_there_after_a_restart
        a_deploy_whose_caller_left_goes_on;
    updates:
        an_update_of_what_is_not_there_is_refused
        an_update_keeps_the_old_one_until_the_new_one_serves
        an_update_that_cannot_run_leaves_the_old_one_serving_and_says_why
        a_refused_update_leaves_what_was_asked_for_before_and_is_told
        what_was_scaled_stays_so_when_an_update_is_refused
        an_update_to_what_ends_at_once_leaves_the_old_one_serving
        after_a_failed_update_another_one_serves
        every_other_spec_is_another_generation_and_the_time_of_creation_stays
        what_was_updated_is_so_after_a_restart;
    rollbacks:
        a_rollback_brings_back_what_served_before_and_a_second_one_undoes_that
        a_generation_that_is_kept_can_be_named_and_another_is_refused_with_those_that_are
        a_rollback_of_what_is_not_there_is_refused
        an_update_that_does_not_serve_is_rolled_back_to_what_does
        a_rollback_keeps_the_number_and_what_was_stopped_by_hand
        a_rollback_ends_idleness
        what_is_kept_is_so_after_a_restart
        a_deleted_function_leaves_nothing_to_roll_its_namesake_back_to
        a_secret_that_only_what_is_kept_names_can_be_deleted_and_is_then_missed_by_a_rollback;
    deletes:
        a_deletion_frees_the_name_at_once
        a_deletion_of_what_is_not_there_is_refused
        what_was_deleted_is_gone_after_a_restart;
    scale:
        as_many_instances_serve_as_are_asked_for
        a_scale_of_what_is_not_there_is_refused
        what_was_scaled_is_so_after_a_restart
        an_update_keeps_the_number_that_was_asked_for;
    zero:
        a_call_at_zero_starts_an_instance_and_waits_for_it
        many_calls_at_zero_cost_one_start_and_each_is_answered
        a_call_at_zero_starts_as_many_as_the_label_says
        what_a_call_woke_is_awake_after_a_restart
        what_is_stopped_stays_so_whatever_is_called_scaled_or_deployed
        what_was_stopped_or_started_by_hand_is_so_after_a_restart
        a_request_under_way_is_finished_before_what_is_stopped_is_gone
        a_stop_of_what_is_not_there_is_refused_and_a_stopped_function_can_be_deleted;
    resting:
        an_idle_function_runs_nothing_and_the_next_call_brings_back_what_was_asked_for
        a_number_an_update_and_a_start_by_hand_end_idleness
        what_has_a_request_is_not_stopped
        what_is_idle_starts_nothing_after_a_restart
        as_many_run_as_the_load_asks_for_and_what_was_asked_for_stays
        the_number_that_the_load_asked_for_is_there_after_a_restart
        the_load_wakes_nothing
        a_function_that_is_not_there_neither_rests_nor_is_adjusted;
    freezing:
        what_rests_is_frozen_and_ready_and_a_call_thaws_it
        what_has_a_request_is_not_frozen
        what_is_frozen_is_updated_scaled_and_deleted_as_any_other
        what_was_frozen_serves_after_a_restart
        calls_that_race_with_freezing_are_all_answered;
    spares:
        a_spare_is_beyond_what_is_asked_for_and_gets_no_request
        nothing_stands_by_for_what_runs_nothing
        a_spare_stands_by_after_a_restart;
    reads:
        a_list_is_sorted_by_name_and_of_its_namespace
        what_runs_is_measured_and_what_does_not_is_left_out
        what_serves_is_told_instance_by_instance_until_it_is_gone
        reads_are_answered_while_a_deploy_hangs;
    watch:
        a_deploy_and_a_deletion_are_told_by_numbers_without_a_gap
        a_watcher_that_comes_back_with_its_number_misses_nothing
        a_watcher_whose_changes_are_not_kept_is_told_and_goes_on;
    secrets:
        a_secret_is_made_once_changed_and_deleted
        a_secret_that_is_not_there_is_neither_changed_nor_deleted
        a_namespace_that_is_not_there_has_no_secrets
        a_secret_that_functions_use_is_kept_and_they_are_named
        a_secret_is_used_by_what_serves_and_by_what_is_asked_for
        of_a_deploy_and_the_deletion_of_its_secret_exactly_one_is_refused
        what_was_answered_of_secrets_holds_after_a_restart;
    namespaces:
        the_default_namespace_is_always_there_and_first
        a_namespace_is_made_once_changed_and_deleted
        a_namespace_that_is_not_there_is_neither_changed_nor_deleted
        a_namespace_with_functions_in_it_is_kept_and_they_are_named
        secrets_go_with_their_namespace
        what_was_answered_of_namespaces_holds_after_a_restart;
    logs:
        lines_come_in_the_order_of_their_times_with_who_wrote_them
        only_what_is_asked_for_is_read
        a_follower_gets_what_comes_and_ends_with_the_function
        an_unknown_function_has_no_logs_and_a_deleted_one_neither
        a_namesake_has_only_its_own_lines_at_once_and_the_follower_of_the_one_before_ends
        what_was_written_is_there_after_a_restart;
}
