//! The first process of a container, from its making to its program: each step, in an order that matters.
//!
//! ```text
//! groups -> namespaces -> mounts -> new root -> what is read-only or hidden -> streams -> namespace of users -> user
//!    -> directory, command -> filter of system calls -> "ready" -> waits to be told -> program
//! ```
//! The channel to the server is also its life line: a process that waits ends when the server does.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::{Linux, LinuxNamespaceType, Process, Spec};
use rustix::fs::{FileType, Mode, OFlags, fchown, fstat, open};
use rustix::io::Errno;
use rustix::thread::LinkNameSpaceType;

use super::cgroup::Hierarchies;
use super::channel::{self, GO, MAPPED};
use super::fault::{Fault, in_words};
use super::ids::Ids;
use super::root::Root;
use super::seccomp::Filter;
use super::{devices, kernel, limits, mounts, process};
use crate::process::close_at_exec;

/// The statuses with which a shell tells of a command that it can't execute, and of one that is not there.
const CANNOT_EXECUTE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// All that it needs.
#[derive(Debug)]
pub(super) struct Init<'a> {
    pub(super) id: &'a str,
    pub(super) spec: &'a Spec,
    pub(super) tree: PathBuf,
    /// The numbers of its users and groups, where they are not the machine's.
    pub(super) ids: Option<Ids>,
    pub(super) cgroups: &'a str,
    pub(super) hierarchies: &'a Hierarchies,
    pub(super) filter: Option<&'a Filter>,
    pub(super) streams: [OwnedFd; 3],
    pub(super) channel: OwnedFd,
}

impl Init<'_> {
    /// Goes all the way. What fails is told to the server, or, when that waits no more, on the container's own stream.
    pub(super) fn run(self) -> ! {
        let Err(fault) = self.make().map(|ready: Ready| ready.execute(self.channel.as_fd()));
        let _ = channel::send(self.channel.as_fd(), &channel::Word::Fault(fault));
        kernel::exit(1)
    }

    fn make(&self) -> Result<Ready, Fault> {
        let Self { spec, tree, .. } = self;
        let linux = spec.linux().as_ref().ok_or_else(|| Fault::request("the runtime spec has no linux"))?;
        let process = spec.process().as_ref().ok_or_else(|| Fault::request("the runtime spec has no process"))?;
        self.leave_the_host(linux, process)?;
        if let Some(ids) = self.ids {
            ids.make_as_root().map_err(Fault::setup("error during container init: setfsuid"))?;
        }
        let root = mounts::begin(tree)?;
        if !self.hierarchies.of_version_1().any(|hierarchy| hierarchy.has("devices")) {
            mounts::allow_no_devices(&root)?;
        }
        mounts::make_all(&root, spec, self.hierarchies, self.ids)?;
        devices::make(&root)?;
        make_working_directory(&root, process)?;
        mounts::enter(tree)?;
        drop(root);
        set_parameters(linux)?;
        if spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly) == Some(true) {
            mounts::make_root_read_only()?;
        }
        mounts::make_read_only(linux.readonly_paths().as_deref().unwrap_or_default())?;
        mounts::mask(linux.masked_paths().as_deref().unwrap_or_default())?;
        self.become_the_process(process)
    }

    fn leave_the_host(&self, linux: &Linux, process: &Process) -> Result<(), Fault> {
        let setup = |doing: &'static str| Fault::setup(format!("error during container init: {doing}"));
        rustix::process::setsid().map_err(setup("setsid"))?;
        let keyring = CString::new(format!("_ses.{}", self.id)).unwrap_or_default();
        kernel::new_keyring(&keyring).map_err(setup("unable to join session keyring"))?;
        if let Some(score) = process.oom_score_adj() {
            let failed =
                |error: std::io::Error| setup("oom_score_adj")(Errno::from_io_error(&error).unwrap_or(Errno::IO));
            fs::write("/proc/self/oom_score_adj", score.to_string()).map_err(failed)?;
        }
        self.hierarchies.join(self.cgroups, &limits::of_version_1(linux.resources().as_ref()))?;
        for namespace in linux.namespaces().iter().flatten() {
            let (kind, path) = (namespace.typ(), namespace.path());
            if kind == LinuxNamespaceType::Cgroup {
                // Not before the groups are joined: what is seen from inside begins at them.
                kernel::unshare_cgroups().map_err(setup("unshare cgroup"))?;
            }
            if let (LinuxNamespaceType::Network, Some(path)) = (kind, path) {
                let failed =
                    |errno| Fault::setup(format!("unable to join network namespace {}", path.display()))(errno);
                let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
                let kind = Some(LinkNameSpaceType::Network);
                rustix::thread::move_into_link_name_space(file.as_fd(), kind).map_err(failed)?;
            }
        }
        if let Some(name) = self.spec.hostname() {
            rustix::system::sethostname(name.as_bytes()).map_err(setup("sethostname"))?;
        }
        Ok(())
    }

    fn become_the_process(&self, process: &Process) -> Result<Ready, Fault> {
        let numbers = process::Numbers::of(process.user())?;
        let uid = self.ids.map_or(Ok(numbers.uid.as_raw()), |ids| ids.on_the_machine(numbers.uid.as_raw()));
        let uid = uid.map_err(Fault::process("unable to setup user: its number is not mapped"))?;
        self.take_streams(rustix::fs::Uid::from_raw(uid))?;
        process::limit(process.rlimits().as_deref().unwrap_or_default())?;
        if process.no_new_privileges() == Some(true) {
            rustix::thread::set_no_new_privs(true)
                .map_err(Fault::setup("error during container init: no_new_privs"))?;
        }
        let environment = process::environment(process);
        let mask = process.user().umask().unwrap_or(0o022);
        rustix::process::umask(Mode::from_raw_mode(mask));
        if let Some(ids) = self.ids {
            self.enter_user_namespace(ids)?;
        }
        let entered = process::enter_directory(process, false)?;
        process::become_user(&numbers, process.capabilities().as_ref())?;
        if !entered {
            process::enter_directory(process, true)?;
        }
        let arguments = process.args().as_deref().unwrap_or_default();
        let path = process::command(arguments, &environment)?;
        kernel::reset_signals();
        close_at_exec(3).map_err(Fault::setup("error during container init: close descriptors"))?;
        if let Some(filter) = self.filter {
            filter.load().map_err(Fault::setup("unable to init seccomp: error loading seccomp filter into kernel"))?;
        }
        Ok(Ready { path, arguments: c_strings(arguments)?, environment: c_strings(&environment)? })
    }

    /// Goes into a new namespace of users, in which it has every capability and no number yet, and has the server give it its
    /// numbers. It ends if the server does.
    fn enter_user_namespace(&self, ids: Ids) -> Result<(), Fault> {
        let failed = Fault::setup("error during container init: user namespace");
        kernel::unshare_users().map_err(&failed)?;
        channel::send(self.channel.as_fd(), &channel::Word::Unmapped(ids)).map_err(&failed)?;
        match channel::receive_byte(self.channel.as_fd()) {
            Ok(Some(MAPPED)) => Ok(()),
            Ok(_) => Err(failed(Errno::PIPE)),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Puts the streams where programs look for them, and gives them to the user, who may open them by their names. What
    /// is the host's `/dev/null` becomes the container's.
    fn take_streams(&self, uid: rustix::fs::Uid) -> Result<(), Fault> {
        let failed = |errno| Fault::setup("error during container init: standard streams")(errno);
        for (number, stream) in self.streams.iter().enumerate() {
            let stat = fstat(stream).map_err(failed)?;
            let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
                && stat.st_rdev == rustix::fs::makedev(1, 3);
            let own = is_null.then(|| open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()));
            let own = own.transpose().map_err(failed)?;
            if own.is_none() && stat.st_uid != uid.as_raw() {
                match fchown(stream, Some(uid), None) {
                    // As of a socket, or on a file system that is read-only: it is used as it is.
                    Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
                    Err(errno) => return Err(failed(errno)),
                }
            }
            put(own.as_ref().unwrap_or(stream), number).map_err(failed)?;
        }
        Ok(())
    }
}

fn put(stream: &OwnedFd, number: usize) -> Result<(), Errno> {
    match number {
        0 => rustix::stdio::dup2_stdin(stream),
        1 => rustix::stdio::dup2_stdout(stream),
        _ => rustix::stdio::dup2_stderr(stream),
    }
}

fn make_working_directory(root: &Root, process: &Process) -> Result<(), Fault> {
    let at = process.cwd();
    let doing = format!("error during container init: mkdir {}", at.display());
    root.make_directory(at).map(drop).map_err(Fault::process(doing))
}

/// Writes the kernel parameters, which are the container's own.
fn set_parameters(linux: &Linux) -> Result<(), Fault> {
    for (name, value) in linux.sysctl().iter().flatten() {
        let path = PathBuf::from("/proc/sys").join(name.replace('.', "/"));
        let doing = format!("error during container init: write sysctl key {name}: open {}", path.display());
        let write = |()| fs::OpenOptions::new().write(true).open(&path)?.write_all(value.as_bytes());
        write(())
            .map_err(|error: std::io::Error| Fault::setup(doing)(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    }
    Ok(())
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, Fault> {
    let invalid = |_| Fault::process("exec: a null in arguments or environment")(Errno::INVAL);
    texts.iter().map(|text| CString::new(text.as_bytes())).collect::<Result<_, _>>().map_err(invalid)
}

/// A process that has all but its program.
struct Ready {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Ready {
    /// Waits until it is told to, and executes the program. A program that can't be executed ends the container with the
    /// status that a shell would give it.
    fn execute(&self, channel: BorrowedFd<'_>) -> Infallible {
        let told = channel::send(channel, &channel::Word::Ready).and_then(|()| channel::receive_byte(channel));
        if told != Ok(Some(GO)) {
            // The server is gone.
            kernel::exit(1);
        }
        let errno = kernel::execute(&self.path, &self.arguments, &self.environment);
        let line = format!("exec {}: {}\n", self.path.to_string_lossy(), in_words(errno));
        let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
        kernel::exit(if errno == Errno::NOENT { NOT_FOUND } else { CANNOT_EXECUTE })
    }
}
