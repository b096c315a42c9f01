//! What the field's own conformance suite asks of scaling, once on a real machine: the fewest replicas, zero from idleness,
//! up from zero by a call, up and down by throughput, down to zero after load, and off where the bounds are the same.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, until};
use crate::client::{Connection, Request};

/// Within which the suite wants to see a second replica under load.
const UP: Duration = Duration::from_secs(60);
/// Within which it wants none after load, where `zero-duration` is 90 s.
const TO_ZERO: Duration = Duration::from_secs(120);

/// What the status says: asked for and available; 0 is left out there.
async fn replicas(actord: &Actord, name: &str) -> (u64, u64) {
    let shown = actord.describe(name).await;
    (shown["replicas"].as_u64().unwrap_or(0), shown["availableReplicas"].as_u64().unwrap_or(0))
}

/// Waits until the status says so, and returns how long that took.
async fn become_replicas(actord: &Actord, name: &str, wanted: u64, within: Duration) -> Duration {
    let begun = Instant::now();
    while replicas(actord, name).await != (wanted, wanted) {
        let shown = actord.describe(name).await;
        assert!(begun.elapsed() < within, "not {wanted} replicas within {within:?}: {shown:#}\n{}", actord.log());
        sleep(Duration::from_millis(200)).await;
    }
    begun.elapsed()
}

/// Two callers of five calls a second each, for as long as it lives.
struct Callers(Vec<JoinHandle<()>>);

impl Callers {
    fn start(actord: &Actord, name: &str) -> Self {
        let caller = |to, path: String| async move {
            let mut connection = Connection::open(to).await.unwrap();
            loop {
                let answer = connection.ask(&Request::get(&path)).await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.text());
                sleep(Duration::from_millis(200)).await;
            }
        };
        let path = format!("/function/{name}/version");
        Self((0..2).map(|_| tokio::spawn(caller(actord.public, path.clone()))).collect())
    }

    /// Ends them. A call that failed has ended its caller before.
    fn end(self) {
        for caller in self.0 {
            assert!(!caller.is_finished(), "a call failed");
            caller.abort();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "some minutes: make soak"]
async fn the_situations_of_the_fields_own_suite_come_out_as_it_expects() {
    let actord = Actord::start_with(&["--zero-duration", "90s", "--log-level", "info"]).await;
    let label = |pairs: Value| json!({ "labels": pairs });

    actord.deploy("fewest", label(json!({ "com.openfaas.scale.min": "2" }))).await;
    become_replicas(&actord, "fewest", 2, UP).await;

    let idler = json!({ "com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": "3s" });
    actord.deploy("idler", label(idler)).await;
    let idle = become_replicas(&actord, "idler", 0, UP).await;
    until("nothing of it runs", async || actord.processes_of("idler").is_empty()).await;
    assert_eq!(actord.get("/function/idler/version").await.status, 200);
    assert_eq!(replicas(&actord, "idler").await, (1, 1));

    actord.deploy("busy", label(json!({ "com.openfaas.scale.min": "1", "com.openfaas.scale.max": "2" }))).await;
    let callers = Callers::start(&actord, "busy");
    let up = become_replicas(&actord, "busy", 2, UP).await;
    callers.end();
    let down = become_replicas(&actord, "busy", 1, TO_ZERO).await;

    let same =
        json!({ "com.openfaas.scale.min": "1", "com.openfaas.scale.max": "1", "com.openfaas.scale.target": "1" });
    actord.deploy("same", label(same)).await;
    let zero =
        json!({ "com.openfaas.scale.min": "1", "com.openfaas.scale.max": "2", "com.openfaas.scale.zero": "true" });
    actord.deploy("zero", label(zero)).await;
    let callers = [Callers::start(&actord, "same"), Callers::start(&actord, "zero")];
    become_replicas(&actord, "zero", 2, UP).await;
    assert_eq!(replicas(&actord, "same").await, (1, 1), "its bounds are the same");
    callers.into_iter().for_each(Callers::end);
    let to_zero = become_replicas(&actord, "zero", 0, TO_ZERO).await;
    assert_eq!(actord.get("/function/zero/version").await.status, 200);
    println!(
        "the field's suite: to zero {idle:.1?} after the deploy; up after {up:.1?} of load, down {down:.1?} after it; to \
         zero {to_zero:.1?} after load"
    );
    actord.finish().await;
}
