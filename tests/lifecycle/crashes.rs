use std::time::Duration;

use actord::engine::Refused;
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

#[test]
fn an_image_whose_process_ends_at_once_is_answered_as_its_exits_say_and_says_why() {
    for (exit, refused) in [
        (Exit::Code(126), true),
        (Exit::Code(127), true),
        (Exit::Code(0), false),
        (Exit::Code(1), false),
        (Exit::Code(125), false),
        (Exit::Code(139), false),
        (Exit::Signal(11), false),
        (Exit::OutOfMemory, false),
    ] {
        simulate(async move {
            let platform = Platform::start().await;
            let ends =
                Behaviour::new().exits_after(Duration::ZERO, exit.clone()).writes("reading config\nno such key\n");
            platform.host.publish_image("ends:1", ends);
            let began = Instant::now();
            let answer = platform.deploy("f", "ends:1").await;
            assert!(began.elapsed() < Duration::from_secs(3), "{exit}: {:?}", began.elapsed());
            let view = platform.view("f").await;
            let reason = match answer {
                Err(Refused::Unrunnable(reason)) => {
                    assert!(refused && view.is_none(), "{exit}: {view:?}");
                    reason
                }
                accepted => {
                    accepted.unwrap();
                    let status = view.unwrap().status;
                    assert!(!refused && matches!(status.phase, Phase::BackingOff { .. }), "{exit}: {:?}", status.phase);
                    status.failure.unwrap().reason
                }
            };
            for part in [exit.to_string().as_str(), "reading config", "no such key"] {
                assert!(reason.contains(part), "{part}: {reason}");
            }
            // The same as an update of what serves.
            platform.deploy("g", "good:1").await.unwrap();
            let served = platform.published("g");
            assert_eq!(platform.update("g", "ends:1").await.is_err(), refused);
            let desired = platform.view("g").await.unwrap().status.desired.unwrap();
            assert_eq!((platform.published("g"), desired.refused.is_some()), (served, refused));
            assert_eq!(desired.spec.image, if refused { "good:1" } else { "ends:1" });
            for name in ["f", "g"] {
                let _ = platform.delete(name).await;
            }
            platform.tidy(&["f", "g"]).await;
        });
    }
}
