//! An instance's process, as containerd's tasks: made, started, waited for, killed, deleted.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    CreateTaskRequest, DeleteTaskRequest, GetRequest, KillRequest, ListTasksRequest, StartRequest, WaitRequest,
};
use containerd_client::types::Mount;
use containerd_client::types::v1::Status as TaskStatus;
use tokio::time::timeout;

use super::refusal::start_error;
use crate::function::InstanceId;
use crate::host::containerd::connection::Containerd;
use crate::host::{HostError, Signal};

/// How long making or starting a task may take: a shim is started, and runc sets the container up.
const START: Duration = Duration::from_secs(60);
/// How long a killed task may take to end.
const END: Duration = Duration::from_secs(10);

/// Makes an instance's task: everything but its process's first instruction. Both of its streams go to `log`. Returns the
/// number of that process.
pub(super) async fn create(
    containerd: &Containerd,
    id: &InstanceId,
    rootfs: Vec<Mount>,
    log: &Path,
) -> Result<u32, HostError> {
    let (stdout, stderr) = streams(log)?;
    let message =
        CreateTaskRequest { container_id: id.to_string(), rootfs, stdout, stderr, ..CreateTaskRequest::default() };
    let create = async |channel, request| TasksClient::new(channel).create(request).await;
    let call = containerd.call(format!("create task {id}"), message).within(START);
    call.try_send(create).await.map(|made| made.pid).map_err(start_error)
}

/// Starts the process of a task.
pub(super) async fn start(containerd: &Containerd, id: &InstanceId) -> Result<(), HostError> {
    let message = StartRequest { container_id: id.to_string(), exec_id: String::new() };
    let start = async |channel, request| TasksClient::new(channel).start(request).await;
    let call = containerd.call(format!("start task {id}"), message).within(START);
    call.try_send(start).await.map(drop).map_err(start_error)
}

/// Waits for the end of a task's process, without a deadline, and returns its exit status.
pub(super) async fn wait(containerd: &Containerd, id: &InstanceId) -> Result<u32, HostError> {
    let message = WaitRequest { container_id: id.to_string(), exec_id: String::new() };
    let wait = async |channel, request| TasksClient::new(channel).wait(request).await;
    let call = containerd.call(format!("wait for task {id}"), message).without_deadline();
    Ok(call.send(wait).await?.exit_status)
}

/// Sends a signal; no task, or one whose process has ended, is fine.
pub(super) async fn kill(containerd: &Containerd, id: &InstanceId, signal: Signal) -> Result<(), HostError> {
    let (signal, all) = (signal.number(), signal == Signal::KILL);
    let message = KillRequest { container_id: id.to_string(), exec_id: String::new(), signal, all };
    let kill = async |channel, request| TasksClient::new(channel).kill(request).await;
    containerd.call(format!("kill task {id}"), message).find(kill).await.map(drop)
}

/// Ends a task for good: kills all of its processes, waits a while, deletes it. None is fine.
pub(super) async fn end(containerd: &Containerd, id: &InstanceId) -> Result<(), HostError> {
    let killed = kill(containerd, id, Signal::KILL).await;
    let ended = timeout(END, wait(containerd, id)).await;
    let delete = async |channel, request| TasksClient::new(channel).delete(request).await;
    let call = containerd.call(format!("delete task {id}"), DeleteTaskRequest { container_id: id.to_string() });
    match call.find(delete).await.map(drop) {
        Err(HostError::Failed(reason)) if ended.is_err() => {
            let killed = killed.map_or_else(|error| error.to_string(), |()| "it was killed".to_owned());
            Err(HostError::Failed(format!("{reason} ({killed}, and did not end within {END:?})")))
        }
        deleted => deleted,
    }
}

/// The process of a task that runs, as this machine numbers it; none where none does.
pub(super) async fn process(containerd: &Containerd, id: &InstanceId) -> Result<Option<u32>, HostError> {
    let message = GetRequest { container_id: id.to_string(), exec_id: String::new() };
    let get = async |channel, request| TasksClient::new(channel).get(request).await;
    let found = containerd.call(format!("get task {id}"), message).find(get).await?;
    let process = found.and_then(|answer| answer.process).filter(|process| runs(process.status));
    Ok(process.map(|process| process.pid))
}

fn runs(status: i32) -> bool {
    matches!(TaskStatus::try_from(status), Ok(TaskStatus::Running | TaskStatus::Paused | TaskStatus::Pausing))
}

/// The tasks whose process runs.
pub(super) async fn running(containerd: &Containerd) -> Result<HashSet<String>, HostError> {
    let list = async |channel, request| TasksClient::new(channel).list(request).await;
    let tasks = containerd.call("list tasks", ListTasksRequest::default()).send(list).await?.tasks;
    // A container's task carries its id in `id`; `container_id` is for further processes in it.
    Ok(tasks.into_iter().filter(|task| runs(task.status)).map(|task| task.id).collect())
}

/// Two names of the one log file, which has to exist.
///
/// A shim that is given the same name twice opens the file once and closes it when the first of the two streams ends:
/// what a process writes to the other as it ends is then lost now and then. `file://` has that fault whatever the names
/// are. Under two plain names it opens the file twice, to append.
fn streams(log: &Path) -> Result<(String, String), HostError> {
    let names = || {
        let (parent, name) = (log.parent()?.to_str()?, log.file_name()?.to_str()?);
        // The shim reads a name as a URI first, in which `%` begins an escape.
        (log.is_absolute() && !parent.contains('%')).then(|| (format!("{parent}/{name}"), format!("{parent}/./{name}")))
    };
    names().ok_or_else(|| {
        let log = log.display();
        HostError::Failed(format!("{log} can't be a log: choose a directory with an absolute UTF-8 path without '%'"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_go_to_one_file_under_two_names() {
        let (stdout, stderr) = streams(Path::new("/var/lib/actord/a b/f-1.log")).unwrap();
        assert_eq!(stdout, "/var/lib/actord/a b/f-1.log");
        assert_eq!(stderr, "/var/lib/actord/a b/./f-1.log");
        assert_eq!(Path::new(&stdout), Path::new(&stderr));
        for bad in ["logs/f-1.log", "/a%20b/f-1.log"] {
            assert!(streams(Path::new(bad)).unwrap_err().to_string().contains("can't be a log"), "{bad}");
        }
    }
}
