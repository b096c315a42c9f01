//! Functions that went to rest for want of calls, and what the next calls find.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actord::function::{Phase, Tier};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use tokio::time::sleep;

use crate::platform::{Platform, id, simulate};

const SECOND: Duration = Duration::from_secs(1);

/// A platform whose function `f` served, and is idle, with nothing left of it.
async fn idle(behaviour: Behaviour) -> Platform {
    let platform = Platform::start().await;
    platform.host.publish_image("f:1", behaviour);
    platform.deploy("f", "f:1").await.unwrap();
    platform.until("it serves", async |p| p.published("f").len() == 1).await;
    platform.rest("f", Tier::Stopped).await.unwrap();
    platform.until("it is idle", async |p| p.phase("f").await == Some(Phase::Idle)).await;
    platform.tidy(&["f"]).await;
    platform
}

#[test]
fn every_caller_of_an_idle_function_is_answered_once_and_in_turn_though_the_first_start_fails() {
    simulate(async {
        let platform = idle(Behaviour::new().ready_after(3 * SECOND)).await;
        let broken = Fault::Error(HostError::Failed("no more addresses".into()));
        platform.host.fault(Rule::on(Method::NetworkAttach, broken));
        let answered = Arc::new(Mutex::new(Vec::new()));
        let mut callers = Vec::new();
        for number in 0..50 {
            let (routes, answered) = (platform.routes.clone(), answered.clone());
            callers.push(tokio::spawn(async move {
                let lease = routes.lease(&id("f")).await.unwrap();
                answered.lock().unwrap().push(number);
                lease.instance().clone()
            }));
            sleep(Duration::from_millis(50)).await;
        }
        let mut instances = Vec::new();
        for caller in callers {
            instances.push(caller.await.unwrap());
        }
        assert_eq!(*answered.lock().unwrap(), (0..50).collect::<Vec<_>>());
        instances.dedup();
        assert_eq!(instances, platform.published("f"));
        assert_eq!(platform.view("f").await.unwrap().status.restarts, 0);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_function_that_goes_to_rest_under_its_calls_fails_none_of_them() {
    simulate(async {
        let platform = idle(Behaviour::new().ready_after(SECOND / 5)).await;
        let calling = platform.clone();
        let callers: Vec<_> = (0..3_u64)
            .map(|number| {
                let platform = calling.clone();
                tokio::spawn(async move {
                    for turn in 0..50 {
                        let lease = platform.routes.lease(&id("f")).await.unwrap();
                        let instance = lease.instance().clone();
                        sleep(Duration::from_millis(3 + (number * 7 + turn) % 11)).await;
                        assert!(platform.host.running().contains(&instance), "torn down under a request");
                        drop(lease);
                        // There are moments without any call.
                        sleep(Duration::from_millis((number * 131 + turn * 13) % 40 * 10)).await;
                    }
                })
            })
            .collect();
        let mut rests = 0;
        while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
            platform.rest("f", Tier::Stopped).await.unwrap();
            rests += 1;
            sleep(Duration::from_millis(97)).await;
        }
        for caller in callers {
            caller.await.unwrap();
        }
        let starts = platform.host.count(Method::RuntimeCreate);
        assert!(rests > 10 && starts > 3, "too tame: asked {rests} times to rest, started {starts} times");
        platform.rest("f", Tier::Stopped).await.unwrap();
        platform.tidy(&["f"]).await;
        assert!(platform.host.running().is_empty());
    });
}

#[test]
fn idleness_waits_for_no_disk_and_is_kept_when_there_is_room() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.store.limit_pages(1).await.unwrap();
        platform.rest("f", Tier::Stopped).await.unwrap();
        assert_eq!(platform.phase("f").await, Some(Phase::Idle));
        platform.store.limit_pages(1_000_000).await.unwrap();
        platform.until("it is kept", async |p| p.store.get(&id("f")).await.unwrap().unwrap().idle).await;
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_machine_that_starts_again_starts_no_idle_function_and_wakes_it_for_the_first_call() {
    simulate(async {
        let platform = idle(Behaviour::new()).await;
        platform.deploy("g", "good:1").await.unwrap();
        let starts = platform.host.count(Method::RuntimeCreate);
        let again =
            Platform::boot(platform.host.clone(), platform.store.clone(), actord::actors::Settings::default()).await;
        sleep(60 * SECOND).await;
        assert_eq!(again.phase("f").await, Some(Phase::Idle));
        assert_eq!(again.host.count(Method::RuntimeCreate), starts);
        assert!(again.routes.lease(&id("f")).await.is_ok());
        assert_eq!(again.host.count(Method::RuntimeCreate), starts + 1);
    });
}

#[test]
fn an_update_of_an_idle_function_that_is_refused_leaves_it_idle_and_fails_no_call_that_comes_meanwhile() {
    simulate(async {
        for ready_after in [SECOND / 2, 15 * SECOND] {
            let platform = idle(Behaviour::new().ready_after(ready_after)).await;
            let broken = Behaviour::new().pulls_in(SECOND).hopeless("no such command");
            for before in [500, 990, 1_005, 1_100, 3_000] {
                let image = format!("broken:{before}");
                platform.host.publish_image(&image, broken.clone());
                platform.update("f", &image).await.unwrap_err();
                assert_eq!(platform.phase("f").await, Some(Phase::Idle), "what it was before");
                platform.tidy(&["f"]).await;

                // Calls from then on, while a second update is refused.
                let image = format!("{image}-again");
                platform.host.publish_image(&image, broken.clone());
                let callers: Vec<_> = (0..20)
                    .map(|number| {
                        let routes = platform.routes.clone();
                        tokio::spawn(async move {
                            sleep(Duration::from_millis(before + number * 2)).await;
                            routes.lease(&id("f")).await.map(|lease| lease.instance().clone())
                        })
                    })
                    .collect();
                platform.update("f", &image).await.unwrap_err();
                for caller in callers {
                    let answered = caller.await.unwrap();
                    assert!(answered.is_ok(), "called {before} ms after the update: {answered:?}");
                }
                let desired = platform.view("f").await.unwrap().status.desired.unwrap();
                assert_eq!((desired.spec.image.as_str(), desired.idle), ("f:1", false));
                platform.until("it serves", async |p| p.phase("f").await == Some(Phase::Ready)).await;
                platform.rest("f", Tier::Stopped).await.unwrap();
                assert_eq!(platform.phase("f").await, Some(Phase::Idle));
            }
            platform.tidy(&["f"]).await;
        }
    });
}
