//! Asynchronous calls as they are shown: what waits, what came of it, and what failed for good.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A call as it is listed. Secrets in its path and in its callback's URL are not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CallSummary {
    /// actord's own id of it
    #[schema(required)]
    pub id: String,
    /// Its caller's `X-Call-Id`; other calls may have the same
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_id: Option<String>,
    /// Whom it calls, as `name.namespace`
    #[schema(required)]
    pub function: String,
    /// The namespace of that
    #[schema(required)]
    pub namespace: String,
    /// The method
    #[schema(required)]
    pub method: String,
    /// Path and query as the function sees them
    #[schema(required)]
    pub path: String,
    /// `waiting`, `running`, `retrying`, `callback`, `done`, `dead` or `cancelled`
    #[schema(required)]
    pub state: String,
    /// When it was accepted
    #[schema(required, format = DateTime)]
    pub accepted: String,
    /// When it ended
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended: Option<String>,
    /// When it is tried next
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_try: Option<String>,
    /// How often its function, or who is called back, was tried
    #[schema(required)]
    pub tries: u32,
    /// The most tries that it gets
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tries: Option<u32>,
    /// The last status
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// Why it failed for good
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How much of the disk it takes, about, in bytes
    #[schema(required)]
    pub bytes: u64,
    /// The schedule that made it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Where its answer is sent: the URL without its query's secrets
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<String>,
    /// From when on it is not tried any more
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub deadline: Option<String>,
}

/// Some calls, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CallPage {
    /// They
    #[schema(required)]
    pub calls: Vec<CallSummary>,
    /// What to send as `after` for those that follow; none: these were the last. A page may be empty and have one
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One call. What was sent is not shown but for its headers, of which secret ones have no value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Call {
    /// As it is listed
    #[serde(flatten)]
    pub summary: CallSummary,
    /// The headers that were sent; none are kept of one that is done
    #[schema(required)]
    pub headers: Vec<ShownHeader>,
    /// The length of the body that was sent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Its tries, the first ones and the last ones if there were many
    #[schema(required)]
    pub attempts: Vec<CallAttempt>,
    /// The last answer
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<CallAnswer>,
}

/// A header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ShownHeader {
    /// Its name
    #[schema(required)]
    pub name: String,
    /// Its value; none where that may be a secret
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// One try.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CallAttempt {
    /// When it began
    #[schema(required, format = DateTime)]
    pub started: String,
    /// How long it took
    #[schema(required)]
    pub seconds: f64,
    /// The status that came; actord's own where none came of the function
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it failed, where the status does not say it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the callback was tried, and not the function
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub callback: bool,
}

/// What a function answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CallAnswer {
    /// Its status
    #[schema(required)]
    pub status: u16,
    /// Its headers
    #[schema(required)]
    pub headers: Vec<ShownHeader>,
    /// What is kept of its body, if that is text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The same in base64, if it is no text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// How long the whole body was
    #[schema(required)]
    pub bytes: u64,
    /// Whether only the beginning of it is kept
    #[schema(required)]
    pub cut: bool,
}

/// How many calls were removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PurgedCalls {
    /// So many
    #[schema(required)]
    pub purged: u64,
}

/// How many calls of a function there are, and how they fare.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct FunctionQueue {
    /// Whose, as `name.namespace`
    #[schema(required)]
    pub function: String,
    /// The namespace of that
    #[schema(required)]
    pub namespace: String,
    /// Calls that wait for their first try, or are under way
    #[schema(required)]
    pub waiting: u64,
    /// Calls that wait for another try
    #[schema(required)]
    pub retrying: u64,
    /// Calls that are under way
    #[schema(required)]
    pub in_flight: u32,
    /// Answers that are to be sent on
    #[schema(required)]
    pub callbacks: u64,
    /// Dead letters
    #[schema(required)]
    pub dead: u64,
    /// Dead letters that went for others (`dead-letter-max-size`), since the start
    #[schema(required)]
    pub dropped: u64,
    /// What all of them take of the disk, about, in bytes
    #[schema(required)]
    pub bytes: u64,
    /// How long the first has waited that is due
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<f64>,
    /// Why none is sent now, if that is so: `stopped`, `deleted`, or `full` (those with a callback: there is no room for their answers)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}
