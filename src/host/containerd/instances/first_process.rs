//! The first process of each instance, held by its pidfd: a second source for its end, beside containerd.
//!
//! ```text
//! process ends -+-> shim -> containerd -> the call that waits      its status; may come late, or never
//!               +-> pidfd, held here                               that it ended; the kernel's own word
//! ```
//! A shim may hang or lose an event, and containerd may hang: a function that died then is replaced all the same.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::cgroup;
use crate::function::InstanceId;
use crate::host::containerd::daemon::readable;

/// Those that are held, by instance.
#[derive(Debug, Default)]
pub(super) struct FirstProcesses(Mutex<HashMap<InstanceId, Arc<OwnedFd>>>);

impl FirstProcesses {
    fn map(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<OwnedFd>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds an instance's first process, which containerd says has this number; whether it could be. A number may have
    /// been given to another process meanwhile: only one in the instance's control group is it.
    pub(super) fn hold(&self, id: &InstanceId, pid: u32) -> bool {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
        // First the pidfd: what is read of /proc while the process lives is then of the same process.
        let held = pidfd_open(pid, PidfdFlags::empty()).ok().filter(|_| cgroup::is_of(id, pid));
        held.map(|pidfd| self.map().insert(id.clone(), Arc::new(pidfd))).is_some()
    }

    pub(super) fn holds(&self, id: &InstanceId) -> bool {
        self.map().contains_key(id)
    }

    /// Lets go of it: the instance is removed.
    pub(super) fn forget(&self, id: &InstanceId) {
        self.map().remove(id);
    }

    /// Returns when the process has ended, reaped or not; never for one that is not held.
    pub(super) async fn ended(&self, id: &InstanceId) {
        let held = self.map().get(id).cloned();
        if let Some(pidfd) = held.and_then(|pidfd| pidfd.try_clone().ok())
            && readable(pidfd).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_process_that_is_not_in_the_instances_group_is_not_held_and_never_told_to_have_ended() {
        let (processes, id) = (FirstProcesses::default(), "f-1".parse().unwrap());
        for pid in [std::process::id(), 0, u32::MAX] {
            assert!(!processes.hold(&id, pid), "{pid}");
        }
        assert!(!processes.holds(&id));
        timeout(Duration::from_millis(50), processes.ended(&id)).await.unwrap_err();
    }
}
