//! The rule without a target: a step up while there are many calls a second for each replica.

use std::time::Duration;

use super::loads::Loads;
use crate::function::{Scaling, Uptime};

/// Calls a second that one replica should have at most.
pub(super) const CALLS_EACH: f64 = 5.0;
/// They are averaged over so long.
const MEAN: Duration = Duration::from_secs(10);
/// There must have been more than that for so long before a step is made.
const FOR: Duration = Duration::from_secs(5);
/// Between two steps: the average knows what the last one brought.
const PAUSE: Duration = Duration::from_secs(10);
/// For how long fewer must have been enough before replicas are taken away, unless the function says so.
pub(super) const DOWN_WINDOW: Duration = Duration::from_secs(30);

/// Where the rule stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    over_since: Option<Uptime>,
    stepped: Option<Uptime>,
}

impl Steps {
    /// Calls a second, all replicas together.
    pub(super) fn load(loads: &Loads, now: Uptime) -> f64 {
        loads.calls_a_second(MEAN, now)
    }

    /// A step more than `current` replicas, if it is due.
    pub(super) fn up(&mut self, scaling: &Scaling, load: f64, current: u32, now: Uptime) -> Option<u32> {
        if load <= CALLS_EACH * f64::from(current) {
            self.over_since = None;
            return None;
        }
        let over_since = *self.over_since.get_or_insert(now);
        let paused = self.stepped.is_none_or(|then| now.since(then) >= PAUSE);
        let next =
            Some(scaling.up(current)).filter(|next| *next > current && paused && now.since(over_since) >= FOR)?;
        *self = Self { over_since: None, stepped: Some(now) };
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::scaling::tests::scaling;

    /// The seconds at which a step was made, while there are so many calls a second.
    fn steps(labels: &[(&str, &str)], load: f64, seconds: u64) -> (Vec<u64>, u32) {
        let (scaling, mut steps, mut current) = (scaling(labels), Steps::default(), 1);
        let mut made = Vec::new();
        for second in 0..seconds {
            if let Some(next) = steps.up(&scaling, load, current, Uptime(Duration::from_secs(second))) {
                made.push(second);
                current = next;
            }
        }
        (made, current)
    }

    #[test]
    fn a_step_is_made_after_five_seconds_of_more_and_again_ten_seconds_later_up_to_the_most() {
        assert_eq!(steps(&[("max", "3")], 100.0, 60), (vec![5, 15], 3));
        assert_eq!(steps(&[("max", "20"), ("factor", "25")], 1000.0, 60), (vec![5, 15, 25, 35], 20));
        assert_eq!(steps(&[("max", "5")], 12.0, 60), (vec![5, 15], 3), "four each are not more than five");
        assert_eq!(steps(&[("max", "5")], 5.0, 60), (vec![], 1));
    }

    #[test]
    fn more_for_a_moment_is_no_step() {
        let (scaling, mut steps) = (scaling(&[("max", "5")]), Steps::default());
        for second in 0..60 {
            let load = if second % 5 == 4 { 1.0 } else { 9.0 };
            assert_eq!(steps.up(&scaling, load, 1, Uptime(Duration::from_secs(second))), None);
        }
    }
}
