//! How much of one kind of load there was, look by look, and how much of it is more than noise.

use std::collections::VecDeque;
use std::time::Duration;

use crate::function::Uptime;

/// Load is averaged over so long, or over three looks if they are further apart: what one look saw counts for a part.
const MEAN: Duration = Duration::from_secs(5);
const MEAN_LOOKS: u32 = 3;
/// A load that every look of so long saw, and at least two, counts whole: it lasts.
const LASTING: Duration = Duration::from_secs(1);
const LASTING_LOOKS: usize = 2;
/// What is older is forgotten; the longest time that is asked for.
const KEPT: Duration = Duration::from_secs(10);

/// The load since the look before, on average.
#[derive(Debug, Clone, Copy)]
struct Look {
    from: Uptime,
    until: Uptime,
    load: f64,
}

impl Look {
    fn length(self) -> Duration {
        self.until.since(self.from)
    }
}

/// One kind of load, the newest look last.
#[derive(Debug, Clone, Default)]
pub(super) struct Series(VecDeque<Look>);

impl Series {
    pub(super) fn note(&mut self, from: Uptime, until: Uptime, load: f64) {
        self.0.push_back(Look { from, until, load });
        while self.0.len() > MEAN_LOOKS as usize && self.0.front().is_some_and(|look| until.since(look.until) >= KEPT) {
            self.0.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The average of the last `span`. Of a time that nothing is known of, no load is assumed.
    pub(super) fn mean(&self, span: Duration, now: Uptime) -> f64 {
        let overlap = |look: &Look| look.length().min(span.saturating_sub(now.since(look.until))).as_secs_f64();
        self.0.iter().map(|look| look.load * overlap(look)).sum::<f64>() / span.as_secs_f64()
    }

    /// The load that replicas are needed for: the average, or what the last looks agree on if that is more. So a load that
    /// begins and lasts counts whole after two looks, and one that a single look saw, for a fifth.
    pub(super) fn lasting(&self, now: Uptime) -> f64 {
        let Some(last) = self.0.back() else { return 0.0 };
        self.mean(MEAN.max(last.length() * MEAN_LOOKS), now).max(self.agreed(now))
    }

    fn agreed(&self, now: Uptime) -> f64 {
        let recent = self.0.iter().filter(|look| now.since(look.until) < LASTING).count();
        let looks = recent.max(LASTING_LOOKS);
        if self.0.len() < looks {
            return 0.0;
        }
        self.0.iter().rev().take(looks).map(|look| look.load).fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Uptime {
        Uptime(Duration::from_millis(millis))
    }

    /// Looks that are `every` milliseconds apart, and when the last one was.
    fn series(every: u64, loads: &[f64]) -> (Series, Uptime) {
        let mut series = Series::default();
        let mut now = at(0);
        for load in loads {
            let until = now.after(Duration::from_millis(every));
            series.note(now, until, *load);
            now = until;
        }
        (series, now)
    }

    #[test]
    fn a_load_that_lasts_counts_whole_after_two_looks_of_a_second_and_after_a_second_of_shorter_ones() {
        let lasting = |every, loads: &[f64]| {
            let (series, now) = series(every, loads);
            series.lasting(now)
        };
        assert_eq!(lasting(1000, &[0.0, 0.0, 0.0, 0.0, 0.0, 100.0]), 20.0);
        assert_eq!(lasting(1000, &[0.0, 0.0, 0.0, 0.0, 100.0, 100.0]), 100.0);
        assert_eq!(lasting(250, &[0.0, 100.0, 100.0, 100.0]), 15.0);
        assert_eq!(lasting(250, &[0.0, 100.0, 100.0, 100.0, 100.0]), 100.0);
        assert_eq!(lasting(5000, &[0.0, 0.0, 90.0]), 30.0, "a third of it where looks are far apart");
        assert_eq!(lasting(5000, &[0.0, 90.0, 90.0]), 90.0);
        assert_eq!(lasting(1000, &[100.0]), 20.0, "what was before the first look is taken for nothing");
        assert_eq!(lasting(1000, &[]), 0.0);
    }

    #[test]
    fn calls_that_come_in_batches_count_by_their_average() {
        let (series, now) = series(1000, &[0.0, 100.0, 0.0, 0.0, 0.0, 0.0, 100.0, 0.0, 0.0, 0.0]);
        assert_eq!(series.lasting(now), 20.0);
    }

    #[test]
    fn a_mean_is_over_the_time_that_is_asked_for_whatever_the_looks_are() {
        let (mut series, now) = series(1500, &[0.0, 0.0, 0.0, 10.0, 10.0]);
        assert_eq!(series.mean(Duration::from_secs(3), now), 10.0);
        assert_eq!(series.mean(Duration::from_secs(6), now), 5.0);
        assert_eq!(series.mean(Duration::from_secs(2), now), 10.0, "a part of a look");
        series.note(now, now.after(Duration::from_secs(3600)), 1.0);
        let later = now.after(Duration::from_secs(3600));
        assert_eq!(series.mean(Duration::from_secs(10), later), 1.0);
        series.note(later, later.after(Duration::from_secs(1)), 1.0);
        assert_eq!(series.0.len(), 3, "what is older is forgotten");
        series.clear();
        assert!(series.is_empty());
    }
}
