//! The last points of one function, and how many that may be.

use std::collections::VecDeque;

use super::point::Point;

/// An hour, in steps of ten seconds.
pub(super) const HOUR: usize = 360;
/// Of all functions together, 28 bytes each: ten megabytes, whatever there is.
const ALL: usize = 360_000;
/// Room is made for so many more at a time.
const MORE: usize = 30;

/// How many points each of so many functions keeps: those of an hour, or fewer where there are more than a thousand.
pub(super) fn kept(functions: usize) -> usize {
    (ALL / functions.max(1)).clamp(1, HOUR)
}

/// See the module. The oldest comes first.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Point>);

impl Ring {
    /// Adds a point; the oldest go that are more than `kept`.
    pub(super) fn push(&mut self, point: Point, kept: usize) {
        self.cut(kept.saturating_sub(1));
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(MORE.min(kept.saturating_sub(self.0.len())).max(1));
        }
        self.0.push_back(point);
        if self.0.capacity() > kept.max(MORE) {
            self.0.shrink_to(kept);
        }
    }

    fn cut(&mut self, kept: usize) {
        let over = self.0.len().saturating_sub(kept);
        self.0.drain(..over);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The newest, so many of them at most.
    pub(super) fn last(&self, points: usize) -> Vec<Point> {
        self.0.range(self.len().saturating_sub(points)..).copied().collect()
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.0.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(calls: u32) -> Point {
        Point { calls, ..Point::NOTHING }
    }

    fn calls(ring: &Ring, points: usize) -> Vec<u32> {
        ring.last(points).iter().map(|point| point.calls).collect()
    }

    #[test]
    fn the_newest_stay_in_their_order_and_take_no_more_room_than_an_hour() {
        let mut ring = Ring::default();
        for number in 0..1_000 {
            ring.push(point(number), HOUR);
            assert!(ring.room() <= (ring.len() + MORE).min(HOUR), "{} for {}", ring.room(), ring.len());
        }
        assert_eq!((ring.len(), calls(&ring, 3)), (HOUR, vec![997, 998, 999]));
        assert_eq!(calls(&ring, usize::MAX).first(), Some(&640));
        assert_eq!(calls(&ring, 0), [0; 0]);
    }

    #[test]
    fn all_functions_together_never_keep_more_than_the_bound() {
        for functions in [0, 1, 7, 1_000, 1_001, 2_000, 5_000, 360_000, 1_000_000] {
            let each = kept(functions);
            assert!(each * functions <= ALL || each == 1, "{functions}: {each}");
            assert!((1..=HOUR).contains(&each));
        }
        assert_eq!([1, 1_000, 2_000].map(kept), [HOUR, HOUR, HOUR / 2]);
    }

    #[test]
    fn a_ring_that_may_keep_less_gives_back_its_room() {
        let mut ring = Ring::default();
        (0..400).for_each(|number| ring.push(point(number), HOUR));
        ring.push(point(400), 36);
        assert_eq!((ring.len(), calls(&ring, 2)), (36, vec![399, 400]));
        assert!(ring.room() <= 36, "{}", ring.room());
    }
}
