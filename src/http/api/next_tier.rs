//! What becomes of a function next if nothing calls it, for people.

use std::time::Duration;

use crate::function::scaling::Idleness;
use crate::function::{Phase, Resting, Status, Tier};

/// The next tier down, and how long until then; zero if it is due. `idle`: how long nothing called it. None where it stays
/// as it is, while its newest version has not proved itself, and while nothing of it is there yet: its time begins when it
/// is.
pub(super) fn next_tier(status: &Status, usual: Resting, idle: Duration) -> Option<(Tier, Duration)> {
    if status.ready == 0 && status.phase == Phase::Starting {
        return None;
    }
    let rule = status.desired.as_ref()?.serving_spec().resting(usual);
    Idleness::of(status, idle, None)?.next(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Desired, Generation, Lifecycle, Spec, SpecDraft, Uptime};

    const USUAL: Resting =
        Resting { freeze_after: Some(Duration::from_secs(30)), zero_after: Some(Duration::from_secs(900)) };

    fn status(keys: &[(&str, &str)]) -> Status {
        let annotations = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let draft = SpecDraft { image: "i".into(), annotations, ..SpecDraft::default() };
        let life = Lifecycle::new(&"f".parse().unwrap(), 1);
        let desired = Desired { replicas: 2, has_served: true, ..life.accept(Spec::try_from(draft).unwrap(), "") };
        Status {
            desired: Some(desired),
            phase: Phase::Ready,
            since: Uptime::default(),
            ready: 2,
            frozen: 0,
            spares: 0,
            serving: Some(Generation(1)),
            restarts: 0,
            failure: None,
        }
    }

    fn next(status: &Status, idle: u64) -> Option<(Tier, u64)> {
        let next = next_tier(status, USUAL, Duration::from_secs(idle));
        next.map(|(tier, left)| (tier, left.as_secs()))
    }

    #[test]
    fn a_function_that_rests_is_frozen_then_stopped_and_one_that_does_not_stays() {
        let zero = ("com.openfaas.scale.zero", "true");
        let frozen = |status: Status| Status { frozen: 2, ..status };
        let backing_off = Phase::BackingOff { until: Uptime::default() };
        for (status, idle, expected) in [
            (status(&[]), 5000, None),
            (status(&[zero]), 0, Some((Tier::Frozen, 30))),
            (status(&[zero]), 12, Some((Tier::Frozen, 18))),
            (status(&[zero]), 100, Some((Tier::Frozen, 0))),
            (Status { frozen: 1, ..status(&[zero]) }, 100, Some((Tier::Frozen, 0))),
            (frozen(status(&[zero])), 100, Some((Tier::Stopped, 800))),
            (frozen(status(&[zero])), 5000, Some((Tier::Stopped, 0))),
            (status(&[zero, ("actord.freeze-after", "0")]), 100, Some((Tier::Stopped, 800))),
            (status(&[zero, ("actord.freeze-after", "1h")]), 100, Some((Tier::Stopped, 800))),
            (Status { ready: 1, ..status(&[zero]) }, 100, Some((Tier::Stopped, 800))),
            (Status { ready: 0, phase: backing_off, ..status(&[zero]) }, 100, Some((Tier::Stopped, 800))),
            (status(&[("actord.freeze-after", "1m")]), 10, Some((Tier::Frozen, 50))),
            (frozen(status(&[("actord.freeze-after", "1m")])), 100, None),
        ] {
            assert_eq!(next(&status, idle), expected, "{idle} s: {status:?}");
        }
    }

    #[test]
    fn nothing_is_next_of_what_has_to_prove_itself_is_on_its_way_or_runs_no_more() {
        let rests = || status(&[("com.openfaas.scale.zero", "true")]);
        let with = |change: fn(&mut Desired)| {
            let mut status = rests();
            change(status.desired.as_mut().unwrap());
            status
        };
        for status in [
            Status { desired: None, ..rests() },
            with(|desired| desired.has_served = false),
            Status { ready: 0, phase: Phase::Starting, ..rests() },
            with(|desired| desired.idle = true),
            with(|desired| desired.kept_down = true),
        ] {
            assert_eq!(next(&status, 100), None, "{status:?}");
        }
    }
}
