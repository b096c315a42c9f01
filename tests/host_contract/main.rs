//! The host contract: what the actors rely on, held against the machine in memory and against a real one.
//!
//! A case is a function over a [`subject::Subject`]. The list at the end of this file is the only one: each case in it
//! runs on the fake, in simulated time, and on containerd with CNI, as root. A case removes what it made; the subject
//! then looks for leftovers.
#![allow(missing_docs, unreachable_pub, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

mod fake;
mod fixture;
mod freezing;
mod images;
mod logs;
mod network;
mod real;
mod registry;
mod runtime;
mod subject;

#[path = "../support/leaks.rs"]
mod leaks;
#[path = "../support/oci_runtimes.rs"]
mod oci_runtimes;
#[path = "../support/real_host.rs"]
mod real_host;
#[path = "../support/run.rs"]
mod run;
#[path = "../support/sample.rs"]
mod sample;

macro_rules! contract {
    ($($module:ident: $($case:ident)* $(, misusing: $($misuse:ident)*)?;)*) => {
        mod on_the_fake {
            $(
                $(
                    #[tokio::test(start_paused = true)]
                    async fn $case() {
                        crate::fake::run(crate::subject::Conduct::Correct, crate::$module::$case).await;
                    }
                )*
                $($(
                    #[tokio::test(start_paused = true)]
                    async fn $misuse() {
                        crate::fake::run(crate::subject::Conduct::Misuse, crate::$module::$misuse).await;
                    }
                )*)?
            )*
        }

        mod on_the_real_host {
            $(
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        crate::real::run(crate::$module::$case).await;
                    }
                )*
                $($(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $misuse() {
                        crate::real::run(crate::$module::$misuse).await;
                    }
                )*)?
            )*
        }

        mod on_the_real_host_by_version_2_of_control_groups {
            $(by_version_2! { $module $($case)* })*
        }
    };
}

/// The cases that depend on it, once more.
macro_rules! by_version_2 {
    (freezing $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::real::run_freezing_by_version_2(crate::freezing::$case).await;
            }
        )*
    };
    ($other:ident $($case:ident)*) => {};
}

contract! {
    images:
        an_image_is_pulled_when_it_is_absent_unless_the_policy_is_never
        only_the_policy_always_follows_a_tag_that_moved
        an_image_that_nobody_has_is_an_image_error_that_names_it
        two_callers_at_once_get_the_same_image
        how_far_a_pull_is_is_told_only_while_it_goes_on_and_never_exceeds_its_total
        an_imported_image_needs_no_registry
        an_archive_can_be_imported_again
        what_is_no_archive_is_an_image_error_that_names_the_file;
    freezing:
        a_frozen_instance_answers_nothing_until_it_is_thawed
        what_is_frozen_can_be_frozen_and_what_is_not_can_be_thawed
        what_does_not_run_is_neither_frozen_nor_thawed
        one_is_frozen_and_another_of_the_same_function_goes_on
        a_frozen_instance_runs_and_all_is_told_of_it_and_its_secrets_change
        a_frozen_instance_is_ended_as_any_other
        a_signal_that_is_ignored_thaws_all_the_same
        a_frozen_instance_is_removed_and_who_waits_for_it_is_told
        the_last_call_decides_whether_it_is_frozen;
    logs:
        what_an_instance_writes_is_told_with_its_time_and_the_same_again
        a_log_outlives_its_instance_until_it_is_forgotten
        what_is_forgotten_while_it_runs_goes_with_its_instance_and_what_comes_later_stays
        nobody_has_logs_of_what_was_never_there;
    network:
        an_attached_instance_is_listed_and_looked_up_until_it_is_detached
        an_attached_instance_is_restricted_any_number_of_times_and_stays_where_it_is
        two_instances_have_different_addresses_and_namespaces
        detach_of_what_is_not_there_is_success
        an_instance_that_is_not_attached_is_not_found
        an_instance_can_be_attached_while_others_come_and_go
        a_warm_attachment_is_no_instances_until_one_claims_it_and_then_it_is_as_attached
        a_warm_attachment_is_claimed_by_one_instance_only
        a_warm_attachment_that_is_not_there_is_not_found_and_discarded_already,
        misusing: a_second_attach_is_an_error_and_leaves_the_first_as_it_was;
    runtime:
        an_instance_goes_from_created_to_ready_to_ended_to_nothing
        a_process_that_is_asked_to_end_ends_with_its_own_code
        a_process_that_ignores_term_is_ended_by_kill
        how_an_instance_wants_to_be_ended_is_kept_with_it_until_it_is_removed
        a_kill_of_what_does_not_run_is_success
        a_wait_for_what_is_not_there_says_vanished
        all_who_wait_are_told_and_so_is_who_comes_late
        the_exit_code_of_a_process_is_told_and_its_last_words_are_kept
        the_log_s_tail_is_as_long_as_was_asked_and_an_unknown_log_is_not_found
        what_an_instance_uses_is_told_as_long_as_it_runs
        what_an_instance_wrote_is_counted_as_long_as_it_is_there
        what_an_instance_listens_on_is_told_as_long_as_it_runs_and_is_its_own
        a_running_instance_is_removed_and_who_waits_for_it_is_told
        an_instance_is_prepared_while_its_network_is_made_and_created_when_it_has_both
        an_instance_that_was_only_prepared_is_found_and_removed
        an_instance_that_never_started_ends_when_it_is_asked_to
        an_instance_that_never_started_is_removed
        remove_of_what_is_not_there_is_success
        an_image_that_cannot_be_run_is_a_spec_error_and_what_it_left_is_removed
        the_process_finds_its_secrets
        the_process_finds_new_values_of_its_secrets_while_it_runs
        two_instances_of_one_function_live_and_die_apart
        a_process_that_has_not_started_or_has_ended_is_not_ready,
        misusing:
            an_id_that_exists_is_refused_and_goes_on
            what_was_not_created_cannot_be_started
            nothing_is_started_twice
            a_secret_that_an_instance_does_not_have_is_not_given_to_it
            what_was_not_prepared_cannot_be_created
            without_its_network_an_instance_is_not_created
            without_its_image_an_instance_is_not_created;
}
