//! `start`: containerd runs it before each create, in the container's bundle, and connects to the address that it prints.
//!
//! Most of the time the shard's server runs: a lock, a connection, a small file. This is on the way of every deploy, so
//! nothing else is set up here.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::arguments::Arguments;
use super::shard::{self, Shard};
use super::{EVENTS_ADDRESS, PROGRAM, call, container};
use crate::process::keep_nothing_open;

/// The file in a bundle from which containerd reads the address after a restart of its own.
pub(super) const ADDRESS_FILE: &str = "address";

/// Finds or starts the server of a container's shard, which then waits for the container. Returns its address.
///
/// # Errors
/// When the bundle can't be read or written, the server does not answer, or none can be started.
pub(super) fn start(arguments: &Arguments, program: &OsStr) -> io::Result<String> {
    let Arguments { namespace, address, id, bundle, .. } = arguments;
    let name = shard::name_of(bundle, id)?;
    let shard = Shard::new(address, namespace, &name);
    let lock = shard.lock()?;
    if !call::reserve(shard.socket(), id)? {
        launch(arguments, &shard, &name, program)?;
    }
    drop(lock);
    write_address(bundle, &shard.address())?;
    Ok(shard.address())
}

/// Starts the server of a shard, whose lock is held. It need not have come up when this returns: the socket exists, and
/// holds what is sent meanwhile.
fn launch(arguments: &Arguments, shard: &Shard, name: &str, program: &OsStr) -> io::Result<()> {
    let socket = shard.socket();
    // One that was killed leaves its socket behind.
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)
        .map_err(|error| io::Error::new(error.kind(), format!("listen on {}: {error}", socket.display())))?;
    keep_nothing_open();
    // Sealed here, the server need not begin twice. Where that fails it tries by itself, and says why it can't serve.
    let sealed = container::sealed_program().ok();
    let itself = sealed.as_ref().map_or("/proc/self/exe".into(), |file| format!("/proc/self/fd/{}", file.as_raw_fd()));
    let started = Command::new(&itself)
        .arg0(if Path::new(program).is_absolute() { program } else { OsStr::new(PROGRAM) })
        .args(["-namespace", &arguments.namespace, "-address", &arguments.address])
        .args(["-id", name, "-first", &arguments.id])
        .arg("-bundle")
        .arg(std::path::absolute(&arguments.bundle)?)
        // Nothing of containerd's goes further down. Containers have the environment of their spec.
        .env_clear()
        .env(EVENTS_ADDRESS, &arguments.events)
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        // containerd waits until nobody has these two open.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.map(drop).map_err(|error| {
        let _ = fs::remove_file(socket);
        io::Error::new(error.kind(), format!("start {}: {error}", program.display()))
    })
}

/// Writes the file from which containerd, started anew, and `delete` know the server. It is whole or not there.
fn write_address(bundle: &Path, address: &str) -> io::Result<()> {
    let (path, unfinished) = (bundle.join(ADDRESS_FILE), bundle.join(".address"));
    fs::write(&unfinished, address)?;
    fs::rename(&unfinished, &path)
}
