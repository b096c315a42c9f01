//! What the machine can't carry is not asked for again and again: replicas that can't be started take nothing from those
//! that serve.
//!
//! ```text
//! starts fail beside what serves --5 s--> ceiling: as many as serve --30 s, 1, 2 ... 10 min--> one more is tried
//!                                            ^                                                   |        |
//!                                            +------------------ that fails too -----------------+        v
//!                                                                                           it serves: no ceiling
//! ```

use std::time::Duration;

use super::observation::Observation;
use crate::function::Uptime;

/// Starts must have failed for so long: one that fails once and then succeeds is no limit.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first wait before more is asked for; it doubles with every failure.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// No more than this can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ceiling {
    /// So many serve.
    pub(super) replicas: u32,
    /// Why no more could be started.
    pub(super) why: String,
    /// When one more is tried.
    pub(super) again_at: Uptime,
    pause: Duration,
}

/// What was found out about the machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    failing_since: Option<Uptime>,
    pub(super) ceiling: Option<Ceiling>,
}

impl Limits {
    /// Notes whether what was asked for beyond `min` can be started.
    pub(super) fn note(&mut self, seen: &Observation, min: u32, now: Uptime) {
        let more = seen.running > seen.ready.max(min);
        match seen.failing.as_ref().filter(|_| seen.ready > 0 && more) {
            Some(why) => {
                if now.since(*self.failing_since.get_or_insert(now)) >= PATIENCE {
                    let doubled = self.ceiling.as_ref().map(|ceiling| (ceiling.pause * 2).min(LONGEST_PAUSE));
                    let pause = doubled.unwrap_or(FIRST_PAUSE);
                    let (replicas, again_at) = (seen.ready, now.after(pause));
                    self.ceiling = Some(Ceiling { replicas, why: why.clone(), again_at, pause });
                    self.failing_since = None;
                }
            }
            None => {
                self.failing_since = None;
                let exceeded = |ceiling: &Ceiling| seen.ready > ceiling.replicas.max(min);
                self.ceiling.take_if(|ceiling| exceeded(ceiling));
            }
        }
    }

    /// As many of `wanted` as can be had, and never fewer than `min`.
    pub(super) fn cap(&mut self, wanted: u32, min: u32, now: Uptime) -> u32 {
        let Some(ceiling) = &self.ceiling else { return wanted };
        let most = ceiling.replicas.max(min);
        let is_over = now >= ceiling.again_at;
        if wanted <= most {
            self.ceiling.take_if(|_| is_over);
            return wanted;
        }
        if is_over { most.saturating_add(1) } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Generation, scaling::Counters};

    fn at(seconds: u64) -> Uptime {
        Uptime(Duration::from_secs(seconds))
    }

    fn seen(running: u32, ready: u32, failing: bool) -> Observation {
        let failing = failing.then(|| "no memory".to_owned());
        Observation { asked: 1, running, ready, generation: Generation(1), failing, counters: Counters::default() }
    }

    /// From second `from` on, `wanted` of which `carried` can be had: when more than `carried` were asked for.
    fn asked(limits: &mut Limits, from: u64, seconds: u64, wanted: u32, carried: u32) -> Vec<u64> {
        let mut running = wanted;
        let mut beyond = Vec::new();
        for second in from..from + seconds {
            let ready = running.min(carried);
            limits.note(&seen(running, ready, running > ready), 1, at(second));
            let next = limits.cap(wanted, 1, at(second));
            if next > carried && running <= carried {
                beyond.push(second);
            }
            running = next;
        }
        beyond
    }

    #[test]
    fn what_can_not_be_started_is_asked_for_after_pauses_that_grow_to_ten_minutes() {
        let tries = asked(&mut Limits::default(), 0, 3_000, 8, 3);
        let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Six seconds of each are the failing start, from its look to the look that has seen enough.
        assert_eq!(tries[0], 35);
        assert_eq!(pauses, [66, 126, 246, 486, 606, 606, 606]);
    }

    #[test]
    fn once_there_is_room_again_everything_is_asked_for_after_the_pause() {
        let mut limits = Limits::default();
        asked(&mut limits, 0, 20, 8, 3);
        assert_eq!(limits.cap(8, 1, at(20)), 3);
        asked(&mut limits, 20, 18, 8, 8);
        assert_eq!((limits.cap(8, 1, at(40)), limits.ceiling), (8, None));
    }

    #[test]
    fn a_start_that_fails_for_a_moment_is_no_limit_and_neither_is_what_the_fewest_ask_for() {
        let mut limits = Limits::default();
        for second in 0..4 {
            limits.note(&seen(3, 2, true), 1, at(second));
        }
        limits.note(&seen(3, 3, false), 1, at(4));
        limits.note(&seen(3, 2, true), 1, at(5));
        assert_eq!(limits.cap(3, 1, at(5)), 3);
        for second in 6..60 {
            limits.note(&seen(3, 2, true), 3, at(second));
        }
        assert_eq!(limits.cap(3, 3, at(60)), 3, "min is asked for whatever can be had");
    }

    #[test]
    fn a_function_of_which_nothing_serves_is_left_to_its_backoff() {
        let mut limits = Limits::default();
        for second in 0..60 {
            limits.note(&seen(3, 0, true), 1, at(second));
        }
        assert_eq!(limits.cap(3, 1, at(60)), 3);
    }

    #[test]
    fn a_ceiling_that_nothing_wants_to_exceed_is_forgotten_after_its_pause() {
        let mut limits = Limits::default();
        asked(&mut limits, 0, 10, 8, 3);
        assert_eq!((limits.cap(2, 1, at(12)), limits.ceiling.is_some()), (2, true));
        assert_eq!((limits.cap(2, 1, at(50)), limits.ceiling.is_some()), (2, false));
    }
}
