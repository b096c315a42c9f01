//! What requests carry in path and query, as the document shows it; the handlers read it themselves.

#![expect(dead_code, reason = "read by derive alone")]

use utoipa::IntoParams;

/// The namespace that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NamedNamespace {
    /// The namespace's name, as the body says it
    #[param(example = "staging")]
    name: String,
}

/// The function that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Named {
    /// The function's name
    #[param(example = "env")]
    name: String,
}

/// The token that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NamedToken {
    /// What the token is called
    #[param(example = "t-1a2b3c4d")]
    id: String,
}

/// The namespace that a query names.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct InNamespace {
    /// The namespace, where the body names none; the default one if it is left out
    namespace: Option<String>,
}

/// What a query for a deletion can insist on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WithForce {
    /// Whether to delete it although functions use it
    force: Option<bool>,
}

/// What else a query for one function can ask for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WithUsage {
    /// Whether to measure what the function uses
    usage: Option<bool>,
}

/// Which lines are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogRequest {
    /// The function's name
    #[param(example = "env")]
    name: Option<String>,
    /// The namespace; the default one if it is left out
    namespace: Option<String>,
    /// Only what this instance wrote
    instance: Option<String>,
    /// Only the last so many lines, of all instances together; 0 and less are all
    tail: Option<i64>,
    /// Only what was written at this time or later
    #[param(format = DateTime)]
    since: Option<String>,
    /// Whether to wait for more
    follow: Option<bool>,
}
