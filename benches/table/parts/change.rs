//! What changing a function costs: update, delete, and more replicas, beside bare containers of the same containerd.

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, HELLO_2, until};
use crate::bare::Bare;
use crate::frame::{Bench, Goal, Measured, Row, Series, Unit, finish, forget};

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "change.update",
        issue: 2,
        what: "update: PUT to the first answer of the new version",
        unit: Unit::Ms,
        floor: "bare container",
        goal: Goal::None,
    },
    Row {
        id: "change.delete",
        issue: 10,
        what: "delete: answered, the name is free",
        unit: Unit::Ms,
        floor: "bare removal",
        goal: Goal::AtMost(1.4),
    },
    Row {
        id: "change.gone",
        issue: 2,
        what: "delete: no container of it is left",
        unit: Unit::Ms,
        floor: "bare removal",
        goal: Goal::None,
    },
    Row {
        id: "change.scale-up",
        issue: 9,
        what: "scale from 1 to 5: all of them serve",
        unit: Unit::Ms,
        floor: "4 bare containers at once",
        goal: Goal::None,
    },
];

const PATIENCE: Duration = Duration::from_secs(60);

async fn serves(actord: &Actord, name: &str, version: &str) {
    let path = format!("/function/{name}/version");
    let begun = Instant::now();
    loop {
        let answer = actord.get(&path).await;
        if answer.status == 200 && answer.text().trim() == version {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{name} does not answer as version {version}");
    }
}

pub(crate) async fn run(bench: &mut Bench) {
    let field = bench.field(&[]).await;
    let mut bares = Vec::new();
    for actord in &field {
        bares.push(Bare::new(&actord.socket(), &actord.namespace(), &actord.directory().join("bare")).await);
    }
    let bare = &bares[0];
    let [mut update, mut delete, mut gone] = std::array::from_fn(|_| bench.lanes());
    let (mut starts, mut removals) = (Series::default(), Series::default());
    for round in 0..=bench.sized(1, 15) {
        let id = format!("bare-{round}");
        starts.time(bare.start(&id)).await;
        removals.time(bare.remove(&id)).await;
        let name = format!("change-{round}");
        for (lane, actord) in field.iter().enumerate() {
            actord.deploy(&name, json!({})).await;
            serves(actord, &name, "1").await;
            let updated = async {
                assert_eq!(actord.update(&name, json!({ "image": HELLO_2 })).await.status, 202);
                serves(actord, &name, "2").await;
            };
            update[lane].time(updated).await;
            until("the old instance is gone", async || bares[lane].count().await == 1).await;

            let begun = Instant::now();
            assert_eq!(actord.delete(&name).await.status, 202);
            delete[lane].took(begun.elapsed());
            while bares[lane].count().await > 0 {
                assert!(begun.elapsed() < PATIENCE, "{name} is still there");
                sleep(Duration::from_millis(1)).await;
            }
            gone[lane].took(begun.elapsed());
        }
        if round == 0 {
            [&mut update, &mut delete, &mut gone].into_iter().for_each(|lanes| forget(lanes));
            starts.clear();
            removals.clear();
        }
    }
    bench.tell("change.update", Measured::of(update).floor(starts));
    bench.tell("change.delete", Measured::of(delete).floor(removals.clone()));
    bench.tell("change.gone", Measured::of(gone).floor(removals));
    if bench.wants("change.scale-up") {
        scale_up(bench, &field, bare).await;
    }
    finish(field).await;
}

async fn scale_up(bench: &mut Bench, field: &[Actord], bare: &Bare) {
    let (mut grown, mut starts) = (bench.lanes(), Series::default());
    for round in 0..=bench.sized(1, 7) {
        let ids = [0, 1, 2, 3].map(|n| format!("scale-{round}-{n}"));
        starts.time(join_all(ids.iter().map(|id| bare.start(id)))).await;
        join_all(ids.iter().map(|id| bare.remove(id))).await;
        let name = format!("scale-{round}");
        for (lane, actord) in field.iter().enumerate() {
            actord.deploy(&name, json!({})).await;
            let all_serve = async {
                assert_eq!(actord.scale(&name, 5).await.status, 202);
                while actord.describe(&name).await["availableReplicas"] != json!(5) {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            grown[lane].time(all_serve).await;
            assert_eq!(actord.delete(&name).await.status, 202);
            until("they are gone", async || actord.processes_of(&name).is_empty()).await;
        }
        if round == 0 {
            forget(&mut grown);
            starts.clear();
        }
    }
    bench.tell("change.scale-up", Measured::of(grown).floor(starts));
}
