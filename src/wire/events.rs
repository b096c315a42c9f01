//! What the stream of events carries: one type for all of them, each with the fields that it has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The data of an event. Which fields it has, its name says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EventData {
    /// Its name, and its id: on the lines above the data, and in what the command line prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// See `event`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Which function it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When it happened, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// `phase`: where the function stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// `phase`, `deployed`, `refused`: which generation is asked for, or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// `phase`: the newest generation that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving_generation: Option<u64>,
    /// `phase`: instances that serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_replicas: Option<u32>,
    /// `phase`: instances that should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// `phase`: seconds until the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_seconds: Option<u64>,
    /// `deployed`, `refused`, `pull`: the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// `deployed`: whether there was no function of this name before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// `restart`: how often an instance had to be replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// `scale`: how many should serve before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// `scale`: how many should now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// `scale`: `asked`, `load`, `idle`, `woken`, `stopped` or `started`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// `call`: `dead`, `cancelled` or `revived`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Why. `reset`: `gone`, `earlier` or `lagging`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `call`: the call, where it is one by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// `call`: how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// `step`: where the start is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// `step`, `pull`: what it waits for there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// `pull`: bytes that are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulled: Option<u64>,
    /// `pull`: bytes that it has, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// `load`: how busy functions of the namespace were in the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions: Option<BTreeMap<String, FunctionLoad>>,
    /// `faults`: what is wrong with what actord needs, one line each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults: Option<Vec<String>>,
    /// `paused`: whether no asynchronous call is sent because memory is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// `step` is a word of a start, and of a load so many seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Where a start is.
    Of(String),
    /// How long the step of a load is, in seconds.
    Seconds(u64),
}

/// How busy a function was in one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FunctionLoad {
    /// Calls that ended.
    pub calls: u32,
    /// Those of them with a status of 500 or more.
    pub errors: u32,
    /// 99 of 100 took no longer, in milliseconds; null: there was none.
    pub p99: Option<f32>,
    /// Calls that were under way at its end, those that waited for an instance included.
    pub in_flight: u32,
}
