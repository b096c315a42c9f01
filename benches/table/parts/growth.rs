//! To zero and back, and up and down with the load.

use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, until};
use crate::client::{Connection, Request};
use crate::frame::{Bench, Goal, Measured, Row, Unit, finish, forget};
use crate::rising::Ramp;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "growth.from-zero",
        issue: 9,
        what: "first answer of a function that was stopped for idleness",
        unit: Unit::Ms,
        floor: "of a deploy",
        goal: Goal::AtMostTimes(1.25),
    },
    Row {
        id: "growth.to-zero",
        issue: 9,
        what: "the last call to no process, zero-duration 90 s",
        unit: Unit::Seconds,
        floor: "",
        goal: Goal::AtMost(120.0),
    },
    Row {
        id: "growth.second",
        issue: 9,
        what: "two workers of 5 calls a second to the second replica, min 1, max 2",
        unit: Unit::Seconds,
        floor: "",
        goal: Goal::AtMost(60.0),
    },
    Row {
        id: "growth.ramp-failed",
        issue: 9,
        what: "a ramp of 0 to 400 to 0 calls a second, capacity 1, max 12",
        unit: Unit::Failed,
        floor: "",
        goal: Goal::AtMost(0.0),
    },
    Row {
        id: "growth.ramp-up",
        issue: 9,
        what: "the same: most replicas (400 calls of 20 ms want 8)",
        unit: Unit::Count,
        floor: "",
        goal: Goal::AtLeast(8.0),
    },
    Row {
        id: "growth.ramp-down",
        issue: 9,
        what: "the same: replicas in the end",
        unit: Unit::Count,
        floor: "",
        goal: Goal::AtMost(1.0),
    },
    Row {
        id: "growth.ramp-median",
        issue: 9,
        what: "the same: median of a call that waits for 20 ms",
        unit: Unit::Ms,
        floor: "",
        goal: Goal::None,
    },
];

pub(crate) async fn run(bench: &mut Bench) {
    let actord = bench.actord(&[]).await;
    // It goes to sleep while the others grow.
    let (to_zero, duration) = (bench.wants("growth.to-zero"), bench.sized("2s", "90s"));
    let idle = async {
        let mut taken = None;
        if to_zero {
            taken = Some(goes_to_zero(&actord, duration).await);
        }
        taken
    };
    let others = async {
        if bench.wants("growth.from-zero") {
            from_zero(bench).await;
        }
        let mut second = None;
        if bench.wants("growth.second") {
            second = Some(second_replica(&actord).await);
        }
        let mut seen = None;
        if ["growth.ramp-failed", "growth.ramp-up", "growth.ramp-down", "growth.ramp-median"]
            .iter()
            .any(|id| bench.wants(id))
        {
            let (peak, side, hold) = bench.sized((100.0, 2, 2), (400.0, 18, 8));
            seen = Some(ramp(&actord, peak, Duration::from_secs(side), Duration::from_secs(hold)).await);
        }
        (second, seen)
    };
    let (idle, (second, seen)) = tokio::join!(idle, others);
    if let Some(time) = idle {
        bench.tell("growth.to-zero", Measured::ours(time));
    }
    if let Some(time) = second {
        bench.tell("growth.second", Measured::ours(time));
    }
    if let Some(seen) = seen {
        let failed = Measured::ours(seen.failures.len() as f64);
        bench
            .tell("growth.ramp-failed", if seen.failures.is_empty() { failed } else { failed.note(&seen.failures[0]) });
        bench.tell(
            "growth.ramp-up",
            Measured::ours(seen.most() as f64).note(format!("calls/replicas: {}", seen.series(5))),
        );
        bench.tell("growth.ramp-down", Measured::ours(seen.seconds.last().unwrap().1 as f64));
        bench.tell("growth.ramp-median", Measured::ours(seen.times.into_iter().collect::<crate::frame::Series>()));
    }
    actord.finish().await;
}

async fn from_zero(bench: &mut Bench) {
    let field = bench.field(&[]).await;
    let (mut deploys, mut starts) = (bench.lanes(), bench.lanes());
    let keys = json!({
        "com.openfaas.scale.zero": "true",
        "com.openfaas.scale.zero-duration": "1s",
        "actord.freeze-after": "500ms",
    });
    for round in 0..=bench.sized(1, 9) {
        let name = format!("zero-{round}");
        for (lane, actord) in field.iter().enumerate() {
            let answers = async || {
                let answer = actord.get(&format!("/function/{name}/version")).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            };
            let deployed = async {
                actord.deploy(&name, json!({ "annotations": keys })).await;
                answers().await;
            };
            deploys[lane].time(deployed).await;
            until("it is stopped", async || actord.processes_of(&name).is_empty()).await;
            // What is left of it goes behind its process.
            sleep(Duration::from_millis(500)).await;
            starts[lane].time(answers()).await;
            assert_eq!(actord.delete(&name).await.status, 202);
            until("it is gone", async || actord.processes_of(&name).is_empty()).await;
            sleep(Duration::from_millis(300)).await;
        }
        if round == 0 {
            forget(&mut deploys);
            forget(&mut starts);
        }
    }
    bench.tell("growth.from-zero", Measured::of(starts).floor(deploys.swap_remove(0)));
    finish(field).await;
}

async fn goes_to_zero(actord: &Actord, duration: &str) -> Duration {
    let keys = json!({ "com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": duration });
    actord.deploy("idler", json!({ "labels": keys })).await;
    assert_eq!(actord.get("/function/idler/version").await.status, 200);
    let begun = Instant::now();
    while !actord.processes_of("idler").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(300), "it does not go to zero");
        sleep(Duration::from_millis(100)).await;
    }
    begun.elapsed()
}

async fn second_replica(actord: &Actord) -> Duration {
    let labels = json!({ "com.openfaas.scale.min": "1", "com.openfaas.scale.max": "2" });
    actord.deploy("busy", json!({ "labels": labels })).await;
    let caller = async |to| {
        let mut connection = Connection::open(to).await.unwrap();
        loop {
            let answer = connection.ask(&Request::get("/function/busy/version")).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            sleep(Duration::from_millis(200)).await;
        }
    };
    let begun = Instant::now();
    let grown = async {
        while actord.processes_of("busy").len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(120), "no second replica");
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = grown => {}
        _ = futures_util::future::join(caller(actord.public), caller(actord.public)) => {}
    }
    let took = begun.elapsed();
    assert_eq!(actord.delete("busy").await.status, 202);
    took
}

async fn ramp(actord: &Actord, peak: f64, side: Duration, hold: Duration) -> crate::rising::Seen {
    let labels = json!({
        "com.openfaas.scale.type": "capacity",
        "com.openfaas.scale.target": "1",
        "com.openfaas.scale.max": "12",
        "com.openfaas.scale.down.window": "5s",
    });
    actord.deploy("worker", json!({ "envVars": { "ONE_AT_A_TIME": "1" }, "labels": labels })).await;
    let ramp = Ramp { peak, rise: side, hold, fall: side, path: "worker/sleep?ms=20".to_owned() };
    ramp.run(actord, "worker", Duration::from_secs(60)).await
}
