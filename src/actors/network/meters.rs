//! How attachments are had, for the metrics.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counted from the start on, shown once they are registered.
#[derive(Debug, Clone)]
pub(super) struct Meters {
    pub(super) ready: IntGauge,
    pub(super) claimed: IntCounter,
    pub(super) made: IntCounter,
    pub(super) unusable: IntCounter,
    wanted: IntGauge,
    attachments: IntCounterVec,
}

impl Meters {
    #[expect(clippy::expect_used, reason = "names and labels are written here, and can't be wrong")]
    pub(super) fn new(wanted: usize) -> Self {
        let gauge = |name, help| IntGauge::new(name, help).expect("a metric");
        let attachments =
            Opts::new("actord_attachments_total", "Attachments that starts asked for, by how they were had");
        let attachments = IntCounterVec::new(attachments, &["how"]).expect("a metric");
        let of = |how: &str| attachments.with_label_values(&[how]);
        let (claimed, made, unusable) = (of("claimed"), of("made"), of("unusable"));
        let ready = gauge("actord_warm_attachments", "Attachments that are ready to be claimed by a start");
        let goal = gauge("actord_warm_attachments_wanted", "Attachments that are to be ready for starts");
        goal.set(i64::try_from(wanted).unwrap_or(i64::MAX));
        Self { ready, claimed, made, unusable, wanted: goal, attachments }
    }

    pub(super) fn measure(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.attachments.clone()))?;
        registry.register(Box::new(self.wanted.clone()))?;
        registry.register(Box::new(self.ready.clone()))
    }
}
