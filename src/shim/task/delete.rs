//! Removing a container, when containerd asks for it or has lost it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::events::task::TaskDelete;
use containerd_shim_protos::protobuf::MessageField;
use tokio::time::{sleep, timeout};

use super::answer::{Answer, failed, not_found, too_early};
use super::container::Container;
use crate::shim::cleanup::PID_FILE;
use crate::shim::events::timestamp;
use crate::shim::exits::Exit;
use crate::shim::shared::Shared;
use crate::shim::{events, rootfs};

const KILL: u32 = 9;
/// How long a killed process may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// How long a container that containerd has lost may take to end. It waits no longer for all of its `delete`.
const LOST_ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Removes a container whose process has ended, or was never started.
pub(super) async fn delete(server: &Arc<Shared>, container: Arc<Container>) -> Answer<DeleteResponse> {
    if container.exit().is_none() && container.started.load(Ordering::Acquire) {
        return Err(too_early(format!("container {} runs: it has to be killed and waited for", container.id)));
    }
    remove(server, &container, ENDS_WITHIN).await
}

/// Removes a container that containerd does not know any more, whatever it does.
pub(in crate::shim) async fn remove_lost(server: &Arc<Shared>, id: &str) -> Answer<DeleteResponse> {
    let settled = async {
        while server.table().is_creating(id) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = timeout(LOST_ENDS_WITHIN, settled).await;
    // containerd gave up between `start` and its create.
    server.give_up(id);
    let container = server.table().get(id).ok_or_else(|| not_found(format!("container {id}")))?;
    remove(server, &container, LOST_ENDS_WITHIN).await
}

async fn remove(server: &Arc<Shared>, container: &Arc<Container>, patience: Duration) -> Answer<DeleteResponse> {
    let Container { id, bundle, .. } = &**container;
    let _turn = container.deleting.lock().await;
    if server.table().get(id).is_none() {
        return Err(not_found(format!("container {id}")));
    }
    let exit = match container.exit() {
        Some(exit) => exit,
        None => {
            // It may end by itself meanwhile.
            let _ = container.signal(KILL, true);
            let stays = |_| failed(format!("process {} of container {id} does not end", container.pid()));
            timeout(patience, container.ended()).await.map_err(stays)?
        }
    };
    server.zygote.delete(id, bundle).await.map_err(failed)?;
    let root = bundle.join("rootfs");
    server.blocking(move || rootfs::unmount_all(&root)).await.map_err(failed)?;
    forget_pid(bundle);
    server.forget(id);
    server.reap_others();
    tell(server, container, exit);
    Ok(DeleteResponse {
        pid: container.pid_told(),
        exit_status: exit.status,
        exited_at: MessageField::some(timestamp(exit.at)),
        ..DeleteResponse::default()
    })
}

/// The note of a process that is gone: `delete`, which comes after, has nothing to do.
fn forget_pid(bundle: &Path) {
    let _ = std::fs::remove_file(bundle.join(PID_FILE));
}

fn tell(server: &Shared, container: &Container, exit: Exit) {
    let event = TaskDelete {
        container_id: container.id.clone(),
        pid: container.pid_told(),
        exit_status: exit.status,
        exited_at: MessageField::some(timestamp(exit.at)),
        ..TaskDelete::default()
    };
    server.events.tell(events::DELETE, &event);
}
