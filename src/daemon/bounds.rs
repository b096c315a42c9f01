//! What an instance may use of this machine where its function does not say: the settings' shares, of what there is.

use std::path::Path;

use crate::config::Config;

/// The most bytes of memory.
pub(super) fn memory(config: &Config) -> Option<u64> {
    config.memory_limit.of(memory_of_this_machine())
}

/// The most bytes of the disk.
pub(super) fn ephemeral_storage(config: &Config) -> Option<u64> {
    config.ephemeral_storage.of(size_of_disk(&config.data_dir))
}

fn memory_of_this_machine() -> Option<u64> {
    let machine = rustix::system::sysinfo();
    (machine.totalram as u64).checked_mul(u64::from(machine.mem_unit))
}

/// How large the file system is that a directory is on.
fn size_of_disk(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    disk.f_blocks.checked_mul(disk.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(memory_of_this_machine().is_some_and(|bytes| bytes > 64 << 20));
        assert!(size_of_disk(Path::new("/")).is_some_and(|bytes| bytes > 64 << 20));
        assert_eq!(size_of_disk(Path::new("/no/such/directory")), None);
    }
}
