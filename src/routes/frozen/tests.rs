use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::function::Outlook;
use crate::routes::tests::{SECOND, at, function, id, park, table};
use crate::routes::{Load, NoEndpoint, Parking, Routes};

const MOMENT: Duration = Duration::from_millis(1);

async fn is_called(routes: &Routes, instance: &str) -> bool {
    timeout(MOMENT, routes.called(&function(), &id(instance))).await.is_ok()
}

/// A table with these instances, all frozen.
fn frozen(instances: &[&str]) -> Arc<Routes> {
    let routes = table(instances);
    assert!(instances.iter().all(|instance| routes.freeze(&function(), &id(instance))));
    routes
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_a_lease_is_not_frozen_nor_is_one_that_is_not_published() {
    let routes = table(&["f-1"]);
    let entry = routes.find(&function()).unwrap();
    let lease = entry.lease().await.unwrap();
    assert!(!routes.freeze(&function(), &id("f-1")));
    drop(lease);
    assert!(!routes.freeze(&function(), &id("f-9")));
    assert!(!routes.freeze(&"other".parse().unwrap(), &id("f-1")));
    assert_eq!(entry.frozen(), 0);
    assert!(routes.freeze(&function(), &id("f-1")));
    assert!(!routes.freeze(&function(), &id("f-1")), "it is so by another call");
    assert_eq!(entry.frozen(), 1);
    routes.retract(&function(), &id("f-1"));
    assert_eq!(entry.frozen(), 0);
    routes.thaw(&function(), &id("f-1"));
    assert!(!routes.freeze(&function(), &id("f-1")), "it leaves");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_thaw_and_its_wait_is_told() {
    let routes = frozen(&["f-1"]);
    let entry = routes.find(&function()).unwrap();
    assert!(!is_called(&routes, "f-1").await, "no request");
    assert!(entry.take().is_err());
    assert!(!is_called(&routes, "f-1").await, "it went away");
    let waiting = park(&routes);
    assert!(is_called(&routes, "f-1").await && is_called(&routes, "f-1").await, "until it is thawed");
    assert!(!waiting.is_finished());
    assert_eq!(entry.load(), Load { in_flight: 0, parked: 1 });
    routes.thaw(&function(), &id("f-1"));
    let lease = waiting.await.unwrap().unwrap();
    assert_eq!((lease.instance(), entry.load()), (&id("f-1"), Load { in_flight: 1, parked: 0 }));
    assert!(!routes.freeze(&function(), &id("f-1")), "it has a lease");
    assert!(entry.take().is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_given_to_one_that_is_published_frozen_and_goes_on_after_its_thaw() {
    let routes = table(&["f-1"]);
    let old = routes.lease(&function()).await.unwrap();
    routes.retract(&function(), &id("f-1"));
    old.retracted().await;
    let parked = park(&routes);
    sleep(MOMENT).await;
    routes.publish_frozen(&function(), &id("f-2"), at(2));
    sleep(MOMENT).await;
    assert!(!parked.is_finished() && is_called(&routes, "f-2").await);
    // One that comes back has its mark, too, whatever it had before.
    routes.publish_frozen(&function(), &id("f-1"), at(1));
    assert_eq!(routes.find(&function()).unwrap().frozen(), 2);
    routes.thaw(&function(), &id("f-2"));
    assert_eq!(parked.await.unwrap().unwrap().instance(), &id("f-2"));
    routes.thaw(&function(), &id("f-1"));
    assert_eq!(routes.find(&function()).unwrap().frozen(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_told_at_the_moment_in_which_it_comes() {
    let routes = frozen(&["f-1"]);
    let watch = tokio::spawn({
        let routes = routes.clone();
        async move { routes.called(&function(), &id("f-1")).await }
    });
    sleep(100 * SECOND).await;
    assert!(!watch.is_finished());
    let (begun, _waiting) = (Instant::now(), park(&routes));
    watch.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_one_thaw_go_on_in_the_order_in_which_they_came_however_many_they_are() {
    let routes = frozen(&["f-1"]);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let callers: Vec<_> = (0..50)
        .map(|caller| {
            let (routes, order) = (routes.clone(), order.clone());
            tokio::spawn(async move {
                let _lease = routes.lease(&function()).await.unwrap();
                order.lock().unwrap().push(caller);
            })
        })
        .collect();
    sleep(MOMENT).await;
    routes.thaw(&function(), &id("f-1"));
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_awake_and_free_is_preferred_to_a_thaw_and_a_thaw_to_a_busy_one() {
    let routes = table(&["f-1", "f-2", "f-3"]);
    for frozen in ["f-1", "f-2"] {
        assert!(routes.freeze(&function(), &id(frozen)));
    }
    let entry = routes.find(&function()).unwrap();
    for _ in 0..6 {
        assert_eq!(entry.lease().await.unwrap().instance(), &id("f-3"), "one after the other");
    }
    let first = entry.lease().await.unwrap();
    assert_eq!(first.instance(), &id("f-3"));
    let second = park(&routes);
    assert!(is_called(&routes, "f-2").await && !is_called(&routes, "f-1").await, "it is the next in turn");
    routes.thaw(&function(), &id("f-2"));
    assert_eq!(second.await.unwrap().unwrap().instance(), &id("f-2"));
}

#[tokio::test(start_paused = true)]
async fn many_callers_wake_every_instance_in_turn() {
    let routes = frozen(&["f-1", "f-2", "f-3"]);
    let waiting: Vec<_> = (0..6).map(|_| park(&routes)).collect();
    sleep(MOMENT).await;
    for instance in ["f-1", "f-2", "f-3"] {
        assert!(is_called(&routes, instance).await);
        routes.thaw(&function(), &id(instance));
    }
    let mut served = Vec::new();
    for waiting in waiting {
        served.push(waiting.await.unwrap().unwrap().instance().clone());
    }
    assert_eq!(served, ["f-1", "f-2", "f-3", "f-1", "f-2", "f-3"].map(id));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_frozen_instance_is_retracted_goes_to_another_or_is_parked() {
    let routes = frozen(&["f-1"]);
    let waiting = park(&routes);
    sleep(MOMENT).await;
    routes.publish(&function(), &id("f-2"), at(2));
    sleep(MOMENT).await;
    assert!(!waiting.is_finished(), "it waits for its own");
    routes.retract(&function(), &id("f-1"));
    assert!(is_called(&routes, "f-1").await, "what leaves is thawed");
    assert_eq!(waiting.await.unwrap().unwrap().instance(), &id("f-2"));
    timeout(MOMENT, routes.drained(&function(), &id("f-1")).wait()).await.expect("no request is left");
    assert!(routes.freeze(&function(), &id("f-2")));
    let waiting = park(&routes);
    sleep(MOMENT).await;
    routes.retract(&function(), &id("f-2"));
    sleep(MOMENT).await;
    assert_eq!(routes.find(&function()).unwrap().load(), Load { in_flight: 0, parked: 1 });
    routes.publish(&function(), &id("f-3"), at(3));
    assert_eq!(waiting.await.unwrap().unwrap().instance(), &id("f-3"));
}

#[tokio::test(start_paused = true)]
async fn a_request_on_a_frozen_instance_is_told_at_once_when_its_function_is_deleted() {
    let routes = frozen(&["f-1"]);
    let waiting = park(&routes);
    sleep(MOMENT).await;
    let begun = Instant::now();
    routes.forget(&function());
    assert_eq!(waiting.await.unwrap().unwrap_err(), NoEndpoint::Unknown(function()));
    assert!(is_called(&routes, "f-1").await);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_thaw_is_waited_for_as_long_as_a_start_and_no_longer() {
    let routes = frozen(&["f-1"]);
    let begun = Instant::now();
    let refused = routes.lease(&function()).await.unwrap_err();
    assert_eq!((refused, begun.elapsed()), (NoEndpoint::NotReady(function(), 60 * SECOND), 60 * SECOND));
    assert_eq!(routes.find(&function()).unwrap().load().parked, 0);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_back_is_awake() {
    let routes = frozen(&["f-1"]);
    routes.retract(&function(), &id("f-1"));
    routes.publish(&function(), &id("f-1"), at(1));
    assert!(routes.find(&function()).unwrap().take().is_ok());
    assert!(is_called(&routes, "f-1").await, "it needs no thaw to be waited for");
}

#[tokio::test(start_paused = true)]
async fn a_function_is_idle_since_its_last_request_left() {
    let routes = table(&["f-1", "f-2"]);
    let entry = routes.find(&function()).unwrap();
    sleep(5 * SECOND).await;
    assert_eq!(entry.idle_for(), 5 * SECOND);
    let leases = [entry.lease().await.unwrap(), entry.lease().await.unwrap()];
    sleep(5 * SECOND).await;
    assert_eq!(entry.idle_for(), Duration::ZERO, "a web socket that says nothing is no idleness");
    let [first, second] = leases;
    drop(first);
    sleep(5 * SECOND).await;
    assert_eq!(entry.idle_for(), Duration::ZERO);
    drop(second);
    sleep(5 * SECOND).await;
    assert_eq!(entry.idle_for(), 5 * SECOND);
    assert!(routes.freeze(&function(), &id("f-1")) && routes.freeze(&function(), &id("f-2")));
    sleep(5 * SECOND).await;
    assert_eq!(entry.idle_for(), 10 * SECOND, "it sleeps on");
    let waiting = park(&routes);
    sleep(SECOND).await;
    assert_eq!(entry.idle_for(), Duration::ZERO, "a call waits");
    waiting.abort();
    let _ = waiting.await;
    sleep(SECOND).await;
    assert_eq!(entry.idle_for(), SECOND);
    routes.publish(&function(), &id("f-3"), at(3));
    assert_eq!(entry.idle_for(), Duration::ZERO, "it counts anew");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_parked_or_leaves_keeps_a_function_from_idleness() {
    let routes = table(&["f-1"]);
    let entry = routes.find(&function()).unwrap();
    let lease = entry.lease().await.unwrap();
    routes.retract(&function(), &id("f-1"));
    sleep(5 * SECOND).await;
    assert_eq!(entry.idle_for(), Duration::ZERO, "its instance drains");
    drop(lease);
    let parked = park(&routes);
    sleep(5 * SECOND).await;
    assert_eq!(entry.idle_for(), Duration::ZERO);
    assert!(matches!(parked.await.unwrap(), Err(NoEndpoint::NotReady(..))));
    sleep(5 * SECOND).await;
    assert_eq!(entry.idle_for(), 5 * SECOND, "nobody waits any more");
}

/// Fifty callers, and a task for each instance that freezes it whenever it can and thaws it when it is told: while a caller
/// holds its lease the instance is never marked, and every caller is served.
#[test]
fn no_caller_ever_meets_a_frozen_instance_however_they_race() {
    const CALLS: u64 = 40_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let routes = Arc::new(Routes::new(Parking::default()));
        routes.announce(&function(), Outlook::Coming);
        let (stop, calls, waited) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new((stop, calls, waited));
        // Whether each process runs, as a host would see it.
        let asleep: Arc<[AtomicBool; 2]> = Arc::default();
        let mut tasks = Vec::new();
        for (number, port) in [(0, 1), (1, 2)] {
            let instance = id(&format!("f-{port}"));
            routes.publish(&function(), &instance, at(port));
            let (routes, shared, asleep) = (routes.clone(), shared.clone(), asleep.clone());
            tasks.push(tokio::spawn(async move {
                let mut freezes = 0_u64;
                while !shared.0.load(Ordering::Relaxed) {
                    if routes.freeze(&function(), &instance) {
                        asleep[number].store(true, Ordering::SeqCst);
                        freezes += 1;
                        routes.called(&function(), &instance).await;
                        asleep[number].store(false, Ordering::SeqCst);
                        routes.thaw(&function(), &instance);
                    }
                    tokio::task::yield_now().await;
                }
                freezes
            }));
        }
        let callers = (0..50).map(|_| {
            let (routes, shared, asleep) = (routes.clone(), shared.clone(), asleep.clone());
            tokio::spawn(async move {
                let entry = routes.find(&function()).unwrap();
                while shared.1.fetch_add(1, Ordering::Relaxed) < CALLS {
                    let lease = match entry.take() {
                        Ok(lease) => lease,
                        Err(wait) => {
                            shared.2.fetch_add(1, Ordering::Relaxed);
                            wait.end().await.unwrap()
                        }
                    };
                    let number = usize::from(lease.address().port()) - 1;
                    for _ in 0..2 {
                        assert!(!asleep[number].load(Ordering::SeqCst), "sent to a process that is frozen");
                        tokio::task::yield_now().await;
                    }
                    drop(lease);
                    // So that there are moments without a request.
                    sleep(Duration::from_micros(50)).await;
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
        shared.0.store(true, Ordering::Relaxed);
        let mut freezes = Vec::new();
        for (task, port) in tasks.into_iter().zip([1, 2]) {
            routes.retract(&function(), &id(&format!("f-{port}")));
            freezes.push(task.await.unwrap());
        }
        let waited = shared.2.load(Ordering::Relaxed);
        println!("{CALLS} calls, {waited} waited for a thaw, {freezes:?} freezes");
        assert!(freezes.iter().all(|freezes| *freezes > 100) && waited > 100, "too tame: {waited}, {freezes:?}");
    });
}
