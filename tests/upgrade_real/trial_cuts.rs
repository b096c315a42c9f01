//! Kills in the middle of an upgrade, of who watches it, of the program that runs, of both: whatever comes of it, the end is one
//! of the two programs, whole, with all functions and what was accepted.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::machine::{Machine, is_same};
use crate::manager::until;

/// Whom a kill hits.
#[derive(Debug, Clone, Copy)]
enum Hit {
    Watcher,
    Program,
    Both,
}

/// A step, what the new program is, and whom to kill there. The first are what `make test` does.
const CUTS: &[(&str, &str, Hit)] = &[
    ("trial", "good", Hit::Watcher),
    ("stopping", "good", Hit::Both),
    ("switched", "good", Hit::Watcher),
    ("going-back", "never-ready", Hit::Both),
    ("prepared", "good", Hit::Watcher),
    ("prepared", "good", Hit::Program),
    ("prepared", "good", Hit::Both),
    ("stopping", "good", Hit::Watcher),
    ("stopping", "good", Hit::Program),
    ("copied", "next-schema", Hit::Watcher),
    ("copied", "next-schema", Hit::Program),
    ("copied", "next-schema", Hit::Both),
    ("switched", "good", Hit::Program),
    ("switched", "next-schema", Hit::Both),
    ("trial", "good", Hit::Program),
    ("trial", "next-schema", Hit::Watcher),
    ("trial", "next-schema", Hit::Both),
    ("trial", "never-ready", Hit::Watcher),
    ("passed", "good", Hit::Watcher),
    ("passed", "good", Hit::Program),
    ("passed", "good", Hit::Both),
    ("going-back", "never-ready", Hit::Watcher),
    ("going-back", "never-ready", Hit::Program),
    ("going-back", "next-schema dies-late", Hit::Both),
    ("back", "never-ready", Hit::Watcher),
    ("back", "never-ready", Hit::Both),
];
/// How many of them `make test` does.
const FEW: usize = 4;

/// What is there at the kill: the step that is marked, and whether the new program has its place.
#[derive(Debug)]
struct At {
    step: Option<String>,
    is_placed: bool,
}

impl At {
    /// What the upgrade comes to by a kill there; `good`: whether the new program is. By the table of `src/upgrade/step.rs`.
    fn outcomes(&self, good: bool, whom: Hit) -> &'static [&'static str] {
        let to_its_end: &[&str] = if good { &["passed"] } else { &["went-back"] };
        let is_watcher_hit = matches!(whom, Hit::Watcher | Hit::Both);
        match self.step.as_deref() {
            None | Some("prepared") => to_its_end,
            Some("stopping" | "copied") if is_watcher_hit => &["not-begun"],
            Some("stopping" | "copied") => to_its_end,
            Some("switched") if is_watcher_hit && !self.is_placed => &["not-begun"],
            Some("switched") if is_watcher_hit => to_its_end,
            // It may have been found waiting a moment before, as the one that becomes the new program.
            Some("switched") => &["passed", "went-back"],
            Some("trial") if matches!(whom, Hit::Program) => &["went-back"],
            Some("trial") => to_its_end,
            Some("passed") => &["passed"],
            Some("going-back" | "back") => &["went-back"],
            Some(other) => panic!("{other}"),
        }
    }
}

/// Steps that last long enough for a test to meet them; the others are over within milliseconds, and the one that follows may be
/// met instead.
const LONG: [&str; 4] = ["stopping", "switched", "trial", "going-back"];

/// Stops who watches, so that nothing goes on between a look and the kill.
fn stop(watchers: &[i32]) {
    for pid in watchers {
        let _ = kill_process(Pid::from_raw(*pid).unwrap(), Signal::STOP);
    }
    let is_still = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // One that has ended does nothing either.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']))
    };
    while !watchers.iter().all(is_still) {
        std::thread::yield_now();
    }
}

/// Kills those, if they live, and tells what was there then.
fn hit(machine: &Machine, words: &str, new: &Path, whom: Hit) -> At {
    let watchers = machine.watchers();
    stop(&watchers);
    let at = At { step: machine.step(), is_placed: is_same(&machine.program, new) };
    let is_watcher_hit = matches!(whom, Hit::Watcher | Hit::Both);
    if matches!(whom, Hit::Program | Hit::Both) {
        machine.manager.supervised().signal(Signal::KILL);
    }
    for pid in watchers {
        let signal = if is_watcher_hit { Signal::KILL } else { Signal::CONT };
        let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
    }
    // Any actord that starts has itself watched. A program that is none leaves that to the unit of the watcher.
    if is_watcher_hit && words == "never-ready" {
        machine.start_watcher();
    }
    at
}

/// Upgrades, kills at that step, and looks at what comes of it: that is what belongs to the step that was hit.
async fn cut(step: &str, words: &str, whom: Hit) {
    let machine = Machine::start().await;
    let before = machine.manager.functions();
    let new = machine.other(words);
    let mut caller = machine.begin(&new, &[]);
    let mut has_begun = false;
    until(&format!("{step} is reached"), async || {
        // Closer than the rest of this waits: some steps are short.
        for _ in 0..100 {
            let now = machine.step();
            has_begun |= now.is_some();
            if now.as_ref().map_or(has_begun, |now| order(now) >= order(step)) {
                return true;
            }
            sleep(Duration::from_millis(1)).await;
        }
        false
    })
    .await;
    let at = hit(&machine, words, &new, whom);
    let (outcome, reason) = machine.outcome().await;
    let _ = caller.kill().await;

    println!("{whom:?} killed at {step} ({at:?}), on the way to {words}: {outcome} {reason}");
    let hit = at.step.as_deref();
    assert!(hit == Some(step) || !LONG.contains(&step), "{step} was to be hit: {at:?}\n{}", machine.story());
    assert!(hit.is_none_or(|hit| order(hit) >= order(step)), "{step} was to be hit: {at:?}");
    let expected = at.outcomes(matches!(words, "good" | "next-schema"), whom);
    assert!(
        expected.contains(&outcome.as_str()),
        "{whom:?} at {at:?}: {expected:?}, not {outcome} {reason}\n{}",
        machine.story()
    );
    // Where the kill hit the very end, it is being started again just now.
    until(&format!("the program of {outcome} runs"), async || {
        if outcome == "passed" { machine.runs(&new) } else { machine.runs_today() }
    })
    .await;
    until("the function answers", async || machine.status("GET", "/function/hello/version", "").await == 200).await;
    assert_eq!(machine.manager.functions(), before, "the function's process was left alone: {}", machine.story());
    until("changes are taken", async || {
        let again = r#"{"service":"again","image":"docker.io/test/hello:1"}"#;
        matches!(machine.status("POST", "/system/functions", again).await, 202 | 409)
    })
    .await;
    machine.finish().await;
}

/// Steps in their order; one that goes back comes after all that go on.
fn order(step: &str) -> usize {
    let steps = ["prepared", "stopping", "copied", "switched", "trial", "passed", "going-back", "back"];
    steps.iter().position(|known| *known == step).unwrap_or_else(|| panic!("{step}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_the_middle_one_of_both_programs_serves_in_the_end() {
    let cuts = if std::env::var_os("ACTORD_SOAK").is_some() { CUTS } else { &CUTS[..FEW] };
    for (step, words, whom) in cuts {
        cut(step, words, *whom).await;
    }
}
