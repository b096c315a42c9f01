//! `delete`: containerd runs it whenever a connection about a container has ended. It prints how the container ended.
//!
//! That is so after each ordinary delete, and then there is nothing to do. Where the server runs and has the container
//! still, it is asked to remove it: it alone touches its containers. Where the server was killed, its containers run on
//! without it, and each is removed here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::{Message as _, MessageField};

use super::arguments::Arguments;
use super::bootstrap::ADDRESS_FILE;
use super::events::timestamp;
use super::shard::Shard;
use super::{call, container, rootfs};

/// The file in a bundle with the number of the container's first process, as long as there is the container.
pub(super) const PID_FILE: &str = "init.pid";

/// The status of a container that was killed with its server: as of one that SIGKILL ended.
const KILLED: u32 = 128 + 9;

/// Removes what is left of a container, and returns the answer for containerd.
///
/// # Errors
/// When something of it stays.
pub(super) fn delete(arguments: &Arguments) -> io::Result<Vec<u8>> {
    let bundle = std::path::absolute(&arguments.bundle)?;
    let id = &arguments.id;
    if let Some(socket) = socket(&bundle) {
        match call::remove(&socket, id)? {
            Some(answer) => return answer.write_to_bytes().map_err(io::Error::other),
            None => clear(socket),
        }
    }
    let pid = fs::read_to_string(bundle.join(PID_FILE)).ok().and_then(|text| text.trim().parse().ok());
    container::remove(id, &bundle).map_err(|fault| io::Error::other(fault.to_string()))?;
    rootfs::unmount_all(&bundle.join("rootfs"))?;
    let answer = DeleteResponse {
        pid: pid.unwrap_or_default(),
        exit_status: KILLED,
        exited_at: MessageField::some(timestamp(SystemTime::now())),
        ..DeleteResponse::default()
    };
    answer.write_to_bytes().map_err(io::Error::other)
}

/// Where the server of a bundle listens, or did.
fn socket(bundle: &Path) -> Option<PathBuf> {
    let address = fs::read_to_string(bundle.join(ADDRESS_FILE)).ok()?;
    Some(PathBuf::from(address.strip_prefix("unix://")?))
}

/// Removes the socket that a server left which was killed. One that a new server listens on is left alone.
fn clear(socket: PathBuf) {
    if !socket.exists() {
        return;
    }
    let shard = Shard::of_socket(socket);
    if let Ok(Some(lock)) = shard.try_lock()
        && call::is_dead(shard.socket())
    {
        shard.remove(lock);
    }
}
