//! Schedules as they are listed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A schedule of a function: when it fires, and what it fired last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ListedSchedule {
    /// Whose
    #[schema(required)]
    pub function: String,
    /// Its namespace
    #[schema(required)]
    pub namespace: String,
    /// As it was written
    #[schema(required)]
    pub schedule: String,
    /// The zone that its times are in
    #[schema(required)]
    pub timezone: String,
    /// When its last call was made
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last: Option<String>,
    /// The id of that call
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_call: Option<String>,
    /// How that call stands, if it is still kept: as in a list of calls
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_state: Option<String>,
    /// The status of its last answer
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// When it is due next; left out where it does not fire, and `note` says why
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next: Option<String>,
    /// Due times that got no call, since it was first seen
    #[schema(required)]
    pub missed: u64,
    /// Due times that were left out for a call that had not ended
    #[schema(required)]
    pub skipped: u64,
    /// What becomes of what is missed: `none` or `run-once`
    #[schema(required)]
    pub missed_rule: String,
    /// What becomes of what is due while the last call goes on: `allow` or `skip`
    #[schema(required)]
    pub overlap: String,
    /// Why it does not fire
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
