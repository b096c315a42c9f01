//! containerd's task service, for the containers of one shard. Calls for different containers run side by side.
//!
//! What changes a container runs in a task of its own: a caller that goes away half-way does not stop it there.

mod answer;
pub(super) mod container;
mod create;
mod delete;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse,
    DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse,
    ProcessInfo, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest, StartResponse, StateRequest,
    StateResponse, StatsRequest, StatsResponse, Status, UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim_protos::cgroups::metrics::{CPUStat, CPUUsage, MemoryEntry, MemoryStat, Metrics, PidsStat};
use containerd_shim_protos::events::task::{TaskPaused, TaskResumed, TaskStart};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message as _, MessageField};
use containerd_shim_protos::shim_async::Task;
use containerd_shim_protos::ttrpc::r#async::TtrpcContext;

use self::answer::{Answer, failed, not_done_here, not_found, of_io, too_early};
use self::container::Container;
pub(super) use self::delete::remove_lost;
use super::cgroup::Cgroup;
use super::events::{self, timestamp};
use super::shared::Shared;

/// The service of a server.
pub(super) struct Service(pub(super) Arc<Shared>);

impl Service {
    /// The container of a call about its first process, the only one that there is.
    fn find(&self, id: &str, exec_id: &str) -> Answer<Arc<Container>> {
        if !exec_id.is_empty() {
            return Err(not_found(format!("process {exec_id} of container {id}")));
        }
        self.0.table().get(id).ok_or_else(|| not_found(format!("container {id}")))
    }

    fn cgroup(&self, id: &str) -> Answer<(Arc<Container>, Cgroup)> {
        let container = self.find(id, "")?;
        let gone = || not_found(format!("control group of container {id}"));
        let cgroup = container.cgroup.clone().ok_or_else(gone)?;
        Ok((container, cgroup))
    }
}

/// Runs it to its end, whether its caller waits for that or not.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Answer<T>> + Send + 'static) -> Answer<T> {
    tokio::spawn(work).await.unwrap_or_else(|panic| Err(failed(format!("the shim's own fault: {panic}"))))
}

async fn start(server: Arc<Shared>, container: Arc<Container>) -> Answer<StartResponse> {
    let starting = container.starting.lock().await;
    if container.exit().is_some() || container.started.load(Ordering::Acquire) {
        return Err(too_early(format!("container {} was started before, or has ended", container.id)));
    }
    server.zygote.start(&container.id, &container.bundle).await.map_err(failed)?;
    container.started.store(true, Ordering::Release);
    let (container_id, pid) = (container.id.clone(), container.pid_told());
    server.events.tell(events::START, &TaskStart { container_id, pid, ..TaskStart::default() });
    drop(starting);
    Ok(StartResponse { pid, ..StartResponse::default() })
}

#[async_trait]
impl Task for Service {
    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> Answer<CreateTaskResponse> {
        let server = Arc::clone(&self.0);
        let pid = to_its_end(async move { create::create(&server, request).await }).await?;
        Ok(CreateTaskResponse { pid, ..CreateTaskResponse::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> Answer<StartResponse> {
        let container = self.find(&request.id, &request.exec_id)?;
        to_its_end(start(Arc::clone(&self.0), container)).await
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> Answer<DeleteResponse> {
        let (container, server) = (self.find(&request.id, &request.exec_id)?, Arc::clone(&self.0));
        to_its_end(async move { delete::delete(&server, container).await }).await
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> Answer<StateResponse> {
        let container = self.find(&request.id, &request.exec_id)?;
        let exit = container.exit();
        let status = match exit {
            Some(_) => Status::STOPPED,
            None if container.paused.load(Ordering::Acquire) => Status::PAUSED,
            None if container.started.load(Ordering::Acquire) => Status::RUNNING,
            None => Status::CREATED,
        };
        Ok(StateResponse {
            id: container.id.clone(),
            bundle: container.bundle.display().to_string(),
            pid: container.pid_told(),
            status: status.into(),
            stdin: container.names.stdin.clone(),
            stdout: container.names.stdout.clone(),
            stderr: container.names.stderr.clone(),
            exit_status: exit.map(|exit| exit.status).unwrap_or_default(),
            exited_at: exit.map(|exit| timestamp(exit.at)).into(),
            ..StateResponse::default()
        })
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> Answer<WaitResponse> {
        let exit = self.find(&request.id, &request.exec_id)?.ended().await;
        let exited_at = MessageField::some(timestamp(exit.at));
        Ok(WaitResponse { exit_status: exit.status, exited_at, ..WaitResponse::default() })
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> Answer<Empty> {
        let container = self.find(&request.id, &request.exec_id)?;
        let what = format!("process of container {}", request.id);
        container.signal(request.signal, request.all).map_err(|error| of_io(&what, &error))?;
        Ok(Empty::default())
    }

    /// containerd asks it of every task that it finds after a restart. One that is not here it lets `delete` remove.
    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> Answer<ConnectResponse> {
        let task_pid = self.find(&request.id, "")?.pid_told();
        Ok(ConnectResponse { shim_pid: std::process::id(), task_pid, ..ConnectResponse::default() })
    }

    /// containerd says it after each delete. The server ends by itself when it is not wanted any more.
    async fn shutdown(&self, _: &TtrpcContext, request: ShutdownRequest) -> Answer<Empty> {
        self.0.give_up(&request.id);
        Ok(Empty::default())
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> Answer<PidsResponse> {
        let (_, cgroup) = self.cgroup(&request.id)?;
        let told = |pid: i32| ProcessInfo { pid: pid.unsigned_abs(), ..ProcessInfo::default() };
        Ok(PidsResponse { processes: cgroup.processes().into_iter().map(told).collect(), ..PidsResponse::default() })
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> Answer<Empty> {
        let (container, cgroup) = self.cgroup(&request.id)?;
        if container.exit().is_some() || !container.started.load(Ordering::Acquire) {
            return Err(too_early(format!("container {} does not run", request.id)));
        }
        cgroup.freeze().await.map_err(|error| of_io(&format!("freeze container {}", request.id), &error))?;
        container.paused.store(true, Ordering::Release);
        self.0.events.tell(events::PAUSED, &TaskPaused { container_id: request.id, ..TaskPaused::default() });
        Ok(Empty::default())
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> Answer<Empty> {
        let (container, cgroup) = self.cgroup(&request.id)?;
        cgroup.thaw().map_err(|error| of_io(&format!("thaw container {}", request.id), &error))?;
        container.paused.store(false, Ordering::Release);
        self.0.events.tell(events::RESUMED, &TaskResumed { container_id: request.id, ..TaskResumed::default() });
        Ok(Empty::default())
    }

    /// What is read with a few small files. It is told in the form of version 1, whichever version the host has.
    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> Answer<StatsResponse> {
        let (_, cgroup) = self.cgroup(&request.id)?;
        let usage = cgroup.usage();
        let cpu = CPUUsage { total: usage.cpu, ..CPUUsage::default() };
        let memory = MemoryEntry { usage: usage.memory, limit: usage.memory_limit, ..MemoryEntry::default() };
        let metrics = Metrics {
            cpu: MessageField::some(CPUStat { usage: MessageField::some(cpu), ..CPUStat::default() }),
            memory: MessageField::some(MemoryStat { usage: MessageField::some(memory), ..MemoryStat::default() }),
            pids: MessageField::some(PidsStat { current: usage.pids, ..PidsStat::default() }),
            ..Metrics::default()
        };
        let value = metrics.write_to_bytes().map_err(failed)?;
        let stats = Any { type_url: "io.containerd.cgroups.v1.Metrics".to_owned(), value, ..Any::default() };
        Ok(StatsResponse { stats: MessageField::some(stats), ..StatsResponse::default() })
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> Answer<Empty> {
        self.find(&request.id, &request.exec_id)?.close_input();
        Ok(Empty::default())
    }

    async fn exec(&self, _: &TtrpcContext, _: ExecProcessRequest) -> Answer<Empty> {
        Err(not_done_here("a further process in a container"))
    }

    async fn resize_pty(&self, _: &TtrpcContext, _: ResizePtyRequest) -> Answer<Empty> {
        Err(not_done_here("a terminal"))
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: CheckpointTaskRequest) -> Answer<Empty> {
        Err(not_done_here("a checkpoint"))
    }

    async fn update(&self, _: &TtrpcContext, _: UpdateTaskRequest) -> Answer<Empty> {
        Err(not_done_here("an update of limits"))
    }
}
