//! The largest number that was wanted lately: fewer replicas are not kept before that is what was enough for a while.

use std::collections::VecDeque;
use std::time::Duration;

use crate::function::Uptime;

/// Numbers with the moment when they were last wanted. Each is smaller than the one before it: a number that a later one
/// exceeds can't be the largest any more, so there are never more entries than numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Window(VecDeque<(Uptime, u32)>);

impl Window {
    pub(super) fn note(&mut self, number: u32, now: Uptime) {
        while self.0.back().is_some_and(|(_, smaller)| *smaller <= number) {
            self.0.pop_back();
        }
        self.0.push_back((now, number));
    }

    /// The largest number of the last `span`, the newest in any case.
    pub(super) fn largest(&mut self, span: Duration, now: Uptime) -> u32 {
        while self.0.len() > 1 && self.0.front().is_some_and(|(then, _)| now.since(*then) >= span) {
            self.0.pop_front();
        }
        self.0.front().map_or(0, |(_, number)| *number)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Uptime {
        Uptime(Duration::from_secs(seconds))
    }

    #[test]
    fn a_number_stays_the_largest_for_as_long_as_the_window_and_no_longer() {
        let mut window = Window::default();
        let span = Duration::from_secs(10);
        let mut largest = |second, number| {
            window.note(number, at(second));
            window.largest(span, at(second))
        };
        for (second, number, expected) in [
            (0, 3, 3),
            (1, 8, 8),
            (2, 5, 8),
            (3, 2, 8),
            (10, 2, 8),
            (11, 2, 5),
            (12, 1, 2),
            (20, 1, 2),
            (21, 1, 1),
            (23, 4, 4),
        ] {
            assert_eq!(largest(second, number), expected, "at {second}");
        }
    }

    #[test]
    fn without_a_window_the_newest_number_holds_and_there_are_never_more_entries_than_numbers() {
        let mut window = Window::default();
        for second in 0..1000 {
            window.note(u32::try_from(second * 7 % 5).unwrap(), at(second));
            assert!(window.0.len() <= 5);
            assert_eq!(u64::from(window.clone().largest(Duration::ZERO, at(second))), second * 7 % 5);
        }
        window.clear();
        assert_eq!(window.largest(Duration::ZERO, at(0)), 0);
    }
}
