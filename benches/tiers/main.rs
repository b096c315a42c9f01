//! What an instance takes and how fast it answers in each tier of idleness, on the adapters that actord runs on, without
//! actord itself: memory of all of its processes, shim included, and the time to the first answer.
//!
//! | tier   | is there                                        | until the first answer                          |
//! | ------ | ----------------------------------------------- | ----------------------------------------------- |
//! | cold   | the image                                       | attach, create, start, the program's own start  |
//! | armed  | network, container and task, no program yet     | start, the program's own start                  |
//! | frozen | the program, standing still                     | a write to its freezer                          |
//! | ready  | the program                                     |                                                 |
//!
//! Memory is the proportional share (PSS) of one among several like it: what one more of them would take.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a bench that fails says why")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actord::function::{FunctionId, Generation, InstanceId, InstanceIds, PullPolicy, Spec, SpecDraft};
use actord::host::{Host, Image, InstanceConfig};
use tokio::time::{Instant, sleep};

#[path = "../../tests/support/freezer.rs"]
mod freezer;
#[path = "../../tests/support/inventory.rs"]
mod inventory;
#[path = "../../tests/support/leaks.rs"]
mod leaks;
#[path = "../../tests/support/oci_runtimes.rs"]
mod oci_runtimes;
mod programs;
#[path = "../../tests/support/raw_client.rs"]
mod raw_client;
#[path = "../../tests/support/real_host.rs"]
mod real_host;
#[path = "../../tests/support/run.rs"]
mod run;
#[path = "../../tests/support/sample.rs"]
mod sample;

use freezer::Freezer;
use programs::Program;
use raw_client::Connection;
use real_host::RealHost;

/// Instances of a program side by side; each is timed.
const INSTANCES: usize = 15;
const PATIENCE: Duration = Duration::from_secs(30);
/// So that what a program does after its first answer is no part of the next measurement.
const SETTLE: Duration = Duration::from_millis(500);

/// What was measured of one tier.
#[derive(Default)]
struct Tier {
    /// In MB, shims and the instances' own processes.
    shims: f64,
    processes: f64,
    times: Vec<Duration>,
}

/// The instances of one program.
struct Group<'a> {
    host: &'a RealHost,
    machine: Host,
    function: FunctionId,
    image: Image,
    ids: InstanceIds,
    instances: Vec<(InstanceId, SocketAddr)>,
}

impl<'a> Group<'a> {
    async fn new(host: &'a RealHost, program: &Program) -> Self {
        let machine = host.host();
        let archive = tempfile::NamedTempFile::new().unwrap();
        fs::write(archive.path(), actord::archive::pack(&program.package).unwrap()).unwrap();
        machine.images.import(archive.path()).await.unwrap();
        let image = machine.images.ensure(&program.package.reference, PullPolicy::Never).await.unwrap();
        let function: FunctionId = program.name.parse().unwrap();
        let ids = InstanceIds::new(&program.name.parse().unwrap(), rand::random());
        Self { host, machine, function, image, ids, instances: Vec::new() }
    }

    /// Makes one more, up to its task.
    async fn create(&mut self) -> (InstanceId, SocketAddr) {
        let id = self.ids.next_id();
        let at = self.machine.network.attach(&id).await.unwrap();
        let draft = SpecDraft { image: self.image.reference.clone(), ..SpecDraft::default() };
        let config = InstanceConfig {
            id: id.clone(),
            function: self.function.clone(),
            generation: Generation(1),
            spec: Arc::new(Spec::try_from(draft).unwrap()),
            image: self.image.clone(),
            secrets: BTreeMap::new(),
        };
        self.machine.runtime.prepare(&config).await.unwrap();
        self.machine.runtime.create(&id, &at).await.unwrap();
        let made = (id, SocketAddr::new(at.address, 8080));
        self.instances.push(made.clone());
        made
    }

    fn freezer(&self, id: &InstanceId) -> Freezer {
        let parent = self.host.traces(BTreeSet::new()).cgroup_parent;
        Freezer::of(&parent, id.as_str()).expect("a group with a freezer")
    }

    /// The memory of one of those that are there.
    fn weigh(&self, tier: &mut Tier) {
        let shims = inventory::shims(&self.host.traces(BTreeSet::new()).namespace);
        for (id, _) in &self.instances {
            tier.shims += shims[id.as_str()].iter().copied().map(megabytes).sum::<f64>();
            tier.processes += self.freezer(id).processes().into_iter().map(megabytes).sum::<f64>();
        }
        tier.shims /= self.instances.len() as f64;
        tier.processes /= self.instances.len() as f64;
    }

    async fn remove(&mut self) {
        for (id, _) in self.instances.drain(..) {
            self.machine.runtime.remove(&id).await.unwrap();
            self.machine.network.detach(&id).await.unwrap();
        }
    }

    async fn cold(&mut self) -> Tier {
        let mut tier = Tier::default();
        for _ in 0..INSTANCES {
            let begun = Instant::now();
            let (id, address) = self.create().await;
            self.machine.runtime.start(&id).await.unwrap();
            first_answer(address).await;
            tier.times.push(begun.elapsed());
        }
        tier
    }

    async fn armed(&mut self) -> Tier {
        let mut tier = Tier::default();
        for _ in 0..INSTANCES {
            self.create().await;
        }
        sleep(SETTLE).await;
        self.weigh(&mut tier);
        for (id, address) in &self.instances {
            let begun = Instant::now();
            self.machine.runtime.start(id).await.unwrap();
            first_answer(*address).await;
            tier.times.push(begun.elapsed());
        }
        tier
    }

    async fn ready(&mut self) -> Tier {
        sleep(SETTLE).await;
        let mut tier = Tier::default();
        for (_, address) in &self.instances {
            let begun = Instant::now();
            first_answer(*address).await;
            tier.times.push(begun.elapsed());
        }
        sleep(SETTLE).await;
        self.weigh(&mut tier);
        tier
    }

    async fn frozen(&mut self) -> Tier {
        let mut tier = Tier::default();
        for (id, _) in &self.instances {
            self.freezer(id).freeze();
        }
        sleep(SETTLE).await;
        self.weigh(&mut tier);
        for (id, address) in &self.instances {
            let freezer = self.freezer(id);
            let begun = Instant::now();
            freezer.thaw();
            first_answer(*address).await;
            tier.times.push(begun.elapsed());
        }
        tier
    }
}

/// The proportional share of a process, in MB.
fn megabytes(pid: i32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let share = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line with the share");
    share.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// Asks on a connection of its own until there is an answer.
async fn first_answer(address: SocketAddr) {
    let begun = Instant::now();
    loop {
        if let Ok(mut connection) = Connection::open(address).await {
            let answer = connection.send("GET", "/", "Connection: close\r\n", b"").await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.head);
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing listens on {address}");
        sleep(Duration::from_micros(200)).await;
    }
}

fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn report(program: &str, name: &str, tier: &Tier) {
    let (shim, own) = (tier.shims, tier.processes);
    println!(
        "  {program:<8} {name:<7} {shim:>6.1} + {own:>5.1} = {:>5.1} MB   first answer {:>8.2} ms",
        shim + own,
        median(&tier.times)
    );
}

#[tokio::main]
async fn main() {
    let mut host = RealHost::start().await;
    println!("tiers: memory (shim + function, PSS) of one of {INSTANCES} alike, and the median to its first answer");
    for program in programs::all() {
        let mut group = Group::new(&host, &program).await;
        // The first ones warm up and are not counted.
        group.cold().await;
        group.remove().await;

        let cold = group.cold().await;
        let ready = group.ready().await;
        let frozen = group.frozen().await;
        group.remove().await;
        let armed = group.armed().await;
        group.remove().await;
        for (name, tier) in [("cold", cold), ("armed", armed), ("frozen", frozen), ("ready", ready)] {
            report(program.name, name, &tier);
        }
    }
    host.stop().await;
}
