//! Keeps the name servers of instances that run as the host's: their file is written again when the host's has changed.
//!
//! An instance has its file by a mount, which holds on to the file itself and not to its name: a new file of that name
//! would never be seen.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::ContainerdRuntime;
use super::instance_dir::InstanceDirs;
use crate::host::HostError;
use crate::host::containerd::gone::gone;

impl ContainerdRuntime {
    /// Brings every instance's name servers up to date. A host that has none at the moment, as while it changes
    /// networks, leaves them as they are.
    ///
    /// # Errors
    /// [`HostError::Failed`] when an instance's file can't be written.
    pub async fn follow_name_servers(&self) -> Result<(), HostError> {
        let changed = self.0.blocking("write the instances' name servers".to_owned(), |inner| {
            inner.options.dns.newest().map_or(Ok(0), |newest| inner.dirs.follow(&newest))
        });
        match changed.await? {
            0 => {}
            instances => tracing::info!(instances, "the name servers have changed, and with them those of functions"),
        }
        Ok(())
    }
}

impl InstanceDirs {
    /// Writes this into every instance's `resolv.conf` that says something else. Returns how many did.
    fn follow(&self, newest: &str) -> io::Result<usize> {
        let mut changed = 0;
        for id in self.list()? {
            let mut wrote = false;
            // An instance may be removed meanwhile.
            gone(write_in_place(&self.files(&id).resolv_conf, newest).map(|done| wrote = done))?;
            changed += usize::from(wrote);
        }
        Ok(changed)
    }
}

/// Gives a file that is there another content, unless it has it already. Says whether it did.
fn write_in_place(path: &Path, text: &str) -> io::Result<bool> {
    let before = fs::read(path)?;
    if before == text.as_bytes() {
        return Ok(false);
    }
    let mut file = OpenOptions::new().write(true).open(path)?;
    // In one write that leaves nothing of a longer text behind: who reads just now sees the one or the other.
    let mut padded = text.as_bytes().to_vec();
    padded.resize(before.len().max(text.len()), b'\n');
    file.write_all(&padded)?;
    file.set_len(text.len() as u64)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_given_another_content_and_stays_the_same_file() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("resolv.conf");
        fs::write(&path, "nameserver 10.0.0.1\nnameserver 10.0.0.2\n").unwrap();
        let mut held = fs::File::open(&path).unwrap();
        for (text, changes) in
            [("nameserver 10.0.0.3\n", true), ("nameserver 10.0.0.3\n", false), ("a b\nc d e f\n", true)]
        {
            assert_eq!(write_in_place(&path, text).unwrap(), changes, "{text:?}");
            io::Seek::rewind(&mut held).unwrap();
            assert_eq!(io::read_to_string(&held).unwrap(), text);
        }
    }

    #[test]
    fn every_instance_is_brought_up_to_date_once_and_one_that_is_gone_is_passed_by() {
        let base = tempfile::tempdir().unwrap();
        let dirs = InstanceDirs { instances: base.path().join("instances") };
        for (id, text) in [("f-1", "old"), ("f-2", "new"), ("f-3", "old")] {
            fs::create_dir_all(dirs.instances.join(id)).unwrap();
            fs::write(dirs.instances.join(id).join("resolv.conf"), text).unwrap();
        }
        fs::create_dir_all(dirs.instances.join("f-4")).unwrap();
        assert_eq!(dirs.follow("new").unwrap(), 2);
        assert_eq!(dirs.follow("new").unwrap(), 0);
        assert_eq!(fs::read(dirs.instances.join("f-3/resolv.conf")).unwrap(), b"new");
        assert!(!dirs.instances.join("f-4/resolv.conf").exists());
    }
}
