//! A scaler that panics, an engine that does not answer, and how much is asked of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actord::actors::LocalEngine;
use actord::engine::{Changes, Engine, Mode, Refused, Used, View};
use actord::function::{FunctionId, Generation, Namespace, Phase, Spec, Tier};
use async_trait::async_trait;

use crate::house::{House, MINUTE, SECOND, ZERO, usual};
use crate::platform::{Platform, id, simulate};

/// The engine, with something wrong.
struct Faulty {
    engine: LocalEngine,
    /// The next call to rest panics.
    panics: AtomicBool,
    /// No question about this function's cpu time is answered.
    stuck: Option<FunctionId>,
    /// How often the scaler asked for something.
    asked: Arc<AtomicUsize>,
}

impl Faulty {
    fn count(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Engine for Faulty {
    async fn apply(&self, id: FunctionId, spec: Spec, mode: Mode) -> Result<(), Refused> {
        self.engine.apply(id, spec, mode).await
    }

    async fn delete(&self, id: &FunctionId) -> Result<(), Refused> {
        self.engine.delete(id).await
    }

    async fn rollback(&self, id: &FunctionId, to: Option<Generation>) -> Result<(), Refused> {
        self.engine.rollback(id, to).await
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), Refused> {
        self.engine.scale(id, replicas).await
    }

    async fn keep_down(&self, id: &FunctionId, down: bool) -> Result<(), Refused> {
        self.engine.keep_down(id, down).await
    }

    async fn adjust(&self, id: &FunctionId, wanted: u32, reason: String) -> Result<(), Refused> {
        self.count();
        self.engine.adjust(id, wanted, reason).await
    }

    async fn rest(&self, id: &FunctionId, tier: Tier) -> Result<(), Refused> {
        self.count();
        assert!(!self.panics.swap(false, Ordering::Relaxed), "a scripted panic");
        self.engine.rest(id, tier).await
    }

    async fn get(&self, id: &FunctionId) -> Result<Option<View>, Refused> {
        self.count();
        self.engine.get(id).await
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<View>, Refused> {
        self.engine.list(namespace).await
    }

    async fn measure(&self, only: Option<&FunctionId>) -> Vec<(FunctionId, Used)> {
        self.engine.measure(only).await
    }

    async fn cpu_time(&self, id: &FunctionId) -> Option<Duration> {
        self.count();
        if self.stuck.as_ref() == Some(id) {
            std::future::pending::<()>().await;
        }
        self.engine.cpu_time(id).await
    }

    fn watch(&self, after: Option<u64>) -> Changes {
        self.engine.watch(after)
    }
}

async fn house(panics: bool, stuck: Option<&str>) -> (House, Arc<AtomicUsize>) {
    let platform = Platform::start().await;
    let (engine, panics, asked) = (platform.engine.clone(), AtomicBool::new(panics), Arc::default());
    let engine = Arc::new(Faulty { engine, panics, stuck: stuck.map(id), asked: Arc::clone(&asked) });
    (House::over(platform, engine, usual()), asked)
}

#[test]
fn a_scaler_that_panics_starts_over_and_says_so() {
    simulate(async {
        let (house, _) = house(true, None).await;
        house.serve("f", "good:1", &[ZERO]).await;
        house.until_phase("f", Phase::Frozen).await;
        assert_eq!(house.metric("actord_scaler_restarts_total", &[]), Some(1.0));
        house.until_phase("f", Phase::Idle).await;
        assert_eq!(house.metric("actord_scaler_restarts_total", &[]), Some(1.0));
    });
}

#[test]
fn a_function_of_which_nothing_is_answered_holds_up_no_other() {
    simulate(async {
        let (house, _) = house(false, Some("stuck")).await;
        for name in ["stuck", "f"] {
            house.serve(name, "good:1", &[ZERO]).await;
        }
        assert!(house.until_phase("f", Phase::Frozen).await < 40 * SECOND);
        tokio::time::sleep(5 * MINUTE).await;
        assert_eq!(house.phase("stuck").await, Some(Phase::Ready));
        house.scaler.stop().await;
    });
}

#[test]
fn of_an_engine_whose_functions_ask_for_nothing_nothing_is_asked_and_little_where_they_rest() {
    simulate(async {
        let (house, asked) = house(false, None).await;
        // At its start it looks at what there is.
        tokio::time::sleep(SECOND).await;
        for n in 0..50 {
            house.serve(&format!("f-{n}"), "good:1", &[]).await;
        }
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        for n in 0..10 {
            house.serve(&format!("sleeper-{n}"), "good:1", &[ZERO]).await;
        }
        tokio::time::sleep(60 * MINUTE).await;
        let all = asked.load(Ordering::Relaxed);
        assert!((40..=60).contains(&all), "of ten functions two looks at the cpu time and two tiers each: {all}");
    });
}
