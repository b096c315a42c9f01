//! Containers without anything around them, started and removed through a containerd: what nothing can be faster than.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a floor that can't be measured is none")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{
    Kind, ListSnapshotsRequest, PrepareSnapshotRequest, RemoveSnapshotRequest,
};
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, DeleteContainerRequest, DeleteTaskRequest, KillRequest,
    ListContainersRequest, StartRequest, WaitRequest,
};
use containerd_client::tonic::Request;
use containerd_client::tonic::transport::Channel;
use prost_types::Any;
use serde_json::json;

const SNAPSHOTTER: &str = "overlayfs";

/// Such containers of the sample's image, in actord's containerd and in its namespace, but not of its making.
pub struct Bare {
    channel: Channel,
    namespace: String,
    directory: PathBuf,
    /// The snapshot that the image was unpacked into.
    image: String,
}

/// runc's options: `containerd.runc.v1.Options`, of which only the root is set.
#[derive(Clone, PartialEq, prost::Message)]
struct RuncOptions {
    #[prost(string, tag = "7")]
    root: String,
}

impl Bare {
    /// In the containerd at this socket; `directory` is for what runc keeps.
    pub async fn new(socket: &Path, namespace: &str, directory: &Path) -> Self {
        let channel = containerd_client::connect(socket).await.unwrap();
        let directory = directory.to_owned();
        fs::create_dir_all(directory.join("runc")).unwrap();
        let namespace = namespace.to_owned();
        let mut bare = Self { channel, namespace, directory, image: String::new() };
        let request = ListSnapshotsRequest { snapshotter: SNAPSHOTTER.into(), filters: Vec::new() };
        let mut listed = bare.snapshots().list(bare.request(request)).await.unwrap().into_inner();
        let mut layers = Vec::new();
        while let Some(some) = listed.message().await.unwrap() {
            // What else there is are the instances' own.
            layers.extend(some.info.into_iter().filter(|one| one.kind() == Kind::Committed));
        }
        assert_eq!(layers.len(), 1, "the images share their one layer");
        bare.image = layers[0].name.clone();
        bare
    }

    /// A control group for each, as containerd's own tool gives: where several runc make the devices of one at once, one
    /// of them finds what another wrote and refuses ("resulting devices cgroup doesn't precisely match target").
    fn runtime_spec(&self, id: &str) -> serde_json::Value {
        let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "process": { "user": { "uid": 1000, "gid": 1000 }, "args": ["/hello"], "cwd": "/", "env": ["QUIET=1"] },
            "root": { "path": "rootfs" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            ],
            "linux": { "namespaces": namespaces, "cgroupsPath": format!("/{}/{id}", self.namespace) },
        })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.namespace.parse().unwrap());
        request
    }

    fn snapshots(&self) -> SnapshotsClient<Channel> {
        SnapshotsClient::new(self.channel.clone())
    }

    fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.channel.clone())
    }

    fn tasks(&self) -> TasksClient<Channel> {
        TasksClient::new(self.channel.clone())
    }

    pub async fn start(&self, id: &str) {
        let prepare = PrepareSnapshotRequest {
            snapshotter: SNAPSHOTTER.into(),
            key: id.into(),
            parent: self.image.clone(),
            // Nothing refers to it before the container does: without this the garbage collector may be faster.
            labels: HashMap::from([("containerd.io/gc.root".into(), "bench".into())]),
        };
        let rootfs = self.snapshots().prepare(self.request(prepare)).await.unwrap().into_inner().mounts;
        let options = RuncOptions { root: self.directory.join("runc").display().to_string() };
        let container = Container {
            id: id.into(),
            runtime: Some(Runtime {
                name: "io.containerd.runc.v2".into(),
                options: Some(Any {
                    type_url: "containerd.runc.v1.Options".into(),
                    value: prost::Message::encode_to_vec(&options),
                }),
            }),
            spec: Some(Any {
                type_url: "types.containerd.io/opencontainers/runtime-spec/1/Spec".into(),
                value: serde_json::to_vec(&self.runtime_spec(id)).unwrap(),
            }),
            snapshotter: SNAPSHOTTER.into(),
            snapshot_key: id.into(),
            ..Container::default()
        };
        let create = CreateContainerRequest { container: Some(container) };
        self.containers().create(self.request(create)).await.unwrap();
        let log = format!("file://{}", self.directory.join("log").display());
        let create = CreateTaskRequest {
            container_id: id.into(),
            rootfs,
            stdout: log.clone(),
            stderr: log,
            ..CreateTaskRequest::default()
        };
        self.tasks().create(self.request(create)).await.unwrap();
        let start = StartRequest { container_id: id.into(), ..StartRequest::default() };
        self.tasks().start(self.request(start)).await.unwrap();
    }

    pub async fn remove(&self, id: &str) {
        // SIGKILL: one that asks is lost where it comes before the program has its handler, and the wait is for ever then.
        let kill = KillRequest { container_id: id.into(), signal: 9, ..KillRequest::default() };
        self.tasks().kill(self.request(kill)).await.unwrap();
        let wait = WaitRequest { container_id: id.into(), ..WaitRequest::default() };
        self.tasks().wait(self.request(wait)).await.unwrap();
        let delete = DeleteTaskRequest { container_id: id.into() };
        self.tasks().delete(self.request(delete)).await.unwrap();
        self.containers().delete(self.request(DeleteContainerRequest { id: id.into() })).await.unwrap();
        let remove = RemoveSnapshotRequest { snapshotter: SNAPSHOTTER.into(), key: id.into() };
        self.snapshots().remove(self.request(remove)).await.unwrap();
    }

    pub async fn count(&self) -> usize {
        let list = ListContainersRequest { filters: Vec::new() };
        self.containers().list(self.request(list)).await.unwrap().into_inner().containers.len()
    }
}
