//! The state that the calls leave behind: images, attachments, containers.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Behaviour;
use crate::function::{Exit, FunctionId, FunctionName, Generation, InstanceId, Memory, Outbound, SecretName};
use crate::host::logs::Changes;
use crate::host::{Attachment, HostError, Image, InstanceConfig, LogTime, Signal, Termination, WarmId};

/// The state behind its lock, which is never held across an await.
#[derive(Debug, Default)]
pub(super) struct Machine(Mutex<State>);

impl Machine {
    pub(super) async fn room(&self, _half: bool) -> Result<(), HostError> {
        self.lock().full.clone().map_or(Ok(()), |why| Err(HostError::Full(why)))
    }

    pub(super) async fn memory(&self, _half: bool) -> Result<Memory, HostError> {
        Ok(self.lock().memory.unwrap_or(Memory::Waited(0)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// What the registry offers, and how often a reference was published.
    pub(super) registry: BTreeMap<String, (u64, Behaviour)>,
    pub(super) published: u64,
    pub(super) archives: BTreeMap<PathBuf, Vec<(String, Behaviour)>>,
    /// What is complete on the machine, by reference: what its tag means now.
    pub(super) images: BTreeMap<String, (Image, Behaviour)>,
    /// Those of `images` that came from an archive.
    pub(super) imported: BTreeSet<String>,
    /// For how long pulled images were not needed, as it was noted.
    pub(super) unneeded: BTreeMap<String, Duration>,
    /// How full the disk is in percent, without images, and how much each of them takes.
    pub(super) fullness: (u8, u8),
    /// Every image that was ever complete, with those whose tag has moved on.
    pub(super) unpacked: Vec<(Image, Behaviour)>,
    /// Pulls under way: of what, since when, and for how long.
    pub(super) pulls: Vec<(String, Instant, Duration)>,
    /// None: half-made.
    pub(super) attachments: BTreeMap<InstanceId, Option<Attachment>>,
    /// Where instances may send to that were restricted.
    pub(super) restricted: BTreeMap<InstanceId, Outbound>,
    /// Those that no instance has claimed; None: half-made.
    pub(super) warm: BTreeMap<WarmId, Option<Attachment>>,
    /// Those of `warm` that can't be used any more.
    pub(super) spoilt: BTreeSet<WarmId>,
    /// What is wrong with what all networks share.
    pub(super) network_fault: Option<String>,
    /// Why there is no room for a deploy.
    pub(super) full: Option<String>,
    /// How short memory is; none: it is not.
    pub(super) memory: Option<Memory>,
    pub(super) fixed_addresses: BTreeMap<FunctionName, Vec<IpAddr>>,
    pub(super) addresses_given: u32,
    pub(super) containers: BTreeMap<InstanceId, Container>,
    /// What is to be created of those that have no container yet.
    pub(super) prepared: BTreeMap<InstanceId, InstanceConfig>,
    /// What is there of an instance without a container.
    pub(super) remains: BTreeSet<InstanceId>,
    /// Every id that was ever created: none comes twice.
    pub(super) created: BTreeSet<InstanceId>,
    pub(super) logs: BTreeMap<InstanceId, Written>,
    pub(super) changes: Arc<Changes>,
    pub(super) on_start: Option<OnStart>,
    /// The signals that were sent, in their order.
    pub(super) signals: Vec<(InstanceId, Signal)>,
    pub(super) violations: Vec<String>,
}

type Serve = dyn Fn(&InstanceId, SocketAddr) -> Box<dyn Any + Send> + Send + Sync;

/// What a test does for every process that starts.
#[derive(Clone)]
pub(super) struct OnStart(pub(super) Arc<Serve>);

impl fmt::Debug for OnStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnStart")
    }
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) of: (FunctionId, Generation),
    pub(super) behaviour: Behaviour,
    pub(super) secrets: BTreeMap<SecretName, Vec<u8>>,
    pub(super) termination: Termination,
    /// Watched by those who wait for its end; the last value outlives the container.
    pub(super) process: watch::Sender<Process>,
    pub(super) log: Option<String>,
    /// Whether its end was asked for.
    pub(super) asked_to_end: bool,
    /// What the test runs beside the process.
    pub(super) beside: Option<Box<dyn Any + Send>>,
}

/// What one instance wrote.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) function: FunctionId,
    /// Everything, also what is not kept any more.
    pub(super) bytes: Vec<u8>,
    pub(super) stamps: Vec<LogTime>,
    pub(super) begins: u64,
    pub(super) born: Timestamp,
    pub(super) ended: bool,
    /// Whether it goes with its instance.
    pub(super) forgotten: bool,
}

/// A process is what its times say: nothing has to run for it to end.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub(super) started: Option<Instant>,
    /// When it will end by itself; later by as long as it is frozen.
    pub(super) ends: Option<(Instant, Exit)>,
    /// Since when it is frozen.
    frozen: Option<Instant>,
    /// For how long it was frozen before.
    asleep: Duration,
}

impl Process {
    pub(super) fn started(now: Instant, ends: Option<(Instant, Exit)>) -> Self {
        Self { started: Some(now), ends, ..Self::default() }
    }

    pub(super) fn ended(&self, now: Instant) -> Option<Exit> {
        self.ends.as_ref().filter(|(at, _)| *at <= self.awake_until(now)).map(|(_, exit)| exit.clone())
    }

    pub(super) fn runs(&self, now: Instant) -> bool {
        self.started.is_some() && self.ended(now).is_none()
    }

    /// When it ends unless something comes between.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        let (at, _) = self.ends.as_ref()?;
        self.frozen.is_none_or(|since| *at <= since).then_some(*at)
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// How long it has run, without the times in which it was frozen; nothing unless it was started.
    pub(super) fn awake(&self, now: Instant) -> Duration {
        let started = self.started.map(|started| self.awake_until(now) - started);
        started.unwrap_or_default().saturating_sub(self.asleep)
    }

    fn awake_until(&self, now: Instant) -> Instant {
        self.frozen.map_or(now, |since| since.min(now))
    }

    fn freeze(&mut self, now: Instant) {
        self.frozen.get_or_insert(now);
    }

    fn thaw(&mut self, now: Instant) {
        let Some(since) = self.frozen.take() else { return };
        let slept = now - since;
        self.asleep += slept;
        if let Some((at, _)) = &mut self.ends
            && *at > since
        {
            *at += slept;
        }
    }
}

/// What exists and would have to be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Containers, running or not.
    pub containers: BTreeSet<InstanceId>,
    /// What half-made or half-removed instances left: a snapshot, a directory.
    pub remains: BTreeSet<InstanceId>,
    /// Network namespaces, with or without an address.
    pub networks: BTreeSet<InstanceId>,
    /// Attachments that no instance has claimed.
    pub warm: BTreeSet<WarmId>,
}

impl Leftovers {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl State {
    /// Notes a call that no correct caller makes, and answers it.
    pub(super) fn violation(&mut self, what: String) -> HostError {
        self.violations.push(what.clone());
        HostError::Failed(what)
    }

    /// Freezes or thaws a process; says whether there was one that runs.
    pub(super) fn set_frozen(&mut self, id: &InstanceId, frozen: bool) -> bool {
        let now = Instant::now();
        let Some(container) = self.containers.get(id).filter(|it| it.process.borrow().runs(now)) else { return false };
        container.process.send_if_modified(|process| {
            let changes = process.is_frozen() != frozen;
            if frozen {
                process.freeze(now);
            } else {
                process.thaw(now);
            }
            changes
        });
        true
    }

    /// Ends a process at that time, unless it has ended or will have by then; one that is frozen is thawed. Says whether
    /// there was one to end.
    pub(super) fn end(&mut self, id: &InstanceId, at: Instant, exit: Exit) -> bool {
        let now = Instant::now();
        let Some(container) = self.containers.get_mut(id) else { return false };
        if container.process.borrow().ended(now).is_some() {
            return false;
        }
        container.process.send_if_modified(|process| {
            let frozen = process.is_frozen();
            process.thaw(now);
            let sooner = process.ends.as_ref().is_none_or(|(planned, _)| at < *planned);
            if sooner {
                process.ends = Some((at, exit));
            }
            sooner || frozen
        });
        if at <= now {
            container.beside = None;
        }
        true
    }

    pub(super) fn asked_to_end(&mut self, id: &InstanceId) {
        if let Some(container) = self.containers.get_mut(id) {
            container.asked_to_end = true;
        }
    }

    pub(super) fn reboot(&mut self, now: Instant) {
        let ids: Vec<_> = self.containers.keys().cloned().collect();
        for id in ids {
            self.end(&id, now, Exit::Vanished);
        }
        self.attachments.clear();
        self.restricted.clear();
        self.warm.clear();
    }

    pub(super) fn leftovers(&self) -> Leftovers {
        Leftovers {
            containers: self.containers.keys().cloned().collect(),
            remains: self.remains.clone(),
            networks: self.attachments.keys().cloned().collect(),
            warm: self.warm.keys().cloned().collect(),
        }
    }
}
