//! Who starts actord: systemd, by its unit's name, or somebody who starts what has ended once more. Of the latter nothing is
//! known, and nothing asked.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::home::PATH;
use super::marker::Marker;
use crate::process;

/// systemd answers in milliseconds where it is only asked to begin something.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How long the kernel may take to end what it was told to.
const KILLED_WITHIN: Duration = Duration::from_secs(10);
const OFTEN: Duration = Duration::from_millis(20);

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

/// Has systemd start what it may have given up.
pub(super) async fn start(unit: Option<&str>) {
    if let Some(unit) = unit
        && let Err(reason) = systemctl(&["start", "--no-block", unit]).await
    {
        tracing::error!(reason, "actord may have to be started by hand");
    }
}

/// Whether systemd knows a unit and starts it.
pub(super) async fn start_unit(unit: &str) -> bool {
    systemctl(&["start", "--no-block", unit]).await.is_ok()
}

async fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let words = arguments.join(" ");
    let mut command = Command::new("systemctl");
    command.args(arguments).env_clear().env("PATH", PATH).stdin(Stdio::null()).kill_on_drop(true);
    let answer = timeout(ANSWERS_WITHIN, command.output()).await;
    let answer = answer.map_err(|_| format!("systemctl {words}: no answer within {ANSWERS_WITHIN:?}"))?;
    let answer = answer.map_err(|error| format!("systemctl {words}: {error}"))?;
    if answer.status.success() {
        return Ok(());
    }
    Err(format!("systemctl {words}: {}: {}", answer.status, String::from_utf8_lossy(&answer.stderr).trim()))
}

fn send(pid: Option<i32>, signal: Signal) {
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

/// The processes with the command line of this upgrade's actord that are not the program which lies in its place: one of that
/// waits, or will.
pub(super) fn strangers(marker: &Marker) -> BTreeSet<i32> {
    let which = |path: &Path| fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    let program = which(&marker.program);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_one = |pid: &i32| {
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
        let words = line.strip_suffix(b"\0").unwrap_or(&line).split(|byte| *byte == 0);
        words.eq(marker.settings.iter().map(String::as_bytes))
            && which(Path::new(&format!("/proc/{pid}/exe"))) != program
            && process::lives(*pid)
    };
    pids.filter(is_one).collect()
}

/// Ends processes: asks, waits for `grace`, insists.
pub(super) async fn end(pids: &BTreeSet<i32>, grace: Duration) {
    for (signal, wait) in [(Signal::TERM, grace), (Signal::KILL, KILLED_WITHIN)] {
        let left = || pids.iter().copied().filter(|pid| process::lives(*pid));
        left().for_each(|pid| send(Some(pid), signal));
        let begun = Instant::now();
        while left().next().is_some() && begun.elapsed() < wait {
            sleep(OFTEN).await;
        }
    }
}
