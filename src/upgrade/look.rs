//! One look at a program that is on trial: who has the data directory, which functions' processes are gone, and what is answered.

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ask::ask;
use super::health::{Look, Trial};
use super::home::holder;
use super::machine::Machine;
use super::marker::Marker;
use crate::process;

/// How often it is looked at what needs no question while an answer takes its time.
const GLANCE: Duration = Duration::from_millis(25);
const NOW_AND_THEN: Duration = Duration::from_millis(100);

/// Looks at the trial that began then.
pub(super) async fn look(machine: &dyn Machine, marker: &Marker, trial: &Trial, begun: Instant) -> Look {
    let lock = marker.data_dir.join("lock");
    // Before it is asked: who had them end is told of by the answer.
    let all = &marker.before.processes;
    let gone = all.iter().filter(|(id, pid)| !is_still(id, **pid)).map(|(id, _)| id.clone()).collect();
    let is_it = || holder(&lock).is_some_and(|pid| trial.pid.is_none_or(|on_trial| on_trial == pid));
    let authorization = machine.authorization(&marker.data_dir);
    let something_ends = async {
        loop {
            sleep(NOW_AND_THEN).await;
            if is_something_gone(trial) {
                return "a function's process is gone";
            }
        }
    };
    let ends = async {
        while trial.pid.is_none_or(process::lives) {
            sleep(GLANCE).await;
        }
        "it ended"
    };
    let within = trial.answers_within();
    let answer = tokio::select! {
        answer = ask(marker.addresses.provider, authorization.as_deref(), within, &is_it) => answer,
        what = ends => Err(what.to_owned()),
        what = something_ends => Err(what.to_owned()),
    };
    let lives = trial.pid.is_some_and(process::lives);
    Look { at: begun.elapsed(), lives, holder: holder(&lock), gone, answer }
}

/// Whether a function's process has ended since the last look.
pub(super) fn is_something_gone(trial: &Trial) -> bool {
    trial.followed().any(|(_, pid)| !process::lives(pid))
}

/// Whether this process still is one of this instance. What can't be read is no end.
pub(super) fn is_still(instance: &str, pid: i32) -> bool {
    if !process::lives(pid) {
        return false;
    }
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"));
    groups.map_or_else(|_| process::lives(pid), |groups| names(&groups, instance))
}

/// Whether one of the groups in the text of a `/proc/PID/cgroup` is the instance's, or below it.
fn names(groups: &str, instance: &str) -> bool {
    groups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .flat_map(|path| path.split('/'))
        .any(|part| part == instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_an_instance_s_by_its_group_as_its_number_may_be_another_s_by_now() {
        let groups = "12:pids:/actord/env-1\n1:name=systemd:/actord/env-1/inner\n0::/\n";
        assert!(names(groups, "env-1"));
        assert!(!names(groups, "env") && !names(groups, "env-11"));
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!is_still("no-instance-of-this-name", own), "it lives, and is another's");
        assert!(!is_still("env-1", i32::MAX), "there is none");
    }
}
