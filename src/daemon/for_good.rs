//! Whether the end that actord is asked for is for good: it is stopped, or the machine is shut down, and no next actord
//! is there in a moment to thaw what is frozen. A frozen process of control groups version 1 does not even end by
//! SIGKILL, so a machine that shuts down would wait for it.
//!
//! ```text
//! SIGTERM of systemctl restart -> a job "restart" for our unit      of systemctl stop, a shutdown -> a job "stop"
//!         of anybody else      -> no job: the service manager starts the next one
//! ```

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Asks the service manager what it does.
const SYSTEMCTL: &str = "systemctl";
/// It answers in milliseconds, also while the machine shuts down.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Whether this process is stopped for good. Outside of a service it is not: an actord that is started by hand is started
/// again by hand. In one whose manager can't be asked, it is.
pub(super) async fn ends_for_good() -> bool {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(unit) = unit(&groups) else { return false };
    match jobs(SYSTEMCTL.as_ref()).await {
        Ok(jobs) => is_stopped(&jobs, unit),
        Err(reason) => {
            tracing::warn!(reason, "whether this is a restart is not known, so what is frozen is thawed");
            true
        }
    }
}

/// The jobs that the service manager has: number, unit, kind and state of each in a line.
async fn jobs(program: &OsStr) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(["list-jobs", "--no-legend", "--no-pager", "--plain", "--full"]).env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let answer = timeout(ANSWERS_WITHIN, command.output()).await;
    let answer = answer.map_err(|_| format!("{} list-jobs: no answer within {ANSWERS_WITHIN:?}", program.display()))?;
    let answer = answer.map_err(|error| format!("{}: {error}", program.display()))?;
    if !answer.status.success() {
        let words = String::from_utf8_lossy(&answer.stderr);
        return Err(format!("{} list-jobs: {}: {}", program.display(), answer.status, words.trim()));
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The unit in a `/proc/self/cgroup`, as systemd names its groups: `0::/system.slice/actord.service`.
pub(super) fn unit(groups: &str) -> Option<&str> {
    let of_systemd = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let mut parts = groups.lines().filter(of_systemd).flat_map(|line| line.rsplit('/'));
    parts.find(|part| part.ends_with(".service"))
}

/// Whether one of these jobs is to stop that unit.
fn is_stopped(jobs: &str, unit: &str) -> bool {
    jobs.lines().any(|job| {
        let mut words = job.split_ascii_whitespace().skip(1);
        words.next() == Some(unit) && words.next() == Some("stop")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_stop_is_for_good_and_a_restart_or_another_units_stop_is_not() {
        let shutdown = "  71 poweroff.target   start waiting\n  72 actord.service    stop  running\n";
        for (jobs, expected) in [
            ("1234 actord.service stop running\n", true),
            (shutdown, true),
            ("1234 actord.service restart running\n", false),
            ("1234 other-actord.service stop running\n5 actord.socket stop waiting\n", false),
            ("No jobs running.\n", false),
            ("", false),
        ] {
            assert_eq!(is_stopped(jobs, "actord.service"), expected, "{jobs}");
        }
    }

    #[test]
    fn its_unit_is_the_nearest_service_above_it() {
        for (groups, expected) in [
            ("0::/system.slice/actord.service\n", Some("actord.service")),
            ("4:memory:/a.service\n1:name=systemd:/system.slice/edge.service/own\n0::/\n", Some("edge.service")),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
            ("4:memory:/process\n0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit(groups), expected, "{groups}");
        }
    }

    #[tokio::test]
    async fn what_the_service_manager_says_is_read_and_a_failure_tells_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("systemctl");
        let says = |script: &str| {
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        };
        says("echo \"1 $1.service stop running\"");
        assert_eq!(jobs(program.as_os_str()).await.unwrap(), "1 list-jobs.service stop running\n");
        says("echo not now >&2; exit 1");
        let reason = jobs(program.as_os_str()).await.unwrap_err();
        assert!(reason.contains("not now") && reason.contains("exit status: 1"), "{reason}");
        jobs(directory.path().join("none").as_os_str()).await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("systemctl");
        fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let reason = jobs(program.as_os_str()).await.unwrap_err();
        assert!(reason.contains("no answer within"), "{reason}");
    }
}
