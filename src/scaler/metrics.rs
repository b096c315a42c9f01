//! What the scaler sees, decides and does. Functions that are scaled no more leave with their labels.

use prometheus::core::Collector;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::function::scaling::{Decision, Reason};
use crate::function::{FunctionId, LoadType, Tier};

const FUNCTION: &str = "function_name";
const LOADS: [LoadType; 3] = [LoadType::Rps, LoadType::Capacity, LoadType::Cpu];
const REASONS: [&str; 8] = ["running", "load", "step", "enough", "by_hand", "bounds", "limit", "tried_again"];

/// What is shown of a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shown {
    load: Option<(LoadType, f64)>,
    wanted: u32,
    reason: &'static str,
}

impl From<&Decision> for Shown {
    fn from(Decision { wanted, reason, load, .. }: &Decision) -> Self {
        let load = load.map(|measured| (measured.load, measured.total));
        Self { load, wanted: *wanted, reason: reason_name(reason) }
    }
}

impl Shown {
    fn load_type(&self) -> Option<LoadType> {
        self.load.map(|(load, _)| load)
    }
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    load: GaugeVec,
    wanted: IntGaugeVec,
    reason: IntGaugeVec,
    changes: IntCounterVec,
    rests: IntCounterVec,
    restarts: IntCounter,
}

impl Metrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let opts = Opts::new;
        let metrics = Self {
            load: GaugeVec::new(
                opts("actord_scaler_load", "The load that counts most of a function, all replicas together"),
                &[FUNCTION, "type"],
            )?,
            wanted: IntGaugeVec::new(
                opts("actord_scaler_wanted", "Replicas that the autoscaler wants a function to have"),
                &[FUNCTION],
            )?,
            reason: IntGaugeVec::new(
                opts("actord_scaler_reason", "1 for the reason why the autoscaler wants that number"),
                &[FUNCTION, "reason"],
            )?,
            changes: IntCounterVec::new(
                opts("actord_scaler_changes_total", "Times that the autoscaler decided on another number of replicas"),
                &["direction"],
            )?,
            rests: IntCounterVec::new(
                opts("actord_scaler_rests_total", "Functions that were frozen or stopped for want of calls"),
                &["tier"],
            )?,
            restarts: IntCounter::new(
                "actord_scaler_restarts_total",
                "Times that the scaler panicked and started over",
            )?,
        };
        for direction in ["up", "down"] {
            metrics.changes.with_label_values(&[direction]);
        }
        for tier in [Tier::Frozen, Tier::Stopped] {
            metrics.rests.with_label_values(&[tier_name(tier)]);
        }
        Ok(metrics)
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let Self { load, wanted, reason, changes, rests, restarts } = self.clone();
        let all: [Box<dyn Collector>; 6] = [
            Box::new(load),
            Box::new(wanted),
            Box::new(reason),
            Box::new(changes),
            Box::new(rests),
            Box::new(restarts),
        ];
        all.into_iter().try_for_each(|collector| registry.register(collector))
    }

    /// What the autoscaler decided for a function, and what for. Most looks see what the one before saw.
    pub(super) fn show(&self, id: &FunctionId, shown: Shown, before: Option<Shown>) {
        if before == Some(shown) {
            return;
        }
        let function = id.to_string();
        let function = function.as_str();
        if let Some((other, _)) =
            before.and_then(|before| before.load).filter(|(load, _)| shown.load_type() != Some(*load))
        {
            let _ = self.load.remove_label_values(&[function, &other.to_string()]);
        }
        if let Some((load, total)) = shown.load {
            self.load.with_label_values(&[function, &load.to_string()]).set(total);
        }
        self.wanted.with_label_values(&[function]).set(shown.wanted.into());
        if let Some(other) = before.map(|before| before.reason).filter(|reason| *reason != shown.reason) {
            let _ = self.reason.remove_label_values(&[function, other]);
        }
        self.reason.with_label_values(&[function, shown.reason]).set(1);
    }

    /// The autoscaler has no say in a function.
    pub(super) fn forget(&self, id: &FunctionId) {
        let function = id.to_string();
        // What was never shown can't be removed, and need not be.
        let _ = self.wanted.remove_label_values(&[&function]);
        for load in LOADS {
            let _ = self.load.remove_label_values(&[function.as_str(), &load.to_string()]);
        }
        for reason in REASONS {
            let _ = self.reason.remove_label_values(&[function.as_str(), reason]);
        }
    }

    /// The autoscaler has seen nothing yet.
    pub(super) fn forget_all(&self) {
        self.load.reset();
        self.wanted.reset();
        self.reason.reset();
    }

    /// It decided on another number.
    pub(super) fn changes(&self, from: u32, to: u32) {
        self.changes.with_label_values(&[if to > from { "up" } else { "down" }]).inc();
    }

    /// A function went down to this tier.
    pub(super) fn rests(&self, tier: Tier) {
        self.rests.with_label_values(&[tier_name(tier)]).inc();
    }

    /// The scaler starts over.
    pub(super) fn starts_over(&self) {
        self.restarts.inc();
    }
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Ready => "ready",
        Tier::Frozen => "frozen",
        Tier::Stopped => "stopped",
    }
}

fn reason_name(reason: &Reason) -> &'static str {
    let [running, load, step, enough, by_hand, bounds, limit, tried_again] = REASONS;
    match reason {
        Reason::Running => running,
        Reason::Load(_) => load,
        Reason::Step { .. } => step,
        Reason::EnoughFor(_) => enough,
        Reason::ByHand { .. } => by_hand,
        Reason::Bounds { .. } => bounds,
        Reason::Limit { .. } => limit,
        Reason::TriedAgain => tried_again,
    }
}
