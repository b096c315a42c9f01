//! Two hundred functions: what is asked of all of them, what they cost while they sleep and how they wake, and how a new
//! actord takes them over.

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use super::times;
use crate::actord::{Actord, until};
use crate::client::Request;
use crate::frame::{Bench, Goal, Measured, Row, Series, Unit, cpu, memory};
use crate::sleepers::{KEPT, Sleepers};

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "fleet.list",
        issue: 10,
        what: "list of 200 functions",
        unit: Unit::Ms,
        floor: "",
        goal: Goal::AtMost(3.4),
    },
    Row {
        id: "fleet.metrics",
        issue: 4,
        what: "metrics page of 200 functions",
        unit: Unit::Ms,
        floor: "",
        goal: Goal::None,
    },
    Row {
        id: "fleet.frozen",
        issue: 9,
        what: "a call to a frozen function",
        unit: Unit::Ms,
        floor: "to a ready one",
        goal: Goal::AtMostOf("a ready one + 3 x a bare thaw"),
    },
    Row { id: "fleet.thaw", issue: 9, what: "a bare thaw: one write", unit: Unit::Ms, floor: "", goal: Goal::None },
    Row {
        id: "fleet.at-once",
        issue: 9,
        what: "calls to all 200 frozen ones at once: the last answer",
        unit: Unit::Ms,
        floor: "to ready ones",
        goal: Goal::AtMostTimes(2.0),
    },
    Row {
        id: "fleet.failed",
        issue: 9,
        what: "the same: calls",
        unit: Unit::Failed,
        floor: "",
        goal: Goal::AtMost(0.0),
    },
    Row {
        id: "fleet.cpu",
        issue: 9,
        what: "actord's processor time while 200 are frozen",
        unit: Unit::Percent,
        floor: "",
        goal: Goal::AtMost(1.0),
    },
    Row {
        id: "fleet.rss",
        issue: 10,
        what: "actord's RSS with 200 functions",
        unit: Unit::Mb,
        floor: "",
        goal: Goal::None,
    },
    Row {
        id: "fleet.adopt",
        issue: 3,
        what: "restart of actord: start to an answer of each of 200",
        unit: Unit::Ms,
        floor: "the same calls again",
        goal: Goal::None,
    },
];

pub(crate) async fn run(bench: &mut Bench) {
    let mut actord = bench.actord(&[]).await;
    let freeze_after = bench.sized(Duration::from_secs(3), Duration::from_secs(6));
    let sleepers = Sleepers::deploy(&actord, bench.sized(4, 200), freeze_after).await;
    asked(bench, &actord).await;
    if ["fleet.frozen", "fleet.thaw", "fleet.at-once", "fleet.failed"].iter().any(|id| bench.wants(id)) {
        sleeping(bench, &sleepers).await;
    }
    if bench.wants("fleet.cpu") {
        still(bench, &actord, &sleepers).await;
    }
    let names = sleepers.names;
    adopt(bench, &mut actord, &names).await;
    actord.finish().await;
}

async fn asked(bench: &mut Bench, actord: &Actord) {
    let count = bench.sized(3, 100);
    assert_eq!(actord.list().await.len(), bench.sized(4, 200));
    let list = actord.request("GET", "/system/functions", &Value::Null);
    bench.tell("fleet.list", Measured::ours(times(actord.public, &list, count).await));
    let page = Request::get("/metrics");
    bench.tell("fleet.metrics", Measured::ours(times(actord.metrics, &page, count).await));
    bench.tell("fleet.rss", Measured::ours(memory::resident(actord.pid())));
}

/// Calls to frozen functions and to ready ones take turns. Before a ready one is called it rests as long as the proxy keeps
/// no connection to it: both calls make a new one.
async fn sleeping(bench: &mut Bench, sleepers: &Sleepers<'_>) {
    let [mut frozen, mut ready, mut bare, mut frozen_at_once, mut ready_at_once] = [const { Vec::new() }; 5];
    let mut wrong = Vec::new();
    // The first round warms up and is not counted.
    for round in bench.sized(1, 0)..=bench.sized(1, 3) {
        if round == 1 {
            for times in [&mut frozen, &mut ready, &mut bare, &mut frozen_at_once, &mut ready_at_once] {
                times.clear();
            }
        }
        sleepers.asleep().await;
        bare.extend(sleepers.bare_thaws().await);
        frozen.extend(sleepers.one_by_one().await);
        sleep(KEPT).await;
        let still_ready = async || assert_eq!(sleepers.frozen(), 0, "they are to be called ready");
        still_ready().await;
        ready.extend(sleepers.one_by_one().await);

        sleepers.asleep().await;
        let (time, faults) = sleepers.all_at_once().await;
        frozen_at_once.push(time);
        wrong.extend(faults);
        sleep(KEPT).await;
        still_ready().await;
        let (time, faults) = sleepers.all_at_once().await;
        ready_at_once.push(time);
        wrong.extend(faults);
    }
    let [frozen, ready, bare, frozen_at_once, ready_at_once] =
        [frozen, ready, bare, frozen_at_once, ready_at_once].map(|times| times.into_iter().collect::<Series>());
    let bound = ready.median() + 3.0 * bare.median();
    bench.tell("fleet.frozen", Measured::ours(frozen).floor(ready).bound(bound));
    bench.tell("fleet.thaw", Measured::ours(bare));
    bench.tell("fleet.at-once", Measured::ours(frozen_at_once).floor(ready_at_once));
    let failed = Measured::ours(wrong.len() as f64);
    bench.tell("fleet.failed", if wrong.is_empty() { failed } else { failed.note(wrong[0].clone()) });
}

async fn still(bench: &mut Bench, actord: &Actord, sleepers: &Sleepers<'_>) {
    sleepers.asleep().await;
    let (before, begun) = (cpu::of_process(actord.pid()), Instant::now());
    sleep(bench.sized(Duration::from_secs(1), Duration::from_secs(30))).await;
    let used = cpu::of_process(actord.pid()).saturating_sub(before);
    bench.tell("fleet.cpu", Measured::ours(used.as_secs_f64() / begun.elapsed().as_secs_f64()));
}

/// All of them are called, side by side, until each has answered.
async fn all_answer(actord: &Actord, names: &[String]) {
    let asked = stream::iter(names).map(|name| async move {
        let path = format!("/function/{name}/version");
        while actord.get(&path).await.status != 200 {}
    });
    asked.buffer_unordered(32).collect::<Vec<()>>().await;
}

async fn adopt(bench: &mut Bench, actord: &mut Actord, names: &[String]) {
    let (mut adopted, mut again) = (Series::default(), Series::default());
    for _ in 0..bench.sized(1, 3) {
        all_answer(actord, names).await;
        let processes = actord.processes();
        assert!(actord.stop().await.success(), "{}", actord.log());
        let begun = Instant::now();
        actord.launch(&[]).await;
        all_answer(actord, names).await;
        adopted.took(begun.elapsed());
        assert_eq!(actord.processes(), processes, "the functions' processes were left alone");
        again.time(all_answer(actord, names)).await;
        until("it has nothing left to do", async || actord.list().await.len() == names.len()).await;
    }
    bench.tell("fleet.adopt", Measured::ours(adopted).floor(again));
}
