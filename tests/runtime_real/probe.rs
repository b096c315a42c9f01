//! A hostile function: what it tries, and what holds it. The acts are in `acts.rs`.
//!
//! That something fails proves nothing by itself, so each act names what holds it. The arguments are good: on the machine
//! itself, in namespaces of its own, the same act is done, or fails for a reason that comes after the question whether it may
//! be done. Which system calls the filter lets through is read from its recorded list: an act that it refuses has the error
//! that stands there; of one that it lets through, something else must be to thank.

use std::collections::BTreeMap;
use std::process::Command;

use actord::function::{Exit, SpecDraft};

use crate::images::PROGRAM;
use crate::support::{MAPPING, World};

const RECORDED: &str = include_str!("../seccomp.txt");

/// What holds an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The filter, by the name of the system call.
    Filter(&'static str),
    /// The filter lets this call through, and the process lacks the capability that the kernel asks for.
    NoCapability(&'static str),
    /// The filter has no rules for the entry that is used: the process is killed.
    Architecture,
    /// The place is read-only, and what is there is root's of the machine.
    ReadOnly,
    /// There is no such thing in the container.
    Absent,
    /// Something empty lies over it.
    Masked,
}

use Held::{Absent, Architecture, Filter, Masked, NoCapability, ReadOnly};

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const EBADF: i32 = 9;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENOEXEC: i32 = 8;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;
const EAFNOSUPPORT: i32 = 97;
const EPROTONOSUPPORT: i32 = 93;
const ENOKEY: i32 = 126;
const SIGSYS: i32 = 31;

/// The acts, what holds each, and with which error the machine itself may answer, because what was asked for is not there,
/// or can't be done with these arguments.
const ACTS: &[(&str, Held, &[i32])] = &[
    ("namespace-of-users", Filter("unshare"), &[]),
    ("namespace-of-mounts", Filter("unshare"), &[]),
    ("namespace-of-networks", Filter("unshare"), &[]),
    ("clone-into-namespace", Filter("clone"), &[]),
    ("clone3-into-namespace", Filter("clone3"), &[]),
    ("join-namespace", Filter("setns"), &[]),
    ("new-file-system", Filter("fsopen"), &[]),
    ("copy-of-mounts", Filter("open_tree"), &[]),
    ("configure-file-system", Filter("fspick"), &[]),
    ("change-root", Filter("chroot"), &[]),
    ("session-keyring", Filter("keyctl"), &[]),
    ("add-key", Filter("add_key"), &[]),
    ("request-key", Filter("request_key"), &[ENOKEY]),
    ("bpf-map", Filter("bpf"), &[]),
    ("perf-event", Filter("perf_event_open"), &[]),
    ("load-module", Filter("init_module"), &[ENOEXEC, ENOSYS]),
    ("load-module-of-file", Filter("finit_module"), &[ENOEXEC, ENOSYS]),
    ("remove-module", Filter("delete_module"), &[ENOENT, ENOSYS]),
    ("load-kernel", Filter("kexec_load"), &[EINVAL, ENOSYS]),
    ("load-kernel-of-file", Filter("kexec_file_load"), &[EBADF, ENOSYS]),
    ("restart", Filter("reboot"), &[EINVAL]),
    ("ring", Filter("io_uring_setup"), &[ENOSYS]),
    ("crypto-socket", Filter("socket"), &[EAFNOSUPPORT]),
    ("crypto-socket-of-64-bits", Filter("socket"), &[EAFNOSUPPORT]),
    ("socket-of-hypervisor", Filter("socket"), &[EAFNOSUPPORT]),
    ("socket-of-hypervisor-of-64-bits", Filter("socket"), &[EAFNOSUPPORT]),
    ("packet-socket", NoCapability("socket"), &[EAFNOSUPPORT]),
    ("packet-socket-without-head", NoCapability("socket"), &[EAFNOSUPPORT]),
    ("raw-socket", NoCapability("socket"), &[]),
    ("raw-socket-of-version-6", NoCapability("socket"), &[EAFNOSUPPORT, EPROTONOSUPPORT]),
    ("mark-packets", NoCapability("setsockopt"), &[]),
    ("change-interface", NoCapability("ioctl"), &[]),
    ("descriptor-of-a-process", Filter("pidfd_getfd"), &[]),
    ("compare-processes", Filter("kcmp"), &[ENOSYS]),
    ("trace", NoCapability("ptrace"), &[]),
    ("device-node", NoCapability("mknodat"), &[]),
    ("give-away", NoCapability("fchownat"), &[]),
    ("open-by-handle", Filter("open_by_handle_at"), &[]),
    ("another-user", NoCapability("setresuid"), &[]),
    ("another-group", NoCapability("setresgid"), &[]),
    ("more-groups", NoCapability("setgroups"), &[]),
    ("priority", NoCapability("setpriority"), &[]),
    ("core-dumps", NoCapability("prlimit64"), &[]),
    ("fault-handler", Filter("userfaultfd"), &[ENOSYS]),
    ("watch-files", Filter("fanotify_init"), &[ENOSYS]),
    ("memory-policy", Filter("set_mempolicy"), &[ENOSYS]),
    ("fixed-addresses", Filter("personality"), &[]),
    ("kernel-log", Filter("syslog"), &[]),
    ("swap", Filter("swapon"), &[ENOENT, ENOSYS]),
    ("accounting", Filter("acct"), &[ENOENT, ENOSYS]),
    ("old-entry", Architecture, &[ENOSYS]),
    ("old-entry-to-a-namespace", Architecture, &[ENOSYS]),
    ("short-pointers", Architecture, &[ENOSYS]),
    ("set-parameter", ReadOnly, &[]),
    ("set-core-pattern", ReadOnly, &[]),
    ("trigger", ReadOnly, &[ENOENT]),
    ("set-in-sys", ReadOnly, &[]),
    ("leave-group", ReadOnly, &[]),
    ("memory-of-the-machine", Absent, &[ENOENT, EPERM]),
    ("messages-of-the-kernel", Absent, &[ENOENT]),
    ("memory-of-the-kernel", Masked, &[ENOENT]),
    ("keys", Masked, &[ENOENT]),
    ("timers", Masked, &[ENOENT]),
    ("interrupts", Masked, &[ENOENT]),
    ("firmware", Masked, &[ENOENT]),
    ("host-name", Filter("sethostname"), &[]),
    ("mount", Filter("mount"), &[]),
    ("unmount", Filter("umount2"), &[]),
];

fn outcomes(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once(' ')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// The error that the filter gives a call, by its recorded list; none where it is let through, whatever its arguments.
fn recorded(call: &str) -> Option<i32> {
    let rules: Vec<&str> = RECORDED.lines().filter_map(|line| line.strip_prefix(call)?.strip_prefix(' ')).collect();
    let refused = |rule: &&str| rule.strip_prefix("error ").map(|number| number.parse::<i32>().unwrap());
    match rules.as_slice() {
        ["allowed"] => None,
        [rule] if rule.starts_with("error ") => refused(rule),
        // Not listed, or with conditions that do not hold here.
        _ => Some(ENOSYS),
    }
}

/// `root`: whether it is the machine's.
fn expected(held: Held, name: &str, root: bool) -> Vec<String> {
    let error = |number: i32| vec![format!("error {number}")];
    match held {
        Filter(call) => error(recorded(call).unwrap_or_else(|| panic!("{name}: the filter lets {call} through"))),
        NoCapability(call) => {
            assert!(call == "socket" || recorded(call).is_none(), "{name}: the filter refuses {call}");
            error(if call == "setpriority" { EACCES } else { EPERM })
        }
        // An entry that the kernel does not have either is no way in.
        Architecture if cfg!(target_arch = "aarch64") => error(ENOSYS),
        Architecture => vec![format!("signal {SIGSYS}")],
        // The kernel asks for the mount before the owner where the whole file system is read-only, else after.
        ReadOnly if root => error(EROFS),
        ReadOnly => [EACCES, EROFS].map(|number| format!("error {number}")).into(),
        Absent => error(ENOENT),
        Masked => vec!["empty".to_owned()],
    }
}

#[tokio::test]
async fn what_a_hostile_function_tries_is_held_by_what_should_hold_it_under_either_runtime() {
    let mut world = World::new().await;
    world.map_users(None).await;
    let wrong = let_through(&world, true).await;
    world.finish().await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_same_holds_it_in_a_user_namespace_where_its_root_is_not_the_machines() {
    let mut world = World::new().await;
    world.map_users(MAPPING.parse().ok()).await;
    let wrong = let_through(&world, false).await;
    world.finish().await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What was not held as it should have been. `root`: whether that of an image is the machine's.
async fn let_through(world: &World, root: bool) -> Vec<String> {
    // A machine that has no such file has nothing to hide.
    let there = |path: &str| std::path::Path::new(path).exists();
    let mut wrong = Vec::new();
    for runtime in ["builtin", "runc"] {
        for image in ["root", "named"] {
            let annotations = [("actord.runtime".to_owned(), runtime.to_owned())].into();
            let env_vars = [("DO".to_owned(), "acts".to_owned())].into();
            let draft = SpecDraft { annotations, env_vars, ..SpecDraft::default() };
            let (exit, log) = world.run(&world.creation_of("f", image, draft)).await;
            assert_eq!(exit, Exit::Code(0), "{log}");
            let found = outcomes(&log);
            assert_eq!(found.len(), ACTS.len(), "every act has its line: {log}");
            for (name, held, _) in ACTS {
                let mut right = expected(*held, name, root && image == "root");
                if path_of(name).is_some_and(|path| !there(path)) {
                    right = vec![format!("error {ENOENT}")];
                }
                if !right.contains(&found[*name]) {
                    wrong.push(format!("{runtime} {image} {name}: {} instead of {right:?} by {held:?}", found[*name]));
                }
            }
        }
    }
    wrong
}

/// What an act is about that not every machine has.
fn path_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "trigger" => "/proc/sysrq-trigger",
        "memory-of-the-kernel" => "/proc/kcore",
        "keys" => "/proc/keys",
        "timers" => "/proc/timer_list",
        "interrupts" => "/proc/interrupts",
        "firmware" => "/sys/firmware",
        _ => return None,
    })
}

/// What the acts come to on the machine, in namespaces of their own, so that nothing of it is changed.
pub(crate) fn on_the_machine() -> String {
    let own = ["--mount", "--pid", "--fork", "--ipc", "--net", "--uts", "--kill-child"];
    let output = Command::new("unshare").args(own).arg(&*PROGRAM).env("DO", "acts").output().unwrap();
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{log}{}", String::from_utf8_lossy(&output.stderr));
    log
}

#[test]
fn the_same_acts_are_done_where_nothing_holds_them() {
    let log = on_the_machine();
    let found = outcomes(&log);
    assert_eq!(found.len(), ACTS.len(), "every act has its line: {log}");
    let mut wrong = Vec::new();
    for (name, held, beyond) in ACTS {
        let outcome = found[*name].as_str();
        let right = match outcome.strip_prefix("error ") {
            Some(number) => beyond.contains(&number.parse().unwrap()),
            // A kernel without that entry.
            None if *held == Architecture => outcome == "done" || outcome == "signal 11",
            None => outcome == "done" || *held == Masked && outcome == "empty",
        };
        if !right {
            wrong.push(format!("{name}: {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "these prove nothing by being refused to a function: {wrong:#?}");
}
