//! A million calls that wait, of a function that is kept down: written into the file of a second actord before it starts. The
//! first one has none of them, and what is measured is measured on both, in turns.

use std::path::Path;
use std::time::Duration;

use actord::store::Durability;
use actord::store::calls::{Bounds, CallId, Calls, NewCall};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{BODY, SETTINGS, accepted, hold, sent, settled};
use crate::actord::Actord;
use crate::client::{Connection, Request};
use crate::frame::{Bench, Measured, Series, forget, memory};

pub(super) async fn run(bench: &mut Bench, empty: Actord) {
    let (count, settle) =
        (bench.sized(2_000, 1_000_000), bench.sized(Duration::from_millis(100), Duration::from_secs(5)));
    let mut full = bench.actord(&SETTINGS).await;
    for name in ["kept", "busy"] {
        full.deploy(name, json!({})).await;
    }
    hold(&full, "kept").await;
    assert!(full.stop().await.success());
    fill(&full.data().join("calls.db"), count).await;
    full.launch(&[]).await;

    let mut both = [empty, full];
    starts(bench, &mut both).await;
    sleep(settle).await;
    let fresh = resident(&both);
    rates(bench, &both).await;
    sleep(settle).await;
    let used = resident(&both);
    let told = |[without, with]: [f64; 2]| format!("{:.1} MB and {:.1} MB without them", with / 1e6, without / 1e6);
    let note = format!("{} after the start; {} after the same calls", told(fresh), told(used));
    let more = [fresh, used].map(|[without, with]| with - without);
    bench.tell("queue.million-memory", Measured::ours(more[0].max(more[1])).note(note));
    for actord in both {
        actord.finish().await;
    }
}

/// What both have in memory, in bytes.
fn resident(both: &[Actord; 2]) -> [f64; 2] {
    both.each_ref().map(|actord| memory::resident(actord.pid()))
}

/// Writes so many calls of `kept`.
async fn fill(file: &Path, count: usize) {
    let (head, body) = (super::head(), bytes::Bytes::from(vec![b'x'; BODY]));
    let wall = jiff::Timestamp::now().as_millisecond();
    let calls = {
        let file = file.to_owned();
        tokio::task::block_in_place(|| Calls::open_with(&file, Bounds::default(), wall, Durability::Unsynced)).unwrap()
    };
    let call = |_| NewCall {
        id: CallId::new(wall),
        caller_id: None,
        function: "kept".parse().unwrap(),
        accepted: wall,
        deadline: None,
        guarded: false,
        callback: None,
        method: "POST".into(),
        path: "/count".into(),
        schedule: None,
        head: head.clone(),
        body: body.clone(),
    };
    let accepts = stream::iter(0..count).map(|number| calls.accept(call(number)));
    accepts.buffer_unordered(1_000).for_each(async |accepted| assert!(accepted.is_ok(), "{accepted:?}")).await;
    calls.close().await.unwrap();
}

/// Stops and starts both, in turns.
async fn starts(bench: &mut Bench, both: &mut [Actord; 2]) {
    if !["queue.million-start", "queue.million-cold", "queue.million-open", "queue.million-stop"]
        .iter()
        .any(|id| bench.wants(id))
    {
        return;
    }
    let empty = || [Series::default(), Series::default()];
    let (mut stops, mut starts, mut opens) = (empty(), empty(), empty());
    for _ in 0..bench.sized(1, 3) {
        for (at, actord) in both.iter_mut().enumerate() {
            assert!(stops[at].time(actord.stop()).await.success());
            let begun = Instant::now();
            actord.launch(&[]).await;
            assert_eq!(actord.get("/function/busy/version").await.status, 200);
            starts[at].took(begun.elapsed());
            while !is_accepted(actord).await {
                sleep(Duration::from_millis(20)).await;
            }
            opens[at].took(begun.elapsed());
        }
    }
    for (id, [without, with]) in [("queue.million-stop", stops), ("queue.million-open", opens)] {
        bench.tell(id, Measured::ours(with).floor(without));
    }
    let [without, with] = starts;
    let bound = without.median() + 2.0;
    bench.tell("queue.million-start", Measured::ours(with).floor(without.clone()).bound(bound));
    let mut cold = Series::default();
    for _ in 0..bench.sized(1, 3) {
        assert!(both[1].stop().await.success());
        forget_pages(&both[1].data().join("calls.db"));
        let begun = Instant::now();
        both[1].launch(&[]).await;
        assert_eq!(both[1].get("/function/busy/version").await.status, 200);
        cold.took(begun.elapsed());
        while !is_accepted(&both[1]).await {
            sleep(Duration::from_millis(20)).await;
        }
    }
    bench.tell("queue.million-cold", Measured::ours(cold).floor(without).bound(bound));
}

/// As after a start of the machine: nothing of the file is in memory.
fn forget_pages(file: &Path) {
    let file = std::fs::File::open(file).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

async fn is_accepted(actord: &Actord) -> bool {
    let mut connection = Connection::open(actord.public).await.unwrap();
    connection.ask(&Request::new("POST", "/async-function/kept/count").body("1")).await.unwrap().status == 202
}

/// Accepts and sends on both, in turns.
async fn rates(bench: &mut Bench, both: &[Actord; 2]) {
    let time = bench.sized(Duration::from_millis(100), Duration::from_secs(3));
    let count = bench.sized(300, 20_000);
    let lanes = || vec![Series::default(), Series::default()];
    let (mut accepts, mut sends) = (lanes(), lanes());
    for round in 0..=bench.sized(1, 5) {
        for (at, actord) in both.iter().enumerate() {
            accepts[at].push(accepted(actord.public, time).0);
            sends[at].push(settled(actord, "busy", count).await.rate);
        }
        if round == 0 {
            forget(&mut accepts);
            forget(&mut sends);
        }
    }
    bench.tell("queue.million-accept", Measured::ours(accepts.remove(1)).floor(accepts.remove(0)));
    bench.tell("queue.million-dispatch", Measured::ours(sends.remove(1)).floor(sends[0].clone()));
    if bench.wants("queue.million-own") {
        let mut own = Series::default();
        for _ in 0..bench.sized(1, 3) {
            own.push(sent(&both[1], "kept", count).await.rate);
            hold(&both[1], "kept").await;
        }
        bench.tell("queue.million-own", Measured::ours(own).floor(sends.remove(0)));
    }
}
