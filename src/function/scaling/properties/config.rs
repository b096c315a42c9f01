//! A function of the model: its rule, and how its processes behave.

use std::time::Duration;

use crate::function::{LoadType, Rule as ScalingRule, Scaling};

/// The setting for the window, in milliseconds.
pub(super) const WINDOW: u64 = 60_000;

/// A function, as it is deployed and as it behaves.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) scaling: Scaling,
    /// Seconds that a call takes, how many of them a replica answers side by side, and the cpu seconds of one.
    pub(super) service: f64,
    pub(super) slots: f64,
    pub(super) cost: f64,
    /// Milliseconds between two looks, until a replica is ready, and by which a status is late.
    pub(super) every: u64,
    pub(super) start: u64,
    pub(super) lag: u64,
}

impl Config {
    /// The calls a second that one replica should have.
    pub(super) fn unit(&self) -> f64 {
        self.units().into_iter().fold(f64::INFINITY, f64::min)
    }

    pub(super) fn units(&self) -> Vec<f64> {
        match &self.scaling.rule {
            Some(ScalingRule::Targets { signals, proportion }) => {
                let unit = |load| match load {
                    LoadType::Rps => 1.0,
                    LoadType::Capacity => self.service,
                    _ => self.cost * 1000.0,
                };
                signals.iter().map(|signal| signal.target * proportion / unit(signal.load)).collect()
            }
            _ => vec![5.0],
        }
    }

    /// The replicas that so many calls a second need.
    pub(super) fn need(&self, rate: f64) -> u32 {
        let replicas = (rate / self.unit() - 1e-9).ceil().max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        (replicas as u32).clamp(self.scaling.min, self.scaling.max)
    }

    pub(super) fn goes_by(&self, load: LoadType) -> bool {
        let Some(ScalingRule::Targets { signals, .. }) = &self.scaling.rule else { return false };
        signals.iter().any(|signal| signal.load == load)
    }

    /// Milliseconds from the beginning of a load to the last look that may pass before it is followed.
    pub(super) fn react(&self) -> u64 {
        let service = u64::try_from(Duration::from_secs_f64(self.service).as_millis()).unwrap();
        1_000.max(2 * self.every) + 2 * self.every + service + self.lag
    }

    /// Milliseconds from the beginning of a load until it counts in the window.
    pub(super) fn knows(&self) -> u64 {
        match &self.scaling.rule {
            Some(ScalingRule::Steps) => 11_000,
            _ => self.react(),
        }
    }

    pub(super) fn window(&self) -> u64 {
        if self.scaling.rule == Some(ScalingRule::Steps) { 30_000 } else { WINDOW }
    }
}
