//! Sheds load while the memory of the machine is short: reads how short it is, and does what
//! [`function::Pressure`](crate::function::Pressure) decides, in its order.
//!
//! ```text
//! every 2 s: host -> Pressure (pure) -> Ahead:    the pool of warm attachments is not refilled
//!                                       Calls:    whoever sends asynchronous calls sees it in `Engine::shedding`
//!                                       Sleepers: some that are frozen, and may go to zero, are told to (`Rest`)
//!                                       Spares:   functions that keep spares are told to keep none (`Lean`)
//! ```
//! Each round tells again what holds, so what is missed once, or belongs to an actor that is new, comes with the next.
//! While anything is shed, its job of the housekeeping counts as failing: it is in the log, in the metrics and on `/readyz`.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};
use tokio::sync::Mutex;

use super::housekeeping::{self, table};
use super::messages::{Lean, Rest, To};
use super::{Context, LocalEngine, Registry, Supervised};
use crate::engine::Refused;
use crate::function::{Desired, FunctionId, Memory, Pressure, Resting, Shedding, Tier, sleepers_to_stop};

/// What is shed, for the metrics and for those who ask.
#[derive(Debug)]
pub(super) struct PressureMeters {
    now: RwLock<Shedding>,
    step: IntGauge,
    sleepers: IntCounter,
    spares: IntCounter,
    shed: IntCounterVec,
}

impl PressureMeters {
    #[expect(clippy::expect_used, reason = "names and labels are written here, and can't be wrong")]
    pub(super) fn new() -> Self {
        let help = "What is shed while the machine's memory is short: 0 nothing, 4 all that may be";
        let step = IntGauge::new("actord_memory_shedding_step", help).expect("a metric");
        let opts = Opts::new("actord_memory_shed_total", "Functions that were told to shed something, by what");
        let shed = IntCounterVec::new(opts, &["what"]).expect("a metric");
        let (sleepers, spares) = (shed.with_label_values(&["sleeper"]), shed.with_label_values(&["spares"]));
        Self { now: RwLock::default(), step, sleepers, spares, shed }
    }

    pub(super) fn shedding(&self) -> Shedding {
        *self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, now: Shedding) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
        self.step.set(now as i64);
    }

    pub(super) fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.step.clone()))?;
        registry.register(Box::new(self.shed.clone()))
    }
}

/// Memory is short.
#[derive(Debug, thiserror::Error)]
#[error("memory is short ({}): {}", seen(*.0), .1.words())]
struct Short(Memory, Shedding);

fn seen(memory: Memory) -> String {
    match memory {
        Memory::Waited(time) => format!("{}.{:02} % of ten seconds some process waited for it", time / 100, time % 100),
        Memory::Left(percent) => format!("{percent} % of it are left"),
    }
}

/// What is kept from round to round.
struct Shedder {
    registry: Weak<Supervised<Registry>>,
    usual: Resting,
    pressure: Pressure,
    /// Those that keep no spares just now, as they were told.
    lean: BTreeSet<FunctionId>,
    /// Whether it was said that nothing can be seen.
    blind: bool,
}

impl LocalEngine {
    /// Sheds load from now on while processes of this machine wait for memory for `percent` of the time or longer. `usual`: what
    /// holds for functions that may go to zero and say no more about it. With 0 it never does.
    pub fn shed_load(&self, percent: u8, usual: Resting) {
        if percent == 0 {
            return;
        }
        let registry = Arc::downgrade(&self.registry);
        let (pressure, lean) = (Pressure::new(percent), BTreeSet::new());
        let shedder = Arc::new(Mutex::new(Shedder { registry, usual, pressure, lean, blind: false }));
        housekeeping::with(&self.context, &table::PRESSURE, move |context| {
            let shedder = shedder.clone();
            async move { shedder.lock().await.round(&context).await }
        });
    }
}

impl Shedder {
    async fn round(&mut self, context: &Context) -> Result<(), Short> {
        let Some(registry) = self.registry.upgrade() else { return Ok(()) };
        let gauge = context.host.memory.clone();
        let look = context.call(|| "look how short memory is".into(), async move { gauge.memory().await });
        let memory = match look.await {
            Ok(memory) => memory,
            // As it was is as good a guess as any.
            Err(error) => {
                if !std::mem::replace(&mut self.blind, true) {
                    tracing::warn!(%error, "no load can be shed where it is not known how short memory is");
                }
                return Ok(());
            }
        };
        let (before, now) = (self.pressure.shedding(), self.pressure.on(memory, context.uptime()));
        if before != now {
            tracing::warn!(memory = seen(memory), "{}", now.words());
        }
        context.pressure.note(now);
        context.network.hold_refills(now >= Shedding::Ahead);
        if now >= Shedding::Sleepers {
            self.stop_sleepers(context, &registry).await;
        }
        self.shed_spares(context, &registry, now >= Shedding::Spares).await;
        if now == Shedding::Nothing { Ok(()) } else { Err(Short(memory, now)) }
    }

    /// Stops some of those that sleep and may be stopped.
    async fn stop_sleepers(&self, context: &Context, registry: &Supervised<Registry>) {
        let asleep = context.status_cache.select(|status| {
            let all = status.frozen > 0 && status.frozen == status.ready;
            let spec = status.desired.as_ref().map(Desired::serving_spec);
            all && spec.is_some_and(|spec| spec.resting(self.usual).zero_after.is_some())
        });
        let idle = |id: &FunctionId| context.routes.find(id).map(|entry| entry.idle_for());
        let asleep = asleep.into_iter().filter_map(|id| Some((idle(&id)?, id)));
        // One that is being called is on its way up.
        for id in sleepers_to_stop(asleep.filter(|(idle, _)| *idle > Duration::ZERO).collect()) {
            match registry.addr().send(To(id.clone(), Rest(Tier::Stopped))).await {
                Ok(Ok(())) => {
                    context.pressure.sleepers.inc();
                    tracing::info!(function = %id, "it slept, and is stopped: memory is short");
                }
                refused => tracing::debug!(function = %id, ?refused, "can't be stopped just now"),
            }
        }
    }

    /// Tells functions with spares to keep none, and those that were told so that they may again.
    async fn shed_spares(&mut self, context: &Context, registry: &Supervised<Registry>, shed: bool) {
        let told = if shed {
            context.status_cache.select(|status| status.spares > 0)
        } else {
            self.lean.iter().cloned().collect()
        };
        for id in told {
            match registry.addr().send(To(id.clone(), Lean(shed))).await {
                Ok(Ok(())) if shed => {
                    context.pressure.spares.inc();
                    self.lean.insert(id);
                }
                Ok(Ok(()) | Err(Refused::NotFound(_))) => drop(self.lean.remove(&id)),
                refused => tracing::debug!(function = %id, ?refused, "can't be told of its spares just now"),
            }
        }
    }
}
