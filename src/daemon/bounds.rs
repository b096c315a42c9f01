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

/// The most bytes of the disk for asynchronous calls.
pub(super) fn calls(config: &Config) -> Option<u64> {
    config.queue_max_bytes.of(size_of_disk(&config.data_dir))
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
    use super::super::given;
    use super::*;

    #[test]
    fn where_nothing_is_said_an_instance_gets_so_much_of_the_machine_and_no_more() {
        let config = given::config("--data-dir /");
        let (memory_here, disk) = (memory_of_this_machine().unwrap(), size_of_disk(Path::new("/")).unwrap());
        assert_eq!(memory(&config), Some(memory_here / 100 * 80));
        assert_eq!(ephemeral_storage(&config), Some(disk / 100 * 20));
        assert_eq!(config.open_files, 65_536);
        let config = given::config("--memory-limit none --ephemeral-storage none");
        assert_eq!((memory(&config), ephemeral_storage(&config)), (None, None));
    }

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(memory_of_this_machine().is_some_and(|bytes| bytes > 64 << 20));
        assert!(size_of_disk(Path::new("/")).is_some_and(|bytes| bytes > 64 << 20));
        assert_eq!(size_of_disk(Path::new("/no/such/directory")), None);
    }
}
