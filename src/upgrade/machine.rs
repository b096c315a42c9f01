//! The seam to what this room may not know: functions as the machine has them, and who may ask for them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What only this machine can say.
pub trait Machine {
    /// Thaws every instance below this control group.
    ///
    /// # Errors
    /// Why that could not be done.
    fn thaw(&self, cgroup_parent: &str) -> Result<usize, String>;
    /// The first process of every instance below this control group.
    ///
    /// # Errors
    /// Why that could not be read: of what runs then nothing is known.
    fn processes(&self, cgroup_parent: &str) -> Result<BTreeMap<String, i32>, String>;
    /// What the API of this data directory is asked with.
    fn authorization(&self, data_dir: &Path) -> Option<String>;
    /// Which boot of the machine this is.
    ///
    /// # Errors
    /// What the system said.
    fn boot_id(&self) -> io::Result<String>;
}
