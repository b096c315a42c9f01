//! What makes a process a server: it has left the session, the standard streams and the memory habits of its parent.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Resource, Rlimit, getpid, getrlimit, set_child_subreaper, setrlimit, setsid};

/// Takes the socket that came as standard input, and leaves `/dev/null` in its place.
pub(super) fn take_listener() -> io::Result<UnixListener> {
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    let null = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(null)?;
    // A socket and no other kind of file: otherwise a person has typed the command.
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Leaves the parent's session, takes the name that `ps` and `top` show, and becomes the parent of every process whose own parent ends: of containers'.
pub(super) fn leave() -> io::Result<()> {
    // It fails where this is a session of its own already.
    let _ = setsid();
    let _ = rustix::thread::set_name(c"actord-shim");
    set_child_subreaper(Some(getpid()))?;
    Ok(())
}

/// Lets the allocator have one arena, and give back what is free: there is a server for each shard, and little to do.
pub(super) fn save_memory() {
    // SAFETY: mallopt only sets parameters of the allocator; no other thread runs yet.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 10);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 10);
        libc::mallopt(libc::M_TOP_PAD, 16 << 10);
    }
}

/// Takes as many descriptors as may be had: five are open for each container.
pub(super) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Ends the whole process with a panic of any part of it. That is seen, and the containers are started anew; a part that
/// is missing would be waited for.
pub(super) fn end_with_a_panic(say: impl Fn(&str) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| {
        say(&panic.to_string());
        std::process::abort();
    }));
}
