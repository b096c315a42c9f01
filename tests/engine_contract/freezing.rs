//! Instances that sleep until the next call.

use std::cell::Cell;
use std::time::Duration;

use actord::function::{Phase, Status, Tier};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::fixture::{LONG, delete, id, rest, scale, served, serves, status, until, update};
use crate::subject::{Kind, Subject};

/// Callers, and calls of each, in the case that races.
const CALLERS: u64 = 50;
const CALLS: u64 = 40;

/// Lets so many instances serve, and freezes them.
async fn frozen<S: Subject>(s: &S, name: &str, replicas: u32) -> Status {
    serves(s, name, replicas).await;
    until("all are frozen", async || {
        rest(s, name, Tier::Frozen).await;
        sleep(Duration::from_millis(20)).await;
        status(s, name).await.frozen == replicas
    })
    .await;
    status(s, name).await
}

/// Calls the function, and says whether it is answered well.
async fn is_answered<S: Subject>(s: &S, name: &str) -> bool {
    let lease = timeout(LONG, s.routes().lease(&id(name))).await.expect("an answer comes").unwrap();
    s.answers(&lease).await
}

pub async fn what_rests_is_frozen_and_ready_and_a_call_thaws_it<S: Subject>(s: &mut S) {
    served(s, "f").await;
    for _ in 0..3 {
        let asleep = frozen(s, "f", 1).await;
        assert_eq!((asleep.phase, asleep.ready, asleep.frozen), (Phase::Frozen, 1, 1));
        let before = s.routes().published(&id("f"));
        assert!(is_answered(s, "f").await);
        until("it is told that it runs", async || status(s, "f").await.frozen == 0).await;
        let awake = status(s, "f").await;
        assert_eq!((awake.phase, awake.ready, awake.restarts), (Phase::Ready, 1, asleep.restarts));
        assert_eq!(s.routes().published(&id("f")), before);
    }
}

pub async fn what_has_a_request_is_not_frozen<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let lease = s.routes().lease(&id("f")).await.unwrap();
    for _ in 0..10 {
        rest(s, "f", Tier::Frozen).await;
        sleep(Duration::from_millis(20)).await;
        assert_eq!(status(s, "f").await.frozen, 0);
        assert!(s.answers(&lease).await);
    }
    drop(lease);
    frozen(s, "f", 1).await;
}

pub async fn what_is_frozen_is_updated_scaled_and_deleted_as_any_other<S: Subject>(s: &mut S) {
    served(s, "f").await;
    scale(s, "f", 2).await;
    frozen(s, "f", 2).await;
    scale(s, "f", 1).await;
    serves(s, "f", 1).await;
    scale(s, "f", 2).await;
    frozen(s, "f", 2).await;
    update(s, "f", Kind::HelloAgain).await.unwrap();
    serves(s, "f", 2).await;
    assert!(is_answered(s, "f").await);
    frozen(s, "f", 2).await;
    delete(s, "f").await;
    served(s, "f").await;
    assert!(is_answered(s, "f").await);
}

pub async fn what_was_frozen_serves_after_a_restart<S: Subject>(s: &mut S) {
    served(s, "f").await;
    frozen(s, "f", 1).await;
    s.restart().await;
    let status = serves(s, "f", 1).await;
    assert_eq!((status.phase, status.frozen, status.restarts), (Phase::Ready, 0, 0));
    assert!(is_answered(s, "f").await);
    frozen(s, "f", 1).await;
}

pub async fn calls_that_race_with_freezing_are_all_answered<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let s = &*s;
    let (over, failed, slept) = (Cell::new(false), Cell::new(0), Cell::new(0));
    let rests = async {
        let mut was_frozen = 0;
        while !over.get() {
            rest(s, "f", Tier::Frozen).await;
            sleep(Duration::from_millis(1)).await;
            let frozen = status(s, "f").await.frozen;
            slept.set(slept.get() + u64::from(frozen > was_frozen));
            was_frozen = frozen;
        }
    };
    let (over, failed) = (&over, &failed);
    let callers = join_all((0..CALLERS).map(|caller| async move {
        for call in 0..CALLS {
            // Some come together, and there are moments without any.
            sleep(Duration::from_millis((caller % 10 * 37 + call * 101) % 400)).await;
            if !is_answered(s, "f").await {
                failed.set(failed.get() + 1);
            }
        }
    }));
    let calls = async {
        callers.await;
        over.set(true);
    };
    tokio::join!(rests, calls);
    let slept = slept.get();
    println!("{} calls, {} failed, it was frozen at least {slept} times", CALLERS * CALLS, failed.get());
    assert_eq!(failed.get(), 0);
    assert!(slept > 20, "too tame: it was frozen {slept} times");
    assert_eq!(status(s, "f").await.restarts, 0);
}
