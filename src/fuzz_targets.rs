//! What is fuzzed: every reader of what comes from outside, each with what must hold whatever it is given. For tests alone.
//!
//! ```text
//! bytes -> a room's `fuzzed` (sees what is private to the room) -> its reader -> true: taken    false: refused in its words
//!                                                                            -> a panic: what must hold does not
//! ```
//! `tests/fuzz/` makes the bytes. A target is one more line here, one there, and a seed: docs/contributing.md.

use crate::host::{cni, containerd};
use crate::{bundle, cli, cron, events, function, http, queue, stack, store, wire};

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What its seeds are found by.
    pub name: &'static str,
    /// Tells whether the input was taken.
    ///
    /// # Panics
    /// When something that must hold does not.
    pub run: fn(&[u8]) -> bool,
}

macro_rules! targets {
    ($($name:literal => $run:path,)*) => { &[$(Target { name: $name, run: $run },)*] };
}

/// All of them.
pub const TARGETS: &[Target] = targets! {
    "names" => function::fuzzed::names,
    "quantities" => function::fuzzed::quantities,
    "deployments" => wire::fuzzed::deployments,
    "bodies" => wire::fuzzed::bodies,
    "log-lines" => wire::fuzzed::log_lines,
    "references" => containerd::fuzzed::references,
    "manifests" => containerd::fuzzed::manifests,
    "resolving" => containerd::fuzzed::resolving,
    "configs" => containerd::fuzzed::configs,
    "challenges" => containerd::fuzzed::challenges,
    "signers-claims" => containerd::fuzzed::signers_claims,
    "users" => containerd::fuzzed::users,
    "log-indexes" => containerd::fuzzed::log_indexes,
    "cni-results" => cni::fuzzed::results,
    "network-lists" => cni::fuzzed::lists,
    "callbacks" => queue::fuzzed::callbacks,
    "schedules" => cron::fuzzed::schedules,
    "stacks" => stack::fuzzed::stacks,
    "bundle-manifests" => bundle::fuzzed::manifests,
    "rows" => store::fuzzed::rows,
    "auth-headers" => http::fuzzed::auth_headers,
    "request-heads" => http::fuzzed::request_heads,
    "forwarding" => http::fuzzed::forwarding,
    "answers" => http::fuzzed::answers,
    "stored-heads" => http::fuzzed::stored_heads,
    "event-ids" => events::fuzzed::ids,
    "event-streams" => cli::fuzzed::event_streams,
};
