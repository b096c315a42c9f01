//! Between which bounds and by which rule a function is scaled: what its keys `com.openfaas.scale.*` say.
//!
//! ```text
//! max, type or target given   autoscaled, unless min and max are the same
//!   neither type nor target   by steps, as alerts scale it: Rule::Steps
//!   type or target            so many replicas that each has its target: Rule::Targets
//! none of them                not autoscaled; alerts and operators scale it
//! ```

use std::fmt;
use std::time::Duration;

use super::keys::{Keys, decimal, time, whole};

/// The most replicas one function may ask for; a typing error should not fill the machine.
pub(super) const REPLICAS_MAX: u32 = 1_000;

const MIN: &str = "com.openfaas.scale.min";
const MAX: &str = "com.openfaas.scale.max";
const FACTOR: &str = "com.openfaas.scale.factor";
const TYPE: &str = "com.openfaas.scale.type";
const TARGET: &str = "com.openfaas.scale.target";
const PROPORTION: &str = "com.openfaas.scale.target-proportion";
const DOWN_WINDOW: &str = "com.openfaas.scale.down.window";

/// What holds where nothing is said: the most replicas of one that is scaled by steps, and of one with a target.
const USUAL_MAX: u32 = 5;
const USUAL_MAX_BY_TARGET: u32 = 20;
const USUAL_FACTOR: u32 = 10;
const USUAL_TARGET: f64 = 50.0;
const USUAL_PROPORTION: f64 = 0.9;

/// More load than one replica ever has; a typing error.
const TARGET_MAX: f64 = 1_000_000_000.0;
const DOWN_WINDOW_MAX: Duration = Duration::from_secs(3600);

/// A kind of load, as `com.openfaas.scale.type` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadType {
    /// Calls a second.
    Rps,
    /// Requests in flight, those that wait for an instance included.
    Capacity,
    /// Milli-cores: 1000 is one core.
    Cpu,
    /// Asynchronous calls that wait. Accepted, without effect.
    Queue,
    /// A rule of the operator's own. Accepted, without effect.
    Custom,
}

impl LoadType {
    const ALL: [Self; 5] = [Self::Rps, Self::Capacity, Self::Cpu, Self::Queue, Self::Custom];

    fn has_effect(self) -> bool {
        !matches!(self, Self::Queue | Self::Custom)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(text.trim()))
    }
}

impl fmt::Display for LoadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rps => "rps",
            Self::Capacity => "capacity",
            Self::Cpu => "cpu",
            Self::Queue => "queue",
            Self::Custom => "custom",
        })
    }
}

/// A kind of load, and how much of it one replica should have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// What is counted.
    pub load: LoadType,
    /// The load that one replica should have at most, in the load's own unit; above 0.
    pub target: f64,
}

/// By which rule the autoscaler chooses a number of replicas.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// A step up while there are many calls a second for each replica, and back to the fewest when there are not.
    Steps,
    /// As many as share the load so that each has at most this proportion of its target. Of several signals the one that
    /// wants the most replicas holds; there is at least one.
    Targets {
        /// What is measured, without those that have no effect.
        signals: Vec<Signal>,
        /// Above 0, at most 1.
        proportion: f64,
    },
}

/// Between how many replicas, in what steps and by which rule a function is scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// The fewest, at least 1.
    pub min: u32,
    /// The most, at least `min`.
    pub max: u32,
    /// The step, in percent of `max`: from 0, which is no step, to 100.
    pub factor: u32,
    /// The autoscaler's rule; none if the autoscaler leaves the function alone.
    pub rule: Option<Rule>,
    /// For how long less must have been enough before replicas are taken away, if the function says so.
    pub down_window: Option<Duration>,
    /// The target that was given, of several the first.
    pub target: Option<f64>,
    /// The types that were given and have no effect.
    without_effect: Vec<LoadType>,
}

impl Scaling {
    /// Reads what can be read, and the usual where it can't.
    pub(super) fn read(keys: &mut Keys<'_>) -> Self {
        let min = min_replicas(keys);
        let given_max = keys.label(MAX, whole(1, REPLICAS_MAX));
        if let Some(max) = given_max.filter(|max| *max < min) {
            keys.refuse(format!("invalid {MAX}={max}: expected at least {MIN}, which is {min}"));
        }
        let types = keys.label(TYPE, types);
        let targets = keys.label(TARGET, targets);
        let by_target = types.is_some() || targets.is_some();
        let target = targets.as_ref().and_then(|targets| targets.first().copied());
        let types = types.unwrap_or_else(|| vec![LoadType::Rps]);
        let targets = targets.unwrap_or_else(|| vec![USUAL_TARGET]);
        if targets.len() > 1 && targets.len() != types.len() {
            let (targets, types) = (targets.len(), types.len());
            keys.refuse(format!("{TARGET} has {targets} numbers, {TYPE} {types}: give one for all, or one for each"));
        }
        let proportion = keys.label(PROPORTION, |text| decimal(text, 1.0)).unwrap_or(USUAL_PROPORTION);
        let factor = keys.label(FACTOR, whole(0, 100)).unwrap_or(USUAL_FACTOR);
        let usual_max = if by_target { USUAL_MAX_BY_TARGET } else { USUAL_MAX };
        let max = given_max.unwrap_or(usual_max).max(min);

        let pairs = types.iter().zip(targets.iter().cycle());
        let signals: Vec<_> = pairs.map(|(load, target)| Signal { load: *load, target: *target }).collect();
        let (signals, without): (Vec<_>, Vec<_>) = signals.into_iter().partition(|signal| signal.load.has_effect());
        let rule = match by_target {
            _ if min == max => None,
            true => (!signals.is_empty()).then_some(Rule::Targets { signals, proportion }),
            false => (given_max.is_some() && factor > 0).then_some(Rule::Steps),
        };
        Self {
            min,
            max,
            factor,
            rule,
            down_window: keys.label(DOWN_WINDOW, time(Duration::ZERO, DOWN_WINDOW_MAX)),
            target,
            without_effect: without.into_iter().map(|signal| signal.load).collect(),
        }
    }

    /// The replicas after a step up, at most up to the most. An operator may have asked for more than that by hand: a step
    /// takes nothing away.
    #[must_use]
    pub fn up(&self, replicas: u32) -> u32 {
        let step = u64::from(self.max) * u64::from(self.factor);
        let step = u32::try_from(step.div_ceil(100)).unwrap_or(u32::MAX);
        replicas.max(replicas.saturating_add(step).min(self.max))
    }

    /// What was asked for and has no effect, for the person who asked for it.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let names: Vec<_> = self.without_effect.iter().map(LoadType::to_string).collect();
        (!names.is_empty()).then(|| format!("{TYPE} {} is accepted and has no effect", names.join(" and ")))
    }
}

/// The fewest replicas, which a new function begins with: 0 counts as 1.
pub(super) fn min_replicas(keys: &mut Keys<'_>) -> u32 {
    keys.label(MIN, whole(0, REPLICAS_MAX)).unwrap_or(1).max(1)
}

fn types(text: &str) -> Result<Vec<LoadType>, String> {
    let types = text.split(',').map(LoadType::parse).collect::<Option<Vec<_>>>();
    types.ok_or_else(|| "rps, capacity, cpu, queue or custom, or several of them with commas".to_owned())
}

fn targets(text: &str) -> Result<Vec<f64>, String> {
    text.split(',').map(|number| decimal(number.trim(), TARGET_MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::spec::{Invalid, SpecDraft};

    fn draft(labels: &[(&str, &str)]) -> SpecDraft {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SpecDraft { labels, ..SpecDraft::default() }
    }

    fn scaling(labels: &[(&str, &str)]) -> Scaling {
        Scaling::read(&mut Keys::of(&draft(labels)))
    }

    fn refusal(labels: &[(&str, &str)]) -> Option<String> {
        let draft = draft(labels);
        let mut keys = Keys::of(&draft);
        Scaling::read(&mut keys);
        keys.fault().err().map(|Invalid(reason)| reason)
    }

    fn targets(signals: &[(LoadType, f64)], proportion: f64) -> Option<Rule> {
        let signals = signals.iter().map(|(load, target)| Signal { load: *load, target: *target }).collect();
        Some(Rule::Targets { signals, proportion })
    }

    #[test]
    fn bounds_and_step_are_read_and_where_nothing_is_said_the_usual_holds() {
        let bounds = |labels: &[(&str, &str)]| {
            assert_eq!(refusal(labels), None);
            let Scaling { min, max, factor, .. } = scaling(labels);
            (min, max, factor)
        };
        assert_eq!(bounds(&[]), (1, 5, 10));
        assert_eq!(bounds(&[(MIN, "2"), (MAX, "20"), (FACTOR, "25")]), (2, 20, 25));
        assert_eq!(bounds(&[(MIN, "7")]), (7, 7, 10), "the fewest can't be more than the usual most");
        assert_eq!(bounds(&[(MIN, "0")]), (1, 5, 10));
        assert_eq!(bounds(&[(TYPE, "cpu")]), (1, 20, 10));
        assert_eq!(bounds(&[(TARGET, "5")]), (1, 20, 10));
    }

    #[test]
    fn autoscaled_are_functions_with_a_most_a_type_or_a_target_and_no_others() {
        for labels in [&[][..], &[(MIN, "2")], &[(FACTOR, "20")], &[(PROPORTION, "0.5")], &[(DOWN_WINDOW, "5m")]] {
            assert_eq!(scaling(labels).rule, None, "{labels:?}");
        }
        assert_eq!(scaling(&[(MAX, "2")]).rule, Some(Rule::Steps));
        assert_eq!(scaling(&[(TYPE, "capacity")]).rule, targets(&[(LoadType::Capacity, 50.0)], 0.9));
        assert_eq!(scaling(&[(TARGET, "2.5")]).rule, targets(&[(LoadType::Rps, 2.5)], 0.9));
        let all = [(TYPE, "CPU"), (TARGET, "700"), (PROPORTION, "1"), (MAX, "3"), (DOWN_WINDOW, "2m30s")];
        assert_eq!(scaling(&all).rule, targets(&[(LoadType::Cpu, 700.0)], 1.0));
        assert_eq!(scaling(&all).down_window, Some(Duration::from_secs(150)));
    }

    #[test]
    fn several_types_have_one_target_for_all_or_one_each_in_their_order() {
        let pair = |rps, cpu| targets(&[(LoadType::Rps, rps), (LoadType::Cpu, cpu)], 0.9);
        assert_eq!(scaling(&[(TYPE, "rps,cpu")]).rule, pair(50.0, 50.0));
        assert_eq!(scaling(&[(TYPE, "rps, cpu"), (TARGET, "30")]).rule, pair(30.0, 30.0));
        assert_eq!(scaling(&[(TYPE, "rps,cpu"), (TARGET, "30, 700")]).rule, pair(30.0, 700.0));
        let target = |labels: &[(&str, &str)]| scaling(labels).target;
        assert_eq!(target(&[(TYPE, "rps,cpu"), (TARGET, "30, 700")]), Some(30.0));
        assert_eq!((target(&[(TYPE, "rps")]), target(&[(MIN, "2"), (MAX, "2"), (TARGET, "7.5")])), (None, Some(7.5)));
        let wrong = refusal(&[(TYPE, "rps"), (TARGET, "30,700")]).unwrap();
        assert!(wrong.contains(TYPE) && wrong.contains(TARGET), "{wrong}");
    }

    #[test]
    fn the_same_fewest_and_most_switch_it_off_and_so_does_a_step_of_nothing() {
        for labels in [
            &[(MIN, "2"), (MAX, "2")][..],
            &[(MAX, "1"), (TYPE, "rps")],
            &[(MIN, "20"), (TARGET, "5")],
            &[(MAX, "4"), (FACTOR, "0")],
        ] {
            assert_eq!((refusal(labels), scaling(labels).rule), (None, None), "{labels:?}");
        }
        assert_eq!(scaling(&[(MAX, "4"), (FACTOR, "0")]).up(1), 1);
        assert!(scaling(&[(TYPE, "rps"), (FACTOR, "0")]).rule.is_some(), "a target asks for no step");
    }

    #[test]
    fn types_without_effect_are_accepted_and_said() {
        for text in ["queue", "custom"] {
            assert_eq!((refusal(&[(TYPE, text)]), scaling(&[(TYPE, text)]).rule), (None, None));
            assert_eq!(
                scaling(&[(TYPE, text)]).remark(),
                Some(format!("com.openfaas.scale.type {text} is accepted and has no effect"))
            );
        }
        let beside = scaling(&[(TYPE, "queue,capacity"), (TARGET, "3,4")]);
        assert_eq!(beside.rule, targets(&[(LoadType::Capacity, 4.0)], 0.9));
        assert!(beside.remark().unwrap().contains("queue is"));
        assert_eq!(scaling(&[(TYPE, "rps")]).remark(), None);
    }

    #[test]
    fn what_can_not_be_read_is_refused_with_key_value_and_what_is_expected_and_the_usual_holds_where_it_was_accepted() {
        let usual = scaling(&[(MAX, "3")]);
        for (key, value, expected) in [
            (MIN, "many", "0 to 1000"),
            (MIN, "1001", "0 to 1000"),
            (FACTOR, "101", "0 to 100"),
            (FACTOR, "-1", "0 to 100"),
            (TYPE, "", "rps, capacity"),
            (TYPE, "memory", "rps, capacity"),
            (TYPE, "rps,", "rps, capacity"),
            (TARGET, "0", "above 0"),
            (TARGET, "50%", "above 0"),
            (TARGET, "1,", "above 0"),
            (PROPORTION, "0", "at most 1"),
            (PROPORTION, "1.1", "at most 1"),
            (DOWN_WINDOW, "2h", "5m"),
            (DOWN_WINDOW, "later", "5m"),
        ] {
            let labels = [(MAX, "3"), (key, value)];
            let reason = refusal(&labels).unwrap();
            assert!(reason.contains(&format!("{key}={value:?}")) && reason.contains(expected), "{reason}");
            assert_eq!(scaling(&labels), usual, "{key}={value:?}");
        }
        for value in ["0", "1001", "many", ""] {
            let reason = refusal(&[(MAX, value)]).unwrap();
            assert!(reason.contains(&format!("{MAX}={value:?}")) && reason.contains("1 to 1000"), "{reason}");
            assert_eq!(scaling(&[(MAX, value)]), scaling(&[]), "{value:?}");
        }
        assert!(refusal(&[(MIN, "3"), (MAX, "2")]).unwrap().contains(MAX));
        assert_eq!(scaling(&[(MIN, "3"), (MAX, "2")]).max, 3);
    }

    #[test]
    fn each_step_is_rounded_up_and_ends_at_the_most() {
        for (max, factor, replicas, wanted) in
            [("5", "10", 1, 2), ("5", "50", 1, 4), ("20", "20", 3, 7), ("20", "20", 18, 20), ("5", "100", 0, 5)]
        {
            assert_eq!(scaling(&[(MAX, max), (FACTOR, factor)]).up(replicas), wanted, "{max} {factor} {replicas}");
        }
    }

    #[test]
    fn what_was_asked_for_by_hand_is_not_taken_away() {
        assert_eq!(scaling(&[]).up(9), 9);
        assert_eq!(scaling(&[(MAX, "1000"), (FACTOR, "100")]).up(u32::MAX), u32::MAX);
    }
}
