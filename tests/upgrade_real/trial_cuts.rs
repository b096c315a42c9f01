//! Kills in the middle of an upgrade, of who watches it, of the program that runs, of both: whatever comes of it, the end is one
//! of the two programs, whole, with all functions and what was accepted.

use rustix::process::{Pid, Signal, kill_process};

use crate::machine::Machine;
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

/// Kills those, if they live.
fn hit(machine: &Machine, words: &str, whom: Hit) {
    let is_watcher_hit = matches!(whom, Hit::Watcher | Hit::Both);
    if is_watcher_hit {
        for pid in machine.watchers() {
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
    }
    if matches!(whom, Hit::Program | Hit::Both) {
        machine.manager.supervised().signal(Signal::KILL);
    }
    // Any actord that starts has itself watched. A program that is none leaves that to the unit of the watcher.
    if is_watcher_hit && words == "never-ready" {
        machine.start_watcher();
    }
}

/// Upgrades, kills at that step, and looks at what comes of it. Returns that.
async fn cut(step: &str, words: &str, whom: Hit) -> String {
    let machine = Machine::start().await;
    let before = machine.manager.functions();
    let new = machine.other(words);
    let mut caller = machine.begin(&new, &[]);
    // A step that is over in a moment may have passed by when it is looked for: what follows is as good a place to be hit at.
    let (mut at, mut has_begun) = (None, false);
    until(&format!("{step} is reached"), async || {
        at = machine.step();
        has_begun |= at.is_some();
        at.as_ref().map_or(has_begun, |now| order(now) >= order(step))
    })
    .await;
    hit(&machine, words, whom);
    let (outcome, reason) = machine.outcome().await;
    let _ = caller.kill().await;

    println!("{whom:?} killed at {step} ({at:?}), on the way to {words}: {outcome} {reason}");
    let (today, there) = (machine.runs_today(), machine.runs(&new));
    match outcome.as_str() {
        "passed" => assert!(there, "{}", machine.story()),
        "went-back" | "not-begun" => assert!(today, "{outcome}: {}", machine.story()),
        other => panic!("{other}: {}", machine.story()),
    }
    until("the function answers", async || machine.status("GET", "/function/hello/version", "").await == 200).await;
    assert_eq!(machine.manager.functions(), before, "the function's process was left alone: {}", machine.story());
    until("changes are taken", async || {
        let again = r#"{"service":"again","image":"docker.io/test/hello:1"}"#;
        matches!(machine.status("POST", "/system/functions", again).await, 202 | 409)
    })
    .await;
    machine.finish().await;
    outcome
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
        let outcome = cut(step, words, *whom).await;
        // Who watches a program that never serves, whatever was killed, does not leave it there.
        assert!(*words != "never-ready" || outcome != "passed", "{step} {whom:?}");
    }
}
