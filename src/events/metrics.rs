//! How many events were told, and how many listen.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::Why;
use super::event::What;

/// See the module.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) events: IntCounterVec,
    pub(super) readers: IntGauge,
    pub(super) resets: IntCounterVec,
}

impl Metrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let counters = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            events: counters("actord_events_total", "Events that were told to whoever listens", "event")?,
            readers: IntGauge::new("actord_events_readers", "Streams of events that are open")?,
            resets: counters("actord_events_resets_total", "Readers of events that missed something", "reason")?,
        };
        for word in What::WORDS {
            metrics.events.with_label_values(&[word]);
        }
        for why in [Why::Gone, Why::Earlier, Why::Lagging] {
            metrics.resets.with_label_values(&[why.word()]);
        }
        Ok(metrics)
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.events.clone()))?;
        registry.register(Box::new(self.readers.clone()))?;
        registry.register(Box::new(self.resets.clone()))
    }
}
