//! What a deployment costs beside what it can't do without: a bare container of the same image, started and removed
//! through the same containerd, in turns, in one run. Prints medians of the rounds and their ratios.
//!
//! The floor of a deploy is snapshot + container + task + start, without a network; that of a delete is the same way
//! back; that of an invocation is the same request sent to the function's own address.
//!
//! `one_by_one` is about single functions, `bulk` about many at once, `reboot` about many after the machine was started
//! anew. The environment says how much: `ONLY` (one, bulk, reboot), `ROUNDS`, `BULK`, `REBOOT`; `SETTINGS` are flags for
//! actord, `LOG` its log level, and `KEEP_LOG` a place for its log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a bench that fails says why")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

#[path = "../../tests/support/bare.rs"]
mod bare;
mod bulk;
#[path = "../../tests/support/leaks.rs"]
mod leaks;
#[path = "../../tests/support/process.rs"]
mod process;
#[path = "../../tests/support/raw_client.rs"]
mod raw_client;
mod reboot;
#[path = "../../tests/support/run.rs"]
mod run;
#[path = "../../tests/support/sample.rs"]
mod sample;

use bare::Bare;
use process::Actord;
use raw_client::Connection;
use sample::Sample;

/// Requests a round, each way.
const REQUESTS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(60);

/// The addresses of instances: those of the CNI results that are theirs, and not of networks that wait for one.
fn addresses(actord: &Actord) -> Vec<SocketAddr> {
    let results = fs::read_dir(actord.directory().join("state/cni/results")).into_iter().flatten().flatten();
    let of_instances = results.filter(|entry| !entry.file_name().to_string_lossy().contains("warm_"));
    of_instances.filter_map(|entry| address(&entry.path())).collect()
}

fn address(result: &Path) -> Option<SocketAddr> {
    let entry: serde_json::Value = serde_json::from_slice(&fs::read(result).ok()?).ok()?;
    let address = entry["result"]["ips"][0]["address"].as_str()?.split('/').next()?;
    Some(SocketAddr::new(address.parse().ok()?, 8080))
}

async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(1)).await;
    }
}

fn spec(name: &str, version: u32) -> String {
    json!({ "service": name, "image": format!("docker.io/bench/hello:{version}"), "envVars": { "QUIET": "1" } })
        .to_string()
}

async fn accepted(actord: &Actord, method: &str, body: &str) {
    let answer = actord.call(method, "/system/functions", body).await.unwrap();
    assert_eq!(answer.status, 202, "{method} {body}: {}", answer.text());
}

async fn answers_version(actord: &Actord, name: &str, version: u32) {
    let path = format!("/function/{name}/version");
    until("the function does not answer", || async {
        let answer = actord.call("GET", &path, "").await.unwrap();
        answer.status == 200 && answer.text().trim() == version.to_string()
    })
    .await;
}

/// The median time of a request on one kept-alive connection.
async fn invocation(address: SocketAddr, path: &str) -> Duration {
    let mut connection = Connection::open(address).await.unwrap();
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        let answer = connection.send("GET", path, "", b"").await.unwrap();
        times.push(begun.elapsed());
        assert_eq!(answer.status, 200);
    }
    median(times)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The times of one kind of act, round by round.
#[derive(Default)]
struct Series(Vec<Duration>);

impl Series {
    async fn time(&mut self, act: impl Future<Output = ()>) {
        let begun = Instant::now();
        act.await;
        self.0.push(begun.elapsed());
    }

    fn median(&self) -> f64 {
        median(self.0.clone()).as_secs_f64() * 1e3
    }
}

fn report(what: &str, series: &Series, floor_name: &str, floor: &Series) {
    let (time, floor) = (series.median(), floor.median());
    println!("  {what:<34} {time:>9.3} ms   {floor_name:<18} {floor:>9.3} ms   ratio {:>6.2}", time / floor);
}

/// One number of the environment: how much is measured.
fn sized(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a whole number"))
}

async fn started(boot_id: &Path) -> (Actord, Bare) {
    let mut actord = Actord::new();
    for version in [1, 2] {
        let image = Sample::new(&format!("docker.io/bench/hello:{version}")).version(&version.to_string());
        actord.import(&image.user("1000:1000"));
    }
    fs::write(boot_id, "11111111-1111-4111-8111-111111111111\n").unwrap();
    actord.settings = vec!["--log-level".into(), std::env::var("LOG").unwrap_or_else(|_| "info".into())];
    actord.settings.extend(["--boot-id-path".into(), boot_id.display().to_string()]);
    actord.settings.extend(std::env::var("SETTINGS").unwrap_or_default().split_whitespace().map(str::to_owned));
    actord.start().await;
    let bare = Bare::new(&actord.containerd_socket(), &actord.namespace(), &actord.directory().join("bare")).await;
    (actord, bare)
}

/// One function at a time, and one container.
async fn one_by_one(actord: &Actord, bare: &Bare) {
    let rounds = sized("ROUNDS", 15);
    let [mut bare_start, mut bare_end, mut deploy, mut update, mut told, mut gone, mut direct, mut proxied] =
        std::array::from_fn(|_| Series::default());
    // The first round warms up and is not counted.
    for round in 0..=rounds {
        if round == 1 {
            let all = [&mut bare_start, &mut bare_end, &mut deploy, &mut update, &mut told, &mut gone];
            all.into_iter().for_each(|series| series.0.clear());
            direct.0.clear();
            proxied.0.clear();
        }
        let id = format!("bare-{round}");
        bare_start.time(bare.start(&id)).await;
        bare_end.time(bare.remove(&id)).await;

        let name = format!("f{round}");
        let deployed = async {
            accepted(actord, "POST", &spec(&name, 1)).await;
            answers_version(actord, &name, 1).await;
        };
        deploy.time(deployed).await;
        let [own] = addresses(actord)[..] else { panic!("one function has one address") };
        direct.0.push(invocation(own, "/").await);
        proxied.0.push(invocation(actord.public, &format!("/function/{name}/")).await);

        let updated = async {
            accepted(actord, "PUT", &spec(&name, 2)).await;
            answers_version(actord, &name, 2).await;
        };
        update.time(updated).await;
        until("the old instance is still there", || async { bare.count().await == 1 && addresses(actord).len() == 1 })
            .await;

        let begun = Instant::now();
        accepted(actord, "DELETE", &json!({ "functionName": name }).to_string()).await;
        told.0.push(begun.elapsed());
        until("the instance is still there", || async { bare.count().await == 0 && addresses(actord).is_empty() })
            .await;
        gone.0.push(begun.elapsed());
    }

    println!("deploy beside a bare container of the same containerd: median of {rounds} rounds, in turns");
    report("deploy: POST to the first 200", &deploy, "bare start", &bare_start);
    report("update: PUT to the new version", &update, "bare start", &bare_start);
    report("delete: answered, name free", &told, "bare removal", &bare_end);
    report("delete: nothing left of it", &gone, "bare removal", &bare_end);
    println!("  one connection, {REQUESTS} requests a round");
    report("invoke: GET /function/NAME/", &proxied, "function itself", &direct);
}

#[tokio::main]
async fn main() {
    let boot_id = tempfile::NamedTempFile::new().unwrap();
    let (mut actord, bare) = started(boot_id.path()).await;
    let only = std::env::var("ONLY").unwrap_or_default();
    let wants = |part: &str| only.is_empty() || only == part;
    if wants("one") {
        one_by_one(&actord, &bare).await;
    }
    if wants("bulk") {
        bulk::at_once(&actord, &bare, sized("BULK", 50)).await;
    }
    if wants("reboot") {
        reboot::of_many(&mut actord, &bare, boot_id.path(), sized("REBOOT", 50)).await;
    }
    if let Ok(kept) = std::env::var("KEEP_LOG") {
        fs::copy(actord.log(), kept).unwrap();
    }
    actord.finish().await;
}
