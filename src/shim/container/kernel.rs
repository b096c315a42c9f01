//! The system calls that no crate has in safe form. Each is called where there is one thread, or makes no difference to
//! others.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::CapabilitiesSecureBits;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which process comes back from [`fork`] or [`clone_sibling`].
pub(super) enum Process {
    /// The new one.
    Child,
    /// The one that made it.
    Parent(Pid),
}

fn checked(returned: c_long) -> Result<c_long, Errno> {
    match returned {
        -1 => Err(last_error()),
        value => Ok(value),
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn process(returned: c_long) -> Result<Process, Errno> {
    let pid = i32::try_from(checked(returned)?).ok().and_then(Pid::from_raw);
    Ok(pid.map_or(Process::Child, Process::Parent))
}

/// Makes a copy of this process. In the copy there is only this thread, so no other one may hold what it needs.
pub(super) fn fork() -> Result<Process, Errno> {
    // SAFETY: it touches no memory of ours. Its caller sees to it that there is one thread.
    process(c_long::from(unsafe { libc::fork() }))
}

/// Makes a copy of this process in new namespaces, which is a child of this one's parent, and is in `cgroup` of version 2
/// from its first instruction on. This process must have one thread.
pub(super) fn clone_sibling(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Process, Errno> {
    /// `struct clone_args` of the kernel, as of 5.7.
    #[repr(C)]
    #[derive(Default)]
    struct Arguments {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    // Of the C library's `c_int`, but the call takes 64 bits: this one does not fit into the former.
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut arguments =
        Arguments { flags: namespaces | u64::from(libc::CLONE_PARENT.unsigned_abs()), ..Arguments::default() };
    if let Some(cgroup) = cgroup {
        arguments.flags |= INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: without CLONE_VM and without a stack of its own the copy goes on where this process does, as after fork.
    // What the C library does at a fork is for processes with threads.
    process(unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<Arguments>()) })
}

/// Sees control groups from here on as if the one that this process, which has one thread, is in were the top.
pub(super) fn unshare_cgroups() -> Result<(), Errno> {
    // SAFETY: no descriptors are unshared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWCGROUP) }
}

/// Goes into a new namespace of users. This process must have one thread.
pub(super) fn unshare_users() -> Result<(), Errno> {
    // SAFETY: no descriptors are unshared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWUSER) }
}

/// Has what this process, which is the machine's root and has one thread, makes in file systems belong to another user and
/// group. What it may do there stays as it is, until it becomes another user.
pub(super) fn make_files_as(id: u32) -> Result<(), Errno> {
    let keeps = rustix::thread::capabilities_secure_bits()? | CapabilitiesSecureBits::NO_SETUID_FIXUP;
    rustix::thread::set_capabilities_secure_bits(keeps)?;
    for call in [libc::SYS_setfsgid, libc::SYS_setfsuid] {
        // SAFETY: it touches no memory. It answers with the number before, whether it did anything or not.
        unsafe { libc::syscall(call, c_long::from(id)) };
        // SAFETY: as above; no such number is taken.
        if unsafe { libc::syscall(call, c_long::from(u32::MAX)) } != c_long::from(id) {
            return Err(Errno::PERM);
        }
    }
    Ok(())
}

/// Has the runtime watch a descriptor for something to read.
pub(super) fn watch(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: it is owned by what is returned, so it is open as long as it is watched.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(std::io::Error::from)
}

/// Ends this process, without what the program that it is a copy of wanted to do at its end.
pub(super) fn exit(status: c_int) -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(status) }
}

/// Gives back to the kernel what was freed: the memory of a process that lives long and does little.
pub(super) fn trim_memory() {
    // SAFETY: it touches free memory only.
    unsafe { libc::malloc_trim(0) };
}

/// Closes all descriptors from `first` on.
pub(super) fn close_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: its caller goes on with none of those that are closed.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) }).map(drop)
}

/// A descriptor that this process was started with, or got by being a copy.
pub(super) fn inherited(number: RawFd) -> OwnedFd {
    // SAFETY: its caller knows that it is open, and that nothing else of the program owns it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Takes a session keyring of its own, so that none of the host's keys is within reach.
pub(super) fn new_keyring(name: &CStr) -> Result<(), Errno> {
    // SAFETY: the name is a string that ends.
    match checked(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) }) {
        // A kernel without keys.
        Err(Errno::NOSYS) => Ok(()),
        done => done.map(drop),
    }
}

/// Every signal does what it does by default, and none is blocked: a program inherits what was ignored or blocked.
pub(super) fn reset_signals() {
    // SAFETY: the handlers that are taken away belonged to the program that this process goes on to replace.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            if !matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// One instruction of a filter of system calls, as the kernel takes it.
#[repr(C, align(4))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Instruction(pub(super) [u8; 8]);

/// Has this process's system calls filtered, for ever. `no_new_privs` must be set.
pub(super) fn filter(program: &[Instruction], flags: u64) -> Result<(), Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    // The kernel only reads.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program is as long as it says, and the kernel copies it. An instruction of ours has the size and the
    // alignment of the kernel's.
    checked(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) }).map(drop)
}

/// Executes a program. It returns only if that failed.
pub(super) fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end with a null, and all in them lives until the call returns.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    last_error()
}

/// Executes the file of a descriptor. It returns only if that failed.
pub(super) fn execute_file(file: BorrowedFd<'_>, arguments: &[CString], environment: &[CString]) -> Errno {
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: as above.
    unsafe {
        let (arguments, environment) = (arguments.as_ptr(), environment.as_ptr());
        libc::syscall(libc::SYS_execveat, file.as_raw_fd(), c"".as_ptr(), arguments, environment, libc::AT_EMPTY_PATH);
    }
    last_error()
}

/// Makes a mount that is not attached anywhere read-only.
pub(super) fn make_read_only(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    let size = size_of::<libc::mount_attr>();
    let (mount, here) = (mount.as_raw_fd(), c"".as_ptr());
    // SAFETY: the structure is the kernel's own, of the size that is said.
    let call = unsafe {
        libc::syscall(libc::SYS_mount_setattr, mount, here, libc::AT_EMPTY_PATH, &raw const attributes, size)
    };
    checked(call).map(drop)
}
