//! What the policies do, a sentence each, in simulated time.

mod by_hand;
mod idle;
mod rules;

use std::time::Duration;

use super::{Autoscaler, Counters, Decision, Observation};
use crate::function::{Generation, Scaling, Spec, SpecDraft, Uptime};

/// The setting for the window, unless a function says otherwise.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// What these keys say, without their common beginning.
pub(super) fn scaling(keys: &[(&str, &str)]) -> Scaling {
    let labels = keys.iter().map(|(key, value)| (format!("com.openfaas.scale.{key}"), (*value).to_owned())).collect();
    Spec::try_from(SpecDraft { image: "i".into(), labels, ..SpecDraft::default() }).unwrap().scaling()
}

/// A function that does at once what is decided, looked at once a second.
struct Function {
    scaling: Scaling,
    scaler: Autoscaler,
    seen: Observation,
    now: Uptime,
    last: Option<Decision>,
}

impl Function {
    fn new(keys: &[(&str, &str)], replicas: u32) -> Self {
        let (generation, counters) = (Generation(1), Counters::default());
        let seen =
            Observation { asked: replicas, running: replicas, ready: replicas, generation, failing: None, counters };
        Self { scaling: scaling(keys), scaler: Autoscaler::default(), seen, now: Uptime::default(), last: None }
    }

    /// One look, a second later; what runs then.
    fn look(&mut self) -> u32 {
        self.now = self.now.after(Duration::from_secs(1));
        self.last = self.scaler.decide(&self.scaling, WINDOW, &self.seen, self.now);
        if let Some(decision) = &self.last {
            self.seen.running = decision.wanted;
            self.seen.ready = decision.wanted;
        }
        self.seen.running
    }

    /// So many seconds with so many calls in each, which are answered at once; what ran at each look.
    fn calls(&mut self, each: u64, seconds: u64) -> Vec<u32> {
        let look = |_| {
            self.seen.counters.calls += each;
            self.look()
        };
        (0..seconds).map(look).collect()
    }

    /// So many seconds with so many requests in flight.
    fn in_flight(&mut self, requests: usize, seconds: u64) -> Vec<u32> {
        self.seen.counters.in_flight = requests;
        (0..seconds).map(|_| self.look()).collect()
    }

    fn reason(&self) -> String {
        self.last.as_ref().map_or_else(|| "no say".to_owned(), |decision| decision.reason.to_string())
    }
}
