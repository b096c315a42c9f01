//! Who may be ended on the way back: this upgrade's actord alone, and no process that only looks like it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};

use super::home::holder;
use super::marker::Marker;
use super::service::send;
use crate::process::{lives, stat, which};

/// How long the kernel may take to end what it was told to.
const KILLED_WITHIN: Duration = Duration::from_secs(10);
const OFTEN: Duration = Duration::from_millis(20);
/// The verb of an actord that serves.
const UP: &str = "up";

/// Who has the data directory and serves. Others have it for a while, and end by themselves: `actord down`, an import.
pub(super) fn server(marker: &Marker) -> Option<i32> {
    holder(&marker.data_dir.join("lock")).filter(|pid| words(*pid).iter().any(|word| word == UP))
}

/// The new program's processes, whether they have the data directory or not yet: with the command line of this upgrade's actord,
/// where this process is, and started by its unit; or, where no unit is known, of the very file that was put in its place.
pub(super) fn strangers(marker: &Marker) -> BTreeSet<i32> {
    let program = which(&marker.program);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_one = |pid: &i32| {
        let exe = which(Path::new(&format!("/proc/{pid}/exe")));
        words(*pid) == marker.settings
            && marker.settings.iter().any(|word| word == UP)
            && exe.is_some()
            && exe != program
            && is_here(*pid)
            && match &marker.unit {
                Some(unit) => is_of(&fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default(), unit),
                None => exe == marker.placed,
            }
            && lives(*pid)
    };
    pids.filter(is_one).collect()
}

/// Its command line, as the marker has the one of actord.
fn words(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.strip_suffix(b"\0").unwrap_or(&line).split(|byte| *byte == 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Whether a process sees the processes and files that this one sees: in a container there is another machine's actord.
fn is_here(pid: i32) -> bool {
    ["pid", "mnt"].iter().all(|kind| {
        let of = |who: &str| fs::read_link(format!("/proc/{who}/ns/{kind}")).ok();
        of(&pid.to_string()).is_some_and(|theirs| of("self") == Some(theirs))
    })
}

/// Whether a `/proc/PID/cgroup` is a unit's, or below it.
fn is_of(groups: &str, unit: &str) -> bool {
    groups.lines().any(|line| line.rsplit(':').next().unwrap_or_default().split('/').any(|part| part == unit))
}

/// Ends processes: asks, waits for `grace`, insists. Not those who have one's number afterwards.
pub(super) async fn end(pids: &BTreeSet<i32>, grace: Duration) {
    let begun = |pid: i32| Some(stat(Pid::from_raw(pid)?)?.1);
    let all: Vec<(i32, Option<u64>)> = pids.iter().map(|pid| (*pid, begun(*pid))).collect();
    for (signal, wait) in [(Signal::TERM, grace), (Signal::KILL, KILLED_WITHIN)] {
        let left = || all.iter().filter(|(pid, since)| lives(*pid) && begun(*pid) == *since);
        left().for_each(|(pid, _)| send(Some(*pid), signal));
        let asked = Instant::now();
        while left().next().is_some() && asked.elapsed() < wait {
            sleep(OFTEN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::upgrade::marker::Step;
    use crate::upgrade::marker::testing::marker;

    /// A shell that waits for a line, under these words.
    struct Waits(Child);

    impl Waits {
        fn new(program: &Path, words: &[&str]) -> Self {
            let mut command = Command::new(program);
            command.arg0(words[0]).args(&words[1..]).stdin(Stdio::piped());
            let child = Self(command.spawn().unwrap());
            // Until it is that program, it has the words of this one.
            while which(Path::new(&format!("/proc/{}/exe", child.pid()))) != which(program) {
                std::thread::yield_now();
            }
            child
        }

        fn pid(&self) -> i32 {
            self.0.id().try_into().unwrap()
        }
    }

    impl Drop for Waits {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A program that is there as long as it is wanted, whatever its words are.
    fn program(dir: &Path, name: &str) -> std::path::PathBuf {
        let path = dir.join(name);
        fs::copy("/bin/sh", &path).unwrap();
        path
    }

    const WORDS: [&str; 4] = ["actord", "-c", "read line", "up"];

    #[tokio::test]
    async fn the_new_program_is_ended_and_none_that_only_looks_like_it() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new, third) =
            (program(dir.path(), "actord"), program(dir.path(), "new"), program(dir.path(), "third"));
        let mut upgrade = marker(Step::GoingBack { restored: false }, false);
        (upgrade.program, upgrade.placed) = (old.clone(), which(&new));
        upgrade.settings = WORDS.map(str::to_owned).into();
        upgrade.data_dir = dir.path().to_owned();

        let on_trial = Waits::new(&new, &WORDS);
        let _old = Waits::new(&old, &WORDS);
        let _another = Waits::new(&third, &WORDS);
        let _other_words = Waits::new(&new, &["actord", "-c", "read line", "up", "--data-dir"]);
        assert_eq!(strangers(&upgrade), [on_trial.pid()].into());

        // One that the unit did not start is another's.
        upgrade.unit = Some("actord.service".to_owned());
        assert_eq!(strangers(&upgrade), BTreeSet::new());

        let mut all = [on_trial.pid()].into();
        end(&all, Duration::from_secs(10)).await;
        assert!(!lives(on_trial.pid()));
        all.insert(i32::MAX);
        end(&all, Duration::ZERO).await;
    }

    #[test]
    fn who_has_the_data_directory_and_does_not_serve_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut upgrade = marker(Step::GoingBack { restored: false }, false);
        upgrade.data_dir = dir.path().to_owned();
        let lock = dir.path().join("lock");
        for (verb, serves) in [("down", false), ("up", true)] {
            let mut command = Command::new("flock");
            command.arg(&lock).args(["sh", "-c", "read line", verb]).stdin(Stdio::piped());
            let child = Waits(command.spawn().unwrap());
            while holder(&lock).is_none() {
                std::thread::yield_now();
            }
            assert_eq!(holder(&lock), Some(child.pid()), "{verb}");
            assert_eq!(server(&upgrade), serves.then(|| child.pid()), "{verb}");
            // What it started goes as well, by the end of its input.
            drop(child);
            while holder(&lock).is_some() {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn whose_group_it_is_goes_by_the_unit_s_whole_name() {
        for (groups, expected) in [
            ("0::/system.slice/actord.service\n", true),
            ("0::/system.slice/actord.service/own\n", true),
            ("1:name=systemd:/system.slice/actord.service\n0::/\n", true),
            ("0::/system.slice/other-actord.service\n", false),
            ("0::/\n", false),
        ] {
            assert_eq!(is_of(groups, "actord.service"), expected, "{groups}");
        }
    }
}
