//! A limit on the memory of everything that an actord runs: one group for what is no function, made here, and the parent of
//! all functions' groups.

use std::fs;
use std::path::{Path, PathBuf};

use super::machine;
use crate::actord::Actord;

/// Both groups, until this is dropped.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    own: PathBuf,
    functions: PathBuf,
    files: &'static Files,
}

/// What a version of control groups calls it.
#[derive(Debug)]
struct Files {
    limit: &'static str,
    highest: &'static str,
}

const FIRST: Files = Files { limit: "memory.limit_in_bytes", highest: "memory.max_usage_in_bytes" };
const SECOND: Files = Files { limit: "memory.max", highest: "memory.peak" };

impl MemoryLimit {
    /// For an actord that runs nothing yet, with so many bytes for each of the two groups. What actord and containerd hold
    /// already is not counted.
    pub(crate) fn open(actord: &Actord, (own, functions): (u64, u64)) -> Self {
        let first = Path::new("/sys/fs/cgroup/memory");
        let (root, files) = if first.is_dir() { (first, &FIRST) } else { (Path::new("/sys/fs/cgroup"), &SECOND) };
        let parent = actord.traces().cgroup_parent;
        // Not named after the functions' group: by that name functions are known.
        let own_group = root.join(format!("limit-{:08x}", rand::random::<u32>()));
        let limit = Self { own: own_group, functions: root.join(&parent), files };
        for (group, most) in [(&limit.own, own), (&limit.functions, functions)] {
            fs::create_dir_all(group).unwrap_or_else(|error| panic!("{}: {error}", group.display()));
            let file = group.join(limit.files.limit);
            fs::write(&file, most.to_string()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        for pid in machine::everything(actord) {
            // One that has just ended is no fault.
            let _ = fs::write(limit.own.join("cgroup.procs"), pid.to_string());
        }
        limit
    }

    /// The most that both have held, in bytes; not a number where the kernel does not say.
    pub(crate) fn highest(&self) -> f64 {
        let of = |group: &Path| {
            let text = fs::read_to_string(group.join(self.files.highest)).unwrap_or_default();
            text.trim().parse().unwrap_or(f64::NAN)
        };
        of(&self.own) + of(&self.functions)
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // What is still in it goes back to where everything is that has no group. The functions' group is actord's.
        let root = self.own.parent().unwrap();
        for pid in fs::read_to_string(self.own.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(root.join("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(&self.own);
    }
}
