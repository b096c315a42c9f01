//! Making a container: its root file system, its streams, then the container itself. What fails leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use containerd_shim_protos::api::CreateTaskRequest;
use containerd_shim_protos::events::task::{TaskCreate, TaskExit, TaskIO};
use containerd_shim_protos::protobuf::MessageField;
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::{Answer, already_exists, failed, not_done_here, of_io};
use super::container::{Container, StreamNames};
use crate::shim::cgroup::Cgroup;
use crate::shim::cleanup::PID_FILE;
use crate::shim::container::Creation;
use crate::shim::events::timestamp;
use crate::shim::logs::Streams;
use crate::shim::notes::note;
use crate::shim::shared::Shared;
use crate::shim::{events, exits, rootfs};

/// How long an end waits for a start that is under way, before it is told all the same.
const START_IS_TOLD_WITHIN: Duration = Duration::from_secs(2);

/// Makes a container, but does not start its process. Returns the number of that.
pub(super) async fn create(server: &Arc<Shared>, request: CreateTaskRequest) -> Answer<u32> {
    if request.terminal {
        return Err(not_done_here("a terminal"));
    }
    if !request.checkpoint.is_empty() {
        return Err(not_done_here("a checkpoint"));
    }
    if !server.table().begin(&request.id) {
        return Err(already_exists(format!("container {}", request.id)));
    }
    let made = make(server, &request).await;
    match &made {
        Ok(container) => {
            server.table().finish(&request.id, Arc::clone(container));
            server.events.tell(events::CREATE, &told(&request, container));
            tokio::spawn(follow(Arc::clone(server), Arc::clone(container)));
        }
        Err(_) => server.forget(&request.id),
    }
    made.map(|container| container.pid_told())
}

async fn make(server: &Arc<Shared>, request: &CreateTaskRequest) -> Answer<Arc<Container>> {
    let bundle = PathBuf::from(&request.bundle);
    let root = bundle.join("rootfs");
    if !request.rootfs.is_empty() {
        let (mounts, root) = (request.rootfs.clone(), root.clone());
        let mounted = server.blocking(move || rootfs::mount_all(&mounts, &root)).await;
        mounted.map_err(|error| failed(format!("failed to mount rootfs component: {error}")))?;
    }
    let made = make_in(server, request, &bundle).await;
    if made.is_err() {
        let _ = server.zygote.delete(&request.id, &bundle).await;
        let unmounted = server.blocking(move || rootfs::unmount_all(&root)).await;
        if let Err(error) = unmounted {
            note(&bundle, &request.id, &error.to_string());
        }
    }
    made
}

async fn make_in(server: &Arc<Shared>, request: &CreateTaskRequest, bundle: &Path) -> Answer<Arc<Container>> {
    let CreateTaskRequest { id, stdin, stdout, stderr, .. } = request;
    let streams = Streams::open(&server.logs, stdin, stdout, stderr).map_err(|error| of_io("its streams", &error))?;
    let Streams { stdin: input, stdout: output, stderr: errors, copies, input: kept } = streams;
    let creation = Creation {
        id: id.clone(),
        bundle: bundle.to_owned(),
        state_root: bundle.to_owned(),
        stdin: input,
        stdout: output,
        stderr: errors,
    };
    let pid = server.zygote.create(creation).await.map_err(failed)?;
    let number = pid.as_raw_pid();
    let pidfd = exits::open(pid).map_err(|error| of_io(&format!("process {number}"), &error))?;
    // `delete` reads it, if this process is not there to tell it.
    fs::write(bundle.join(PID_FILE), number.to_string()).map_err(|error| of_io(PID_FILE, &error))?;
    Ok(Arc::new(Container {
        id: id.clone(),
        bundle: bundle.to_owned(),
        names: StreamNames { stdin: stdin.clone(), stdout: stdout.clone(), stderr: stderr.clone() },
        pid,
        pidfd,
        cgroup: Cgroup::of(number).ok(),
        copies,
        input: Mutex::new(kept),
        started: AtomicBool::new(false),
        paused: AtomicBool::new(false),
        exit: watch::Sender::new(None),
        starting: tokio::sync::Mutex::new(()),
        deleting: tokio::sync::Mutex::new(()),
    }))
}

fn told(request: &CreateTaskRequest, container: &Container) -> TaskCreate {
    let io = TaskIO {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
        ..TaskIO::default()
    };
    TaskCreate {
        container_id: request.id.clone(),
        bundle: request.bundle.clone(),
        rootfs: request.rootfs.clone(),
        io: MessageField::some(io),
        pid: container.pid_told(),
        ..TaskCreate::default()
    }
}

/// Waits for the end of a container's process, and tells of it when all that it wrote is in its log.
async fn follow(server: Arc<Shared>, container: Arc<Container>) {
    let exit = exits::of(Arc::clone(&container.pidfd)).await;
    for copy in &container.copies {
        copy.caught_up().await;
    }
    let started = timeout(START_IS_TOLD_WITHIN, container.starting.lock()).await;
    let event = TaskExit {
        container_id: container.id.clone(),
        id: container.id.clone(),
        pid: container.pid_told(),
        exit_status: exit.status,
        exited_at: MessageField::some(timestamp(exit.at)),
        ..TaskExit::default()
    };
    server.events.tell(events::EXIT, &event);
    container.exit.send_replace(Some(exit));
    drop(started);
    server.reap_others();
}
