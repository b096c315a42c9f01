//! What a function was like for one step of time.

use std::mem::size_of;

use super::latency::quantile;
use crate::routes::Load;
use crate::routes::meter::Counts;

/// One step of a function's history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Calls that came to an end.
    pub calls: u32,
    /// Those of them that were answered by no better than a 500.
    pub errors: u32,
    /// Within how many milliseconds half of them ended; not a number if there was none.
    pub p50: f32,
    /// The same of all but one in a hundred.
    pub p99: f32,
    /// Milli-cores that its instances used on average.
    pub cpu_millis: u32,
    /// Memory that they held at the end, in KiB.
    pub memory_kib: u32,
    /// Calls that were under way at the end, those that waited for an instance included.
    pub in_flight: u16,
    /// Instances that took calls at the end.
    pub ready: u16,
}

// An hour of a thousand functions is ten megabytes: a field more is to be thought about.
const _: () = assert!(size_of::<Point>() == 28);

/// What the instances of a function used in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu_millis: u32,
    pub(super) memory_kib: u32,
}

impl Point {
    /// A step in which nothing was, or nothing was seen.
    pub const NOTHING: Self = Self {
        calls: 0,
        errors: 0,
        p50: f32::NAN,
        p99: f32::NAN,
        cpu_millis: 0,
        memory_kib: 0,
        in_flight: 0,
        ready: 0,
    };

    pub(super) fn of(counts: &Counts, load: Load, ready: usize, usage: Usage) -> Self {
        let small = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let within = |of_a_thousand| quantile(&counts.took, of_a_thousand).unwrap_or(f32::NAN);
        Self {
            calls: counts.calls(),
            errors: counts.errors,
            p50: within(500),
            p99: within(990),
            cpu_millis: usage.cpu_millis,
            memory_kib: usage.memory_kib,
            in_flight: small(load.in_flight + load.parked),
            ready: small(ready),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_tells_what_was_counted_and_what_is_too_much_for_it_as_the_most() {
        let mut counts = Counts { errors: 1, ..Counts::NONE };
        counts.took[30] = 3;
        let usage = Usage { cpu_millis: 250, memory_kib: 4_096 };
        let point = Point::of(&counts, Load { in_flight: 70_000, parked: 1 }, 2, usage);
        assert_eq!((point.calls, point.errors, point.in_flight, point.ready), (3, 1, u16::MAX, 2));
        assert!(point.p50 == point.p99 && point.p50 > 0.0);
        let nothing = Point::of(&Counts::NONE, Load { in_flight: 0, parked: 0 }, 0, Usage::default());
        assert!(nothing.p50.is_nan() && nothing.p99.is_nan());
        assert_eq!(Point { p50: 0.0, p99: 0.0, ..nothing }, Point { p50: 0.0, p99: 0.0, ..Point::NOTHING });
    }
}
