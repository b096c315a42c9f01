//! A function that writes, and those who read it.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::actord::{Actord, until};
use crate::client::Connection;
use crate::frame::{Bench, Goal, Measured, Row, Series, Unit};

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "logs.follow",
        issue: 4,
        what: "a line written to a follower that has it",
        unit: Unit::Ms,
        floor: "",
        goal: Goal::AtMost(100.0),
    },
    Row {
        id: "logs.write",
        issue: 4,
        what: "a function that writes without end and without a reader",
        unit: Unit::MbPerSecond,
        floor: "",
        goal: Goal::None,
    },
    Row {
        id: "logs.tail",
        issue: 4,
        what: "the last three lines of what it wrote",
        unit: Unit::Ms,
        floor: "",
        goal: Goal::None,
    },
];

pub(crate) async fn run(bench: &mut Bench) {
    let actord = bench.actord(&["--log-max-size", "4Mi"]).await;
    actord.deploy("talker", json!({})).await;
    follow(bench, &actord).await;
    flood(bench, &actord).await;
    actord.finish().await;
}

async fn follow(bench: &mut Bench, actord: &Actord) {
    let mut follower = Connection::open(actord.public).await.unwrap();
    let path = "/system/logs?name=talker&follow=true&tail=0";
    follower.send(&actord.request("GET", path, &Value::Null)).await.unwrap();
    assert_eq!(follower.read_head().await.unwrap().0, 200);
    let mut series = Series::default();
    for _ in 0..bench.sized(2, 20) {
        let begun = Instant::now();
        let write = actord.get("/function/talker/log?lines=1&bytes=40");
        let (answer, told) = tokio::join!(write, async {
            let chunk = follower.chunk().await.unwrap().expect("a line");
            (begun.elapsed(), chunk)
        });
        assert_eq!(answer.status, 200);
        assert!(String::from_utf8_lossy(&told.1).contains("talker"), "{told:?}");
        series.took(told.0);
    }
    bench.tell("logs.follow", Measured::ours(series));
}

async fn flood(bench: &mut Bench, actord: &Actord) {
    let (lines, bytes) = (8_192_u32, 1_024_u32);
    let mut rates = Series::default();
    for _ in 0..bench.sized(1, 32) {
        let begun = Instant::now();
        let answer = actord.get(&format!("/function/talker/log?lines={lines}&bytes={bytes}")).await;
        assert_eq!(answer.status, 200);
        rates.push(f64::from(lines * bytes) / begun.elapsed().as_secs_f64());
    }
    bench.tell("logs.write", Measured::ours(rates));
    let last = async || actord.system("GET", "/system/logs?name=talker&tail=3", Value::Null).await;
    let whole = |text: &str| text.lines().count() == 3 && text.contains(&format!("{lines} x"));
    until("the last line is told", async || whole(&last().await.text())).await;
    let mut series = Series::default();
    for _ in 0..bench.sized(2, 20) {
        assert!(whole(&series.time(last()).await.text()));
    }
    bench.tell("logs.tail", Measured::ours(series));
}
