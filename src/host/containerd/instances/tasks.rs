//! An instance's process, as containerd's tasks: made, started, waited for, killed, deleted.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    CreateTaskRequest, DeleteTaskRequest, KillRequest, ListTasksRequest, StartRequest, WaitRequest,
};
use containerd_client::types::Mount;
use containerd_client::types::v1::Status as TaskStatus;
use tokio::time::timeout;

use crate::function::InstanceId;
use crate::host::containerd::connection::{Containerd, Failure};
use crate::host::{HostError, Signal};

/// How long making or starting a task may take: a shim is started, and runc sets the container up.
const START: Duration = Duration::from_secs(60);
/// How long a killed task may take to end.
const END: Duration = Duration::from_secs(10);

/// Makes an instance's task: everything but its process's first instruction. Both of its streams go to `log`.
pub(super) async fn create(
    containerd: &Containerd,
    id: &InstanceId,
    rootfs: Vec<Mount>,
    log: &Path,
) -> Result<(), HostError> {
    let (stdout, stderr) = streams(log)?;
    let message =
        CreateTaskRequest { container_id: id.to_string(), rootfs, stdout, stderr, ..CreateTaskRequest::default() };
    let create = async |channel, request| TasksClient::new(channel).create(request).await;
    let call = containerd.call(format!("create task {id}"), message).within(START);
    call.try_send(create).await.map(drop).map_err(start_error)
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

/// The tasks whose process runs.
pub(super) async fn running(containerd: &Containerd) -> Result<HashSet<String>, HostError> {
    let list = async |channel, request| TasksClient::new(channel).list(request).await;
    let tasks = containerd.call("list tasks", ListTasksRequest::default()).send(list).await?.tasks;
    let runs = |status: i32| {
        matches!(TaskStatus::try_from(status), Ok(TaskStatus::Running | TaskStatus::Paused | TaskStatus::Pausing))
    };
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

/// What runc says when the image's command or the function's limits are at fault. It comes as text only.
const CALLERS_FAULT: [(&str, &str); 6] = [
    ("executable file not found", "the image's command is not there: mend its entrypoint or command"),
    ("no such file or directory", "the image's command is not there: mend its entrypoint or command"),
    ("permission denied", "the image's command may not be executed by the image's user"),
    ("exec format error", "the image's command is not a program for this machine: check its platform"),
    ("is a directory", "the image's command is a directory: mend its entrypoint or command"),
    ("chdir to cwd", "the image's working directory can't be entered by the image's user"),
];

/// The error of a function whose memory limit is less than runc itself needs to start a process.
pub(super) fn too_little_memory() -> HostError {
    HostError::Spec("the memory limit is too low for the process to start at all: raise it".to_owned())
}

/// What a failed create or start of a task means.
fn start_error(failure: Failure) -> HostError {
    let message = failure.status.message();
    let detail = |from: usize| message[from..].trim_end_matches(": unknown").trim();
    if message.contains("OOM-killed") || message.contains("unable to set memory limit") {
        return too_little_memory();
    }
    // Only what runc says about the process itself: a missing mount source is not the caller's fault.
    let process = message.find("exec: \"").or_else(|| message.find("exec /")).or_else(|| message.find("chdir to cwd"));
    if let Some(from) = process
        && let Some((_, sentence)) = CALLERS_FAULT.iter().find(|(sign, _)| message[from..].contains(sign))
    {
        return HostError::Spec(format!("{sentence} ({})", detail(from)));
    }
    failure.of_making()
}

#[cfg(test)]
mod tests {
    use containerd_client::tonic::Status;

    use super::*;

    fn runc(text: &str) -> HostError {
        let status = Status::unknown(format!("failed to create shim task: {text}: unknown"));
        start_error(Failure { what: "create task f-1".to_owned(), status })
    }

    #[test]
    fn a_command_that_can_not_be_executed_is_the_callers_to_mend() {
        let prefix = "OCI runtime create failed: runc create failed: unable to start container process: ";
        for (text, says) in [
            ("exec: \"nope\": executable file not found in $PATH", "\"nope\""),
            ("exec: \"/nope\": stat /nope: no such file or directory", "is not there"),
            ("exec: \"/etc/passwd\": permission denied", "may not be executed"),
            ("chdir to cwd (\"/root\") set in config.json failed: permission denied", "/root"),
        ] {
            let error = runc(&format!("{prefix}{text}"));
            assert!(matches!(&error, HostError::Spec(reason) if reason.contains(says)), "{text}: {error:?}");
            assert!(!error.to_string().contains("unknown"), "{error}");
        }
    }

    #[test]
    fn a_fault_of_the_host_is_not_blamed_on_the_caller() {
        for text in [
            "OCI runtime create failed: error mounting \"/s/x\" to rootfs: stat /s/x: no such file or directory",
            "OCI runtime create failed: mkdir /sys/fs/cgroup/x: permission denied",
            "start shim: exec failed: fork: resource temporarily unavailable",
        ] {
            assert!(matches!(runc(text), HostError::Failed(reason) if reason.contains("create task f-1")), "{text}");
        }
    }

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
