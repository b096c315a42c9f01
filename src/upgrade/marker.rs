//! What is under way, as it stands on the disk: all that a watcher goes by that knows nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How old and new program talk of an upgrade: the marker, and who waits at which step of it. A program of another number is
/// not upgraded to.
pub const PROTOCOL: u32 = 1;

/// An upgrade that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// [`PROTOCOL`] of who wrote it.
    pub protocol: u32,
    /// Which upgrade this is.
    pub id: String,
    /// How far it has come.
    pub step: Step,
    /// The old program.
    pub from: Build,
    /// The new one.
    pub to: Build,
    /// Whether the new one lays out what is kept in another way: then nothing durable is accepted before the trial is passed.
    pub schema_changed: bool,
    /// Whose upgrade it is.
    pub data_dir: PathBuf,
    /// Below which control group its functions are.
    pub cgroup_parent: String,
    /// Where the service manager finds the program.
    pub program: PathBuf,
    /// The command line of the running `actord up`.
    pub settings: Vec<String>,
    /// Where the old one listened.
    pub addresses: Addresses,
    /// The unit of the service manager, where it is systemd.
    pub unit: Option<String>,
    /// Which boot of the machine `step` was written in.
    pub boot_id: String,
    /// How long the new one has to be healthy, but for short breaks.
    pub trial: Duration,
    /// When it began, to be shown.
    pub begun: Timestamp,
    /// What was so before it.
    pub before: Before,
    /// The sums of the copies of what is kept, by their names.
    #[serde(default)]
    pub copies: BTreeMap<String, String>,
    /// The file that was put in the program's place, by device and inode.
    #[serde(default)]
    pub placed: Option<(u64, u64)>,
    /// Why it goes back or was given up.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A program, as it says itself and as it lies on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    /// [`PROTOCOL`] of the program.
    pub protocol: u32,
    /// Its version.
    pub version: String,
    /// The commit that it was built from, as `/system/info` tells it.
    pub commit: String,
    /// Of its file.
    pub sha256: String,
    /// The package that it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deb: Option<PathBuf>,
    /// The versions in which it lays out what it keeps, by what that is: store, calls, tokens.
    pub schemas: BTreeMap<String, i64>,
}

/// The listeners of an actord, as they are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Where functions are called.
    pub public: SocketAddr,
    /// The provider's, which always speaks in plain words.
    pub provider: SocketAddr,
    /// Where metrics are.
    pub metrics: SocketAddr,
}

/// What was so before an upgrade, and must be so after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Before {
    /// The functions that were ready, as NAME.NAMESPACE.
    pub ready: BTreeMap<String, Function>,
    /// What was not well.
    pub faults: BTreeSet<String>,
    /// The first process of each instance.
    pub processes: BTreeMap<String, i32>,
    /// Whether the machine was started anew since: then no process is what it was, and functions start anew.
    pub is_of_an_earlier_boot: bool,
}

/// A function, as far as it tells whether its instances are as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Function {
    /// How many instances it is to have.
    pub replicas: u64,
    /// How many of them are ready.
    pub available: u64,
    /// How many are ready beyond those.
    pub spares: u64,
    /// Whether one is being started.
    pub is_starting: bool,
    /// How a process of it ended, as long as that is told.
    pub ended: Option<Ended>,
    /// Whether that is what its instances do again and again.
    pub crashes: bool,
    /// What it was asked to be: a sum of each part that lists show of it. Not the parts: there are secrets in them.
    pub spec: BTreeMap<String, String>,
}

/// How a function's process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ended {
    /// Whether by itself: by a status that is not zero, a fault of its own, or because it took too much memory.
    pub is_by_itself: bool,
    /// A sum of what is told of it.
    pub sum: String,
}

impl Function {
    /// Whether somebody asked for something else since. What only one of two programs shows is no change.
    pub(super) fn is_another_than(&self, before: &Self) -> bool {
        before.spec.iter().any(|(part, sum)| self.spec.get(part) != Some(sum))
    }
}

/// How far an upgrade has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Both programs are kept; nothing is changed.
    Prepared,
    /// The old one is asked to end. Whoever is started in its place waits.
    Stopping,
    /// What is kept has been copied.
    Copied,
    /// The program is being replaced. Whoever is started waits.
    Switched,
    /// The new one is on trial.
    Trial {
        /// When that began, by the time since the machine's boot.
        since_boot: Duration,
        /// The process that was there to become the new one.
        pid: Option<i32>,
    },
    /// The trial is passed.
    Passed,
    /// The old program is put back. Whoever is started waits.
    GoingBack {
        /// Whether what is kept is the copies again.
        restored: bool,
    },
    /// The old program and its store are in their places.
    Back,
}

impl Step {
    /// Whether an `up` that starts waits: the program or its store is not yet what it will be.
    #[must_use]
    pub fn has_up_wait(&self) -> bool {
        matches!(self, Self::Stopping | Self::Copied | Self::Switched | Self::GoingBack { .. })
    }
}

impl Marker {
    /// For how long nothing durable is accepted yet, if so: a trial of another schema goes on, and going back would lose it.
    /// `uptime` is the time since boot. A trial that goes on for longer than it should has not passed either.
    #[must_use]
    pub fn nothing_durable_for(&self, uptime: Duration) -> Option<Duration> {
        if !self.schema_changed {
            return None;
        }
        match self.step {
            Step::Passed => None,
            Step::Trial { since_boot, .. } => {
                let left = (since_boot + self.trial).saturating_sub(uptime);
                Some(left.clamp(Duration::from_secs(1), self.trial.max(Duration::from_secs(1))))
            }
            _ => Some(self.trial),
        }
    }
}

/// How the ids of a function's instances begin: the function is NAME.NAMESPACE. An id has no two dashes in a row.
pub(super) fn instance_prefix(function: &str) -> String {
    let name = function.rsplit_once('.').map_or(function, |(name, _)| name);
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// How the ids of all instances of this one's function begin.
pub(super) fn function_of(instance: &str) -> Option<&str> {
    Some(instance.rsplit_once('-')?.0)
}

/// How long the machine is up.
#[must_use]
pub fn uptime() -> Duration {
    Duration::from_secs(rustix::system::sysinfo().uptime.try_into().unwrap_or_default())
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// An upgrade that has come this far.
    pub(in crate::upgrade) fn marker(step: Step, schema_changed: bool) -> Marker {
        let address = "127.0.0.1:8081".parse().unwrap();
        Marker {
            protocol: PROTOCOL,
            id: "one".into(),
            step,
            from: Build::default(),
            to: Build::default(),
            schema_changed,
            data_dir: "/var/lib/actord".into(),
            cgroup_parent: "/actord".into(),
            program: "/usr/bin/actord".into(),
            settings: vec!["actord".into(), "up".into()],
            addresses: Addresses { public: address, provider: address, metrics: address },
            unit: None,
            boot_id: "boot".into(),
            trial: Duration::from_secs(60),
            begun: Timestamp::UNIX_EPOCH,
            before: Before::default(),
            copies: BTreeMap::new(),
            placed: None,
            reason: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::marker;
    use super::*;

    #[test]
    fn nothing_durable_is_accepted_before_a_trial_of_another_schema_is_passed() {
        let trial = Step::Trial { since_boot: Duration::from_secs(100), pid: None };
        for (step, uptime, expected) in [
            (trial.clone(), 100, Some(60)),
            (trial.clone(), 130, Some(30)),
            (trial.clone(), 400, Some(1)),
            // A boot later.
            (trial, 5, Some(60)),
            (Step::Switched, 130, Some(60)),
            (Step::GoingBack { restored: true }, 130, Some(60)),
            (Step::Passed, 130, None),
        ] {
            let left = |changed| marker(step.clone(), changed).nothing_durable_for(Duration::from_secs(uptime));
            assert_eq!(left(true), expected.map(Duration::from_secs), "{step:?} at {uptime}");
            assert_eq!(left(false), None, "the old one would go on with the same store");
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        for step in [Step::Prepared, Step::Trial { since_boot: uptime(), pid: Some(7) }, Step::Back] {
            let written = serde_json::to_vec(&marker(step, true)).unwrap();
            let read: Marker = serde_json::from_slice(&written).unwrap();
            assert_eq!(serde_json::to_vec(&read).unwrap(), written);
        }
    }
}
