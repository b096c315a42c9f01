//! Files that a process holds open and that have no name any more: they take space until they are closed, and stand in no
//! directory.

use std::collections::HashSet;
use std::fs;

use rustix::fs::{FileType, Stat, stat};

use super::tree::taken;

/// What was found so far; a file that several processes hold counts once.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: u64,
    seen: HashSet<u64>,
}

impl Held {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds what this process holds. One that has ended holds nothing.
    pub(super) fn with(mut self, process: u32) -> Self {
        let Ok(root) = stat(format!("/proc/{process}/root")) else { return self };
        for descriptor in fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten() {
            let Ok(about) = stat(descriptor.path()) else { continue };
            if is_nameless(&about) && about.st_dev == root.st_dev && self.seen.insert(about.st_ino) {
                self.bytes = self.bytes.saturating_add(taken(&about));
            }
        }
        self
    }
}

fn is_nameless(about: &Stat) -> bool {
    about.st_nlink == 0 && FileType::from_raw_mode(about.st_mode) == FileType::RegularFile
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_file_that_lost_its_name_counts_once_for_as_long_as_it_is_held() {
        // On the file system of the process's root.
        let Ok(directory) = tempfile::tempdir_in("/") else { return };
        let at = directory.path().join("f");
        let mut file = File::create(&at).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60").stdin(file.try_clone().unwrap()).stdout(Stdio::null()).stderr(file);
        let mut process = command.spawn().unwrap();
        drop(command);
        let id = process.id();
        let count = |held: Held| held.with(id).bytes();
        assert_eq!(count(Held::default()), 0, "it has its name");
        fs::remove_file(&at).unwrap();
        let held = Held::default().with(id);
        assert!((1 << 20..2 << 20).contains(&held.bytes()), "{held:?}");
        let once = held.bytes();
        assert_eq!(count(held), once, "found again, and counted once");
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(count(Held::default()), 0, "it has ended");
    }
}
