//! Instances that sleep while nothing calls them.

use std::time::Duration;

use actix::spawn;
use actord::actors::Settings;
use actord::engine::{Engine as _, Mode};
use actord::function::{Exit, InstanceId, Phase, Spec, SpecDraft, Tier};
use actord::host::HostError;
use actord::host::fake::{Behaviour, FakeHost, Fault, Method, Rule};
use actord::routes::{FunctionEntry, Lease, NoEndpoint};
use actord::store::Store;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, id, simulate};

const SECOND: Duration = Duration::from_secs(1);
/// More than a thaw of the machine in memory takes, and less than anything that is waited for on purpose.
const MOMENT: Duration = Duration::from_millis(10);

fn annotated(annotations: &[(&str, &str)]) -> Spec {
    let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SpecDraft { image: "good:1".into(), annotations, ..SpecDraft::default() }.try_into().unwrap()
}

/// Asked about its health each second, and replaced at the third bad answer.
fn checked() -> Spec {
    annotated(&[
        ("com.openfaas.health.http.path", "/live"),
        ("com.openfaas.health.http.periodSeconds", "1"),
        ("com.openfaas.ready.http.path", "/ready"),
        ("com.openfaas.ready.http.periodSeconds", "1"),
    ])
}

fn entry(platform: &Platform) -> FunctionEntry {
    platform.routes.find(&id("f")).unwrap()
}

async fn rest(platform: &Platform) {
    platform.engine.rest(&id("f"), Tier::Frozen).await.unwrap();
}

/// Asks for it until all that serve are frozen.
async fn freeze(platform: &Platform) -> Vec<InstanceId> {
    let all = platform.published("f");
    for _ in 0..100 {
        rest(platform).await;
        sleep(MOMENT).await;
        let frozen = platform.host.frozen();
        let known = platform.view("f").await.unwrap().status.frozen as usize;
        if all.iter().all(|instance| frozen.contains(instance)) && known == all.len() {
            return all;
        }
    }
    panic!("never frozen: {:?} of {all:?}", platform.host.frozen());
}

/// A function whose instances are frozen.
async fn frozen(replicas: u32) -> Platform {
    let platform = Platform::start().await;
    platform.deploy("f", "good:1").await.unwrap();
    platform.scale("f", replicas).await.unwrap();
    platform.until("all serve", async |p| p.published("f").len() == replicas as usize).await;
    freeze(&platform).await;
    platform
}

/// A caller, and how long it waited.
fn call(platform: &Platform) -> JoinHandle<(Result<Lease, NoEndpoint>, Duration)> {
    let (routes, began) = (platform.routes.clone(), Instant::now());
    spawn(async move {
        let lease = routes.lease(&id("f")).await;
        (lease, began.elapsed())
    })
}

async fn answered(platform: &Platform) -> (Lease, Duration) {
    let (lease, waited) = call(platform).await.unwrap();
    (lease.unwrap(), waited)
}

/// Lets an actord freeze the function, and kills it. Returns the frozen instance.
async fn left_frozen(host: &FakeHost, store: &Store) -> InstanceId {
    let actors = LocalSet::new();
    let life = async {
        let platform = Platform::boot(host.clone(), store.clone(), Settings::default()).await;
        platform.apply(Mode::Create, "f", checked()).await.unwrap();
        freeze(&platform).await.remove(0)
    };
    let instance = actors.run_until(life).await;
    drop(actors);
    assert_eq!(host.frozen(), [instance.clone()].into());
    instance
}

fn fails() -> Fault {
    Fault::Error(HostError::Failed("a scripted fault".into()))
}

#[test]
fn a_function_that_rests_is_frozen_and_ready_and_the_first_call_thaws_it() {
    simulate(async {
        let platform = frozen(1).await;
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready, status.frozen), (Phase::Frozen, 1, 1));
        sleep(3600 * SECOND).await;
        assert_eq!((platform.host.count(Method::RuntimeFreeze), platform.host.count(Method::RuntimeThaw)), (1, 0));
        let (lease, waited) = answered(&platform).await;
        assert!(waited < MOMENT, "{waited:?}");
        assert!(platform.host.frozen().is_empty(), "it runs when the call is sent");
        drop(lease);
        sleep(MOMENT).await;
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready, status.frozen, status.restarts), (Phase::Ready, 1, 0, 0));
        freeze(&platform).await;
        answered(&platform).await;
        assert_eq!(platform.host.count(Method::RuntimeStart), 1);
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn what_has_a_request_is_not_frozen_and_it_is_asked_again_later() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let web_socket = platform.routes.lease(&id("f")).await.unwrap();
        for _ in 0..10 {
            rest(&platform).await;
            sleep(SECOND).await;
        }
        assert_eq!(platform.host.count(Method::RuntimeFreeze), 0);
        drop(web_socket);
        sleep(60 * SECOND).await;
        assert_eq!(platform.host.count(Method::RuntimeFreeze), 0, "it is not asked for");
        freeze(&platform).await;
    });
}

#[test]
fn of_several_only_those_are_frozen_that_have_no_request() {
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        platform.scale("f", 3).await.unwrap();
        platform.until("all serve", async |p| p.published("f").len() == 3).await;
        let lease = platform.routes.lease(&id("f")).await.unwrap();
        rest(&platform).await;
        sleep(MOMENT).await;
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.ready, status.frozen), (Phase::Ready, 3, 2));
        assert!(!platform.host.frozen().contains(lease.instance()));
        let instance = lease.instance().clone();
        drop(lease);
        for _ in 0..6 {
            assert_eq!(answered(&platform).await.0.instance(), &instance, "the others sleep on");
        }
        let busy = answered(&platform).await.0;
        assert_ne!(answered(&platform).await.0.instance(), busy.instance(), "and are there when they are needed");
    });
}

#[test]
fn fifty_callers_cost_one_thaw_and_none_waits_long() {
    simulate(async {
        let platform = frozen(1).await;
        let callers: Vec<_> = (0..50).map(|_| call(&platform)).collect();
        let mut leases = Vec::new();
        for caller in callers {
            let (lease, waited) = caller.await.unwrap();
            assert!(waited < MOMENT, "{waited:?}");
            leases.push(lease.unwrap());
        }
        assert_eq!(platform.host.count(Method::RuntimeThaw), 1);
        assert_eq!(entry(&platform).load().in_flight, 50);
    });
}

#[test]
fn checks_pause_while_it_is_frozen_and_begin_anew_after_the_thaw() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", checked()).await.unwrap();
        let instance = freeze(&platform).await.remove(0);
        let asked = platform.host.count(Method::ProbeAsk);
        sleep(3600 * SECOND).await;
        assert_eq!(platform.host.count(Method::ProbeAsk), asked);
        drop(answered(&platform).await);
        sleep(SECOND / 2).await;
        assert_eq!(platform.host.count(Method::ProbeAsk), asked, "not before a period has passed");
        sleep(SECOND).await;
        assert_eq!(platform.host.count(Method::ProbeAsk), asked + 2);
        let status = platform.view("f").await.unwrap().status;
        assert_eq!((status.phase, status.restarts, status.failure), (Phase::Ready, 0, None));
        assert_eq!(platform.published("f").as_slice(), std::slice::from_ref(&instance));
        // Two bad answers before it slept and one after it make three.
        let sick = Rule::on(Method::ProbeAsk, fails()).only(&instance).always();
        platform.host.fault(sick);
        sleep(2 * SECOND + SECOND / 2).await;
        platform.host.clear_faults();
        assert_eq!(platform.view("f").await.unwrap().status.restarts, 0);
    });
}

#[test]
fn what_is_being_asked_is_not_frozen() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", checked()).await.unwrap();
        let slow = Rule::on(Method::ProbeAsk, Fault::Delay(SECOND / 2)).times(2);
        platform.host.fault(slow);
        sleep(SECOND + SECOND / 4).await;
        rest(&platform).await;
        sleep(2 * MOMENT).await;
        assert_eq!(platform.host.count(Method::RuntimeFreeze), 0, "a check is in flight");
        sleep(SECOND / 2).await;
        freeze(&platform).await;
    });
}

#[test]
fn an_instance_that_the_host_does_not_freeze_stays_awake_and_serves() {
    simulate(async {
        for rule in [Rule::on(Method::RuntimeFreeze, fails()), Rule::on(Method::RuntimeFreeze, fails()).after_effect()]
        {
            let platform = Platform::start().await;
            platform.deploy("f", "good:1").await.unwrap();
            platform.host.fault(rule.times(2));
            for refused in 1..=2 {
                // Asked again and again, it is tried once a minute: what does not freeze is stopped in part meanwhile.
                for _ in 0..50 {
                    rest(&platform).await;
                    sleep(SECOND).await;
                }
                assert_eq!(platform.host.count(Method::RuntimeFreeze), refused);
                assert!(platform.host.frozen().is_empty(), "not half");
                assert_eq!(entry(&platform).frozen(), 0);
                assert_eq!(platform.phase("f").await, Some(Phase::Ready));
                assert!(answered(&platform).await.1 < MOMENT);
                sleep(10 * SECOND).await;
            }
            freeze(&platform).await;
            answered(&platform).await;
            assert_eq!(platform.host.count(Method::RuntimeStart), 1);
            platform.tidy(&["f"]).await;
        }
    });
}

#[test]
fn a_freeze_that_hangs_keeps_no_caller_waiting_and_ends() {
    simulate(async {
        for when in [Rule::after_effect, |rule| rule] as [fn(Rule) -> Rule; 2] {
            let platform = Platform::start().await;
            platform.deploy("f", "good:1").await.unwrap();
            platform.host.fault(when(Rule::on(Method::RuntimeFreeze, Fault::Hang)).times(2));
            rest(&platform).await;
            sleep(MOMENT).await;
            let (_, waited) = answered(&platform).await;
            assert!(waited < MOMENT, "{waited:?}");
            rest(&platform).await;
            sleep(5 * SECOND).await;
            assert_eq!((entry(&platform).frozen(), platform.host.frozen().len()), (0, 0), "given up");
            sleep(60 * SECOND).await;
            freeze(&platform).await;
            platform.tidy(&["f"]).await;
        }
    });
}

#[test]
fn a_thaw_that_fails_is_tried_again_at_once() {
    simulate(async {
        for (fault, longest) in [(fails(), SECOND / 2), (Fault::Panic, SECOND / 2), (Fault::Hang, 3 * SECOND)] {
            let platform = frozen(1).await;
            let instance = platform.published("f").remove(0);
            platform.host.fault(Rule::on(Method::RuntimeThaw, fault).times(1));
            let (lease, waited) = answered(&platform).await;
            assert!(waited < longest, "{waited:?}");
            assert_eq!(lease.instance(), &instance);
            assert_eq!(platform.view("f").await.unwrap().status.restarts, 0);
            platform.tidy(&["f"]).await;
        }
    });
}

#[test]
fn an_instance_that_can_not_be_thawed_is_replaced_and_its_callers_go_to_the_next() {
    simulate(async {
        for fault in [fails(), Fault::Hang] {
            let platform = frozen(1).await;
            let stuck = platform.published("f").remove(0);
            platform.host.fault(Rule::on(Method::RuntimeThaw, fault).only(&stuck).always());
            let callers: Vec<_> = (0..50).map(|_| call(&platform)).collect();
            for caller in callers {
                let (lease, waited) = caller.await.unwrap();
                assert_ne!(lease.unwrap().instance(), &stuck);
                assert!(waited < 15 * SECOND, "{waited:?}");
            }
            let status = platform.view("f").await.unwrap().status;
            assert_eq!(status.restarts, 1);
            platform.host.clear_faults();
            platform.host.release();
            platform.tidy(&["f"]).await;
        }
    });
}

#[test]
fn callers_of_one_that_can_not_be_thawed_go_to_another_replica_if_there_is_one() {
    simulate(async {
        let platform = frozen(2).await;
        let stuck = platform.published("f").remove(0);
        platform.host.fault(Rule::on(Method::RuntimeThaw, fails()).only(&stuck).always());
        platform.host.fault(Rule::on(Method::RuntimeCreate, Fault::Hang).always());
        let callers: Vec<_> = (0..10).map(|_| call(&platform)).collect();
        for caller in callers {
            let (lease, waited) = caller.await.unwrap();
            assert_ne!(lease.unwrap().instance(), &stuck);
            assert!(waited < SECOND, "{waited:?}");
        }
    });
}

#[test]
fn a_frozen_instance_whose_process_ends_is_replaced_and_its_callers_are_served() {
    simulate(async {
        let platform = frozen(1).await;
        let killed = platform.published("f").remove(0);
        platform.host.fault(Rule::on(Method::RuntimeThaw, Fault::Delay(SECOND / 2)));
        let callers: Vec<_> = (0..10).map(|_| call(&platform)).collect();
        sleep(MOMENT).await;
        platform.host.exit(&killed, Exit::Signal(9));
        for caller in callers {
            let (lease, waited) = caller.await.unwrap();
            assert_ne!(lease.unwrap().instance(), &killed);
            assert!(waited < 5 * SECOND, "{waited:?}");
        }
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn what_is_frozen_is_updated_scaled_stopped_and_deleted_as_any_other() {
    simulate(async {
        let platform = frozen(3).await;
        platform.scale("f", 2).await.unwrap();
        platform.until("one goes", async |p| p.published("f").len() == 2 && p.host.running().len() == 2).await;
        let old = platform.published("f");
        let began = Instant::now();
        platform.update("f", "good:2").await.unwrap();
        platform.until("the old ones go", async |p| old.iter().all(|id| !p.host.running().contains(id))).await;
        assert!(began.elapsed() < 5 * SECOND, "they end by their signal: {:?}", began.elapsed());
        platform.until("two serve", async |p| p.published("f").len() == 2).await;
        freeze(&platform).await;
        platform.keep_down("f", true).await.unwrap();
        platform.until("none runs", async |p| p.host.running().is_empty()).await;
        platform.keep_down("f", false).await.unwrap();
        platform.until("two serve", async |p| p.published("f").len() == 2).await;
        freeze(&platform).await;
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn a_deletion_tells_those_who_wait_for_a_thaw() {
    simulate(async {
        let platform = frozen(1).await;
        platform.host.fault(Rule::on(Method::RuntimeThaw, Fault::Hang));
        let caller = call(&platform);
        sleep(MOMENT).await;
        platform.delete("f").await.unwrap();
        let (refused, waited) = caller.await.unwrap();
        assert!(matches!(refused, Err(NoEndpoint::Unknown(_))), "{refused:?}");
        assert!(waited < SECOND, "{waited:?}");
        platform.host.release();
        platform.tidy(&["f"]).await;
    });
}

#[test]
fn an_actord_that_starts_thaws_what_the_one_before_it_left_frozen_and_does_not_restart_it() {
    simulate(async {
        for faults in [0, 1] {
            let (host, store) = (FakeHost::new(), Store::in_memory().unwrap());
            host.publish_image("good:1", Behaviour::new());
            let instance = left_frozen(&host, &store).await;
            host.fault(Rule::on(Method::RuntimeThaw, fails()).times(faults));
            let second = Platform::boot(host.clone(), store, Settings::default()).await;
            assert_eq!(answered(&second).await.0.instance(), &instance);
            assert!(host.frozen().is_empty());
            let status = second.view("f").await.unwrap().status;
            assert_eq!((status.phase, status.ready, status.frozen), (Phase::Ready, 1, 0));
            assert_eq!(host.count(Method::RuntimeStart), 1);
            freeze(&second).await;
            second.delete("f").await.unwrap();
            second.tidy(&["f"]).await;
        }
    });
}

#[test]
fn an_actord_that_starts_replaces_what_it_can_not_thaw() {
    simulate(async {
        let (host, store) = (FakeHost::new(), Store::in_memory().unwrap());
        host.publish_image("good:1", Behaviour::new());
        let stuck = left_frozen(&host, &store).await;
        host.fault(Rule::on(Method::RuntimeThaw, fails()).only(&stuck).always());
        let second = Platform::boot(host.clone(), store, Settings::default()).await;
        second.until("another one serves", async |p| p.published("f").iter().any(|id| *id != stuck)).await;
        answered(&second).await;
        host.clear_faults();
        second.tidy(&["f"]).await;
    });
}

#[test]
fn freezing_as_often_as_it_can_be_asked_for_fails_no_call() {
    simulate(async {
        let platform = Platform::start().await;
        platform.apply(Mode::Create, "f", checked()).await.unwrap();
        platform.scale("f", 2).await.unwrap();
        platform.until("both serve", async |p| p.published("f").len() == 2).await;
        let asking = spawn({
            let platform = platform.clone();
            async move {
                loop {
                    rest(&platform).await;
                    sleep(Duration::from_millis(1)).await;
                }
            }
        });
        let callers: Vec<_> = (0..50_u64)
            .map(|number| {
                let platform = platform.clone();
                spawn(async move {
                    for call in 0..40 {
                        let (lease, waited) = answered(&platform).await;
                        assert!(waited < SECOND, "{waited:?}");
                        for _ in 0..2 {
                            assert!(!platform.host.frozen().contains(lease.instance()), "frozen under a call");
                            sleep(Duration::from_micros(700)).await;
                        }
                        drop(lease);
                        sleep(Duration::from_millis((number * 7 + call * 13) % 50)).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        asking.abort();
        let frozen = platform.host.count(Method::RuntimeFreeze);
        assert!(frozen > 50, "too tame: {frozen}");
        assert_eq!(platform.view("f").await.unwrap().status.restarts, 0);
        platform.tidy(&["f"]).await;
    });
}
