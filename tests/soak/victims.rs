//! Who is killed in a storm, and how it is found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, kill, until};
use crate::freezer::Freezer;
use crate::inventory::{processes, shims};

/// "both" are actord and containerd; "twice" is actord, and again while it comes back.
const VICTIMS: [&str; 7] = ["actord", "containerd", "shim", "function", "plugin", "both", "twice"];

/// Who is killed in a round: every victim comes up as often as any other.
pub(crate) fn victim_of(round: u64) -> &'static str {
    VICTIMS[usize::try_from(round).unwrap() % VICTIMS.len()]
}

/// Whether it takes actord's life.
fn is_actord(victim: &str) -> bool {
    ["actord", "both", "twice"].contains(&victim)
}

/// See the module.
pub(crate) struct Killer {
    pub(crate) rng: StdRng,
    /// How the names of functions begin whose instances are killed.
    prey: &'static str,
    /// Functions whose instance went with a shim that was killed.
    pub(crate) along: BTreeSet<String>,
    /// Where in the log the present life of actord begins.
    born: usize,
    pub(crate) kills: BTreeMap<&'static str, usize>,
    /// Host calls that were under way when the kill came, by what they do.
    pub(crate) inside: BTreeMap<String, usize>,
    /// Instances that were frozen at a kill.
    pub(crate) frozen: usize,
}

impl Killer {
    pub(crate) fn new(seed: u64, prey: &'static str) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            prey,
            along: BTreeSet::new(),
            born: 0,
            kills: BTreeMap::new(),
            inside: BTreeMap::new(),
            frozen: 0,
        }
    }

    /// Kills a victim at a random moment, and starts actord again where it was that.
    pub(crate) async fn strike(&mut self, actord: &mut Actord, victim: &'static str) {
        sleep(Duration::from_millis(self.rng.random_range(0..700))).await;
        if self.kill(actord, victim).await {
            *self.kills.entry(victim).or_default() += 1;
        }
        if victim == "twice" {
            self.born = actord.log().len();
            actord.spawn(&[]);
            sleep(Duration::from_millis(self.rng.random_range(0..1_000))).await;
            self.kill(actord, victim).await;
        }
        if is_actord(victim) {
            self.born = actord.log().len();
            actord.launch(&[]).await;
        }
    }

    /// Kills a process of that kind, if there is one.
    async fn kill(&mut self, actord: &mut Actord, victim: &str) -> bool {
        let pid = match victim {
            "actord" | "twice" => Some(actord.pid()),
            "containerd" | "both" => Some(actord.containerd()),
            "plugin" => plugin(actord).await,
            _ => {
                let shims = shims(&actord.traces().namespace).into_iter().map(|(id, pids)| (id, pids[0]));
                let shims: BTreeMap<_, _> = shims.collect();
                let all = if victim == "shim" { shims.clone() } else { actord.processes() };
                let all: Vec<_> =
                    all.into_iter().filter(|(id, _)| id.starts_with(self.prey)).map(|(_, pid)| pid).collect();
                let chosen = all.choose(&mut self.rng).copied();
                // A shim takes all of its shard along.
                let along = shims.into_iter().filter(|(_, shim)| Some(*shim) == chosen);
                self.along.extend(along.filter_map(|(id, _)| id.rsplit_once('-').map(|(name, _)| name.to_owned())));
                chosen
            }
        };
        let Some(pid) = pid else { return false };
        let log = actord.log();
        let instances = actord.processes().into_keys();
        let freezers = instances.filter_map(|id| Freezer::of(&actord.namespace(), &id));
        self.frozen += freezers.filter(Freezer::is_frozen).count();
        kill(pid, Signal::KILL);
        if ["containerd", "both"].contains(&victim) {
            // A process that dies keeps its sockets for a while, and one that is asked meanwhile may seem to live.
            until("it has ended", async || has_ended(pid)).await;
        }
        if is_actord(victim) {
            actord.kill().await;
        }
        for call in under_way(&log[self.born..]) {
            *self.inside.entry(call).or_default() += 1;
        }
        true
    }
}

/// A CNI plugin that works for this actord, if one shows up.
async fn plugin(actord: &Actord) -> Option<i32> {
    let own = format!("CNI_NETNS=/run/netns/{}.", actord.traces().bridge);
    let works_for_us = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|word| word.starts_with(own.as_bytes()))
    };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let is_plugin = |arguments: &[String]| Path::new(&arguments[0]).parent().is_some_and(|at| at.ends_with("cni"));
        let found = processes().into_iter().find(|(pid, arguments)| is_plugin(arguments) && works_for_us(*pid));
        if let Some((pid, _)) = found {
            return Some(pid);
        }
        sleep(Duration::from_millis(1)).await;
    }
    None
}

/// Whether a process is gone, or waits for its parent to collect it.
fn has_ended(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

/// The host calls that began and have not ended, by their verb.
fn under_way(log: &str) -> Vec<String> {
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines() {
        let Some(call) = line.split("call=\"").nth(1).and_then(|rest| rest.split('"').next()) else { continue };
        let count = open.entry(call).or_default();
        *count = if line.contains("host call begins") { *count + 1 } else { count.saturating_sub(1) };
    }
    let open = open.into_iter().filter(|(_, count)| *count > 0);
    open.map(|(call, _)| call.rsplit_once(' ').map_or(call, |(verb, _)| verb).to_owned()).collect()
}
