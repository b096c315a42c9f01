//! What became of an apply.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::{Act, Change};
use crate::cli::client::{ExitWith, Table};
use crate::function::FunctionId;

/// How one function came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Verdict {
    /// It is what the files say.
    Done,
    /// It is, and none of it runs: an operator keeps it down, for this reason.
    KeptDown(String),
    /// It is not, and will not be by itself.
    Failed(String),
    /// It is not yet, and may still become so.
    NotReady(String),
    /// The apply was interrupted before it was asked for.
    NotAsked,
}

/// One function's end of an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) id: FunctionId,
    pub(super) act: Act,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
}

impl Outcome {
    /// One or two words.
    pub(super) fn result(&self) -> &'static str {
        match self.verdict {
            Verdict::Done | Verdict::KeptDown(_) => self.act.done(),
            Verdict::Failed(_) => "failed",
            Verdict::NotReady(_) => "not ready",
            Verdict::NotAsked => "not asked for",
        }
    }

    pub(super) fn reason(&self) -> &str {
        match &self.verdict {
            Verdict::Done | Verdict::NotAsked => "",
            Verdict::KeptDown(reason) | Verdict::Failed(reason) | Verdict::NotReady(reason) => reason,
        }
    }

    /// Whether it is what was asked for.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.verdict, Verdict::Done | Verdict::KeptDown(_))
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) interrupted: bool,
    pub(super) took: Duration,
}

impl Report {
    /// What was not over when the apply was interrupted.
    pub(super) fn add_unfinished(&mut self, plan: &[Change], sent: &BTreeSet<FunctionId>) {
        let over: BTreeSet<FunctionId> = self.outcomes.iter().map(|outcome| outcome.id.clone()).collect();
        for Change { id, act, .. } in plan.iter().filter(|change| !over.contains(&change.id)) {
            let verdict = match sent.contains(id) {
                true => Verdict::NotReady("interrupted: it goes on without this".to_owned()),
                false => Verdict::NotAsked,
            };
            self.outcomes.push(Outcome { id: id.clone(), act: *act, verdict, took: Duration::ZERO });
        }
    }

    pub(super) fn exit(&self) -> ExitWith {
        if self.interrupted {
            ExitWith::Interrupted
        } else if self.outcomes.iter().all(Outcome::is_done) {
            ExitWith::Done
        } else {
            ExitWith::Failed
        }
    }

    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(&["NAME", "RESULT", "TIME", "REASON"]);
        for outcome in &self.outcomes {
            let time = format!("{:.1} s", outcome.took.as_secs_f64());
            table.row([outcome.id.to_string(), outcome.result().to_owned(), time, outcome.reason().to_owned()]);
        }
        table
    }

    pub(super) fn json(&self, set: &str) -> Value {
        let one = |outcome: &Outcome| {
            json!({
                "function": outcome.id.to_string(),
                "result": outcome.result(),
                "ready": outcome.verdict == Verdict::Done && outcome.act != Act::Remove,
                "seconds": millis(outcome.took),
                "reason": outcome.reason(),
            })
        };
        let all: Vec<Value> = self.outcomes.iter().map(one).collect();
        json!({ "set": set, "seconds": millis(self.took), "interrupted": self.interrupted, "functions": all })
    }

    /// One line for the person who waits.
    pub(super) fn summary(&self) -> String {
        let count = |is: &dyn Fn(&Outcome) -> bool| self.outcomes.iter().filter(|outcome| is(outcome)).count();
        let done = count(&Outcome::is_done);
        let all = self.outcomes.len();
        let seconds = self.took.as_secs_f64();
        if self.interrupted {
            let left = count(&|outcome| outcome.verdict == Verdict::NotAsked);
            let going = all - done - left;
            return format!(
                "interrupted: {done} of {all} done, {going} asked for and going on without this (`actord ls` shows them), \
                 {left} not asked for"
            );
        }
        format!("{done} of {all} done in {seconds:.1} s")
    }
}

/// Seconds, to the millisecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, verdict: Verdict) -> Outcome {
        Outcome { id: name.parse().unwrap(), act: Act::Create, verdict, took: Duration::from_millis(1234) }
    }

    #[test]
    fn one_that_is_not_done_decides_the_exit_code() {
        let mut report =
            Report { outcomes: vec![outcome("a", Verdict::Done)], interrupted: false, took: Duration::from_secs(2) };
        assert_eq!((report.exit(), report.summary().as_str()), (ExitWith::Done, "1 of 1 done in 2.0 s"));
        report.outcomes.push(outcome("b", Verdict::Failed("no such image".into())));
        assert_eq!((report.exit(), report.summary().as_str()), (ExitWith::Failed, "1 of 2 done in 2.0 s"));
        report.outcomes.push(outcome("c", Verdict::KeptDown("kept down by hand".into())));
        assert_eq!((report.exit(), report.summary().as_str()), (ExitWith::Failed, "2 of 3 done in 2.0 s"));
        let expected = json!({"set": "s", "seconds": 2.0, "interrupted": false, "functions": [
            {"function": "a.openfaas-fn", "result": "created", "ready": true, "seconds": 1.234, "reason": ""},
            {"function": "b.openfaas-fn", "result": "failed", "ready": false, "seconds": 1.234, "reason": "no such image"},
            {"function": "c.openfaas-fn", "result": "created", "ready": false, "seconds": 1.234, "reason": "kept down by hand"},
        ]});
        assert_eq!(report.json("s"), expected);
    }

    #[test]
    fn an_interrupted_apply_says_what_goes_on_without_it() {
        let change =
            |name: &str| Change { id: name.parse().unwrap(), act: Act::Create, differences: Vec::new(), spec: None };
        let mut report =
            Report { outcomes: vec![outcome("a", Verdict::Done)], interrupted: true, took: Duration::from_secs(2) };
        report.add_unfinished(&["a", "b", "c"].map(change), &[change("a").id, change("b").id].into());
        let results: Vec<&str> = report.outcomes.iter().map(Outcome::result).collect();
        assert_eq!(results, ["created", "not ready", "not asked for"]);
        assert_eq!(report.exit(), ExitWith::Interrupted);
        assert!(report.summary().contains("1 of 3 done, 1 asked for and going on"), "{}", report.summary());
    }
}
