//! Whatever comes from outside, from a client, a registry, a plugin, a disk or an operator: it is taken or refused in words,
//! and what is taken keeps what its holders rely on. `src/fuzz_targets.rs` has the targets.
//!
//! ```text
//! found/, seeds/ -> each input by itself          a test, in each run
//!                -> mutation -> target -> panic?  -> minimised -> found/TARGET/, to be committed with what mends it
//! ```
//! A fixed number of inputs from a fixed seed here, so that a run is the same everywhere; `make soak` goes on by time, from a
//! seed of its own (`SEED=` replays it).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod campaign;
mod corpus;
mod engine;
mod failure;
mod planted;

use actord::fuzz_targets::TARGETS;

/// One test for each target, with the number of inputs that it gets: some second's worth without optimisation.
macro_rules! fuzz {
    ($($sentence:ident: $target:literal, $inputs:literal;)*) => {
        $(#[test] fn $sentence() { campaign::run($target, $inputs); })*
        const TRIED: &[&str] = &[$($target),*];
    };
}

fuzz! {
    any_name_is_refused_or_printed_as_it_is_read: "names", 20_000;
    any_quantity_is_refused_or_read_as_a_second_reader_does: "quantities", 20_000;
    any_deployment_is_refused_or_keeps_its_bounds_and_its_text: "deployments", 4_000;
    any_body_is_refused_or_written_as_it_is_read: "bodies", 4_000;
    any_line_of_a_log_goes_out_in_one_line: "log-lines", 10_000;
    any_image_reference_is_read_as_the_field_reads_it: "references", 1_500;
    any_manifest_is_refused_or_names_what_can_be_fetched: "manifests", 4_000;
    any_registry_of_documents_comes_to_an_end: "resolving", 4_000;
    any_config_gives_variables_and_snapshots_that_a_start_takes: "configs", 4_000;
    any_challenge_is_read_to_its_end: "challenges", 8_000;
    any_claim_of_a_signer_is_refused_or_says_what_was_signed: "signers-claims", 6_000;
    any_user_of_an_image_is_a_number_that_was_asked_for: "users", 10_000;
    any_index_of_a_log_is_bounded_by_what_is_there: "log-indexes", 5_000;
    any_answer_of_a_plugin_is_refused_or_kept_as_it_is: "cni-results", 4_000;
    any_network_list_is_refused_or_handed_on_as_it_is: "network-lists", 4_000;
    any_address_of_a_callback_is_refused_or_leads_where_it_may: "callbacks", 10_000;
    any_schedule_is_refused_or_due_when_its_fields_say: "schedules", 2_000;
    any_stack_file_is_refused_or_read_as_it_is_exported: "stacks", 2_000;
    any_manifest_of_a_bundle_is_refused_or_leads_into_a_directory_alone: "bundle-manifests", 4_000;
    any_row_of_the_store_is_damaged_or_written_as_it_is_read: "rows", 4_000;
    no_header_but_the_right_one_is_let_in: "auth-headers", 10_000;
    any_request_is_refused_or_framed_as_actix_frames_it: "request-heads", 10_000;
    any_request_goes_to_the_function_as_one_head: "forwarding", 10_000;
    any_answer_goes_to_the_client_as_one_head: "answers", 10_000;
    any_stored_head_is_damaged_or_the_headers_that_were_kept: "stored-heads", 10_000;
    any_id_of_an_event_is_refused_or_gone_on_after_without_a_gap: "event-ids", 20_000;
    any_stream_of_events_is_read_as_the_same_in_whatever_pieces_it_comes: "event-streams", 10_000;
}

#[test]
fn every_target_has_a_test_and_seeds() {
    let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(targets, TRIED);
    for target in targets {
        assert!(!corpus::read("seeds", target).is_empty(), "tests/fuzz/seeds/{target} has no seed");
    }
    // What was found of a target that is no longer there is tried no more.
    for directory in std::fs::read_dir(corpus::directory("found")).into_iter().flatten().flatten() {
        assert!(
            TRIED.contains(&directory.file_name().to_str().unwrap()),
            "{} is no target's",
            directory.path().display()
        );
    }
}
