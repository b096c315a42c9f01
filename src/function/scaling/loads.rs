//! From counters to loads: calls a second, requests in flight and milli-cores since the look before.

use std::time::Duration;

use super::observation::{Counters, Observation};
use super::series::Series;
use crate::function::{LoadType, Uptime};

/// What a function's loads were lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Loads {
    rps: Series,
    capacity: Series,
    cpu: Series,
    /// When the counters were last looked at, and how many calls had come by then.
    before: Option<(Uptime, u64)>,
    /// When cpu time was last read, and how much there was.
    cpu_before: Option<(Uptime, Duration)>,
}

impl Loads {
    pub(super) fn note(&mut self, seen: &Observation, now: Uptime) {
        let Counters { calls, in_flight, parked, cpu } = seen.counters;
        let waiting = in_flight as u64 + parked as u64;
        // What came, not what was answered: replicas that are too few answer no more than they can. The counters are not
        // read in one moment, so a call may be in none of them, or in two: the next look makes up for it.
        let arrived = calls + waiting;
        let (then, before) = self.before.unwrap_or((now, arrived));
        if then < now {
            let came = arrived as f64 - before as f64;
            self.rps.note(then, now, came / now.since(then).as_secs_f64());
            self.capacity.note(then, now, waiting as f64);
            self.before = Some((now, arrived));
        }
        self.before.get_or_insert((now, arrived));
        self.note_cpu(cpu, seen.ready == seen.running, now);
    }

    /// A process that starts is busy with itself: that says nothing of the load, and would start still more.
    fn note_cpu(&mut self, cpu: Option<Duration>, all_ready: bool, now: Uptime) {
        if !all_ready {
            self.cpu.clear();
            self.cpu_before = None;
            return;
        }
        let Some(cpu) = cpu else { return };
        if let Some((then, before)) = self.cpu_before.filter(|(then, _)| *then < now) {
            let cores = cpu.saturating_sub(before).as_secs_f64() / now.since(then).as_secs_f64();
            self.cpu.note(then, now, cores * 1000.0);
        }
        self.cpu_before = Some((now, cpu));
    }

    /// How much of this load there is that is more than noise; none while it is not known.
    pub(super) fn lasting(&self, load: LoadType, now: Uptime) -> Option<f64> {
        match load {
            LoadType::Rps => Some(self.rps.lasting(now)),
            LoadType::Capacity => Some(self.capacity.lasting(now)),
            LoadType::Cpu => (!self.cpu.is_empty()).then(|| self.cpu.lasting(now)),
            LoadType::Queue | LoadType::Custom => None,
        }
    }

    /// Calls a second, on average over the last `span`.
    pub(super) fn calls_a_second(&self, span: Duration, now: Uptime) -> f64 {
        self.rps.mean(span, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Generation;

    fn at(seconds: u64) -> Uptime {
        Uptime(Duration::from_secs(seconds))
    }

    fn seen(calls: u64, in_flight: usize, parked: usize, cpu: Option<u64>, ready: u32) -> Observation {
        let cpu = cpu.map(Duration::from_millis);
        let counters = Counters { calls, in_flight, parked, cpu };
        Observation { asked: 2, running: 2, ready, generation: Generation(1), failing: None, counters }
    }

    #[test]
    fn calls_count_when_they_come_also_while_they_wait() {
        let mut loads = Loads::default();
        for (second, calls, in_flight, parked) in
            [(0, 1_000, 0, 0), (1, 1_000, 4, 6), (2, 1_004, 4, 12), (3, 1_020, 0, 0)]
        {
            loads.note(&seen(calls, in_flight, parked, None, 2), at(second));
        }
        assert_eq!(loads.calls_a_second(Duration::from_secs(3), at(3)), 20.0 / 3.0);
        assert_eq!(loads.lasting(LoadType::Capacity, at(3)), Some(26.0 / 5.0));
        assert_eq!(loads.lasting(LoadType::Cpu, at(3)), None, "it was never read");
    }

    #[test]
    fn a_call_that_is_in_no_counter_for_a_moment_or_in_two_is_counted_once() {
        let mut loads = Loads::default();
        for (second, calls, in_flight) in [(0, 10, 5), (1, 10, 4), (2, 15, 2), (3, 15, 0)] {
            loads.note(&seen(calls, in_flight, 0, None, 2), at(second));
        }
        assert_eq!(loads.calls_a_second(Duration::from_secs(3), at(3)), 0.0);
        assert_eq!(loads.lasting(LoadType::Rps, at(3)), Some(0.0));
    }

    #[test]
    fn cpu_time_is_counted_only_between_two_looks_at_which_all_replicas_were_ready() {
        let mut loads = Loads::default();
        let mut look = |second, cpu, ready| {
            loads.note(&seen(0, 0, 0, cpu, ready), at(second));
            loads.lasting(LoadType::Cpu, at(second))
        };
        assert_eq!(look(0, Some(5_000), 2), None);
        assert_eq!(look(1, Some(5_300), 2), Some(60.0));
        assert_eq!(look(2, None, 2), Some(60.0));
        assert_eq!(look(3, Some(5_900), 2), Some(300.0));
        assert_eq!(look(4, Some(8_000), 1), None, "one is starting");
        assert_eq!(look(5, Some(9_000), 2), None);
        assert_eq!(look(6, Some(9_100), 2), Some(20.0));
    }

    #[test]
    fn of_two_looks_at_one_moment_nothing_is_lost() {
        let mut loads = Loads::default();
        for calls in [0, 50] {
            loads.note(&seen(calls, 0, 0, Some(0), 2), at(1));
        }
        loads.note(&seen(60, 0, 0, Some(0), 2), at(2));
        assert_eq!(loads.calls_a_second(Duration::from_secs(1), at(2)), 60.0);
    }
}
