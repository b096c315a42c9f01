//! Who starts actord: systemd, by its unit's name, or somebody who starts what has ended once more. Of the latter nothing is
//! known, and nothing asked.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::home::PATH;

/// systemd answers in milliseconds where it is only asked to begin something.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How often it is asked again that does not answer, and after which time.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_secs(1);

/// Asks the program that runs to end, and to be started again.
pub(super) async fn restart(unit: Option<&str>, pid: Option<i32>) {
    let Some(unit) = unit else {
        send(pid, Signal::TERM);
        return;
    };
    if let Err(reason) = systemctl(&["restart", "--no-block", unit]).await {
        tracing::warn!(reason, "asking the process itself to end");
        send(pid, Signal::TERM);
    }
}

/// What systemd means to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It keeps it running, or starts it now or in a moment.
    Kept,
    /// It was told to stop it, and not to start it since.
    Stopped,
    /// It has given it up.
    Failed,
}

/// Whether the unit was told to stop, and not to start since: by an operator, or because the machine ends.
pub(super) async fn is_stopped(unit: Option<&str>) -> bool {
    let Some(unit) = unit else { return false };
    for _ in 0..TRIES {
        match state(unit).await {
            Ok(state) => return state == State::Stopped,
            // Where the machine ends, it is too busy to answer and this process is about to end as well.
            Err(reason) => tracing::warn!(reason, "it is asked again"),
        }
        sleep(AGAIN).await;
    }
    false
}

/// Has systemd start what it has given up. What was stopped stays so.
pub(super) async fn start(unit: Option<&str>) {
    let Some(unit) = unit else { return };
    match state(unit).await {
        Ok(State::Kept) => return,
        Ok(State::Stopped) => {
            tracing::info!(unit, "it was stopped meanwhile, and stays so: systemctl start brings it back");
            return;
        }
        Ok(State::Failed) => {}
        Err(reason) => tracing::warn!(reason, "it is started in any case"),
    }
    // Without it a unit that was started too often is refused.
    if let Err(reason) = systemctl(&["reset-failed", unit]).await {
        tracing::warn!(reason, "it may have been started too often to be started now");
    }
    if let Err(reason) = systemctl(&["start", "--no-block", unit]).await {
        tracing::error!(reason, "actord may have to be started by hand");
    }
}

/// What systemd has in mind, by the state of the unit and by its jobs.
async fn state(unit: &str) -> Result<State, String> {
    let jobs = systemctl(&["list-jobs", "--no-legend", "--no-pager", "--plain", "--full"]).await?;
    let active = systemctl(&["show", "--property=ActiveState", unit]).await?;
    Ok(told(&active, &jobs, unit))
}

/// A unit that is kept running is never inactive: it fails, or is about to be started again.
fn told(active: &str, jobs: &str, unit: &str) -> State {
    let mut of_unit = jobs.lines().map(|job| job.split_ascii_whitespace().skip(1)).filter_map(|mut words| {
        let is_it = words.next() == Some(unit);
        words.next().filter(|_| is_it)
    });
    match (of_unit.next(), active.trim()) {
        (Some("stop"), _) | (None, "ActiveState=inactive") => State::Stopped,
        (None, "ActiveState=failed") => State::Failed,
        _ => State::Kept,
    }
}

/// Whether systemd knows a unit and starts it.
pub(super) async fn start_unit(unit: &str) -> bool {
    systemctl(&["start", "--no-block", unit]).await.is_ok()
}

/// Returns what it says.
async fn systemctl(arguments: &[&str]) -> Result<String, String> {
    let words = arguments.join(" ");
    let mut command = Command::new("systemctl");
    command.args(arguments).env_clear().env("PATH", PATH).stdin(Stdio::null()).kill_on_drop(true);
    let answer = timeout(ANSWERS_WITHIN, command.output()).await;
    let answer = answer.map_err(|_| format!("systemctl {words}: no answer within {ANSWERS_WITHIN:?}"))?;
    let answer = answer.map_err(|error| format!("systemctl {words}: {error}"))?;
    if answer.status.success() {
        return Ok(String::from_utf8_lossy(&answer.stdout).into_owned());
    }
    Err(format!("systemctl {words}: {}: {}", answer.status, String::from_utf8_lossy(&answer.stderr).trim()))
}

pub(super) fn send(pid: Option<i32>, signal: Signal) {
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_stopped_is_told_from_what_ended_by_itself_and_from_what_is_given_up() {
        let (stop, start) = ("7 actord.service stop running\n", "8 actord.service start waiting\n");
        let other = "9 other-actord.service stop running\n10 actord.socket stop waiting\n";
        for (active, jobs, expected) in [
            ("active", "", State::Kept),
            ("active", stop, State::Stopped),
            ("deactivating", stop, State::Stopped),
            ("active", other, State::Kept),
            ("inactive", "", State::Stopped),
            ("inactive", other, State::Stopped),
            ("inactive", start, State::Kept),
            ("inactive", "8 actord.service restart running\n", State::Kept),
            // It ended, and is started again in a second.
            ("activating", "", State::Kept),
            ("deactivating", "", State::Kept),
            ("failed", "", State::Failed),
            ("failed", start, State::Kept),
            ("failed", "No jobs running.\n", State::Failed),
        ] {
            assert_eq!(told(&format!("ActiveState={active}\n"), jobs, "actord.service"), expected, "{active} {jobs}");
        }
    }

    #[tokio::test]
    async fn where_there_is_no_unit_nobody_stopped_it() {
        assert!(!is_stopped(None).await);
    }
}
