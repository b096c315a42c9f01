//! The process that makes containers: a copy of the server from before it had a second thread, because only a process with
//! one thread can make the first process of a container by copying itself.
//!
//! It holds nothing but what is compiled, and has no children: a container's first process is the server's. So it can end
//! at any time; only what it is just asked for fails.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fs::Mode;
use rustix::io::Errno;

use super::cgroup::Hierarchies;
use super::channel::{self, Order, Word};
use super::fault::Fault;
use super::ids::Ids;
use super::init::Init;
use super::kernel::{self, Process};
use super::seccomp::{Compiled, Filter};
use super::{limits, mounts, state};

/// Where the socket to the server is.
const SOCKET: i32 = 3;

/// Begins its life, in the copy. All that it has of the server but memory goes.
pub(super) fn live(socket: &OwnedFd, first: Option<&Path>) -> ! {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let _ = rustix::thread::set_name(c"zygote");
        kernel::reset_signals();
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let mut place = kernel::inherited(SOCKET);
        if socket.as_raw_fd() != SOCKET {
            rustix::io::dup3(socket, &mut place, rustix::io::DupFlags::CLOEXEC)?;
        }
        kernel::close_from(SOCKET + 1)?;
        rustix::process::chdir("/")?;
        let hierarchies =
            Hierarchies::of_this_machine().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let mut compiled = Compiled::default();
        if let Some(bundle) = first {
            // What is wrong with it is told to the order that comes for it.
            let _ = load(bundle).map(|spec| compile(&spec, &mut compiled).map(drop));
        }
        serve(place, &hierarchies, compiled)
    }));
    kernel::exit(i32::from(!matches!(lived, Ok(Ok(())))))
}

fn serve(socket: OwnedFd, hierarchies: &Hierarchies, mut compiled: Compiled) -> Result<(), Errno> {
    let mut socket = Some(socket);
    while let Some(open) = &socket {
        let Some((order, [stdin, stdout, stderr, channel])) = channel::receive_order(open.as_fd())? else { break };
        let streams = [stdin, stdout, stderr];
        let made = make(&order, streams, &channel, hierarchies, &mut compiled, &mut socket);
        // A server that does not listen any more has ended, or given up.
        let _ = channel::tell(channel.as_fd(), &made.map_or_else(Word::Fault, Word::Pid));
    }
    Ok(())
}

fn make(
    order: &Order,
    streams: [OwnedFd; 3],
    channel: &OwnedFd,
    hierarchies: &Hierarchies,
    compiled: &mut Compiled,
    socket: &mut Option<OwnedFd>,
) -> Result<rustix::process::Pid, Fault> {
    let spec = load(&order.bundle)?;
    let linux = spec.linux().as_ref().ok_or_else(|| Fault::request("the runtime spec has no linux"))?;
    let tree = mounts::tree_of(&spec, &order.bundle)?;
    let cgroups = linux.cgroups_path().as_ref().and_then(|path| path.to_str());
    let cgroups = cgroups.ok_or_else(|| Fault::request("the runtime spec has no cgroupsPath"))?;
    let filter = compile(&spec, compiled)?;
    let (namespaces, ids) = (namespaces(&spec)?, Ids::of(linux)?);
    // From here on there may be something to remove.
    state::begin(&order.id, &order.state_root, cgroups)?;
    let unified = match hierarchies.of_version_1().next() {
        Some(_) => Vec::new(),
        None => limits::of_version_2(linux.resources().as_ref()),
    };
    let unified = hierarchies.make_unified(cgroups, &unified)?;
    let made = kernel::clone_sibling(namespaces, unified.as_ref().map(|group| group.as_fd()));
    match made.map_err(Fault::setup("unable to create new parent process: clone"))? {
        Process::Parent(pid) => Ok(pid),
        Process::Child => {
            drop(socket.take());
            let channel = channel.try_clone();
            let channel = channel.unwrap_or_else(|_| kernel::exit(1));
            let id = &order.id;
            let init = Init { id, spec: &spec, tree, ids, cgroups, hierarchies, filter, streams, channel };
            let _ = catch_unwind(AssertUnwindSafe(|| init.run()));
            kernel::exit(1)
        }
    }
}

fn compile<'a>(spec: &Spec, compiled: &'a mut Compiled) -> Result<Option<&'a Filter>, Fault> {
    let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    profile.map(|profile| compiled.of(profile)).transpose()
}

fn load(bundle: &Path) -> Result<Spec, Fault> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).map_err(|error| Fault::request(format!("read {}: {error}", path.display())))?;
    serde_json::from_slice(&text).map_err(|error| Fault::request(format!("read {}: {error}", path.display())))
}

/// The namespaces to be made in as the kernel numbers them. What is not known here is refused: a container that has less than
/// its spec says would be less isolated.
fn namespaces(spec: &Spec) -> Result<u64, Fault> {
    let linux = spec.linux().as_ref().ok_or_else(|| Fault::request("the runtime spec has no linux"))?;
    let process = spec.process().as_ref();
    let unknown = [
        ("hooks", spec.hooks().is_some()),
        ("a terminal", process.and_then(oci_spec::runtime::Process::terminal) == Some(true)),
        ("an AppArmor profile", process.is_some_and(|process| process.apparmor_profile().is_some())),
        ("an SELinux label", process.is_some_and(|process| process.selinux_label().is_some())),
        ("devices", linux.devices().as_ref().is_some_and(|devices| !devices.is_empty())),
        ("a mount label", linux.mount_label().is_some()),
        ("a personality", linux.personality().is_some()),
        ("a propagation of its root", linux.rootfs_propagation().is_some()),
    ];
    if let Some((what, _)) = unknown.iter().find(|(_, present)| *present) {
        return Err(Fault::request(format!("{what}: not known to this runtime")));
    }
    let mut flags = 0;
    let mut found = Vec::new();
    for namespace in linux.namespaces().iter().flatten() {
        let given = namespace.path().is_some();
        found.push(namespace.typ());
        flags |= match (namespace.typ(), given) {
            (LinuxNamespaceType::Pid, false) => libc::CLONE_NEWPID,
            (LinuxNamespaceType::Ipc, false) => libc::CLONE_NEWIPC,
            (LinuxNamespaceType::Uts, false) => libc::CLONE_NEWUTS,
            (LinuxNamespaceType::Mount, false) => libc::CLONE_NEWNS,
            (LinuxNamespaceType::Network, false) => libc::CLONE_NEWNET,
            // Made or joined by the new process itself.
            (LinuxNamespaceType::Cgroup | LinuxNamespaceType::User, false) | (LinuxNamespaceType::Network, true) => 0,
            (kind, _) => return Err(Fault::request(format!("this namespace of {kind}: not known to this runtime"))),
        }
        .unsigned_abs();
    }
    use LinuxNamespaceType::{Ipc, Mount, Network, Pid, Uts};
    match [Pid, Ipc, Uts, Mount, Network].into_iter().find(|kind| !found.contains(kind)) {
        Some(missing) => Err(Fault::request(format!("no {missing} namespace of its own: not done by this runtime"))),
        None => Ok(u64::from(flags)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: &str) -> Spec {
        let mut spec: serde_json::Value = serde_json::from_str(
            r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},
                {"type":"cgroup"},{"type":"network","path":"/run/netns/x"}]}}"#,
        )
        .unwrap();
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        for (key, value) in change.as_object().unwrap() {
            match key.strip_prefix("linux.") {
                Some(key) => spec["linux"][key] = value.clone(),
                None => spec[key] = value.clone(),
            }
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_spec_that_asks_for_what_is_not_done_here_is_refused() {
        assert!(namespaces(&spec("{}")).is_ok());
        for change in [
            r#"{"hooks":{}}"#,
            r#"{"linux.rootfsPropagation":"shared"}"#,
            r#"{"linux.namespaces":[{"type":"pid"},{"type":"user","path":"/proc/1/ns/user"}]}"#,
            r#"{"linux.namespaces":[{"type":"pid","path":"/proc/1/ns/pid"}]}"#,
            r#"{"linux.namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}]}"#,
            r#"{"process":{"cwd":"/","user":{"uid":0,"gid":0},"terminal":true}}"#,
        ] {
            let fault = namespaces(&spec(change)).unwrap_err();
            assert!(fault.text.contains("this runtime"), "{change}: {fault}");
        }
    }
}
