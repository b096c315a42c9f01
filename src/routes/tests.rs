use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::time::{Instant, sleep, timeout};

use super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn function() -> FunctionId {
    "f".parse().unwrap()
}

pub(super) fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

pub(super) fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 62, 0, 2], port))
}

/// A table with a known function and these instances.
pub(super) fn table(instances: &[&str]) -> Arc<Routes> {
    let routes = Arc::new(Routes::new(Parking { time: 10 * SECOND, waking: 60 * SECOND, requests: 3 }));
    routes.announce(&function(), Outlook::Coming);
    for (port, instance) in (1..).zip(instances) {
        routes.publish(&function(), &id(instance), at(port));
    }
    routes
}

/// A request that waits for an instance.
pub(super) fn park(routes: &Arc<Routes>) -> tokio::task::JoinHandle<Result<Lease, NoEndpoint>> {
    let routes = routes.clone();
    tokio::spawn(async move { routes.lease(&function()).await })
}

/// The last start failed, and the next one is so far off.
pub(super) fn backing_off(wait: Duration, is_permanent: bool) -> Outlook<Instant> {
    Outlook::BackingOff { until: Instant::now() + wait, is_permanent, reason: "exited with code 3".into() }
}

pub(super) fn waits(wait: Duration) -> NoEndpoint {
    NoEndpoint::BackingOff { function: function(), wait, reason: "exited with code 3".into() }
}

async fn is_drained(routes: &Routes, instance: &str) -> bool {
    timeout(SECOND, routes.drained(&function(), &id(instance)).wait()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn requests_go_to_the_instances_in_turn() {
    let routes = table(&["f-1", "f-2", "f-3"]);
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(routes.lease(&function()).await.unwrap().address().port());
    }
    assert_eq!(seen, [1, 2, 3, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_come_is_told_at_once_and_each_reason_is_told_apart() {
    let routes = table(&[]);
    let unknown: FunctionId = "nobody".parse().unwrap();
    let began = Instant::now();
    assert_eq!(routes.lease(&unknown).await.unwrap_err(), NoEndpoint::Unknown(unknown));
    for (outlook, refusal) in [
        (Outlook::KeptDown, NoEndpoint::KeptDown(function())),
        (Outlook::Failed("no image".into()), NoEndpoint::Failed(function(), "no image".into())),
        (backing_off(11 * SECOND, false), waits(11 * SECOND)),
        (backing_off(SECOND, true), waits(SECOND)),
    ] {
        routes.announce(&function(), outlook);
        assert_eq!(routes.lease(&function()).await.unwrap_err(), refusal);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_retracted_instance_is_drained_when_its_last_lease_is_given_back() {
    let routes = table(&["f-1", "f-2"]);
    let leases = [routes.lease(&function()).await.unwrap(), routes.lease(&function()).await.unwrap()];
    let [first, second] = leases;
    assert_eq!((first.instance().as_str(), second.instance().as_str()), ("f-1", "f-2"));
    routes.retract(&function(), &id("f-1"));
    assert!(!is_drained(&routes, "f-1").await);
    assert_eq!(routes.lease(&function()).await.unwrap().instance(), &id("f-2"), "no new request goes there");
    drop(second);
    assert!(!is_drained(&routes, "f-1").await, "the other one's requests are no matter");
    drop(first);
    assert!(is_drained(&routes, "f-1").await);
}

#[tokio::test(start_paused = true)]
async fn draining_is_told_at_the_moment_of_the_last_lease_and_not_before() {
    let routes = table(&["f-1"]);
    let (first, second) = (routes.lease(&function()).await.unwrap(), routes.lease(&function()).await.unwrap());
    routes.retract(&function(), &id("f-1"));
    let drained = tokio::spawn(routes.drained(&function(), &id("f-1")).wait());
    drop(first);
    sleep(SECOND).await;
    assert!(!drained.is_finished());
    drop(second);
    timeout(SECOND, drained).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_never_published_or_is_retracted_twice_is_drained() {
    let routes = table(&["f-1"]);
    assert!(is_drained(&routes, "f-9").await);
    for _ in 0..2 {
        routes.retract(&function(), &id("f-1"));
    }
    assert!(is_drained(&routes, "f-1").await);
    assert_eq!(routes.published(&function()), []);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_back_keeps_the_requests_that_it_had() {
    let routes = table(&["f-1"]);
    let old = routes.lease(&function()).await.unwrap();
    routes.retract(&function(), &id("f-1"));
    routes.publish(&function(), &id("f-1"), at(1));
    let new = routes.lease(&function()).await.unwrap();
    routes.retract(&function(), &id("f-1"));
    drop(new);
    assert!(!is_drained(&routes, "f-1").await, "one of before it was retracted the first time");
    drop(old);
    assert!(is_drained(&routes, "f-1").await);
}

#[tokio::test(start_paused = true)]
async fn publishing_twice_is_publishing_once() {
    let routes = table(&["f-1", "f-1"]);
    assert_eq!(routes.published(&function()), [id("f-1")]);
}

#[tokio::test(start_paused = true)]
async fn a_parked_request_gets_the_first_instance_that_is_published() {
    let routes = table(&[]);
    let parked = park(&routes);
    sleep(5 * SECOND).await;
    assert!(!parked.is_finished());
    routes.publish(&function(), &id("f-1"), at(1));
    assert_eq!(parked.await.unwrap().unwrap().instance(), &id("f-1"));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_parked_no_longer_than_its_time() {
    let routes = table(&[]);
    let began = Instant::now();
    let refused = routes.lease(&function()).await.unwrap_err();
    assert_eq!(refused, NoEndpoint::NotReady(function(), 10 * SECOND));
    assert_eq!(began.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_parked_than_there_is_room_and_whoever_leaves_makes_room() {
    let routes = table(&[]);
    let mut parked: Vec<_> = (0..3).map(|_| park(&routes)).collect();
    sleep(SECOND).await;
    assert_eq!(routes.lease(&function()).await.unwrap_err(), NoEndpoint::QueueFull(function(), 3));
    // A client that goes away drops its request.
    let gone = parked.remove(0);
    gone.abort();
    let _ = gone.await;
    parked.push(park(&routes));
    sleep(SECOND).await;
    assert!(parked.iter().all(|waiting| !waiting.is_finished()));
    routes.publish(&function(), &id("f-1"), at(1));
    for waiting in parked {
        waiting.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_functions_queue_takes_no_room_in_anothers() {
    let routes = table(&[]);
    let _parked: Vec<_> = (0..3).map(|_| park(&routes)).collect();
    sleep(SECOND).await;
    let other: FunctionId = "other".parse().unwrap();
    routes.announce(&other, Outlook::Coming);
    assert!(matches!(routes.lease(&other).await, Err(NoEndpoint::NotReady(..))));
}

#[tokio::test(start_paused = true)]
async fn parked_requests_are_told_at_once_when_their_function_is_deleted_also_if_it_is_deployed_again() {
    let routes = table(&[]);
    let parked = park(&routes);
    sleep(SECOND).await;
    let began = Instant::now();
    routes.forget(&function());
    routes.announce(&function(), Outlook::Coming);
    assert_eq!(parked.await.unwrap().unwrap_err(), NoEndpoint::Unknown(function()));
    assert_eq!(began.elapsed(), Duration::ZERO);
    routes.publish(&function(), &id("f-2"), at(2));
    assert!(routes.lease(&function()).await.is_ok());
}

/// Threads that lease and give back as fast as they can, while instances come and go: once an instance is drained, no
/// lease on it is left, and none is given any more.
#[test]
fn after_its_drain_nobody_holds_a_lease_however_they_race() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let routes = table(&["f-0"]);
        let (dead, stop) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicBool::new(false)));
        let calls = Arc::new(AtomicU64::new(0));
        let callers: Vec<_> = (0..6)
            .map(|_| {
                let (routes, dead, stop) = (routes.clone(), dead.clone(), stop.clone());
                let calls = calls.clone();
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let before = dead.lock().unwrap().clone();
                        let lease = match routes.lease(&function()).await {
                            Ok(lease) => lease,
                            // More callers than the table lets wait while the only instance is away for a moment.
                            Err(NoEndpoint::QueueFull(..)) => {
                                tokio::task::yield_now().await;
                                continue;
                            }
                            Err(other) => panic!("{other}"),
                        };
                        assert!(!before.contains(lease.instance()), "{} was drained before", lease.instance());
                        tokio::task::yield_now().await;
                        assert!(!dead.lock().unwrap().contains(lease.instance()), "drained under a lease");
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for generation in 1..400_u16 {
            let (old, new) = (id(&format!("f-{}", generation - 1)), id(&format!("f-{generation}")));
            routes.publish(&function(), &new, at(generation));
            routes.retract(&function(), &old);
            if generation % 3 == 0 {
                // Not ready for a moment, and back.
                routes.retract(&function(), &new);
                routes.publish(&function(), &new, at(generation));
            }
            routes.drained(&function(), &old).wait().await;
            dead.lock().unwrap().insert(old);
            // Too few calls would prove nothing: every instance gets some, however busy the machine is.
            while calls.load(Ordering::Relaxed) < 4 * u64::from(generation)
                && !callers.iter().any(tokio::task::JoinHandle::is_finished)
            {
                tokio::task::yield_now().await;
            }
        }
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

#[tokio::test(start_paused = true)]
async fn what_is_held_of_a_function_is_that_function_and_not_its_name() {
    let routes = table(&["f-1"]);
    let known = routes.find(&function()).unwrap();
    known.count_call(Duration::ZERO, false);
    drop(known.lease().await.unwrap());
    routes.forget(&function());
    assert!(known.is_deleted() && routes.find(&function()).is_none());
    assert_eq!(known.lease().await.unwrap_err(), NoEndpoint::Unknown(function()));
    routes.publish(&function(), &id("f-2"), at(9));
    let next = routes.find(&function()).unwrap();
    assert!(known.is_deleted() && !next.is_deleted() && !next.is(&known));
    assert_eq!((known.calls(), next.calls()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_function_is_as_busy_as_its_leases_and_its_queue_say() {
    let routes = table(&["f-1"]);
    let known = routes.find(&function()).unwrap();
    let leases = [known.lease().await.unwrap(), known.lease().await.unwrap()];
    assert_eq!(known.load(), Load { in_flight: 2, parked: 0 });
    routes.retract(&function(), &id("f-1"));
    let parked = park(&routes);
    sleep(SECOND).await;
    assert_eq!(known.load(), Load { in_flight: 2, parked: 1 }, "what leaves still works");
    drop(leases);
    parked.abort();
    let _ = parked.await;
    assert_eq!(known.load(), Load { in_flight: 0, parked: 0 });
}

#[tokio::test(start_paused = true)]
async fn only_counts_that_changed_are_to_be_kept() {
    let routes = table(&[]);
    routes.restore_count(&function(), 5);
    assert!(routes.calls_to_keep().is_empty(), "that is what was kept");
    routes.find(&function()).unwrap().count_call(Duration::ZERO, false);
    let changed = routes.calls_to_keep();
    assert_eq!(changed.iter().map(|(_, calls)| *calls).collect::<Vec<_>>(), [6]);
    changed[0].0.note_kept(6);
    assert!(routes.calls_to_keep().is_empty());
}
