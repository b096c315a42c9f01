//! Calls to functions of which nothing runs.

use std::time::Duration;

use actord::function::{InstanceId, Phase};
use actord::host::HostError;
use actord::host::fake::{Behaviour, Fault, Method, Rule};
use actord::routes::NoEndpoint;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, id, simulate};

const SECOND: Duration = Duration::from_secs(1);

/// What a call got, and when.
type Answered = (Result<InstanceId, NoEndpoint>, Instant);

/// A call that gives its instance back at once.
fn call(platform: &Platform) -> JoinHandle<Answered> {
    let routes = platform.routes.clone();
    tokio::spawn(async move {
        let answer = routes.lease(&id("f")).await.map(|lease| lease.instance().clone());
        (answer, Instant::now())
    })
}

/// A platform whose function `f` of this image served, and is scaled to zero, with nothing left of it.
async fn at_zero(image: &str, behaviour: Behaviour) -> Platform {
    let platform = Platform::start().await;
    platform.host.publish_image(image, behaviour);
    platform.deploy("f", image).await.unwrap();
    platform.until("it serves", async |p| p.published("f").len() == 1).await;
    platform.scale("f", 0).await.unwrap();
    platform.tidy(&["f"]).await;
    platform
}

#[test]
fn callers_at_zero_wait_as_long_as_a_start_may_take_and_come_while_it_is_under_way() {
    simulate(async {
        let platform = at_zero("slow:1", Behaviour::new().ready_after(35 * SECOND)).await;
        let starts = platform.host.count(Method::RuntimeStart);
        let first = call(&platform);
        sleep(15 * SECOND).await;
        assert_eq!(platform.phase("f").await, Some(Phase::Starting));
        let second = call(&platform);
        let instance = first.await.unwrap().0.unwrap();
        assert_eq!(second.await.unwrap().0, Ok(instance));
        assert_eq!(platform.host.count(Method::RuntimeStart), starts + 1);
        assert_eq!(platform.phase("f").await, Some(Phase::Ready));
        platform
            .until("the number is kept", async |p| p.store.get(&id("f")).await.unwrap().unwrap().replicas == 1)
            .await;
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_start_that_fails_once_costs_the_callers_a_second() {
    simulate(async {
        let platform = at_zero("good:1", Behaviour::new()).await;
        let broken = Fault::Error(HostError::Failed("no more addresses".into()));
        platform.host.fault(Rule::on(Method::NetworkAttach, broken));
        let began = Instant::now();
        let callers: Vec<_> = (0..20).map(|_| call(&platform)).collect();
        for caller in callers {
            caller.await.unwrap().0.unwrap();
        }
        assert!(began.elapsed() < 3 * SECOND, "{:?}", began.elapsed());
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn callers_of_what_can_not_be_started_are_told_why_at_once_and_it_is_tried_again() {
    simulate(async {
        let platform = at_zero("good:1", Behaviour::new()).await;
        let gone = Fault::Error(HostError::Image("good:1 is gone".into()));
        platform.host.fault(Rule::on(Method::RuntimeCreate, gone));
        let began = Instant::now();
        let refused = call(&platform).await.unwrap().0.unwrap_err();
        assert!(matches!(&refused, NoEndpoint::BackingOff { reason, .. } if reason == "good:1 is gone"), "{refused}");
        assert!(matches!(call(&platform).await.unwrap().0, Err(NoEndpoint::BackingOff { .. })));
        assert!(began.elapsed() < SECOND / 2, "{:?}", began.elapsed());
        sleep(2 * SECOND).await;
        assert!(call(&platform).await.unwrap().0.is_ok());
    });
}

#[test]
fn a_call_whose_next_start_is_far_off_is_answered_at_once_and_so_are_those_that_wait_already() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("crash:1", Behaviour::new().exits_with(3).writes("config missing\n"));
        platform.deploy("f", "crash:1").await.unwrap();
        let far = async |p: &Platform| p.view("f").await.unwrap().retry_in.is_some_and(|wait| wait > 11 * SECOND);
        // One that came while the next start was near, and is let go when that fails.
        platform.until("it backs off for long", far).await;
        let near = async |p: &Platform| p.view("f").await.unwrap().retry_in.is_some_and(|wait| wait < 2 * SECOND);
        platform.until("the next start is near", near).await;
        let parked = call(&platform);
        let (refused, at) = parked.await.unwrap();
        assert!(matches!(refused, Err(NoEndpoint::BackingOff { .. })), "{refused:?}");
        let began = Instant::now();
        assert!(began - at < SECOND);
        let refused = call(&platform).await.unwrap().0.unwrap_err();
        assert_eq!(began.elapsed(), Duration::ZERO);
        let NoEndpoint::BackingOff { wait, reason, .. } = &refused else { panic!("{refused}") };
        assert!(*wait > 10 * SECOND && reason.contains("code 3") && reason.contains("config missing"), "{refused}");
        assert_eq!(platform.view("f").await.unwrap().retry_in, Some(*wait), "as the status says");
        assert!(refused.to_string().contains("backing off"), "{refused}");
    });
}

#[test]
fn a_function_that_failed_for_good_says_so_at_once() {
    simulate(async {
        let platform = Platform::start().await;
        platform.host.publish_image("slow:1", Behaviour::new().pulls_in(30 * SECOND).unpullable("no such image"));
        platform.deploy("f", "slow:1").await.unwrap();
        sleep(5 * SECOND).await;
        let parked = call(&platform);
        platform.until("it failed", async |p| p.phase("f").await == Some(Phase::Failed)).await;
        assert!(matches!(parked.await.unwrap().0, Err(NoEndpoint::Failed(..))));
        let began = Instant::now();
        let refused = call(&platform).await.unwrap().0.unwrap_err();
        assert!(matches!(&refused, NoEndpoint::Failed(_, reason) if reason.contains("no such image")), "{refused}");
        assert_eq!(began.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_scale_to_zero_under_callers_that_wait_loses_none_of_them() {
    simulate(async {
        let platform = at_zero("slow:1", Behaviour::new().ready_after(5 * SECOND)).await;
        let callers: Vec<_> = (0..5).map(|_| call(&platform)).collect();
        sleep(2 * SECOND).await;
        platform.scale("f", 0).await.unwrap();
        for caller in callers {
            caller.await.unwrap().0.unwrap();
        }
        assert_eq!(platform.view("f").await.unwrap().status.desired.unwrap().replicas, 1);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_deletion_or_a_stop_under_callers_that_wait_is_told_to_all_of_them() {
    simulate(async {
        for stop in [true, false] {
            let platform = at_zero("slow:1", Behaviour::new().ready_after(5 * SECOND)).await;
            let callers: Vec<_> = (0..5).map(|_| call(&platform)).collect();
            sleep(2 * SECOND).await;
            let began = Instant::now();
            if stop {
                platform.keep_down("f", true).await.unwrap();
            } else {
                platform.delete("f").await.unwrap();
            }
            let expected = if stop { NoEndpoint::KeptDown(id("f")) } else { NoEndpoint::Unknown(id("f")) };
            for caller in callers {
                let (answer, at) = caller.await.unwrap();
                assert_eq!(answer, Err(expected.clone()));
                assert!(at - began < SECOND);
            }
            platform.tidy(&["f"]).await;
        }
    });
}

#[test]
fn an_update_at_zero_proves_the_new_version_and_callers_meanwhile_get_it() {
    simulate(async {
        let platform = at_zero("good:1", Behaviour::new()).await;
        platform.host.publish_image("slow:2", Behaviour::new().ready_after(15 * SECOND));
        let updating = platform.clone();
        let update = actix::spawn(async move { updating.update("f", "slow:2").await });
        sleep(SECOND).await;
        let instance = call(&platform).await.unwrap().0.unwrap();
        update.await.unwrap().unwrap();
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.serving.map(|it| it.0)), (Phase::Ready, Some(2)));
        assert_eq!(platform.published("f"), [instance]);
    });
}

#[test]
fn a_wake_waits_for_no_disk_and_is_kept_when_there_is_room() {
    simulate(async {
        let platform = at_zero("good:1", Behaviour::new()).await;
        platform.store.limit_pages(1).await.unwrap();
        assert!(call(&platform).await.unwrap().0.is_ok());
        platform.store.limit_pages(1_000_000).await.unwrap();
        platform
            .until("the number is kept", async |p| p.store.get(&id("f")).await.unwrap().unwrap().replicas == 1)
            .await;
    });
}

#[test]
fn a_stopped_function_finishes_what_it_has_and_is_down_after_a_restart() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        platform.keep_down("f", true).await.unwrap();
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready), (Phase::Stopped, 0));
        sleep(30 * SECOND).await;
        assert!(platform.host.running().contains(lease.instance()), "torn down under a request");
        drop(lease);
        platform.tidy(&["f"]).await;
        let again =
            Platform::boot(platform.host.clone(), platform.store.clone(), actord::actors::Settings::default()).await;
        assert_eq!(call(&again).await.unwrap().0, Err(NoEndpoint::KeptDown(id("f"))));
        again.keep_down("f", false).await.unwrap();
        assert!(call(&again).await.unwrap().0.is_ok());
    });
}
