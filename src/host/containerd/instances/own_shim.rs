//! What the shim of the built-in runtime still has of an instance that containerd can't reach through it: the task's record
//! is gone, or the server of its shard hangs.
//!
//! ```text
//! the bundle's `address` -> a socket of ours? -> `delete` of the shim: asks the server, or clears up itself without one
//!                                                   | the server does not answer, three times
//!                                                   v
//!                           the server is ended: its other functions start anew, as after a crash -> `delete` once more
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::BUILTIN_SHIM;
use crate::function::InstanceId;
use crate::host::containerd::connection::Containerd;

/// The directory, beside containerd's socket, of the servers' sockets and locks.
pub const BUILTIN_SOCKETS: &str = "shims";

/// How long `delete` may take: it waits three seconds for each step of the server's answer, and that two for a process.
const DELETE: Duration = Duration::from_secs(15);
/// How often a server may leave `delete` without an answer before it counts as hanging.
const SILENT_TIMES: usize = 3;
/// How long an ended server may take to be gone, in steps.
const GONE_STEPS: u32 = 200;
const GONE_STEP: Duration = Duration::from_millis(10);
/// How long all servers may take to end that have nothing to do: they wait three seconds for who has to hear of it.
const ALL_GONE: Duration = Duration::from_secs(10);
/// How long before they are told again that none comes: one may have been about to begin.
const TOLD_AGAIN: Duration = Duration::from_secs(1);

/// Where the server listens that made a bundle; none where that was another shim.
pub(super) fn socket_of(containerd: &Containerd, bundle: &Path) -> Option<PathBuf> {
    let address = fs::read_to_string(bundle.join("address")).ok()?;
    let socket = PathBuf::from(address.trim().strip_prefix("unix://")?);
    (socket.parent() == directory(containerd).as_deref()).then_some(socket)
}

/// Where the servers' sockets and locks are.
pub(super) fn directory(containerd: &Containerd) -> Option<PathBuf> {
    Some(containerd.socket.parent()?.join(BUILTIN_SOCKETS))
}

/// Has the server of an instance's bundle remove it, or removes it where that is gone. A server that hangs is ended.
pub(super) async fn remove(
    program: &Path,
    containerd: &Containerd,
    id: &InstanceId,
    bundle: &Path,
) -> Result<(), String> {
    let Some(socket) = socket_of(containerd, bundle) else { return Ok(()) };
    for _ in 0..SILENT_TIMES {
        match delete(program, containerd, id, bundle).await {
            Err(Fault::Silent) => {}
            Err(Fault::Other(said)) => return Err(said),
            Ok(()) => return Ok(()),
        }
    }
    let ended = {
        let (socket, words) = (socket.clone(), command_line(containerd));
        tokio::task::spawn_blocking(move || signal_server(&socket, &words, Signal::KILL)).await
    };
    let ended = ended.unwrap_or_else(|error| Err(io::Error::other(error)));
    for server in ended.map_err(|error| format!("end the shim at {}: {error}", socket.display()))? {
        tracing::warn!(%id, pid = server, socket = %socket.display(), "ended a shim that does not answer: its functions start anew");
        for _ in 0..GONE_STEPS {
            if !Path::new("/proc").join(server.to_string()).join("fd/0").exists() {
                break;
            }
            sleep(GONE_STEP).await;
        }
    }
    match delete(program, containerd, id, bundle).await {
        Ok(()) => Ok(()),
        Err(Fault::Other(said)) => Err(said),
        Err(Fault::Silent) => {
            Err(format!("the shim at {} does not answer: look which process listens there", socket.display()))
        }
    }
}

/// Waits until no server of this containerd and namespace runs any more, each of which ends by itself when it has nothing to
/// do, and removes the sockets and locks that killed ones left. What does not end in time is named, and stays.
///
/// A start that was cut off may have announced a container that never came: the servers are told that none comes.
pub(super) async fn all_gone(containerd: &Containerd) {
    let Some(directory) = directory(containerd) else { return };
    let words = command_line(containerd);
    let (begun, mut left, mut told) = (Instant::now(), servers(&words), None::<Instant>);
    while !left.is_empty() && begun.elapsed() < ALL_GONE {
        if told.is_none_or(|at| at.elapsed() > TOLD_AGAIN) {
            told = Some(Instant::now());
            for socket in paths(&directory).filter(|path| path.extension().is_some_and(|ending| ending == "sock")) {
                let _ = signal_server(&socket, &words, Signal::TERM);
            }
        }
        sleep(GONE_STEP).await;
        left = servers(&words);
    }
    clear(&directory);
    if !left.is_empty() {
        tracing::warn!(?left, "shims have nothing to do and do not end: look whether they are stopped");
    }
}

/// The processes that are servers, or that ask one.
fn servers(words: &[Vec<u8>]) -> Vec<i32> {
    let found = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = found.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| is_server(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(), words)).collect()
}

fn paths(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Removes the sockets that no server listens on, the locks that none holds, and their directory if it is empty then.
fn clear(directory: &Path) {
    for path in paths(directory) {
        let is_used = match path.extension().and_then(|ending| ending.to_str()) {
            Some("sock") => UnixStream::connect(&path).is_ok(),
            Some("lock") => File::open(&path).is_ok_and(|lock| lock.try_lock().is_err()),
            _ => true,
        };
        let _ = if is_used { Ok(()) } else { fs::remove_file(path) };
    }
    let _ = fs::remove_dir(directory);
}

enum Fault {
    /// The server took a connection and said nothing.
    Silent,
    Other(String),
}

async fn delete(program: &Path, containerd: &Containerd, id: &InstanceId, bundle: &Path) -> Result<(), Fault> {
    let failed = |said: String| Fault::Other(format!("{} delete {id}: {said}", program.display()));
    let run = Command::new(program)
        .args(["-namespace", &containerd.namespace, "-address"])
        .arg(&containerd.socket)
        .args(["-id", id.as_str(), "-bundle"])
        .arg(bundle)
        .arg("delete")
        .current_dir(bundle)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match timeout(DELETE, run).await {
        Ok(Ok(output)) => output,
        // containerd has heard of the server's end as well, and had the same done.
        _ if !bundle.exists() => return Ok(()),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("not done within {DELETE:?}"))),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false if !bundle.exists() => Ok(()),
        false if said.contains("does not answer") => Err(Fault::Silent),
        false => Err(failed(said.trim().to_owned())),
    }
}

/// How the command line of every server of this containerd begins, after its name.
fn command_line(containerd: &Containerd) -> Vec<Vec<u8>> {
    let words = ["-namespace", &containerd.namespace, "-address", &containerd.socket.to_string_lossy()];
    words.map(|word| word.as_bytes().to_vec()).to_vec()
}

/// Signals the server that listens at a socket, if it is one of ours. Returns the processes that were signalled.
fn signal_server(socket: &Path, words: &[Vec<u8>], signal: Signal) -> io::Result<Vec<i32>> {
    let inodes = inodes(&fs::read_to_string("/proc/net/unix")?, socket);
    let mut signalled = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| Pid::from_raw(name.parse().ok()?)) else { continue };
        // Held before it is looked at: a number may be given away meanwhile.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if is_server(&line, words) && holds(&entry.path().join("fd"), &inodes) {
            pidfd_send_signal(&process, signal)?;
            signalled.push(pid.as_raw_nonzero().get());
        }
    }
    Ok(signalled)
}

fn is_server(line: &[u8], words: &[Vec<u8>]) -> bool {
    let mut said = line.split(|byte| *byte == 0);
    let program = said.next().unwrap_or_default();
    program.ends_with(BUILTIN_SHIM.as_bytes()) && said.by_ref().take(words.len()).eq(words.iter().map(Vec::as_slice))
}

/// The sockets at a path, as the kernel numbers them: the one that listens, and its ends of connections.
fn inodes(table: &str, socket: &Path) -> Vec<String> {
    let path = socket.to_string_lossy();
    let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns.filter(|line| line.get(7) == Some(&&*path)).map(|line| format!("socket:[{}]", line[6])).collect()
}

fn holds(descriptors: &Path, inodes: &[String]) -> bool {
    let open = fs::read_dir(descriptors).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|leads_to| inodes.iter().any(|inode| leads_to.as_os_str() == inode.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_s_holders_are_known_by_the_kernel_s_numbers() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            000000001: 00000002 00000000 00010000 0001 01 4711 /run/a/shims/shard-1-0a.sock\n\
            000000002: 00000003 00000000 00000000 0001 03 4712 /run/a/shims/shard-1-0a.sock\n\
            000000003: 00000003 00000000 00000000 0001 03 4713\n\
            000000004: 00000002 00000000 00010000 0001 01 4714 /run/a/shims/shard-1-0a.sock.x\n";
        let found = inodes(table, Path::new("/run/a/shims/shard-1-0a.sock"));
        assert_eq!(found, ["socket:[4711]", "socket:[4712]"]);
    }

    #[test]
    fn a_server_is_known_by_its_name_its_namespace_and_its_containerd() {
        let words = ["-namespace", "n", "-address", "/c.sock"].map(|word| word.as_bytes().to_vec());
        for (line, expected) in [
            ("/s/bin/containerd-shim-actord-v1\0-namespace\0n\0-address\0/c.sock\0-id\0shard-1\0", true),
            ("/s/bin/containerd-shim-actord-v1\0-namespace\0other\0-address\0/c.sock\0-id\0shard-1\0", false),
            ("/usr/bin/containerd-shim-runc-v2\0-namespace\0n\0-address\0/c.sock\0-id\0f-1\0", false),
            ("", false),
        ] {
            assert_eq!(is_server(line.as_bytes(), &words), expected, "{line:?}");
        }
    }

    #[tokio::test]
    async fn the_process_that_listens_is_found_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("a.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let inodes = inodes(&fs::read_to_string("/proc/net/unix").unwrap(), &socket);
        assert_eq!(inodes.len(), 1);
        assert!(holds(Path::new("/proc/self/fd"), &inodes));
        assert!(!holds(Path::new("/proc/self/fd"), &["socket:[0]".to_owned()]));
        assert!(socket.exists());
        clear(directory.path());
        assert!(socket.exists(), "it is listened on");
        assert_eq!(
            signal_server(&socket, &[b"-namespace".to_vec()], Signal::TERM).unwrap(),
            Vec::<i32>::new(),
            "it is no server"
        );
    }

    #[test]
    fn what_killed_servers_left_goes_and_what_is_used_stays() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("shims");
        fs::create_dir(&directory).unwrap();
        let at = |name: &str| directory.join(name);
        drop(std::os::unix::net::UnixListener::bind(at("dead.sock")).unwrap());
        fs::write(at("dead.lock"), "").unwrap();
        let held = File::create(at("held.lock")).unwrap();
        held.lock().unwrap();
        clear(&directory);
        let left: Vec<_> = fs::read_dir(&directory).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["held.lock"]);
        drop(held);
        clear(&directory);
        assert!(!directory.exists());
    }
}
