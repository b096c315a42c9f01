//! What healthy means. Pure: a trial is judged by what is seen of it, look by look.
//!
//! ```text
//! an end, another process in its place, a function's process gone            -> back, at once
//! not healthy by half of the trial (30 s at most), or twice in a row later   -> back
//! healthy without a break until the trial is over                            -> passed
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::marker::{Before, Function, function_of, instance_prefix};
use super::step::Verdict;

/// How long a new program may take until it is healthy, and after a boot of the machine, where all functions start anew; and how
/// many looks in a row may fail later: one may meet a machine that is busy.
const READY_WITHIN: Duration = Duration::from_secs(30);
const STARTS_ALL_WITHIN: Duration = Duration::from_secs(300);
const FAILURES: u32 = 2;

/// What the API says.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    /// The commit that it was built from.
    pub(super) commit: String,
    /// What is not well.
    pub(super) faults: BTreeSet<String>,
    /// All functions, as NAME.NAMESPACE.
    pub(super) functions: BTreeMap<String, Function>,
}

/// One look.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// How old the trial is.
    pub(super) at: Duration,
    /// Whether the process lives that is on trial, if it is known.
    pub(super) lives: bool,
    /// Who has the data directory.
    pub(super) holder: Option<i32>,
    /// The instances of [`Before`] of which the first process is gone.
    pub(super) gone: BTreeSet<String>,
    pub(super) answer: Result<Answer, String>,
}

/// A trial.
#[derive(Debug)]
pub(super) struct Trial {
    before: Before,
    commit: String,
    length: Duration,
    /// The process that is on trial.
    pub(super) pid: Option<i32>,
    was_healthy: bool,
    failures: u32,
    /// Instances that went for a reason that their function's status gives.
    explained: BTreeSet<String>,
}

impl Trial {
    /// A trial that begins. `pid`: the process that becomes the new program, if there is one.
    pub(super) fn new(before: Before, commit: String, length: Duration, pid: Option<i32>) -> Self {
        Self { before, commit, length, pid, was_healthy: false, failures: 0, explained: BTreeSet::new() }
    }

    fn ready_within(&self) -> Duration {
        if self.before.is_of_an_earlier_boot { STARTS_ALL_WITHIN } else { READY_WITHIN.min(self.length / 2) }
    }

    /// Whether the new program has served at all.
    pub(super) fn was_healthy(&self) -> bool {
        self.was_healthy
    }

    /// What the trial has come to by one more look.
    pub(super) fn judge(&mut self, look: &Look) -> Verdict {
        match (self.pid, look.holder) {
            (Some(pid), _) if !look.lives => return Verdict::Failed(format!("it ended (pid {pid})")),
            (Some(pid), Some(holder)) if pid != holder => {
                return Verdict::Failed(format!("pid {holder} took the place of pid {pid}"));
            }
            (None, found) => self.pid = found,
            _ => {}
        }
        let functions = look.answer.as_ref().map(|answer| &answer.functions);
        let unexplained = look.gone.iter().filter(|instance| !self.explained.contains(*instance));
        let (explained, killed): (Vec<&String>, Vec<&String>) =
            unexplained.partition(|instance| functions.is_ok_and(|functions| self.explains(instance, functions)));
        if let Some(instance) = killed.first() {
            return Verdict::Failed(format!(
                "the process of instance {instance} is gone, and its function has not changed"
            ));
        }
        let explained: Vec<String> = explained.into_iter().cloned().collect();
        self.explained.extend(explained);
        match self.fault(look) {
            None => {
                (self.was_healthy, self.failures) = (true, 0);
                if look.at >= self.length { Verdict::Passed } else { Verdict::Undecided }
            }
            Some(why) if self.was_healthy => {
                self.failures += 1;
                if self.failures < FAILURES { Verdict::Undecided } else { Verdict::Failed(why) }
            }
            Some(why) if look.at > self.ready_within() => {
                Verdict::Failed(format!("it was not healthy {} s after its start: {why}", look.at.as_secs()))
            }
            Some(_) => Verdict::Undecided,
        }
    }

    /// Why it is not healthy.
    fn fault(&self, look: &Look) -> Option<String> {
        let answer = match &look.answer {
            Ok(answer) => answer,
            Err(why) => return Some(why.clone()),
        };
        if look.holder.is_none() {
            return Some("no process has the data directory".to_owned());
        }
        if answer.commit != self.commit {
            return Some(format!("commit {} answers, not {}", answer.commit, self.commit));
        }
        // What is said of one and the same thing may have other numbers in it.
        let about = |fault: &String| fault.split(':').next().map(str::to_owned);
        let known: BTreeSet<Option<String>> = self.before.faults.iter().map(about).collect();
        if let Some(fault) = answer.faults.iter().find(|fault| !known.contains(&about(fault))) {
            return Some(format!("a fault that was not there before: {fault}"));
        }
        let is_ready = |name: &String| {
            answer.functions.get(name).is_some_and(|function| function.available > 0 || function.replicas == 0)
        };
        let lost = self.before.ready.keys().find(|name| !is_ready(name))?;
        Some(format!("function {lost} was ready before and is not"))
    }

    /// Whether an instance may be gone: somebody asked for something else of its function, or it had more than it needs.
    fn explains(&self, instance: &str, functions: &BTreeMap<String, Function>) -> bool {
        let Some(named) = function_of(instance) else { return false };
        self.before.ready.iter().any(|(id, before)| {
            instance_prefix(id) == named
                && functions.get(id).is_some_and(|now| {
                    now.replicas < before.replicas || now.spares < before.spares || now.is_another_than(before)
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIAL: Duration = Duration::from_secs(60);

    fn function(replicas: u64) -> Function {
        let spec = [("image".to_owned(), "a sum".to_owned())].into();
        Function { replicas, available: replicas, spares: 0, spec }
    }

    fn before() -> Before {
        Before {
            ready: [("env.openfaas-fn".to_owned(), function(2))].into(),
            faults: ["disk: full".to_owned()].into(),
            processes: [("env-1".to_owned(), 11), ("env-2".to_owned(), 12)].into(),
            is_of_an_earlier_boot: false,
        }
    }

    fn answer(functions: Function) -> Answer {
        let functions = [("env.openfaas-fn".to_owned(), functions)].into();
        Answer { commit: "new".into(), faults: BTreeSet::new(), functions }
    }

    fn well(seconds: u64) -> Look {
        let (at, answer) = (Duration::from_secs(seconds), Ok(answer(function(2))));
        Look { at, lives: true, holder: Some(7), gone: BTreeSet::new(), answer }
    }

    fn judged(looks: &[Look]) -> Vec<Verdict> {
        let mut trial = Trial::new(before(), "new".into(), TRIAL, Some(7));
        looks.iter().map(|look| trial.judge(look)).collect()
    }

    fn fails(looks: &[Look], word: &str) {
        let verdicts = judged(looks);
        let (last, earlier) = verdicts.split_last().unwrap();
        assert!(earlier.iter().all(|verdict| *verdict == Verdict::Undecided), "{earlier:?}");
        assert!(matches!(last, Verdict::Failed(why) if why.contains(word)), "{last:?} says {word}");
    }

    #[test]
    fn it_passes_when_it_was_healthy_until_the_end_and_not_before() {
        let looks: Vec<Look> = (0..=60).map(well).collect();
        let verdicts = judged(&looks);
        assert!(verdicts[..60].iter().all(|verdict| *verdict == Verdict::Undecided));
        assert_eq!(verdicts[60], Verdict::Passed);
    }

    #[test]
    fn an_end_or_another_process_in_its_place_is_the_end_of_it() {
        fails(&[well(1), Look { lives: false, holder: None, ..well(2) }], "it ended (pid 7)");
        fails(&[well(1), Look { holder: Some(8), ..well(2) }], "pid 8 took the place of pid 7");
    }

    #[test]
    fn whoever_comes_first_is_on_trial_where_nobody_was_there_to_become_it() {
        let mut trial = Trial::new(before(), "new".into(), TRIAL, None);
        assert_eq!(trial.judge(&Look { holder: None, lives: false, ..well(1) }), Verdict::Undecided);
        assert_eq!(trial.judge(&well(2)), Verdict::Undecided);
        assert_eq!(trial.pid, Some(7));
        assert!(matches!(trial.judge(&Look { lives: false, ..well(3) }), Verdict::Failed(_)));
    }

    #[test]
    fn one_that_does_not_become_healthy_has_half_a_minute() {
        let silent = |at| Look { answer: Err("no answer".into()), ..well(at) };
        fails(&[silent(1), silent(30), silent(31)], "not healthy 31 s after its start: no answer");
        assert_eq!(judged(&[silent(1), silent(29), well(30)]).pop(), Some(Verdict::Undecided));
    }

    #[test]
    fn after_a_boot_of_the_machine_functions_may_take_longer_and_must_all_be_ready() {
        let before = Before { is_of_an_earlier_boot: true, ..before() };
        let mut trial = Trial::new(before, "new".into(), TRIAL, None);
        let starts = |at| Look { answer: Ok(answer(Function { available: 0, ..function(2) })), ..well(at) };
        for at in [1, 31, 70] {
            assert_eq!(trial.judge(&starts(at)), Verdict::Undecided);
        }
        assert_eq!(trial.judge(&well(80)), Verdict::Passed);
    }

    #[test]
    fn one_look_may_fail_and_two_in_a_row_may_not() {
        let silent = |at| Look { answer: Err("no answer".into()), ..well(at) };
        assert_eq!(judged(&[well(1), silent(2), well(3), silent(4), well(60)]).pop(), Some(Verdict::Passed));
        fails(&[well(1), silent(2), silent(3)], "no answer");
    }

    #[test]
    fn what_was_well_before_must_be_well_and_what_was_not_need_not() {
        let with = |change: &dyn Fn(&mut Answer)| {
            let mut answer = answer(function(2));
            change(&mut answer);
            move |at| Look { answer: Ok(answer.clone()), ..well(at) }
        };
        let old = with(&|answer| _ = answer.faults.insert("disk: fuller".into()));
        assert_eq!(judged(&[old(1), old(60)]).pop(), Some(Verdict::Passed));
        let new = with(&|answer| _ = answer.faults.insert("store: slow".into()));
        fails(&[well(1), new(2), new(3)], "store: slow");
        let other = with(&|answer| answer.commit = "old".into());
        fails(&[other(1), other(31)], "commit old answers, not new");
        let lost = with(&|answer| answer.functions.clear());
        fails(&[well(1), lost(2), lost(3)], "env.openfaas-fn");
        let starts = with(&|answer| answer.functions.values_mut().for_each(|function| function.available = 0));
        fails(&[well(1), starts(2), starts(3)], "env.openfaas-fn");
        let idle = with(&|answer| _ = answer.functions.insert("env.openfaas-fn".into(), function(0)));
        assert_eq!(judged(&[well(1), idle(60)]).pop(), Some(Verdict::Passed), "it rests");
    }

    #[test]
    fn a_function_s_process_that_is_gone_is_the_end_of_it_unless_somebody_asked_for_that() {
        let gone = |at| Look { gone: ["env-2".to_owned()].into(), ..well(at) };
        fails(&[well(1), gone(2)], "env-2");
        let silent = Look { answer: Err("no answer".into()), ..gone(2) };
        fails(&[well(1), silent], "env-2");
        let with = |part: &str, sum: &str| {
            let mut function = function(2);
            function.spec.insert(part.into(), sum.into());
            function
        };
        for changed in [function(1), with("image", "another"), Function { spec: BTreeMap::new(), ..function(2) }] {
            let asked = Look { answer: Ok(answer(changed.clone())), ..gone(2) };
            assert_eq!(judged(&[well(1), asked, gone(3), gone(60)]).pop(), Some(Verdict::Passed), "{changed:?}");
        }
        let shows_more = Look { answer: Ok(answer(with("new", "sum"))), ..gone(2) };
        fails(&[well(1), shows_more], "env-2");
    }
}
