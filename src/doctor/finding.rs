//! What a check says: how bad, what was found, and the command that mends it.

use serde::Serialize;

/// How a check went, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It could not be seen, and what was found says why.
    Unknown,
    /// actord runs, but something will be missed sooner or later.
    Warning,
    /// actord does not start, or functions do not run as they should.
    Failure,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `runc`.
    pub check: String,
    /// How it went.
    pub state: State,
    /// What was found, in one sentence.
    pub found: String,
    /// The command or setting that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn unknown(check: impl Into<String>, why: impl Into<String>) -> Self {
        Self { state: State::Unknown, ..Self::ok(check, why) }
    }

    /// Something works less well than it could.
    pub fn warning(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Warning, remedy: Some(remedy.into()), ..Self::ok(check, found) }
    }

    pub(super) fn failure(check: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Failure, ..Self::warning(check, found, remedy) }
    }
}
