//! Who waits, how long, in which order, and what a wait asks for.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::routes::tests::{SECOND, at, backing_off, function, id, park, table, waits};
use crate::routes::{Parking, Routes};

/// A table with a known function that is at zero.
fn at_zero(requests: usize) -> Arc<Routes> {
    let routes = Arc::new(Routes::new(Parking { time: 10 * SECOND, waking: 60 * SECOND, requests }));
    routes.announce(&function(), Outlook::AtZero);
    routes
}

/// An actor that answers demand once, after so long, and counts how often it was asked.
fn actor(routes: &Arc<Routes>, takes: Duration) -> tokio::task::JoinHandle<u32> {
    let routes = routes.clone();
    tokio::spawn(async move {
        let (entry, mut asked) = (routes.find(&function()).unwrap(), 0);
        while entry.demand().await {
            asked += 1;
            routes.announce(&function(), Outlook::Waking);
            sleep(takes).await;
            routes.publish(&function(), &id("f-1"), at(1));
        }
        asked
    })
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_at_zero_ask_for_one_start_and_are_answered_in_the_order_in_which_they_came() {
    let routes = at_zero(512);
    let actor = actor(&routes, 35 * SECOND);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut callers = Vec::new();
    for caller in 0..50 {
        let (routes, order) = (routes.clone(), order.clone());
        callers.push(tokio::spawn(async move {
            let lease = routes.lease(&function()).await.unwrap();
            order.lock().unwrap().push(caller);
            lease
        }));
        // Some come at once, others while the instance is being started.
        sleep(if caller < 25 { Duration::ZERO } else { SECOND }).await;
    }
    let mut leases = Vec::new();
    for caller in callers {
        leases.push(caller.await.unwrap());
    }
    assert!(leases.iter().all(|lease| *lease.instance() == id("f-1")));
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    assert_eq!(routes.find(&function()).unwrap().load().in_flight, 50);
    routes.forget(&function());
    assert_eq!(actor.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_waited_take_their_turn_before_those_who_come_later() {
    let routes = table(&[]);
    let parked: Vec<_> = (0..3).map(|_| park(&routes)).collect();
    sleep(SECOND).await;
    routes.publish(&function(), &id("f-1"), at(1));
    routes.publish(&function(), &id("f-2"), at(2));
    let load = routes.find(&function()).unwrap().load();
    assert_eq!((load.in_flight, load.parked), (3, 0), "before any of them has drawn breath");
    let _late = routes.lease(&function()).await.unwrap();
    for waiting in parked {
        assert_eq!(waiting.await.unwrap().unwrap().instance(), &id("f-1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_while_the_function_goes_to_rest_waits_as_long_as_one_that_wakes_it() {
    let routes = at_zero(3);
    routes.announce(&function(), Outlook::Coming);
    let began = Instant::now();
    let waiting = park(&routes);
    sleep(SECOND).await;
    routes.announce(&function(), Outlook::AtZero);
    assert!(routes.find(&function()).unwrap().demand().await, "it waits");
    routes.announce(&function(), Outlook::Waking);
    sleep(40 * SECOND).await;
    assert!(!waiting.is_finished());
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(matches!(refused, NoEndpoint::NotReady(..)), "{refused:?}");
    assert_eq!(began.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_as_long_as_what_it_found_is_worth() {
    for (outlook, patience) in [(Outlook::Coming, 10), (Outlook::AtZero, 60), (Outlook::Waking, 60)] {
        let routes = at_zero(3);
        routes.announce(&function(), outlook);
        let began = Instant::now();
        let refused = routes.lease(&function()).await.unwrap_err();
        assert_eq!(refused, NoEndpoint::NotReady(function(), patience * SECOND));
        assert_eq!(began.elapsed(), patience * SECOND);
        assert_eq!(routes.find(&function()).unwrap().load().parked, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_at_once_when_waiting_has_become_pointless() {
    for (outlook, refusal) in [
        (Outlook::KeptDown, NoEndpoint::KeptDown(function())),
        (Outlook::Failed("no image".into()), NoEndpoint::Failed(function(), "no image".into())),
        (backing_off(32 * SECOND, false), waits(32 * SECOND)),
        (backing_off(SECOND, true), waits(SECOND)),
    ] {
        let routes = at_zero(3);
        let parked = [park(&routes), park(&routes)];
        sleep(Duration::from_millis(1)).await;
        let until = match outlook {
            Outlook::BackingOff { is_permanent, .. } => backing_off(refusal.retry_after().unwrap(), is_permanent),
            other => other,
        };
        let began = Instant::now();
        routes.announce(&function(), until);
        for waiting in parked {
            assert_eq!(waiting.await.unwrap().unwrap_err(), refusal);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_near_is_waited_for_also_after_one_that_failed() {
    let routes = at_zero(3);
    let parked = park(&routes);
    sleep(SECOND).await;
    routes.announce(&function(), Outlook::Waking);
    routes.announce(&function(), backing_off(2 * SECOND, false));
    let late = park(&routes);
    sleep(2 * SECOND).await;
    routes.announce(&function(), Outlook::Waking);
    routes.publish(&function(), &id("f-2"), at(2));
    for waiting in [parked, late] {
        assert_eq!(waiting.await.unwrap().unwrap().instance(), &id("f-2"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_left_takes_nobodys_place_and_holds_no_lease() {
    let routes = at_zero(3);
    let (gone, stays) = (park(&routes), park(&routes));
    sleep(SECOND).await;
    gone.abort();
    let _ = gone.await;
    assert_eq!(routes.find(&function()).unwrap().load().parked, 1);
    routes.publish(&function(), &id("f-1"), at(1));
    // One more leaves between its answer and its next breath.
    stays.abort();
    let _ = stays.await;
    let load = routes.find(&function()).unwrap().load();
    assert_eq!((load.in_flight, load.parked), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn demand_is_a_state_it_is_there_while_a_call_waits_at_zero_and_no_longer() {
    let routes = at_zero(3);
    let entry = routes.find(&function()).unwrap();
    let is_there = async || timeout(SECOND, entry.demand()).await.ok();
    assert_eq!(is_there().await, None, "nobody calls");
    let parked = park(&routes);
    assert_eq!((is_there().await, is_there().await), (Some(true), Some(true)), "until something is done about it");
    routes.announce(&function(), Outlook::Waking);
    assert_eq!(is_there().await, None, "one is on its way");
    routes.announce(&function(), Outlook::AtZero);
    assert_eq!(is_there().await, Some(true), "scaled to zero under a call that waits");
    parked.abort();
    let _ = parked.await;
    assert_eq!(is_there().await, None, "its caller left");
    let _parked = park(&routes);
    routes.announce(&function(), Outlook::KeptDown);
    assert_eq!(is_there().await, None, "what is kept down is not asked for");
    routes.forget(&function());
    assert_eq!(is_there().await, Some(false));
}
