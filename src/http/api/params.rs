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

/// The call that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NamedCall {
    /// actord's own id of the call, or its caller's where that fits one call
    #[param(example = "018f2f6e-7c1a-7b3c-8d4e-5f6071829304")]
    id: String,
}

/// Which calls are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListCalls {
    /// Only those of this function
    #[param(example = "env")]
    function: Option<String>,
    /// The namespace; the default one if it is left out
    namespace: Option<String>,
    /// Only those that are `waiting`, `running`, `retrying`, `callback`, `done`, `dead` or `cancelled`
    state: Option<String>,
    /// Only those that were accepted at this time or later, or within so long, such as `1h`
    since: Option<String>,
    /// So many at most, up to 1000; 100 if it is left out
    limit: Option<usize>,
    /// After the page that said `next`
    after: Option<String>,
}

/// Which calls are removed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PurgeCalls {
    /// `dead`, `done` or `cancelled`
    #[param(example = "dead")]
    state: String,
    /// Only those of this function
    function: Option<String>,
    /// The namespace; the default one if it is left out
    namespace: Option<String>,
    /// Only those that ended before this time, or so long ago, such as `24h`
    before: Option<String>,
}

/// How a dead letter is sent again.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RetryCall {
    /// Whether its function is called again, where only the callback failed
    call: Option<bool>,
}

/// How many values are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Points {
    /// So many of the newest at most, from 1 to 360
    points: Option<usize>,
}

/// Which events are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListEvents {
    /// Only those of this namespace; all that the caller reaches if it is left out
    namespace: Option<String>,
    /// Only those of functions of this name
    name: Option<String>,
    /// Those after the one with this id
    #[param(example = "3f9a01bc-17")]
    after: Option<String>,
}
