//! The machine that is measured on, and which of its processes are actord's.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cpu;
use crate::actord::Actord;

/// What one should know of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_mb: u64,
    pub(crate) system: String,
    pub(crate) kernel: String,
    pub(crate) cgroups: String,
    /// Programs that take part, and their versions.
    pub(crate) programs: BTreeMap<String, String>,
    /// Load average of the last minute when it began.
    pub(crate) load: f64,
    /// Which part of their time the processors were busy before it began, in percent.
    pub(crate) busy: f64,
}

/// More than this, and what else runs is in the figures.
pub(crate) const QUIET: f64 = 15.0;

impl Machine {
    pub(crate) async fn look() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_matches([' ', '\t', ':', '=', '"']).to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let version = |program: &str, flag: &str| {
            let output = Command::new(program).arg(flag).output().ok()?;
            let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
            let text = String::from_utf8_lossy(&text).into_owned();
            let is_version = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
            text.split([' ', '\n', '/']).find(is_version).map(|word| (program.to_owned(), word.to_owned()))
        };
        let programs = [("containerd", "--version"), ("runc", "--version")];
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mb: memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024 / 1_000_000,
            system: field(&read("/etc/os-release"), "PRETTY_NAME"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cgroups: cgroups().to_owned(),
            programs: programs.into_iter().filter_map(|(program, flag)| version(program, flag)).collect(),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            busy: busy().await,
        }
    }

    pub(crate) fn told(&self) -> String {
        let programs: Vec<String> = self.programs.iter().map(|(name, version)| format!("{name} {version}")).collect();
        format!(
            "{} x {}, {} MB, {}, Linux {}, cgroups {}, {}; load {:.2}, processors {:.0} % busy at the begin{}",
            self.processors,
            self.processor,
            self.memory_mb,
            self.system,
            self.kernel,
            self.cgroups,
            programs.join(", "),
            self.load,
            self.busy,
            if self.busy > QUIET { ": NOT A QUIET MACHINE" } else { "" },
        )
    }
}

fn cgroups() -> &'static str {
    let exists = |path: &str| fs::exists(format!("/sys/fs/cgroup/{path}")).unwrap_or(false);
    match (exists("cgroup.controllers"), exists("unified/cgroup.procs")) {
        (true, _) => "v2",
        (_, true) => "hybrid",
        _ => "v1",
    }
}

/// How busy the processors are with other things, in percent, looked at for a while.
pub(crate) async fn busy() -> f64 {
    let before = cpu::Machine::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    100.0 * cpu::Machine::busy_since(before)
}

/// Every process of this actord that is no function: itself, its containerd, shims.
pub(crate) fn everything(actord: &Actord) -> Vec<i32> {
    let traces = actord.traces();
    let is_function = |pid: &i32| {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        groups.contains(&traces.cgroup_parent)
    };
    traces.processes().into_iter().map(|(pid, _)| pid).filter(|pid| !is_function(pid)).collect()
}
