//! A panic anywhere is a try that failed, or a dispatcher that starts over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actord::engine::{Changes, Engine, Mode, Refused, Used, View};
use actord::function::{FunctionId, Generation, Namespace, Shedding, Spec, Tier};
use actord::queue::fake::{Functions, Step};
use actord::queue::{Calls, State};
use async_trait::async_trait;
use tokio::time::sleep;

use crate::house::{House, MINUTE, SECOND, usual};
use crate::platform::{Platform, simulate};

#[test]
fn a_panic_of_what_sends_a_call_is_a_try_that_failed() {
    simulate(async {
        let house = House::start().await;
        house.serve("f", &[]).await;
        house.script("f", [Step::panics()]);
        let one = house.accept("f").await;
        let done = house.until_state(one, State::Done).await;
        assert_eq!((done.call.called, done.attempts[0].status), (2, Some(502)));
    });
}

/// Of this function the engine can't say how it stands.
const UNKNOWN: &str = "unknown";

/// An engine that panics when it is asked what it sheds, or how that one stands, once it is told to.
struct Trap {
    engine: Arc<dyn Engine>,
    set: Arc<AtomicBool>,
}

#[async_trait]
impl Engine for Trap {
    async fn apply(&self, id: FunctionId, spec: Spec, mode: Mode) -> Result<(), Refused> {
        self.engine.apply(id, spec, mode).await
    }
    async fn rollback(&self, id: &FunctionId, to: Option<Generation>) -> Result<(), Refused> {
        self.engine.rollback(id, to).await
    }
    async fn delete(&self, id: &FunctionId) -> Result<(), Refused> {
        self.engine.delete(id).await
    }
    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), Refused> {
        self.engine.scale(id, replicas).await
    }
    async fn keep_down(&self, id: &FunctionId, down: bool) -> Result<(), Refused> {
        self.engine.keep_down(id, down).await
    }
    async fn adjust(&self, id: &FunctionId, wanted: u32, reason: String) -> Result<(), Refused> {
        self.engine.adjust(id, wanted, reason).await
    }
    async fn rest(&self, id: &FunctionId, tier: Tier) -> Result<(), Refused> {
        self.engine.rest(id, tier).await
    }
    async fn get(&self, id: &FunctionId) -> Result<Option<View>, Refused> {
        if id.name.as_str() == UNKNOWN {
            assert!(!self.set.swap(false, Ordering::Relaxed), "as the test says");
            return Err(Refused::NotFound(id.clone()));
        }
        self.engine.get(id).await
    }
    async fn list(&self, namespace: &Namespace) -> Result<Vec<View>, Refused> {
        self.engine.list(namespace).await
    }
    async fn measure(&self, only: Option<&FunctionId>) -> Vec<(FunctionId, Used)> {
        self.engine.measure(only).await
    }
    async fn cpu_time(&self, id: &FunctionId) -> Option<Duration> {
        self.engine.cpu_time(id).await
    }
    fn shedding(&self) -> Shedding {
        assert!(!self.set.swap(false, Ordering::Relaxed), "as the test says");
        self.engine.shedding()
    }
    fn watch(&self, after: Option<u64>) -> Changes {
        self.engine.watch(after)
    }
}

/// A house over such an engine, with the function f; and what sets the trap.
async fn trapped() -> (House, Arc<AtomicBool>) {
    let platform = Platform::start().await;
    let set = Arc::new(AtomicBool::new(false));
    let engine = Arc::new(Trap { engine: Arc::new(platform.engine.clone()), set: set.clone() });
    let functions = Functions::over(platform.routes.clone());
    let house = House::over(platform, engine, Calls::in_memory().unwrap(), functions, usual()).await;
    house.serve("f", &[]).await;
    (house, set)
}

#[test]
fn what_was_answered_outlives_a_panic_of_the_dispatcher_and_is_not_sent_again() {
    simulate(async {
        let (house, set) = trapped().await;
        house.serve(UNKNOWN, &[]).await;
        house.script("f", [Step::answers(200).after(10 * SECOND), Step::answers(500).after(10 * SECOND)]);
        let ids = house.accept_many("f", 2).await;
        let asked = house.accept(UNKNOWN).await;
        house.when("they are under way", async |house| house.began("f").len() == 2).await;
        house.calls.refuse_writes(true).await.unwrap();
        house.when("they have answered", async |house| house.functions.answered().len() == 2).await;
        set.store(true, Ordering::Relaxed);
        let restarts = "actord_queue_restarts_total ";
        house.when("it panics", async |house| house.metric(restarts) == Some(1.0)).await;
        sleep(MINUTE).await;
        assert_eq!((house.began("f").len(), house.queue.faults().len()), (2, 1), "nothing is sent");
        house.calls.refuse_writes(false).await.unwrap();
        for (one, called) in ids.into_iter().zip([1, 2]) {
            assert_eq!(house.until_state(one, State::Done).await.call.called, called);
        }
        assert_eq!(house.began("f").len(), 3, "only what has failed is tried again");
        assert_eq!((house.state(asked).await, house.metric(restarts)), (State::Waiting, Some(1.0)));
    });
}

#[test]
fn a_dispatcher_that_panics_starts_over_with_what_is_on_the_disk() {
    simulate(async {
        let (house, set) = trapped().await;
        house.script("f", [Step::hangs(), Step::hangs()]);
        let ids = house.accept_many("f", 2).await;
        house.when("they are under way", async |house| house.began("f").len() == 2).await;
        set.store(true, Ordering::Relaxed);
        let last = house.accept("f").await;
        for one in ids.into_iter().chain([last]) {
            let done = house.until_state(one, State::Done).await;
            assert_eq!(done.call.called, 1);
        }
        assert_eq!(house.metric("actord_queue_restarts_total "), Some(1.0));
    });
}
