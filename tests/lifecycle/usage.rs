use std::time::Duration;

use actord::engine::Used;
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::time::sleep;

use crate::platform::{Platform, id, simulate};

const SECOND: Duration = Duration::from_secs(1);

fn of(used: &[(actord::function::FunctionId, Used)], name: &str) -> Option<(f64, u64)> {
    used.iter().find(|(of, _)| *of == id(name)).map(|(_, used)| (used.cpu_millis.round(), used.memory_bytes))
}

#[test]
fn what_all_replicas_use_is_added_up_and_what_does_not_run_uses_nothing() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("busy:1", Behaviour::new().uses(50, 10 << 20));
        platform.host.publish_image("crash:1", Behaviour::new().exits_with(1));
        platform.deploy("busy", "busy:1").await.unwrap();
        platform.scale("busy", 3).await.unwrap();
        platform.deploy("idle", "good:1").await.unwrap();
        platform.scale("idle", 0).await.unwrap();
        let _ = platform.deploy("crash", "crash:1").await;
        platform.until("three serve", async |p| p.published("busy").len() == 3).await;
        platform.until("none is left", async |p| p.host.running().len() == 3).await;
        sleep(10 * SECOND).await;

        let all = platform.used(None).await;
        assert_eq!(of(&all, "busy"), Some((150.0, 30 << 20)));
        assert_eq!((of(&all, "idle"), of(&all, "crash")), (None, None));
        let reads = platform.host.count(Method::RuntimeUsage);
        assert_eq!(platform.used(Some("idle")).await, []);
        assert_eq!(platform.used(Some("nobody")).await, []);
        assert_eq!(platform.host.count(Method::RuntimeUsage), reads, "nothing runs, nothing is read");
        platform.tidy(&["busy"]).await;
    });
}

#[test]
fn the_average_is_since_the_last_sample_and_an_update_counts_its_cpu_time_on() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("busy:1", Behaviour::new().uses(1_000, 1));
        platform.host.publish_image("calm:1", Behaviour::new().uses(10, 1));
        platform.deploy("f", "busy:1").await.unwrap();
        sleep(10 * SECOND).await;
        let busy = platform.used(Some("f")).await[0].1;
        assert_eq!((busy.cpu_millis.round(), busy.cpu_total.as_secs()), (1_000.0, 10));
        platform.update("f", "calm:1").await.unwrap();
        platform.until("the old one is gone", async |p| p.host.running().len() == 1).await;
        sleep(100 * SECOND).await;
        let calm = platform.used(Some("f")).await[0].1;
        assert_eq!(calm.cpu_millis.round(), 10.0);
        assert!(calm.cpu_total >= busy.cpu_total + SECOND, "{:?}", calm.cpu_total);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_read_that_fails_or_hangs_leaves_its_function_out_and_no_other() {
    simulate(async {
        let platform = Platform::start().await;
        for name in ["a", "b"] {
            platform.deploy(name, "good:1").await.unwrap();
        }
        let bad = platform.published("a").remove(0);
        for fault in [Fault::Error(HostError::Failed("a disk".into())), Fault::Hang, Fault::Panic] {
            platform.host.fault(Rule::on(Method::RuntimeUsage, fault).only(&bad).always());
            let begun = tokio::time::Instant::now();
            let all = platform.used(None).await;
            assert!(begun.elapsed() <= 2 * SECOND);
            assert_eq!(all.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [id("b")]);
            platform.host.clear_faults();
        }
        platform.host.release();
        assert_eq!(platform.used(None).await.len(), 2, "it heals");
        platform.tidy(&["a", "b"]).await;
    });
}
