//! What a deploy costs beside a bare container of the same image in the same containerd: one, fifty at once, and two
//! hundred after a reboot.
//!
//! A reboot is imitated: every process, mount, namespace, link, rule and cgroup of the run is swept away, and what lay in
//! memory is empty.

use std::fs;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, until};
use crate::bare::Bare;
use crate::frame::{Bench, Goal, Measured, Row, Series, Unit, finish, forget};
use crate::run::sweep;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "deploy.first",
        issue: 10,
        what: "deploy: POST to the first 200",
        unit: Unit::Ms,
        floor: "bare container",
        goal: Goal::AtMostTimes(1.0),
    },
    Row {
        id: "deploy.fifty",
        issue: 10,
        what: "50 deploys at once: all have answered",
        unit: Unit::Seconds,
        floor: "50 bare at the best parallelism",
        goal: Goal::AtMostTimes(1.0),
    },
    Row {
        id: "deploy.reboot",
        issue: 10,
        what: "reboot of 200 functions: all serve",
        unit: Unit::Seconds,
        floor: "200 bare at the best parallelism",
        goal: Goal::AtMostTimes(1.1),
    },
    Row {
        id: "deploy.reboot-30",
        issue: 3,
        what: "the same",
        unit: Unit::Seconds,
        floor: "",
        goal: Goal::AtMost(30.0),
    },
];

const PATIENCE: Duration = Duration::from_secs(60);
/// How many bare containers are started side by side, to find what suits them best.
const SIDE_BY_SIDE: [usize; 4] = [2, 4, 8, 16];

pub(crate) async fn run(bench: &mut Bench) {
    let mut at_a_time = 4;
    if bench.wants("deploy.first") || bench.wants("deploy.fifty") {
        let field = bench.field(&[]).await;
        let bares = bares(&field).await;
        if bench.wants("deploy.first") {
            first(bench, &field, &bares).await;
        }
        if bench.wants("deploy.fifty") {
            at_a_time = fifty(bench, &field, &bares).await;
        }
        finish(field).await;
    }
    if bench.wants("deploy.reboot") || bench.wants("deploy.reboot-30") {
        reboot(bench, at_a_time).await;
    }
}

/// Bare containers in the containerd of each contender.
async fn bares(field: &[Actord]) -> Vec<Bare> {
    let mut bares = Vec::new();
    for actord in field {
        bares.push(bare_of(actord).await);
    }
    bares
}

async fn bare_of(actord: &Actord) -> Bare {
    Bare::new(&actord.socket(), &actord.namespace(), &actord.directory().join("bare")).await
}

async fn answers(actord: &Actord, name: &str) {
    let (path, begun) = (format!("/function/{name}/version"), Instant::now());
    while actord.get(&path).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "{name} does not answer: {}", actord.log());
        sleep(Duration::from_millis(1)).await;
    }
}

async fn nothing_left(actord: &Actord, bare: &Bare) {
    let is_left = async || bare.count().await > 0 || !actord.processes().is_empty();
    until("an instance is still there", async || !is_left().await).await;
    // What is cleaned behind it is no part of the next figure.
    sleep(Duration::from_millis(100)).await;
}

async fn first(bench: &mut Bench, field: &[Actord], bares: &[Bare]) {
    let (mut deploys, mut starts) = (bench.lanes(), Series::default());
    for round in 0..=bench.sized(1, 25) {
        let id = format!("bare-{round}");
        starts.time(bares[0].start(&id)).await;
        bares[0].remove(&id).await;
        let name = format!("first-{round}");
        for (lane, actord) in field.iter().enumerate() {
            let deployed = async {
                actord.deploy(&name, json!({})).await;
                answers(actord, &name).await;
            };
            deploys[lane].time(deployed).await;
            assert_eq!(actord.delete(&name).await.status, 202);
            nothing_left(actord, &bares[lane]).await;
        }
        if round == 0 {
            forget(&mut deploys);
            starts.clear();
        }
    }
    bench.tell("deploy.first", Measured::of(deploys).floor(starts));
}

/// The time of so many bare containers, so many at a time.
async fn bare_containers(bare: &Bare, count: usize, at_a_time: usize) -> Duration {
    let ids: Vec<String> = (0..count).map(|n| format!("bulk-{n}")).collect();
    let begun = Instant::now();
    stream::iter(&ids).for_each_concurrent(at_a_time, |id| bare.start(id)).await;
    let took = begun.elapsed();
    stream::iter(&ids).for_each_concurrent(4, |id| bare.remove(id)).await;
    took
}

/// Returns how many at a time suit bare containers best.
async fn fifty(bench: &mut Bench, field: &[Actord], bares: &[Bare]) -> usize {
    let count = bench.sized(4, 50);
    let names: Vec<String> = (0..count).map(|n| format!("bulk-{n}")).collect();
    let (mut ours, mut best) = (bench.lanes(), (Duration::MAX, 0));
    for (turn, at_a_time) in SIDE_BY_SIDE.into_iter().enumerate().take(bench.sized(1, 4)) {
        best = best.min((bare_containers(&bares[0], count, at_a_time).await, at_a_time));
        if turn == 3 {
            break;
        }
        for (lane, actord) in field.iter().enumerate() {
            let all = stream::iter(&names).for_each_concurrent(None, |name| async move {
                actord.deploy(name, json!({})).await;
                answers(actord, name).await;
            });
            ours[lane].time(all).await;
            let removed = stream::iter(&names).for_each_concurrent(8, |name| async move {
                assert_eq!(actord.delete(name).await.status, 202);
            });
            removed.await;
            nothing_left(actord, &bares[lane]).await;
        }
    }
    let note = format!("bare: {} at a time is the best of {SIDE_BY_SIDE:?}", best.1);
    bench.tell("deploy.fifty", Measured::of(ours).floor(best.0).note(note));
    best.1
}

async fn reboot(bench: &mut Bench, at_a_time: usize) {
    let count = bench.sized(4, 200);
    let boot_id = tempfile::NamedTempFile::new().unwrap();
    let boot = |digit: &str| fs::write(boot_id.path(), "11111111-1111-4111-8111-111111111111\n".replace('1', digit));
    boot("1").unwrap();
    // Ours alone: a program that was built for use has no such setting.
    let mut actord = bench.actord(&["--boot-id-path", boot_id.path().to_str().unwrap()]).await;
    let names: Vec<String> = (0..count).map(|n| format!("boot-{n}")).collect();
    let mut bare = Series::default();
    let machine = bare_of(&actord).await;
    bare.took(bare_containers(&machine, count, at_a_time).await);
    stream::iter(&names).for_each_concurrent(8, |name| actord.deploy(name, json!({}))).await;
    actord.kill().await;
    sweep(&actord.traces());
    fs::remove_dir_all(actord.state()).unwrap();
    boot("2").unwrap();
    let begun = Instant::now();
    actord.launch(&[]).await;
    stream::iter(&names).for_each_concurrent(32, |name| answers(&actord, name)).await;
    let back = begun.elapsed();
    let delete = async |name: &String| assert_eq!(actord.delete(name).await.status, 202);
    stream::iter(&names).for_each_concurrent(8, delete).await;
    until("an instance is still there", async || actord.processes().is_empty()).await;
    // The containerd of before is gone.
    let again = bare_of(&actord).await;
    until("no container is left", async || again.count().await == 0).await;
    bare.took(bare_containers(&again, count, at_a_time).await);
    let floor = bare.values().iter().sum::<f64>() / bare.values().len() as f64;
    bench.tell("deploy.reboot", Measured::ours(back).floor(floor));
    bench.tell("deploy.reboot-30", Measured::ours(back));
    actord.finish().await;
}
