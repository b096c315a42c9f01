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
