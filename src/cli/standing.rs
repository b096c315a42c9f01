//! Where a function stands, since when, and what comes next, in words.
//!
//! ```text
//! lifecycle of the status -> ls: "frozen 3m, stops in 12m"   describe: "frozen for 3m", "stopped in 12m without a call"
//! ```

use crate::wire::{FunctionStatus, Lifecycle, NextTier};

const FROZEN: &str = "frozen";

/// In a table: the phase and for how long, the step of a start, what comes next.
pub(super) fn in_short(function: &FunctionStatus) -> String {
    let state = function.state();
    let Some(lifecycle) = &function.lifecycle else { return state.to_owned() };
    let by_hand = if lifecycle.kept_down { " by hand" } else { "" };
    // How long it has done what it is meant to do is no news in a list.
    let since = lifecycle.for_seconds.filter(|_| state != "ready");
    let since = since.map(|seconds| format!(" {}", span(seconds))).unwrap_or_default();
    let rest = match lifecycle {
        Lifecycle { step: Some(step), .. } => format!(": {step}"),
        Lifecycle { next: Some(NextTier { tier, in_seconds }), .. } => {
            let verb = if tier == FROZEN { "freezes" } else { "stops" };
            format!(", {verb} {}", within(*in_seconds))
        }
        _ => String::new(),
    };
    format!("{state}{by_hand}{since}{rest}")
}

/// The phase, and for how long it has been that.
pub(super) fn with_time(function: &FunctionStatus) -> String {
    let since = function.lifecycle.as_ref().and_then(|lifecycle| lifecycle.for_seconds);
    let since = since.map(|seconds| format!(" for {}", span(seconds))).unwrap_or_default();
    format!("{}{since}", function.state())
}

/// What becomes of it next; empty if nothing does.
pub(super) fn next_step(function: &FunctionStatus) -> String {
    let lifecycle = function.lifecycle.as_ref();
    match (function.state(), lifecycle) {
        (_, Some(Lifecycle { kept_down: true, .. })) => String::new(),
        (_, Some(Lifecycle { next: Some(NextTier { tier, in_seconds: 0 }), .. })) if tier == FROZEN => {
            "frozen as soon as it uses no cpu".to_owned()
        }
        (_, Some(Lifecycle { next: Some(NextTier { tier, in_seconds }), .. })) => {
            format!("{tier} {} without a call", within(*in_seconds))
        }
        (FROZEN, _) => "the next call thaws it".to_owned(),
        ("idle" | "stopped", _) => "the next call starts it".to_owned(),
        _ => String::new(),
    }
}

/// How many are ready, and how many of those are frozen.
pub(super) fn ready(function: &FunctionStatus) -> String {
    match function.lifecycle.as_ref().map_or(0, |lifecycle| lifecycle.frozen) {
        0 => function.ready(),
        frozen => format!("{}, {frozen} frozen", function.ready()),
    }
}

/// How many stand by of the spares that were asked for; empty if none were.
pub(super) fn spares(function: &FunctionStatus, asked: u32) -> String {
    let have = function.lifecycle.as_ref().map_or(0, |lifecycle| lifecycle.spares);
    if asked == 0 && have == 0 { String::new() } else { format!("{have}/{asked}") }
}

/// How many run in place of the number that was asked for, and why.
pub(super) fn replicas(function: &FunctionStatus) -> String {
    let Some(lifecycle) = &function.lifecycle else { return String::new() };
    let why = lifecycle.scaled_because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    match lifecycle.asked {
        Some(asked) => format!("{}, {asked} were asked for{why}", function.replicas),
        None if why.is_empty() => String::new(),
        None => format!("{}{why}", function.replicas),
    }
}

fn within(seconds: u64) -> String {
    if seconds == 0 { "now".to_owned() } else { format!("in {}", span(seconds)) }
}

/// A time as short as a person needs it: `45s`, `12m`, `5h`, `3d`.
fn span(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    if seconds < 2 * MINUTE {
        format!("{seconds}s")
    } else if seconds < 2 * HOUR {
        format!("{}m", seconds / MINUTE)
    } else if seconds < 2 * DAY {
        format!("{}h", seconds / HOUR)
    } else {
        format!("{}d", seconds / DAY)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::client::Shown;

    fn function(lifecycle: &Value) -> FunctionStatus {
        let replicas = if ["idle", "stopped"].iter().any(|phase| lifecycle["phase"] == *phase) { 0 } else { 2 };
        let status = json!({"name": "a", "replicas": replicas, "availableReplicas": replicas, "lifecycle": lifecycle});
        Shown::try_from(status).unwrap().function
    }

    #[test]
    fn a_line_of_a_list_and_a_description_say_the_phase_since_when_and_what_comes_next() {
        for (lifecycle, short, long, next) in [
            (Value::Null, "ready", "ready", ""),
            (json!({"phase": "ready", "forSeconds": 4000}), "ready", "ready for 66m", ""),
            (
                json!({"phase": "ready", "forSeconds": 119, "next": {"tier": "frozen", "inSeconds": 20}}),
                "ready, freezes in 20s",
                "ready for 119s",
                "frozen in 20s without a call",
            ),
            (
                json!({"phase": "ready", "next": {"tier": "frozen", "inSeconds": 0}}),
                "ready, freezes now",
                "ready",
                "frozen as soon as it uses no cpu",
            ),
            (
                json!({"phase": "frozen", "forSeconds": 180, "next": {"tier": "stopped", "inSeconds": 721}}),
                "frozen 3m, stops in 12m",
                "frozen for 3m",
                "stopped in 12m without a call",
            ),
            (json!({"phase": "frozen"}), "frozen", "frozen", "the next call thaws it"),
            (json!({"phase": "idle", "forSeconds": 7200}), "idle 2h", "idle for 2h", "the next call starts it"),
            (json!({"phase": "stopped"}), "stopped", "stopped", "the next call starts it"),
            (
                json!({"phase": "stopped", "forSeconds": 259_200, "keptDown": true, "reason": "by hand"}),
                "stopped by hand 3d",
                "stopped for 3d",
                "",
            ),
            (
                json!({"phase": "starting", "forSeconds": 4, "step": "pulling"}),
                "starting 4s: pulling",
                "starting for 4s",
                "",
            ),
        ] {
            let function = function(&lifecycle);
            assert_eq!(
                (in_short(&function).as_str(), with_time(&function).as_str(), next_step(&function).as_str()),
                (short, long, next),
                "{function:?}"
            );
        }
    }

    #[test]
    fn frozen_instances_are_told_among_those_that_are_ready() {
        assert_eq!(ready(&function(&json!({"phase": "ready", "frozen": 1}))), "2/2, 1 frozen");
        assert_eq!(ready(&function(&json!({"phase": "ready"}))), "2/2");
    }

    #[test]
    fn spares_are_told_beside_those_that_were_asked_for() {
        for (lifecycle, asked, told) in [
            (Value::Null, 0, ""),
            (json!({"phase": "starting"}), 1, "0/1"),
            (json!({"phase": "ready", "spares": 1}), 2, "1/2"),
        ] {
            assert_eq!(spares(&function(&lifecycle), asked), told, "{lifecycle}");
        }
    }

    #[test]
    fn another_number_than_was_asked_for_is_told_with_its_reason() {
        for (lifecycle, told) in [
            (json!({"phase": "ready"}), ""),
            (json!({"phase": "ready", "asked": 1, "scaledBecause": "the load"}), "2, 1 were asked for: the load"),
            (json!({"phase": "ready", "scaledBecause": "the load"}), "2: the load"),
            (json!({"phase": "idle", "asked": 3}), "0, 3 were asked for"),
        ] {
            assert_eq!(replicas(&function(&lifecycle)), told, "{lifecycle}");
        }
    }
}
