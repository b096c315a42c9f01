//! A kill storm: rounds of deploys, updates, deletes and scalings side by side, with a SIGKILL at a random moment of
//! each. After each round the machine has to hold exactly what the API says, and the API what was answered.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, Api};
use crate::book::{Belief, Order, Wish};
use crate::client::Request;
use crate::victims::{Killer, victim_of};
use crate::{chosen, hardened, settled, sized};

/// Functions that are asked for this and that, and those that nobody touches.
const RESTLESS: usize = 6;
const STEADY: usize = 3;
/// How long the machine may take to settle. More than a few seconds are only needed where a call ran into its deadline.
const SETTLED: Duration = Duration::from_secs(90);

struct Storm {
    actord: Actord,
    killer: Killer,
    /// Those of every function.
    annotations: Value,
    /// What a call says of who calls, where functions ask for it.
    authorization: Option<String>,
    /// How long nothing is called before a round, at most.
    calm: Duration,
    beliefs: BTreeMap<String, Belief>,
    steady: BTreeMap<String, i32>,
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

pub(crate) fn rounds() -> u64 {
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
            killer: Killer::new(seed, "restless"),
            annotations,
            authorization: None,
            calm,
            beliefs,
            steady,
            longest: Duration::ZERO,
            orders: 0,
        }
    }

    /// So many rounds. Returns how many instances were frozen when a kill came.
    async fn rage(mut self, rounds: u64) -> usize {
        for round in 1..=rounds {
            self.round(round).await;
            if round % 10 == 0 {
                println!("kill storm: {round} rounds, kills {:?}", self.killer.kills);
            }
        }
        let killed: usize = self.killer.kills.values().sum();
        println!(
            "kill storm: {rounds} rounds, {} orders, {killed} kills {:?}, 0 functions lost, 0 leaks, 0 untouched \
             processes changed; host calls under way at a kill: {:?}, instances frozen: {}; settled within {:.1} s",
            self.orders,
            self.killer.kills,
            self.killer.inside,
            self.killer.frozen,
            self.longest.as_secs_f64(),
        );
        self.actord.finish().await;
        self.killer.frozen
    }

    async fn round(&mut self, round: u64) {
        sleep(self.calm.mul_f64(self.killer.rng.random())).await;
        let api = self.actord.api();
        let clients: Vec<_> = std::mem::take(&mut self.beliefs)
            .into_iter()
            .map(|(name, belief)| {
                tokio::spawn(client(name, belief, self.annotations.clone(), api.clone(), self.killer.rng.random()))
            })
            .collect();
        let victim = victim_of(round);
        self.killer.strike(&mut self.actord, victim).await;
        for client in clients {
            let (name, belief, orders, wrong) = client.await.unwrap();
            assert!(wrong.is_empty(), "round {round}, {victim} killed: {wrong:#?}\n{}", self.actord.log());
            self.orders += orders;
            self.beliefs.insert(name, belief);
        }
        self.settle(round, victim).await;
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
        for name in std::mem::take(&mut self.killer.along) {
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
        let shown = settled::shown(&self.actord).await;
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
            let along = self.killer.along.contains(name);
            if now.len() != 1 || (now[0] == *pid) == along {
                faults.push(format!("{name} had process {pid}, taken along: {along}, and now {now:?}"));
            }
        }
        if faults.is_empty() { settled::faults(&self.actord, &shown) } else { faults }
    }
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
