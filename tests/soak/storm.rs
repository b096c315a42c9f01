//! A kill storm: rounds of deploys, updates, deletes and scalings side by side, with a SIGKILL at a random moment of
//! each. After each round the machine has to hold exactly what the API says, and the API what was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, Api, kill, until};
use crate::book::{Belief, Order, Wish};
use crate::client::Request;
use crate::freezer::Freezer;
use crate::inventory::{Inventory, processes, shims};
use crate::{chosen, hardened, sized};

/// Functions that are asked for this and that, and those that nobody touches.
const RESTLESS: usize = 6;
const STEADY: usize = 3;
/// How long the machine may take to settle. More than a few seconds are only needed where a call ran into its deadline.
const SETTLED: Duration = Duration::from_secs(90);

/// "both" are actord and containerd; "twice" is actord, and again while it comes back.
const VICTIMS: [&str; 7] = ["actord", "containerd", "shim", "function", "plugin", "both", "twice"];

struct Storm {
    actord: Actord,
    rng: StdRng,
    /// Those of every function.
    annotations: Value,
    /// What a call says of who calls, where functions ask for it.
    authorization: Option<String>,
    /// How long nothing is called before a round, at most.
    calm: Duration,
    /// Instances that were frozen at a kill.
    frozen: usize,
    beliefs: BTreeMap<String, Belief>,
    steady: BTreeMap<String, i32>,
    /// Functions that the shim took along which was killed in this round.
    along: BTreeSet<String>,
    /// Where in the log the present life of actord begins.
    born: usize,
    kills: BTreeMap<&'static str, usize>,
    /// Host calls that were under way when the kill came, by what they do.
    inside: BTreeMap<String, usize>,
    longest: Duration,
    orders: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_moments_lose_no_function_and_leave_nothing_behind() {
    let rounds = rounds();
    let storm = Storm::brew(&[], json!({}), Duration::ZERO).await;
    storm.rage(rounds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_they_where_every_function_freezes_when_nothing_calls_it() {
    let rounds = rounds();
    let storm = Storm::brew(&[], json!({ "actord.freeze-after": "1s" }), Duration::from_secs(4)).await;
    let frozen = storm.rage(rounds).await;
    assert!(frozen > 0, "no kill met a frozen instance");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_they_where_everything_that_hardens_is_switched_on() {
    let rounds = rounds();
    let mut storm = Storm::brew(&hardened::SETTINGS, hardened::annotations(), Duration::ZERO).await;
    assert_eq!(storm.actord.get("/function/steady0/env").await.status, 401, "it asks for a token");
    storm.authorization = Some(hardened::authorization(&storm.actord));
    storm.rage(rounds).await;
}

fn rounds() -> u64 {
    chosen("ROUNDS").unwrap_or(sized(7, 100) as u64)
}

impl Storm {
    async fn brew(settings: &[&str], annotations: Value, calm: Duration) -> Self {
        let seed = chosen("SEED").unwrap_or_else(|| rand::random_range(0..1_000_000));
        println!("kill storm: SEED={seed}, annotations {annotations}");
        let settings = [&["--grace-period", "5s", "--host-timeout", "15s"], settings].concat();
        let actord = Actord::start_with(&settings).await;
        let mut steady = BTreeMap::new();
        for name in (0..STEADY).map(|n| format!("steady{n}")) {
            actord.deploy(&name, json!({ "envVars": { "N": "0" }, "annotations": annotations })).await;
            steady.insert(name.clone(), actord.process(&name));
        }
        let beliefs = (0..RESTLESS).map(|n| (format!("restless{n}"), Belief(vec![None]))).collect();
        Self {
            actord,
            rng: StdRng::seed_from_u64(seed),
            annotations,
            authorization: None,
            calm,
            frozen: 0,
            beliefs,
            steady,
            along: BTreeSet::new(),
            born: 0,
            kills: BTreeMap::new(),
            inside: BTreeMap::new(),
            longest: Duration::ZERO,
            orders: 0,
        }
    }

    /// So many rounds. Returns how many instances were frozen when a kill came.
    async fn rage(mut self, rounds: u64) -> usize {
        for round in 1..=rounds {
            self.round(round).await;
            if round % 10 == 0 {
                println!("kill storm: {round} rounds, kills {:?}", self.kills);
            }
        }
        let killed: usize = self.kills.values().sum();
        println!(
            "kill storm: {rounds} rounds, {} orders, {killed} kills {:?}, 0 functions lost, 0 leaks, 0 untouched \
             processes changed; host calls under way at a kill: {:?}, instances frozen: {}; settled within {:.1} s",
            self.orders,
            self.kills,
            self.inside,
            self.frozen,
            self.longest.as_secs_f64(),
        );
        self.actord.finish().await;
        self.frozen
    }

    async fn round(&mut self, round: u64) {
        sleep(self.calm.mul_f64(self.rng.random())).await;
        let api = self.actord.api();
        let clients: Vec<_> = std::mem::take(&mut self.beliefs)
            .into_iter()
            .map(|(name, belief)| {
                tokio::spawn(client(name, belief, self.annotations.clone(), api.clone(), self.rng.random()))
            })
            .collect();
        // Every victim comes up as often as any other.
        let victim = VICTIMS[usize::try_from(round).unwrap() % VICTIMS.len()];
        sleep(Duration::from_millis(self.rng.random_range(0..700))).await;
        if self.kill(victim).await {
            *self.kills.entry(victim).or_default() += 1;
        }
        if victim == "twice" {
            self.born = self.actord.log().len();
            self.actord.spawn(&[]);
            sleep(Duration::from_millis(self.rng.random_range(0..1_000))).await;
            self.kill(victim).await;
        }
        if ["actord", "both", "twice"].contains(&victim) {
            self.born = self.actord.log().len();
            self.actord.launch(&[]).await;
        }
        for client in clients {
            let (name, belief, orders, wrong) = client.await.unwrap();
            assert!(wrong.is_empty(), "round {round}, {victim} killed: {wrong:#?}\n{}", self.actord.log());
            self.orders += orders;
            self.beliefs.insert(name, belief);
        }
        self.settle(round, victim).await;
    }

    /// Kills a process of that kind, if there is one.
    async fn kill(&mut self, victim: &str) -> bool {
        let pid = match victim {
            "actord" | "twice" => Some(self.actord.pid()),
            "containerd" | "both" => Some(self.actord.containerd()),
            "plugin" => self.plugin().await,
            _ => {
                let restless = |id: &String| id.starts_with("restless");
                let shims = shims(&self.actord.traces().namespace).into_iter().map(|(id, pids)| (id, pids[0]));
                let shims: BTreeMap<_, _> = shims.collect();
                let all = if victim == "shim" { shims.clone() } else { self.actord.processes() };
                let all: Vec<_> = all.into_iter().filter(|(id, _)| restless(id)).map(|(_, pid)| pid).collect();
                let chosen = all.choose(&mut self.rng).copied();
                // A shim takes all of its shard along.
                let along = shims.into_iter().filter(|(_, shim)| Some(*shim) == chosen);
                self.along.extend(along.filter_map(|(id, _)| id.rsplit_once('-').map(|(name, _)| name.to_owned())));
                chosen
            }
        };
        let Some(pid) = pid else { return false };
        let log = self.actord.log();
        let instances = self.actord.processes().into_keys();
        let freezers = instances.filter_map(|id| Freezer::of(&self.actord.namespace(), &id));
        self.frozen += freezers.filter(Freezer::is_frozen).count();
        kill(pid, Signal::KILL);
        if ["containerd", "both"].contains(&victim) {
            // A process that dies keeps its sockets for a while, and one that is asked meanwhile may seem to live.
            until("it has ended", async || has_ended(pid)).await;
        }
        if ["actord", "both", "twice"].contains(&victim) {
            self.actord.kill().await;
        }
        for call in under_way(&log[self.born..]) {
            *self.inside.entry(call).or_default() += 1;
        }
        true
    }

    /// A CNI plugin that works for this actord, if one shows up.
    async fn plugin(&self) -> Option<i32> {
        let own = format!("CNI_NETNS=/run/netns/{}.", self.actord.traces().bridge);
        let works_for_us = |pid: i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|word| word.starts_with(own.as_bytes()))
        };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            let is_plugin =
                |arguments: &[String]| Path::new(&arguments[0]).parent().is_some_and(|at| at.ends_with("cni"));
            let found = processes().into_iter().find(|(pid, arguments)| is_plugin(arguments) && works_for_us(*pid));
            if let Some((pid, _)) = found {
                return Some(pid);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// Waits until everything is as it should be.
    async fn settle(&mut self, round: u64, victim: &str) {
        let begun = Instant::now();
        loop {
            let faults = self.faults().await;
            if faults.is_empty() {
                break;
            }
            assert!(
                begun.elapsed() < SETTLED,
                "round {round}, {victim} killed: not settled within {SETTLED:?}: {faults:#?}\n{}",
                self.actord.log()
            );
            sleep(Duration::from_millis(100)).await;
        }
        self.longest = self.longest.max(begun.elapsed());
        for name in std::mem::take(&mut self.along) {
            if let Some(pid) = self.steady.get_mut(&name) {
                *pid = self.actord.process(&name);
            }
        }
        let names: Vec<String> = self.beliefs.keys().chain(self.steady.keys()).cloned().collect();
        for name in &names {
            let expected = self.beliefs.get(name).map(|belief| belief.0[0].clone());
            let mut request = Request::get(&format!("/function/{name}/env"));
            if let Some(authorization) = &self.authorization {
                request = request.header("Authorization", authorization);
            }
            let answer = self.actord.ask(request).await;
            match expected {
                Some(None) => assert_eq!(answer.status, 404, "{name}"),
                Some(Some(asleep @ Wish { replicas: 0, .. })) => {
                    assert_eq!(answer.status, 200, "{name} was not woken: {answer:?}");
                    // That it was woken is written behind: a kill may lose it.
                    let woken = Some(Wish { replicas: 1, ..asleep });
                    self.beliefs.entry(name.clone()).and_modify(|belief| belief.0.push(woken));
                }
                Some(Some(Wish { version, number, .. })) => {
                    let lines = [format!("N={number}\n"), format!("VERSION={version}\n")];
                    assert!(lines.iter().all(|line| answer.text().contains(line)), "{name}: {answer:?}");
                }
                None => assert_eq!(answer.status, 200, "{name}"),
            }
        }
    }

    /// What is not (yet) as it should be. What the API shows is believed from here on.
    async fn faults(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        let shown: BTreeMap<String, Value> = self.actord.list().await.into_iter().map(named).collect();
        for (name, belief) in &mut self.beliefs {
            let wish = shown.get(name).map(Wish::shown);
            if belief.0.contains(&wish) {
                belief.0 = vec![wish];
            } else {
                faults.push(format!("{name} is {wish:?}, and was answered to be one of {:?}", belief.0));
            }
        }
        for (name, pid) in &self.steady {
            let now = self.actord.processes_of(name);
            let along = self.along.contains(name);
            if now.len() != 1 || (now[0] == *pid) == along {
                faults.push(format!("{name} had process {pid}, taken along: {along}, and now {now:?}"));
            }
        }
        for (name, function) in &shown {
            let (replicas, ready) = (&function["replicas"], &function["availableReplicas"]);
            if replicas != ready {
                faults.push(format!("{name} has {ready} of {replicas} replicas: {function}"));
            }
        }
        // Functions serve on while it is restarted, so nothing else waits for it.
        if UnixStream::connect(self.actord.socket()).is_err() {
            faults.push("containerd does not answer".to_owned());
        }
        if faults.is_empty() {
            let inventory = Inventory::take(&self.actord.traces());
            faults = inventory.faults();
            for (name, function) in &shown {
                let of = |id: &&String| id.rsplit_once('-').is_some_and(|(of, _)| of == name);
                let (running, replicas) = (inventory.running().iter().filter(of).count(), &function["replicas"]);
                if running as u64 != replicas.as_u64().unwrap_or(0) {
                    faults.push(format!("{running} tasks of {name} run for {replicas} replicas"));
                }
            }
            let known = |id: &&String| id.rsplit_once('-').is_some_and(|(of, _)| shown.contains_key(of));
            let strange = inventory.running().iter().filter(|id| !known(id));
            faults.extend(strange.map(|id| format!("{id} runs for no function")));
        }
        faults
    }
}

/// Whether a process is gone, or waits for its parent to collect it.
fn has_ended(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

fn named(function: Value) -> (String, Value) {
    (function["name"].as_str().unwrap().to_owned(), function)
}

/// A client of one function: gives a few orders, one after the other. Returns what it believes then, how many orders
/// it gave, and the answers that it should not have got.
async fn client(
    name: String,
    mut belief: Belief,
    annotations: Value,
    api: Api,
    seed: u64,
) -> (String, Belief, usize, Vec<String>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut orders, mut wrong) = (0, Vec::new());
    for _ in 0..rng.random_range(1..5) {
        sleep(Duration::from_millis(rng.random_range(0..200))).await;
        let (version, number) = (rng.random_range(1..=2), u64::from(rng.random::<u32>()));
        let order = match (belief.0.last().unwrap(), rng.random_range(0..10)) {
            (None, _) => Order::Create { version, number },
            (Some(_), 0..5) => Order::Update { version, number },
            (Some(_), 5..8) => Order::Scale(rng.random_range(0..3)),
            (Some(_), _) => Order::Delete,
        };
        orders += 1;
        wrong.extend(belief.give(order, &name, &annotations, &api).await.err());
    }
    (name, belief, orders, wrong)
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
