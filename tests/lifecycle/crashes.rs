use std::time::Duration;

use actord::function::{Exit, Phase};
use actord::host::fake::{Behaviour, Method};
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, id, simulate};

#[test]
fn a_crashed_function_comes_back_without_anybody_calling() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        sleep(Duration::from_secs(60)).await;
        let crashed = platform.published("f").remove(0);
        let began = Instant::now();
        platform.host.exit(&crashed, Exit::Signal(9));
        platform.until("another one serves", async |p| p.published("f").iter().any(|id| *id != crashed)).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.restarts), (Phase::Ready, 1));
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_request_during_a_crash_waits_for_the_next_instance() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let crashed = platform.published("f").remove(0);
        platform.host.exit(&crashed, Exit::Code(1));
        platform.until("it is noticed", async |p| p.published("f").is_empty()).await;
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        assert_ne!(*lease.instance(), crashed);
        assert!(platform.host.running().contains(lease.instance()));
    });
}

#[test]
fn a_crash_loop_is_visible_and_is_tried_less_and_less_often() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("crash:1", Behaviour::new().exits_with(3).writes("config missing\n"));
        platform.deploy("f", "crash:1").await.unwrap();
        sleep(Duration::from_secs(600)).await;
        let view = platform.view("f").await.unwrap();
        assert!(matches!(view.status.phase, Phase::BackingOff { .. }), "{:?}", view.status.phase);
        let reason = view.status.failure.unwrap().reason;
        assert!(reason.contains("code 3") && reason.contains("config missing"), "{reason}");
        let starts = platform.host.count(Method::RuntimeStart);
        assert!((12..=18).contains(&starts), "{starts} starts in 10 minutes");
        platform.host.publish_image("crash:1", Behaviour::new());
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_process_that_ends_while_it_drains_is_torn_down() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        platform.delete("f").await.unwrap();
        platform.host.exit(lease.instance(), Exit::Code(0));
        platform.tidy(&["f"]).await;
    });
}
