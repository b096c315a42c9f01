//! Memory, open files and the clock.

use jiff::Timestamp;

use super::finding::Finding;
use super::source::{Root, ask};
use crate::host::containerd::instances::OPEN_FILES;

const MIB: u64 = 1 << 20;
const MEMORY_SHORT: u64 = 256 * MIB;
const MEMORY_GONE: u64 = 64 * MIB;
/// What a clock may show, in seconds since 1970: this program was not made before 2025, and 2100 is a long way off.
const PLAUSIBLE: std::ops::Range<i64> = 1_735_689_600..4_102_444_800;
/// What systemd's time client makes when it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// The limits of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    soft: u64,
    hard: u64,
}

/// What is known of memory, files and time.
#[derive(Debug)]
pub(super) struct Resources {
    /// Bytes that can be had without swapping.
    memory: Option<u64>,
    /// The limits of actord's open files, or of our own where none runs.
    files: Option<Files>,
    /// Whether they are those of an actord that runs.
    runs: bool,
    /// Whether the kernel tells how long processes wait for memory.
    tells_of_waits: bool,
    now: Timestamp,
    synchronised: Option<bool>,
    /// When the desired state was last written.
    written: Option<Timestamp>,
}

impl Resources {
    /// `actord`: the process that runs with these settings. `written`: when it last wrote its desired state.
    pub(super) async fn read(root: &Root, actord: Option<u32>, written: Option<Timestamp>) -> Self {
        let of = actord.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let synchronised = match root.exists(SYNCHRONISED) {
            true => Some(true),
            false => {
                ask("timedatectl", &["show", "-p", "NTPSynchronized", "--value"]).await.ok().map(|said| said == "yes")
            }
        };
        Self {
            memory: root.text("/proc/meminfo").and_then(|text| available(&text)),
            files: root.text(format!("/proc/{of}/limits")).and_then(|text| open_files(&text)),
            runs: actord.is_some(),
            tells_of_waits: root.text("/proc/pressure/memory").is_some_and(|text| text.starts_with("some avg10=")),
            now: Timestamp::now(),
            synchronised,
            written,
        }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        vec![self.memory(), self.files(), self.clock(), self.synchronised(), self.pressure()]
    }

    fn memory(&self) -> Finding {
        let Some(bytes) = self.memory else { return Finding::unknown("memory", "/proc/meminfo can't be read") };
        let found = format!("{} MiB available", bytes / MIB);
        let remedy = "ps aux --sort=-rss | head shows who has it; give functions limits, or the machine more";
        if bytes < MEMORY_GONE {
            Finding::failure("memory", found, remedy)
        } else if bytes < MEMORY_SHORT {
            Finding::warning("memory", found, remedy)
        } else {
            Finding::ok("memory", found)
        }
    }

    fn pressure(&self) -> Finding {
        Finding::ok(
            "memory pressure",
            if self.tells_of_waits {
                "the kernel tells how long processes wait for memory"
            } else {
                "the kernel does not tell how long processes wait for memory (CONFIG_PSI, psi=1): what is left of it counts"
            },
        )
    }

    fn files(&self) -> Finding {
        let check = "open files";
        match self.files {
            None => Finding::unknown(check, "the limit can't be read"),
            Some(Files { hard, .. }) if hard < OPEN_FILES => Finding::warning(
                check,
                format!("the hard limit is {hard}: actord and functions get that many, not {OPEN_FILES}"),
                format!(
                    "ulimit -Hn {OPEN_FILES} before actord up (root with CAP_SYS_RESOURCE); systemd's default is higher"
                ),
            ),
            Some(Files { soft, hard }) if self.runs && soft < hard => Finding::warning(
                check,
                format!(
                    "actord may have {soft} open, of {hard} that it could have: its start could not raise the limit"
                ),
                "systemctl restart actord, and look into its log for the limit of open files",
            ),
            Some(Files { hard, .. }) if self.runs => Finding::ok(check, format!("actord may have {hard} open")),
            Some(Files { soft, hard }) => {
                Finding::ok(check, format!("the limit is {soft}, which actord raises to {hard} at its start"))
            }
        }
    }

    fn clock(&self) -> Finding {
        let check = "clock";
        let shown = self.now.strftime("%FT%TZ");
        let remedy = "timedatectl set-ntp true, or date -s YYYY-MM-DDTHH:MM:SSZ";
        match self.written {
            _ if !PLAUSIBLE.contains(&self.now.as_second()) => {
                Finding::failure(check, format!("it says {shown}: registries' certificates will not be valid"), remedy)
            }
            Some(written) if written > self.now + jiff::SignedDuration::from_hours(1) => {
                let found =
                    format!("it says {shown}, but the desired state was written at {}", written.strftime("%FT%TZ"));
                Finding::warning(check, found, remedy)
            }
            _ => Finding::ok(check, shown.to_string()),
        }
    }

    fn synchronised(&self) -> Finding {
        match self.synchronised {
            Some(true) => Finding::ok("time source", "synchronised"),
            Some(false) => Finding::warning(
                "time source",
                "the clock is not synchronised",
                "apt-get install systemd-timesyncd && timedatectl set-ntp true",
            ),
            None => Finding::unknown("time source", "neither systemd-timesyncd nor timedatectl says anything"),
        }
    }
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limits of open files in `/proc/PID/limits`.
fn open_files(limits: &str) -> Option<Files> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut limits = line.split_whitespace().map(|limit| match limit {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some(Files { soft: limits.next()??, hard: limits.next()?? })
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::super::source::tree;
    use super::*;

    fn resources() -> Resources {
        let now = "2026-05-01T12:00:00Z".parse().unwrap();
        let files = Some(Files { soft: 1024, hard: 1 << 20 });
        let (tells_of_waits, synchronised) = (true, Some(true));
        Resources { memory: Some(1 << 30), files, runs: false, tells_of_waits, now, synchronised, written: None }
    }

    fn states(resources: &Resources) -> Vec<State> {
        resources.check().iter().map(|finding| finding.state).collect()
    }

    #[tokio::test]
    async fn the_machine_is_read_from_proc() {
        let (_dir, root) = tree(&[
            ("/proc/meminfo", "MemTotal:       16000000 kB\nMemAvailable:     100000 kB\n"),
            (
                "/proc/77/limits",
                "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     20000    files\n",
            ),
            (SYNCHRONISED, ""),
        ]);
        let read = Resources::read(&root, Some(77), None).await;
        assert_eq!(
            (read.memory, read.files, read.synchronised),
            (Some(102_400_000), Some(Files { soft: 1024, hard: 20_000 }), Some(true))
        );
        let found = read.check();
        assert_eq!(states(&read)[..2], [State::Warning, State::Warning]);
        assert!(found[1].found.contains("20000") && found[1].remedy.as_ref().unwrap().contains("ulimit -Hn 65536"));
        let unlimited = Some(Files { soft: u64::MAX, hard: u64::MAX });
        assert_eq!(open_files("Max open files  unlimited  unlimited  files\n"), unlimited);
    }

    #[test]
    fn it_is_told_how_many_files_may_be_open_and_if_the_limit_was_not_raised() {
        let of = |runs, soft| Resources { runs, files: Some(Files { soft, hard: 1 << 20 }), ..resources() }.files();
        let found = of(false, 1024);
        assert_eq!(
            (found.state, found.found.as_str()),
            (State::Ok, "the limit is 1024, which actord raises to 1048576 at its start")
        );
        assert_eq!(of(true, 1 << 20).found, "actord may have 1048576 open");
        assert_eq!(of(true, 1024).state, State::Warning);
    }

    #[test]
    fn all_is_well_or_said() {
        assert_eq!(states(&resources()), [State::Ok; 5]);
        let nothing = Resources { memory: None, files: None, synchronised: None, ..resources() };
        assert_eq!(states(&nothing), [State::Unknown, State::Unknown, State::Ok, State::Unknown, State::Ok]);
        assert_eq!(states(&Resources { memory: Some(MIB), ..resources() })[0], State::Failure);
        let silent = Resources { tells_of_waits: false, ..resources() };
        assert!(silent.check()[4].found.contains("does not tell"));
    }

    #[test]
    fn a_clock_that_can_not_be_right_is_found() {
        let at = |time: &str| Resources { now: time.parse().unwrap(), ..resources() };
        assert_eq!(states(&at("1970-01-01T00:03:00Z"))[2], State::Failure);
        assert_eq!(states(&at("2107-01-01T00:00:00Z"))[2], State::Failure);
        let back = Resources { written: Some("2026-05-02T00:00:00Z".parse().unwrap()), ..resources() };
        assert_eq!(states(&back)[2], State::Warning);
        let drifting = Resources { synchronised: Some(false), ..resources() };
        assert!(drifting.check()[3].remedy.as_ref().unwrap().contains("timedatectl set-ntp true"));
    }
}
