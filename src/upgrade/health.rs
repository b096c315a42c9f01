//! What healthy means. Pure: a trial is judged by what is seen of it, look by look.
//!
//! ```text
//! an end, another process in its place                                        -> back, at once
//! processes of several functions gone at once, or of one that did not end by itself -> back, at once
//! not healthy by half of the trial (30 s at most), or for ten seconds later   -> back
//! healthy, but for shorter breaks, until the trial is over                    -> passed
//! ```
//! A break may be nobody's fault: functions wake, crash by themselves and start again, whoever runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::marker::{Before, Function, function_of, instance_prefix};
use super::step::Verdict;

/// How long a new program may take until it is healthy, and after a boot of the machine, where all functions start anew.
const READY_WITHIN: Duration = Duration::from_secs(30);
const STARTS_ALL_WITHIN: Duration = Duration::from_secs(300);
/// How long something may be wrong later, and how long a function may take that is being started.
const LASTS: Duration = Duration::from_secs(10);
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// How soon it has to be told that a function's process ended by itself, where anything is told. Functions whose processes go
/// within `AT_ONCE` of each other did not.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long an answer may take: as long as the old program was given before.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

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
    /// When it was healthy last.
    well_at: Option<Duration>,
    gone: BTreeMap<String, Gone>,
}

/// An instance whose first process is gone.
#[derive(Debug)]
struct Gone {
    /// When that was seen.
    at: Duration,
    why: Why,
}

/// Why a process is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Unknown,
    /// Somebody asked for something else of its function, or it had more instances than it needs.
    Asked,
    /// It ended by itself, which its function's status says.
    ByItself,
    /// It did not, which its function's status says.
    Killed,
}

/// What is not well, and for how long it may be so.
struct Fault {
    why: String,
    lasts: Duration,
    /// How long that may take at the start.
    starts: Duration,
}

impl Trial {
    /// A trial that begins. `pid`: the process that becomes the new program, if there is one.
    pub(super) fn new(before: Before, commit: String, length: Duration, pid: Option<i32>) -> Self {
        Self { before, commit, length, pid, well_at: None, gone: BTreeMap::new() }
    }

    fn ready_within(&self) -> Duration {
        if self.before.is_of_an_earlier_boot { STARTS_ALL_WITHIN } else { READY_WITHIN.min(self.length / 2) }
    }

    /// Whether the new program has served at all.
    pub(super) fn was_healthy(&self) -> bool {
        self.well_at.is_some()
    }

    /// How long an answer is waited for now.
    pub(super) fn answers_within(&self) -> Duration {
        if self.was_healthy() { ANSWERS_WITHIN } else { ANSWERS_WITHIN.min(self.ready_within() / 2) }
    }

    /// The instances that are followed and were there at the last look, with their first processes.
    pub(super) fn followed(&self) -> impl Iterator<Item = (&String, i32)> {
        self.before.processes.iter().filter(|(id, _)| !self.gone.contains_key(*id)).map(|(id, pid)| (id, *pid))
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
        if let Some(why) = self.killed(look) {
            return Verdict::Failed(why);
        }
        let Some(Fault { why, lasts, starts }) = self.fault(look) else {
            self.well_at = Some(look.at);
            return if look.at >= self.length { Verdict::Passed } else { Verdict::Undecided };
        };
        match self.well_at.map(|well_at| look.at.saturating_sub(well_at)) {
            Some(since) if since > lasts => Verdict::Failed(format!("{why}, for {} s", since.as_secs())),
            None if look.at > starts => {
                Verdict::Failed(format!("it was not healthy {} s after its start: {why}", look.at.as_secs()))
            }
            _ => Verdict::Undecided,
        }
    }

    /// Says so if processes of functions are gone that would be there with the old program.
    fn killed(&mut self, look: &Look) -> Option<String> {
        for instance in &look.gone {
            self.gone.entry(instance.clone()).or_insert(Gone { at: look.at, why: Why::Unknown });
        }
        if let Ok(answer) = &look.answer {
            for (instance, gone) in &mut self.gone {
                if gone.why == Why::Unknown {
                    gone.why = why_gone(&self.before, instance, &answer.functions);
                }
            }
        }
        let unasked = || self.gone.iter().filter(|(_, gone)| gone.why != Why::Asked);
        // Who asks for many changes at once is told of by an answer.
        let told_within = if look.answer.is_ok() { TOLD_WITHIN } else { LASTS };
        let is_late = |gone: &Gone| look.at.saturating_sub(gone.at) > told_within;
        for (instance, gone) in unasked() {
            let beside = unasked().find(|(other, its)| {
                function_of(other) != function_of(instance) && its.at.abs_diff(gone.at) <= AT_ONCE
            });
            if let Some((other, _)) = beside
                && (look.answer.is_ok() || is_late(gone))
            {
                return Some(format!("the processes of instances {instance} and {other} were gone at once"));
            }
            if gone.why == Why::Killed || gone.why == Why::Unknown && is_late(gone) {
                return Some(format!(
                    "the process of instance {instance} is gone: its function has not changed, and it did not end by itself"
                ));
            }
        }
        None
    }

    /// Why it is not healthy.
    fn fault(&self, look: &Look) -> Option<Fault> {
        let (lasts, starts) = (LASTS.min(self.length / 2), self.ready_within());
        let fault = |why: String| Some(Fault { why, lasts, starts });
        let answer = match &look.answer {
            Ok(answer) => answer,
            Err(why) => return fault(why.clone()),
        };
        if look.holder.is_none() {
            return fault("no process has the data directory".to_owned());
        }
        if answer.commit != self.commit {
            return fault(format!("commit {} answers, not {}", answer.commit, self.commit));
        }
        // What is said of one and the same thing may have other numbers in it.
        let about = |fault: &String| fault.split(':').next().map(str::to_owned);
        let known: BTreeSet<Option<String>> = self.before.faults.iter().map(about).collect();
        if let Some(new) = answer.faults.iter().find(|fault| !known.contains(&about(fault))) {
            return fault(format!("a fault that was not there before: {new}"));
        }
        let is_ready = |function: &Function| function.available > 0 || function.replicas == 0;
        let now = |name: &String| answer.functions.get(name);
        let lost = || self.before.ready.keys().filter(|name| !now(name).is_some_and(is_ready));
        let is_starting = |name: &&String| now(name).is_some_and(|function| function.is_starting);
        let why = |name: &String| format!("function {name} was ready before and is not");
        if let Some(name) = lost().find(|name| !is_starting(name)) {
            return fault(why(name));
        }
        let name = lost().next()?;
        Some(Fault { why: why(name), lasts: lasts.max(STARTS_WITHIN), starts: starts.max(STARTS_WITHIN) })
    }
}

/// Why an instance is gone, by what is told of its function.
fn why_gone(before: &Before, instance: &str, functions: &BTreeMap<String, Function>) -> Why {
    let Some(named) = function_of(instance) else { return Why::Unknown };
    let alike = before.ready.iter().filter(|(id, _)| instance_prefix(id) == named);
    let both: Vec<_> = alike.filter_map(|(id, before)| Some((before, functions.get(id)?))).collect();
    let is_asked = |(before, now): &(&Function, &Function)| {
        now.replicas < before.replicas || now.spares < before.spares || now.is_another_than(before)
    };
    if both.iter().any(is_asked) {
        return Why::Asked;
    }
    let ends = both.iter().filter(|(before, now)| now.ended != before.ended).filter_map(|(_, now)| now.ended.as_ref());
    match ends.map(|end| end.is_by_itself).reduce(|one, other| one && other) {
        Some(true) => Why::ByItself,
        Some(false) => Why::Killed,
        None => Why::Unknown,
    }
}

#[cfg(test)]
mod tests;
