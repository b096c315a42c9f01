//! Fifty callers of a function that is frozen a millisecond after its last call: calls come in every moment of freezing and
//! of the thaw.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use crate::actord::Actord;
use crate::client::{self, Connection, Request};
use crate::sized;

const CALLERS: usize = 50;

/// How often the scaler has let a function be frozen.
async fn freezes(actord: &Actord) -> u64 {
    let page = client::ask(actord.metrics, Request::get("/metrics")).await.unwrap().text();
    let line = page.lines().find_map(|line| line.strip_prefix(r#"actord_scaler_rests_total{tier="frozen"} "#));
    line.unwrap_or_else(|| panic!("it is not counted:\n{page}")).parse().unwrap()
}

/// One call, on a connection of its own or on one that is kept. What went wrong, if anything did.
async fn call(actord: &Actord, kept: &mut Option<Connection>, alone: bool) -> Result<(), String> {
    let (function, request) = ("/function/napper/version", Request::get("/function/napper/version"));
    let asked = async {
        if alone {
            return client::ask(actord.public, request.clone().close()).await;
        }
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(actord.public).await?,
        };
        let answer = connection.ask(&request).await?;
        *kept = Some(connection).filter(|_| answer.keeps_connection());
        Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(30), asked).await;
    let answer =
        answer.map_err(|_| format!("{function}: no answer"))?.map_err(|error| format!("{function}: {error}"))?;
    if (answer.status, answer.text().trim()) == (200, "1") { Ok(()) } else { Err(format!("{answer:?}")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_however_often_a_function_is_frozen() {
    let rounds = sized(2_000, 100_000) / CALLERS;
    let actord = Actord::start().await;
    actord.deploy("napper", json!({ "annotations": { "actord.freeze-after": "1ms" } })).await;
    let mut failures = Vec::new();
    let mut kept: Vec<Option<Connection>> = (0..CALLERS).map(|_| None).collect();
    for round in 0..rounds {
        let calls = kept.iter_mut().enumerate().map(|(caller, kept)| {
            let (actord, alone) = (&actord, (caller + round) % 3 == 0);
            async move {
                // Some come together, some one after the other, with moments between them in which it is frozen.
                sleep(Duration::from_millis((caller * (round % 7) % 40) as u64)).await;
                call(actord, kept, alone).await
            }
        });
        failures.extend(join_all(calls).await.into_iter().filter_map(Result::err));
        sleep(Duration::from_millis((round * 7 % 60) as u64)).await;
    }
    let frozen = freezes(&actord).await;
    println!("frozen: {} calls in {rounds} rounds, {} failed, frozen {frozen} times", rounds * CALLERS, failures.len());
    assert!(failures.is_empty(), "{failures:#?}\n{}", actord.log());
    assert!(frozen > rounds as u64 / 8, "too tame: it was frozen {frozen} times in {rounds} rounds");
    let shown = actord.describe("napper").await;
    assert_eq!(shown["lifecycle"]["restarts"].as_u64().unwrap_or_default(), 0, "{shown:#}");
    actord.finish().await;
}
