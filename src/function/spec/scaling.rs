//! How many replicas an alert asks for: the function's labels say between which bounds and in what steps.

use std::collections::BTreeMap;

/// The most replicas one function may ask for; a typing error should not fill the machine.
pub(super) const REPLICAS_MAX: u32 = 1_000;

const MAX: &str = "com.openfaas.scale.max";
const FACTOR: &str = "com.openfaas.scale.factor";

/// What holds where the labels say nothing, or nothing that can be read.
const USUAL_MAX: u32 = 5;
const USUAL_FACTOR: u32 = 10;

/// Between how many replicas, and in what steps, a function is scaled by alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaling {
    /// The fewest.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// The step, in percent of `max`: from 1 to 100.
    pub factor: u32,
}

impl Scaling {
    /// Reads the labels; `min` is known.
    pub(super) fn of(labels: &BTreeMap<String, String>, min: u32) -> Self {
        let read = |name: &str| labels.get(name)?.trim().parse::<u32>().ok().filter(|number| *number > 0);
        let factor = read(FACTOR).filter(|factor| *factor <= 100);
        Self {
            min,
            max: read(MAX).unwrap_or(USUAL_MAX).min(REPLICAS_MAX).max(min),
            factor: factor.unwrap_or(USUAL_FACTOR),
        }
    }

    /// The replicas after an alert that fires: a step more, up to the most. An operator may have asked for more than that
    /// by hand: an alert takes nothing away.
    #[must_use]
    pub fn up(&self, replicas: u32) -> u32 {
        let step = u64::from(self.max) * u64::from(self.factor);
        let step = u32::try_from(step.div_ceil(100)).unwrap_or(u32::MAX);
        replicas.max(replicas.saturating_add(step).min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaling(labels: &[(&str, &str)], min: u32) -> Scaling {
        Scaling::of(&labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), min)
    }

    #[test]
    fn labels_are_read_and_what_is_no_bound_is_the_usual_one() {
        assert_eq!(scaling(&[], 1), Scaling { min: 1, max: 5, factor: 10 });
        assert_eq!(scaling(&[(MAX, "20"), (FACTOR, "25")], 2), Scaling { min: 2, max: 20, factor: 25 });
        assert_eq!(scaling(&[(MAX, "many"), (FACTOR, "101")], 1), scaling(&[], 1));
        assert_eq!(scaling(&[(MAX, "0"), (FACTOR, "0")], 1), scaling(&[], 1));
        assert_eq!(scaling(&[(MAX, "3")], 7).max, 7, "the fewest can't be more than the most");
    }

    #[test]
    fn each_alert_is_a_step_rounded_up_that_ends_at_the_most() {
        for (max, factor, replicas, wanted) in
            [("5", "10", 1, 2), ("5", "50", 1, 4), ("20", "20", 3, 7), ("20", "20", 18, 20), ("5", "100", 0, 5)]
        {
            assert_eq!(scaling(&[(MAX, max), (FACTOR, factor)], 1).up(replicas), wanted, "{max} {factor} {replicas}");
        }
    }

    #[test]
    fn what_was_asked_for_by_hand_is_not_taken_away() {
        assert_eq!(scaling(&[], 1).up(9), 9);
        assert_eq!(scaling(&[(MAX, "4294967295"), (FACTOR, "100")], 1).up(1), REPLICAS_MAX);
    }
}
