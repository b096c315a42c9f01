//! Figures of one kind, round by round: seconds, bytes or plain numbers.

use std::time::Duration;

use tokio::time::Instant;

/// What was seen of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Adds how long something takes.
    pub(crate) async fn time<T>(&mut self, act: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let outcome = act.await;
        self.took(begun.elapsed());
        outcome
    }

    pub(crate) fn took(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64());
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    /// The value below which this part of them lies; not a number when there is none.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        let at = (values.len() as f64 * part).floor();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        values.get((at as usize).min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

impl From<f64> for Series {
    fn from(value: f64) -> Self {
        Self(vec![value])
    }
}

impl From<Duration> for Series {
    fn from(time: Duration) -> Self {
        Self(vec![time.as_secs_f64()])
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

impl FromIterator<Duration> for Series {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        times.into_iter().map(|time| time.as_secs_f64()).collect()
    }
}

impl Extend<Duration> for Series {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        times.into_iter().for_each(|time| self.took(time));
    }
}

/// Forgets the round that warmed up.
pub(crate) fn forget(lanes: &mut [Series]) {
    lanes.iter_mut().for_each(Series::clear);
}
