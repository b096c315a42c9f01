//! The system calls that functions may make: `config/seccomp.json`, the list that Docker allows by default.
//!
//! ```text
//! config/seccomp.json + what the function's capabilities open + the architectures that it may enter -> profile
//! ```
//! Not allowed is what makes namespaces, mounts or keys, loads code into the kernel, or needs a capability that the function
//! doesn't have (`EPERM`). A call that the list does not know answers `ENOSYS`, so that a newer libc falls back to an older
//! one; so does `clone3`, whose flags can't be looked at, and a socket of a family that is not listed. Families are listed one
//! by one: the kernel reads 32 bits of the number, the filter compares 64, so that "all but this one" would not hold.
//!
//! Only this machine's own architecture is entered: a call by the 32-bit entry ends the process. `socketcall`, which is
//! there, hides the family from the filter. A function that may have programs of 32 bits gets both.

use std::collections::BTreeSet;

use oci_spec::OciSpecError;
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSyscall, LinuxSyscallBuilder};

use crate::function::Capability;

const PROFILE: &str = include_str!("../../../../config/seccomp.json");

/// The calls that a capability opens. Without it they are refused, or only some ways to call them allowed.
const OPENED: [(&str, &str); 14] = [
    ("BPF", "bpf"),
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    ("PERFMON", "perf_event_open"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree \
         perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module finit_module init_module"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("SYS_RAWIO", "ioperm iopl"),
    ("SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYSLOG", "syslog"),
];

/// What the 32-bit entry opens: old programs have no other way to a socket.
const COMPAT: &str = "socketcall";

/// The profile for this machine's architecture and these capabilities, and for its programs of 32 bits if they are `compat`;
/// none where there is no list for the architecture.
pub(super) fn profile(capabilities: &BTreeSet<Capability>, compat: bool) -> Result<Option<LinuxSeccomp>, OciSpecError> {
    let (native, of_32_bits) = match std::env::consts::ARCH {
        "x86_64" => (Arch::ScmpArchX86_64, Arch::ScmpArchX86),
        "aarch64" => (Arch::ScmpArchAarch64, Arch::ScmpArchArm),
        _ => return Ok(None),
    };
    let mut profile: LinuxSeccomp = serde_json::from_str(PROFILE)?;
    let architectures = [native].into_iter().chain(compat.then_some(of_32_bits)).collect();
    profile.set_architectures(Some(architectures));
    let granted = OPENED.iter().filter(|(name, _)| capabilities.iter().any(|one| one.as_str() == *name));
    let opened: BTreeSet<&str> =
        granted.flat_map(|(_, calls)| calls.split(' ')).chain(compat.then_some(COMPAT)).collect();
    if !opened.is_empty() {
        let rules = profile.syscalls().iter().flatten().filter_map(|rule| without(rule, &opened));
        let names: Vec<String> = opened.iter().map(ToString::to_string).collect();
        let allowed = LinuxSyscallBuilder::default().names(names).action(LinuxSeccompAction::ScmpActAllow).build()?;
        let rules = rules.chain([allowed]).collect();
        profile.set_syscalls(Some(rules));
    }
    Ok(Some(profile))
}

/// A rule as it is for other calls than these, if it has any.
fn without(rule: &LinuxSyscall, opened: &BTreeSet<&str>) -> Option<LinuxSyscall> {
    let names: Vec<String> = rule.names().iter().filter(|name| !opened.contains(name.as_str())).cloned().collect();
    let mut rule = rule.clone();
    (!names.is_empty()).then(|| {
        rule.set_names(names);
        rule
    })
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator};

    use super::*;

    /// What was looked at last, and agreed to.
    const RECORDED: &str = include_str!("../../../../tests/seccomp.txt");

    fn granted(names: &[&str]) -> BTreeSet<Capability> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn of(capabilities: &[&str]) -> LinuxSeccomp {
        profile(&granted(capabilities), false).unwrap().expect("a profile for this architecture")
    }

    fn of_32_bits() -> LinuxSeccomp {
        profile(&granted(&[]), true).unwrap().expect("a profile for this architecture")
    }

    fn condition(argument: &LinuxSeccompArg) -> String {
        let (at, value) = (argument.index(), argument.value());
        match argument.op() {
            LinuxSeccompOperator::ScmpCmpEq => format!("argument {at} = {value}"),
            LinuxSeccompOperator::ScmpCmpLt => format!("argument {at} < {value}"),
            LinuxSeccompOperator::ScmpCmpMaskedEq => {
                format!("argument {at} & {value:#x} = {}", argument.value_two().unwrap_or(0))
            }
            other => panic!("no word for {other:?}"),
        }
    }

    /// Each call with what becomes of it, sorted.
    fn told(profile: &LinuxSeccomp) -> BTreeSet<String> {
        let rule = |rule: &LinuxSyscall| {
            let verdict = match rule.action() {
                LinuxSeccompAction::ScmpActAllow => "allowed".to_owned(),
                LinuxSeccompAction::ScmpActErrno => format!("error {}", rule.errno_ret().expect("its number")),
                other => panic!("no word for {other}"),
            };
            let conditions: Vec<_> = rule.args().iter().flatten().map(condition).collect();
            let when = if conditions.is_empty() { String::new() } else { format!(" if {}", conditions.join(" and ")) };
            rule.names().iter().map(|name| format!("{name} {verdict}{when}")).collect::<Vec<_>>()
        };
        profile.syscalls().iter().flatten().flat_map(rule).collect()
    }

    #[test]
    fn what_is_allowed_is_what_was_recorded() {
        let nothing_granted = of(&[]);
        let mut found: Vec<String> = told(&nothing_granted).into_iter().collect();
        found.push(format!("any other: error {}", nothing_granted.default_errno_ret().expect("its number")));
        for (name, _) in OPENED {
            let more: Vec<_> = told(&of(&[name])).difference(&told(&nothing_granted)).cloned().collect();
            found.push(format!("with {name}: {}", more.join(", ")));
        }
        let more = told(&of_32_bits()).difference(&told(&nothing_granted)).cloned().collect::<Vec<_>>().join(", ");
        found.push(format!("with 32 bits: {more}"));
        let recorded: Vec<&str> = RECORDED.lines().filter(|line| !line.starts_with('#')).collect();
        let come: Vec<_> = found.iter().filter(|line| !recorded.contains(&line.as_str())).collect();
        let gone: Vec<_> = recorded.iter().filter(|line| !found.iter().any(|found| found == *line)).collect();
        assert!(
            come.is_empty() && gone.is_empty(),
            "the filter of system calls is not the one in tests/seccomp.txt: came {come:#?}, went {gone:#?}. If that is \
             meant, record it there"
        );
    }

    #[test]
    fn no_other_architecture_is_entered_but_that_of_32_bits_where_it_may_be() {
        let architectures = of(&[]).architectures().clone().unwrap();
        assert_eq!(architectures.len(), 1, "{architectures:?}");
        assert_eq!(of(&["SYS_ADMIN"]).architectures().as_ref(), Some(&architectures));
        let both = of_32_bits().architectures().clone().unwrap();
        assert_eq!((both.len(), both[0]), (2, architectures[0]), "{both:?}");
    }

    #[test]
    fn the_profile_can_be_read_and_allows_what_programs_need_but_no_mounts() {
        let profile = of(&[]);
        assert_eq!(profile.default_action(), LinuxSeccompAction::ScmpActErrno);
        let told = told(&profile);
        for name in ["read", "openat", "futex", "epoll_wait", "execve", "accept4", "clock_gettime"] {
            assert!(told.contains(&format!("{name} allowed")), "{name}");
        }
        for name in ["mount", "unshare", "setns", "keyctl", "bpf", "init_module", "reboot", "chroot", "pidfd_getfd"] {
            assert!(told.contains(&format!("{name} error 1")), "{name}");
        }
        for name in ["clone3 ", "io_uring_setup ", "socketcall "] {
            assert!(!told.iter().any(|line| line.starts_with(name)), "{name}");
        }
    }

    #[test]
    fn no_system_call_is_both_allowed_and_refused_whatever_is_granted() {
        for (name, calls) in OPENED {
            let profile = of(&[name]);
            let mut seen = BTreeSet::new();
            for rule in profile.syscalls().iter().flatten().filter(|rule| rule.args().is_none()) {
                for name in rule.names() {
                    assert!(seen.insert(name.clone()), "{name} is listed twice");
                }
            }
            for call in calls.split(' ') {
                assert!(told(&profile).contains(&format!("{call} allowed")), "{name} opens {call}");
                assert!(name.parse::<Capability>().is_ok(), "{name}");
            }
        }
    }
}
