//! What happens when an actor itself panics. These tests stand inside the crate: no message of the product can do that.

use std::sync::Arc;
use std::time::Duration;

use actix::{Handler, Message, ResponseFuture, System};
use tokio::time::sleep;

use super::Registry;
use crate::actors::function::Function;
use crate::actors::messages::{Apply, Delete, Ping, Rest, Scale, To};
use crate::actors::{Context, Settings, Supervised};
use crate::engine::{Mode, Refused};
use crate::function::{Exit, FunctionId, Phase, SpecDraft, Tier};
use crate::host::fake::{Behaviour, FakeHost, Fault, Method, Rule};
use crate::routes::{Parking, Routes};
use crate::store::{Secrets, Store};

/// Makes a function's actor panic in its handler.
#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for Function {
    type Result = ();

    fn handle(&mut self, Panic: Panic, _: &mut actix::Context<Self>) {
        panic!("a bug in the actor");
    }
}

/// Asks the registry to make a function's actor panic.
#[derive(Message)]
#[rtype(result = "()")]
struct PanicIn(FunctionId);

impl Handler<PanicIn> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, PanicIn(id): PanicIn, _: &mut actix::Context<Self>) -> Self::Result {
        let actor = self.actor(&id);
        Box::pin(async move {
            if let Some(actor) = actor {
                let _ = actor.send(Panic).await;
            }
        })
    }
}

struct Platform {
    host: FakeHost,
    routes: Arc<Routes>,
    context: Arc<Context>,
    registry: Arc<Supervised<Registry>>,
    function: FunctionId,
}

impl Platform {
    async fn start(behaviour: Behaviour) -> Self {
        let host = FakeHost::new();
        host.publish_image("image:1", behaviour);
        let routes = Arc::new(Routes::new(Parking::default()));
        let secrets = Secrets::new(std::env::temp_dir().join("no-secrets"));
        let (store, runtime) = (Store::in_memory().unwrap(), tokio::runtime::Handle::current());
        let settings = Settings::default();
        let context = Context::new(host.host(), store, secrets, routes.clone(), settings, runtime);
        let registry = Registry::recover(context.clone()).await.unwrap();
        Self { host, routes, context, registry, function: "f".parse().unwrap() }
    }

    async fn deploy(&self) -> Result<(), Refused> {
        let draft = SpecDraft { image: "image:1".into(), ..SpecDraft::default() };
        let apply = To(self.function.clone(), Apply { spec: draft.try_into().unwrap(), mode: Mode::Create });
        self.registry.addr().send(apply).await.unwrap()
    }

    async fn panic(&self) {
        self.registry.addr().send(PanicIn(self.function.clone())).await.unwrap();
    }

    /// Lets it rest, once its actor is there and knows that it serves.
    async fn rest(&self) {
        let before = self.host.count(Method::RuntimeFreeze);
        while self.host.count(Method::RuntimeFreeze) == before {
            let _ = self.registry.addr().send(To(self.function.clone(), Rest(Tier::Frozen))).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn phase(&self) -> Option<Phase> {
        let view = self.context.status_cache.view(&self.function, self.context.uptime());
        view.map(|view| view.status.phase)
    }

    async fn settle(&self) {
        for _ in 0..1000 {
            sleep(Duration::from_millis(100)).await;
            let published = self.routes.published(&self.function).into_iter().collect();
            if self.host.running() == published && self.phase().await == Some(Phase::Ready) {
                return;
            }
        }
        panic!("never settled: {:?}, {:?}", self.host.leftovers(), self.phase().await);
    }
}

fn simulate(test: impl Future<Output = ()>) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(test);
}

#[test]
fn an_actor_that_panics_is_replaced_and_its_instance_serves_on_untouched() {
    simulate(async {
        let platform = Platform::start(Behaviour::new()).await;
        platform.deploy().await.unwrap();
        let before = platform.routes.published(&platform.function);
        for _ in 0..3 {
            platform.panic().await;
            assert_eq!(platform.routes.published(&platform.function), before, "requests go on meanwhile");
            platform.settle().await;
        }
        assert_eq!(platform.routes.published(&platform.function), before);
        assert_eq!(platform.host.count(Method::RuntimeStart), 1);
        assert!(platform.host.violations().is_empty());
    });
}

#[test]
fn the_successor_of_an_actor_that_panicked_heals_crashes_and_deletes() {
    simulate(async {
        let platform = Platform::start(Behaviour::new()).await;
        platform.deploy().await.unwrap();
        platform.panic().await;
        let crashed = platform.routes.published(&platform.function).remove(0);
        platform.host.exit(&crashed, Exit::Signal(9));
        platform.settle().await;
        assert_ne!(platform.routes.published(&platform.function), [crashed]);
        platform.registry.addr().send(To(platform.function.clone(), Delete)).await.unwrap().unwrap();
        for _ in 0..100 {
            sleep(Duration::from_secs(1)).await;
        }
        assert!(platform.host.leftovers().is_empty(), "{:?}", platform.host.leftovers());
    });
}

#[test]
fn a_call_that_waits_at_zero_is_answered_whenever_the_actor_panics() {
    simulate(async {
        let platform = Platform::start(Behaviour::new().ready_after(Duration::from_secs(1))).await;
        platform.deploy().await.unwrap();
        for step in 0..30 {
            let scale = To(platform.function.clone(), Scale { replicas: 0 });
            platform.registry.addr().send(scale).await.unwrap().unwrap();
            sleep(Duration::from_secs(100)).await;
            assert!(platform.host.running().is_empty());
            let call = async {
                sleep(Duration::from_millis(1)).await;
                platform.routes.lease(&platform.function).await
            };
            let panic = async {
                sleep(Duration::from_micros(step * 100)).await;
                platform.panic().await;
            };
            let (answer, ()) = futures_util::join!(call, panic);
            assert!(answer.is_ok(), "step {step}: {answer:?}");
            drop(answer);
            platform.settle().await;
        }
        assert_eq!(platform.host.violations(), Vec::<String>::new());
    });
}

#[test]
fn a_call_that_waits_for_a_thaw_is_answered_whenever_the_actor_or_the_registry_panics() {
    simulate(async {
        let platform = Platform::start(Behaviour::new()).await;
        platform.deploy().await.unwrap();
        let before = platform.routes.published(&platform.function);
        for step in 0..60 {
            // Half of them in the middle of freezing, the others in the middle of the thaw.
            let slow = if step % 2 == 0 { Method::RuntimeFreeze } else { Method::RuntimeThaw };
            platform.host.fault(Rule::on(slow, Fault::Delay(Duration::from_millis(2))));
            platform.rest().await;
            if slow == Method::RuntimeThaw {
                assert_eq!(platform.host.frozen().len(), 1);
            }
            let call = async || {
                sleep(Duration::from_millis(1)).await;
                platform.routes.lease(&platform.function).await
            };
            let panic = async {
                sleep(Duration::from_micros(step * 100)).await;
                platform.panic().await;
                if step % 3 == 0 {
                    let _ = platform.registry.addr().send(Panic).await;
                    // The next one who asks, as the watchdog does.
                    platform.registry.addr().send(Ping).await.unwrap();
                }
            };
            let calls = (0..10).map(|_| call());
            let (answers, ()) = futures_util::join!(futures_util::future::join_all(calls), panic);
            for answer in &answers {
                assert!(answer.is_ok(), "step {step}: {answer:?}");
            }
            assert!(platform.host.frozen().is_empty(), "step {step}: frozen under a call");
            drop(answers);
            platform.settle().await;
            platform.host.clear_faults();
        }
        assert_eq!(platform.routes.published(&platform.function), before);
        assert_eq!(platform.host.count(Method::RuntimeStart), 1);
        assert_eq!(platform.host.violations(), Vec::<String>::new());
    });
}

#[test]
fn an_actor_that_panics_in_the_middle_of_a_start_leaves_nothing_half_made() {
    simulate(async {
        let platform = Platform::start(Behaviour::new().ready_after(Duration::from_secs(5))).await;
        for step in 1..40 {
            let (registry, function) = (platform.registry.clone(), platform.function.clone());
            let deploy = platform.deploy();
            let panic = async move {
                sleep(Duration::from_micros(step * 700)).await;
                registry.addr().send(PanicIn(function)).await.unwrap();
            };
            let (answer, ()) = futures_util::join!(deploy, panic);
            assert!(matches!(answer, Ok(()) | Err(Refused::Busy(_) | Refused::Exists(_))), "{answer:?}");
            if platform.phase().await.is_some() {
                platform.settle().await;
            }
            let _ = platform.registry.addr().send(To(platform.function.clone(), Delete)).await.unwrap();
            sleep(Duration::from_secs(100)).await;
            assert!(platform.host.leftovers().is_empty(), "step {step}: {:?}", platform.host.leftovers());
            assert!(platform.registry.addr().send(Slots).await.unwrap().is_empty(), "step {step}: a slot is left");
        }
        assert_eq!(platform.host.violations(), Vec::<String>::new());
    });
}

impl Handler<Panic> for Registry {
    type Result = ();

    fn handle(&mut self, Panic: Panic, _: &mut actix::Context<Self>) {
        panic!("a bug in the registry");
    }
}

#[test]
fn a_registry_that_panics_is_replaced_and_its_functions_do_not_notice() {
    simulate(async {
        let platform = Platform::start(Behaviour::new()).await;
        platform.deploy().await.unwrap();
        let before = platform.routes.published(&platform.function);
        let _ = platform.registry.addr().send(Panic).await;
        assert_eq!(platform.phase().await, Some(Phase::Ready));
        assert_eq!(platform.routes.published(&platform.function), before);
        assert_eq!(platform.deploy().await, Err(Refused::Exists(platform.function.clone())));
        assert_eq!(platform.host.count(Method::RuntimeStart), 1);
    });
}

#[test]
fn a_function_and_the_registry_that_panic_together_are_both_replaced() {
    simulate(async {
        let platform = Platform::start(Behaviour::new()).await;
        platform.deploy().await.unwrap();
        for _ in 0..3 {
            platform.panic().await;
            let _ = platform.registry.addr().send(Panic).await;
            platform.settle().await;
        }
        assert_eq!(platform.host.count(Method::RuntimeStart), 1);
        platform.registry.addr().send(To(platform.function.clone(), Delete)).await.unwrap().unwrap();
        sleep(Duration::from_secs(200)).await;
        assert!(platform.host.leftovers().is_empty(), "{:?}", platform.host.leftovers());
        assert!(platform.registry.addr().send(Slots).await.unwrap().is_empty());
    });
}

#[test]
fn a_function_that_is_deleted_leaves_no_actor_behind() {
    simulate(async {
        let platform = Platform::start(Behaviour::new()).await;
        platform.deploy().await.unwrap();
        platform.registry.addr().send(To(platform.function.clone(), Delete)).await.unwrap().unwrap();
        sleep(Duration::from_secs(200)).await;
        assert!(platform.registry.addr().send(Slots).await.unwrap().is_empty());
        platform.deploy().await.unwrap();
        assert_eq!(platform.phase().await, Some(Phase::Ready));
    });
}

/// The functions that have an actor.
#[derive(Message)]
#[rtype(result = "Vec<FunctionId>")]
struct Slots;

impl Handler<Slots> for Registry {
    type Result = Vec<FunctionId>;

    fn handle(&mut self, Slots: Slots, _: &mut actix::Context<Self>) -> Vec<FunctionId> {
        self.with_actor()
    }
}
