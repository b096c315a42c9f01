//! The machine that functions run on, as the engine's host sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The machine, as it was found a moment ago.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct MachineView {
    /// When it was looked at
    #[schema(required, format = DateTime)]
    pub time: String,
    /// The version of actord that runs
    #[schema(required)]
    pub release: String,
    /// What it was built for
    #[schema(required)]
    pub arch: String,
    /// How long actord has been up
    #[schema(required)]
    pub uptime_seconds: u64,
    /// The disks that actord keeps things on
    #[schema(required)]
    pub disks: Vec<DiskView>,
    /// Memory; left out where the kernel does not tell
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryView>,
    /// Images that are kept; left out where that can't be told
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<ImagesView>,
    /// What `actord doctor` finds
    #[schema(required)]
    pub findings: Vec<FindingView>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DiskView {
    /// What is on it, such as `data-dir`
    #[schema(required)]
    pub name: String,
    /// Where that is
    #[schema(required)]
    pub path: String,
    /// How large it is
    #[schema(required)]
    pub bytes: u64,
    /// How much of it is free
    #[schema(required)]
    pub free: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct MemoryView {
    /// All of the machine's
    #[schema(required)]
    pub total: u64,
    /// What can be had without swapping
    #[schema(required)]
    pub available: u64,
    /// For how many percent of the last ten seconds processes waited for memory; left out where the kernel does not tell
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pressure: Option<f64>,
    /// What actord has itself
    #[schema(required)]
    pub actord: u64,
}

/// Images that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ImagesView {
    /// How many
    #[schema(required)]
    pub count: u64,
    /// What they take as they came, before they were unpacked
    #[schema(required)]
    pub bytes: u64,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct FindingView {
    /// What
    #[schema(required)]
    pub check: String,
    /// `ok`, `unknown`, `warning` or `failure`
    #[schema(required)]
    pub state: String,
    /// What was found
    #[schema(required)]
    pub found: String,
    /// What mends it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}
