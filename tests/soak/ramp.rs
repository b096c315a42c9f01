//! A function that grows with its calls, and shrinks when they become fewer.

use serde_json::json;
use tokio::time::Duration;

use crate::actord::Actord;
use crate::rising::Ramp;
use crate::sized;
use crate::sleepers::median;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_grows_with_its_calls_shrinks_after_them_and_fails_none() {
    let (peak, max, least, side) = (sized(100, 400), sized(4, 12), sized(2, 6), sized(8, 60));
    let actord = Actord::start_with(&["--log-level", "info"]).await;
    let labels = json!({
        "com.openfaas.scale.type": "capacity",
        "com.openfaas.scale.target": "1",
        "com.openfaas.scale.max": max.to_string(),
        "com.openfaas.scale.down.window": format!("{}s", sized(4, 60)),
    });
    actord.deploy("worker", json!({ "envVars": { "ONE_AT_A_TIME": "1" }, "labels": labels })).await;
    let side = Duration::from_secs(side as u64);
    let path = "worker/sleep?ms=20".to_owned();
    let ramp = Ramp { peak: peak as f64, rise: side, hold: side / 2, fall: side, path };
    let seen = ramp.run(&actord, "worker", Duration::from_secs(600)).await;
    println!(
        "ramp: 0 to {peak} to 0 calls a second, {} calls, {} failed, median {:.1?}; at most {} of {max} replicas; \
         calls/replicas {}",
        seen.sent,
        seen.failures.len(),
        median(&seen.times),
        seen.most(),
        seen.series(sized(2, 10)),
    );
    assert!(seen.failures.is_empty(), "{:#?}\n{}", seen.failures, actord.log());
    assert_eq!(seen.times.len(), seen.sent);
    assert!((least..=max).contains(&seen.most()), "{:?}\n{}", seen.seconds, actord.log());
    let before_the_peak = seen.seconds.iter().position(|(_, replicas)| *replicas >= least);
    assert!(before_the_peak.is_some_and(|at| at < seen.seconds.len() / 2), "{:?}", seen.seconds);
    assert_eq!(seen.seconds.last().unwrap().1, 1, "{:?}\n{}", seen.seconds, actord.log());
    actord.finish().await;
}
