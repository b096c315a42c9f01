//! The system calls that functions may make: `config/seccomp.json`, the list that Docker and Podman allow by default.
//!
//! Not allowed is what makes namespaces, mounts or keys, loads code into the kernel, or needs a capability that
//! functions don't have (`EPERM`). A call that the list does not know answers `ENOSYS`, so that a newer libc falls back
//! to an older one; so does `clone3`, whose flags can't be looked at.

use oci_spec::runtime::{Arch, LinuxSeccomp};

const PROFILE: &str = include_str!("../../../../config/seccomp.json");

/// The profile for this machine's architecture; none where there is no list for it.
pub(super) fn profile() -> Result<Option<LinuxSeccomp>, serde_json::Error> {
    let architectures = match std::env::consts::ARCH {
        "x86_64" => vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
        "aarch64" => vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm],
        _ => return Ok(None),
    };
    let mut profile: LinuxSeccomp = serde_json::from_str(PROFILE)?;
    profile.set_architectures(Some(architectures));
    Ok(Some(profile))
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxSeccompAction;

    use super::*;

    #[test]
    fn the_profile_can_be_read_and_allows_what_programs_need_but_no_mounts() {
        let profile = profile().unwrap().expect("a profile for this architecture");
        assert_eq!(profile.default_action(), LinuxSeccompAction::ScmpActErrno);
        let allowed = |name: &str| {
            profile.syscalls().iter().flatten().any(|rule| {
                rule.action() == LinuxSeccompAction::ScmpActAllow && rule.names().iter().any(|known| known == name)
            })
        };
        for name in ["read", "openat", "futex", "epoll_wait", "execve", "clone", "socket", "accept4", "clock_gettime"] {
            assert!(allowed(name), "{name}");
        }
        for name in ["mount", "unshare", "setns", "keyctl", "bpf", "init_module", "reboot", "clone3", "io_uring_setup"]
        {
            assert!(!allowed(name), "{name}");
        }
    }

    #[test]
    fn no_system_call_is_both_allowed_and_refused() {
        let profile = profile().unwrap().unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for rule in profile.syscalls().iter().flatten().filter(|rule| rule.args().is_none()) {
            for name in rule.names() {
                assert!(seen.insert(name.clone()), "{name} is listed twice");
            }
        }
    }
}
