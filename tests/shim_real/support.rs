//! A private containerd, this program as its shim, and containers of one static program.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, DeleteContainerRequest, DeleteResponse, DeleteTaskRequest,
    GetRequest, KillRequest, ListTasksRequest, StartRequest, WaitRequest,
};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Request, Status};
use containerd_client::types::Mount;
use prost_types::Any;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use crate::private_containerd::PrivateContainerd;

const NAMESPACE: &str = "shim-test";

/// The program, compiled if it was not yet.
fn program() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim_real/program.rs");
    let hash = Sha256::digest(fs::read(&source).unwrap());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shim-real-{hash}"));
    if !binary.exists() {
        // A directory of its own, and a rename: others may be at it at the same time.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let fresh = directory.path().join("program");
        let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition=2024", "-O", "-C", "target-feature=+crt-static", "-C", "panic=abort", "-o"])
            .args([&fresh, &source])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        fs::rename(&fresh, &binary).unwrap();
    }
    binary
}

/// What is to run, and where.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) shard: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) user: u32,
}

impl Wanted {
    /// In this shard, the program with these arguments.
    pub(crate) fn new(shard: &str, arguments: &str) -> Self {
        let arguments = arguments.split(' ').map(str::to_owned).collect();
        Self { shard: shard.to_owned(), arguments, user: 0 }
    }
}

pub(crate) struct World {
    pub(crate) containerd: PrivateContainerd,
    channel: Channel,
    /// The cgroup that all containers are below.
    cgroup: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let containerd = PrivateContainerd::start();
        let base = containerd.directory();
        for directory in ["bin", "image/proc", "image/dev", "logs"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::copy(program(), base.join("image/program")).unwrap();
        symlink(env!("CARGO_BIN_EXE_actord"), base.join("bin").join(actord::shim::PROGRAM)).unwrap();
        let channel = containerd_client::connect(containerd.socket()).await.unwrap();
        let cgroup = base.file_name().unwrap().to_str().unwrap().to_lowercase();
        Self { containerd, channel, cgroup }
    }

    /// Kills containerd, runs something, and starts it again.
    pub(crate) async fn restart(&mut self, meanwhile: impl FnOnce()) {
        self.containerd.restart(meanwhile);
        self.channel = containerd_client::connect(self.containerd.socket()).await.unwrap();
    }

    fn base(&self) -> &Path {
        self.containerd.directory()
    }

    fn request<T>(message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", NAMESPACE.parse().unwrap());
        request
    }

    fn tasks(&self) -> TasksClient<Channel> {
        TasksClient::new(self.channel.clone())
    }

    fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.channel.clone())
    }

    fn spec(&self, id: &str, wanted: &Wanted) -> Any {
        let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
        let mut arguments = vec!["/program".to_owned()];
        arguments.extend(wanted.arguments.iter().cloned());
        let value = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": wanted.user, "gid": wanted.user }, "args": arguments, "cwd": "/", "env": ["A=1"],
            },
            "root": { "path": "rootfs" },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            ],
            "annotations": { actord::shim::GROUP: wanted.shard },
            "linux": { "namespaces": namespaces, "cgroupsPath": format!("/{}/{id}", self.cgroup) },
        });
        let type_url = "types.containerd.io/opencontainers/runtime-spec/1/Spec".to_owned();
        Any { type_url, value: serde_json::to_vec(&value).unwrap() }
    }

    /// Makes a container and its task.
    pub(crate) async fn create(&self, id: &str, wanted: &Wanted) -> Result<u32, Status> {
        let runtime = self.base().join("bin").join(actord::shim::PROGRAM).display().to_string();
        let container = Container {
            id: id.to_owned(),
            runtime: Some(Runtime { name: runtime, options: None }),
            spec: Some(self.spec(id, wanted)),
            ..Container::default()
        };
        let create = CreateContainerRequest { container: Some(container) };
        self.containers().create(Self::request(create)).await.unwrap();
        let at = |name: &str| self.base().join(name).join(id);
        for layer in ["upper", "work"] {
            fs::create_dir_all(at(layer)).unwrap();
        }
        let overlay = Mount {
            r#type: "overlay".to_owned(),
            source: "overlay".to_owned(),
            options: vec![
                format!("lowerdir={}", self.base().join("image").display()),
                format!("upperdir={}", at("upper").display()),
                format!("workdir={}", at("work").display()),
            ],
            ..Mount::default()
        };
        let logs = self.base().join("logs");
        let create = CreateTaskRequest {
            container_id: id.to_owned(),
            rootfs: vec![overlay],
            stdout: logs.join(id).display().to_string(),
            stderr: format!("{}/./{id}", logs.display()),
            ..CreateTaskRequest::default()
        };
        Ok(self.tasks().create(Self::request(create)).await?.into_inner().pid)
    }

    /// Runs the shim as containerd does around a create, in the bundle that it has made for that.
    pub(crate) fn shim(&self, id: &str, wanted: &Wanted, action: &str) {
        let bundle = self.base().join("bundles").join(id);
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("config.json"), self.spec(id, wanted).value).unwrap();
        let socket = self.containerd.socket();
        let ran = Command::new(self.base().join("bin").join(actord::shim::PROGRAM))
            .args(["-namespace", NAMESPACE, "-publish-binary", "containerd", "-id", id, "-address"])
            .arg(&socket)
            .args(["-bundle".as_ref(), bundle.as_os_str(), action.as_ref()])
            .env("TTRPC_ADDRESS", format!("{}.ttrpc", socket.display()))
            .current_dir(&bundle)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{action}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    pub(crate) async fn start(&self, id: &str) -> Result<u32, Status> {
        let start = StartRequest { container_id: id.to_owned(), ..StartRequest::default() };
        Ok(self.tasks().start(Self::request(start)).await?.into_inner().pid)
    }

    /// Makes and starts one.
    pub(crate) async fn run(&self, id: &str, wanted: &Wanted) -> u32 {
        self.create(id, wanted).await.unwrap();
        self.start(id).await.unwrap()
    }

    pub(crate) async fn wait(&self, id: &str) -> Result<u32, Status> {
        let wait = WaitRequest { container_id: id.to_owned(), ..WaitRequest::default() };
        Ok(self.tasks().wait(Self::request(wait)).await?.into_inner().exit_status)
    }

    pub(crate) async fn kill(&self, id: &str, all: bool) -> Result<(), Status> {
        let kill = KillRequest { container_id: id.to_owned(), signal: 9, all, ..KillRequest::default() };
        self.tasks().kill(Self::request(kill)).await.map(drop)
    }

    /// Deletes the task alone.
    pub(crate) async fn delete_task(&self, id: &str) -> Result<DeleteResponse, Status> {
        let delete = DeleteTaskRequest { container_id: id.to_owned() };
        Ok(self.tasks().delete(Self::request(delete)).await?.into_inner())
    }

    pub(crate) async fn delete_container(&self, id: &str) {
        let delete = DeleteContainerRequest { id: id.to_owned() };
        self.containers().delete(Self::request(delete)).await.unwrap();
    }

    /// Kills it if it runs, waits, and deletes all of it. Returns how it ended.
    pub(crate) async fn remove(&self, id: &str) -> u32 {
        match self.kill(id, true).await {
            Ok(()) => {}
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
        }
        let status = self.wait(id).await.unwrap();
        assert_eq!(self.delete_task(id).await.unwrap().exit_status, status);
        self.delete_container(id).await;
        status
    }

    /// The state of a task as containerd numbers it, and its process.
    pub(crate) async fn state(&self, id: &str) -> Result<(i32, u32), Status> {
        let get = GetRequest { container_id: id.to_owned(), ..GetRequest::default() };
        let process = self.tasks().get(Self::request(get)).await?.into_inner().process.unwrap();
        Ok((process.status, process.pid))
    }

    pub(crate) async fn list(&self) -> Vec<String> {
        let list = ListTasksRequest::default();
        let tasks = self.tasks().list(Self::request(list)).await.unwrap().into_inner().tasks;
        tasks.into_iter().map(|task| task.id).collect()
    }

    pub(crate) fn log(&self, id: &str) -> String {
        fs::read_to_string(self.base().join("logs").join(id)).unwrap()
    }

    /// The servers that run, by the shard that each is of.
    pub(crate) fn servers(&self) -> BTreeMap<String, u32> {
        let base = self.base().to_str().unwrap();
        let mut found = BTreeMap::new();
        for (pid, command) in processes() {
            let words: Vec<&str> = command.split('\0').collect();
            if words[0].ends_with(actord::shim::PROGRAM) && command.contains(base) && words.contains(&"-first") {
                let shard = words.iter().position(|word| *word == "-id").map(|at| words[at + 1]).unwrap();
                let before = found.insert(shard.to_owned(), pid);
                // A process that was forked and has the same command line is its parent's.
                if let Some(before) = before {
                    found.insert(shard.to_owned(), before.min(pid));
                }
            }
        }
        found
    }

    /// What containers and servers have left.
    pub(crate) fn remains(&self) -> Vec<String> {
        let base = self.base().to_str().unwrap();
        let mut found = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        found.extend(points.filter(|point| point.starts_with(base)).map(|point| format!("mount {point}")));
        for directory in ["shims", "state/io.containerd.runtime.v2.task/shim-test"] {
            let entries = fs::read_dir(self.base().join(directory)).into_iter().flatten().flatten();
            found.extend(entries.map(|entry| format!("file {}", entry.path().display())));
        }
        let own = std::process::id();
        let containerd = |command: &str| command.starts_with("containerd\0");
        let left = processes().into_iter().filter(|(pid, command)| {
            *pid != own && !containerd(command) && (command.contains(base) || is_in(*pid, &self.cgroup))
        });
        found.extend(left.map(|(pid, command)| format!("process {pid} {}", command.replace('\0', " "))));
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let parent = hierarchy.path().join(&self.cgroup);
            let groups = fs::read_dir(parent).into_iter().flatten().flatten();
            let groups = groups.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            found.extend(groups.map(|entry| format!("cgroup {}", entry.path().display())));
        }
        found
    }

    /// Waits until nothing is left.
    pub(crate) async fn is_tidy(&self) {
        until(|| self.remains().is_empty(), || format!("{:#?}\n{}", self.remains(), self.containerd.log())).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Of a test that failed: processes would outlive its directory.
        for (pid, command) in processes() {
            let base = self.containerd.directory().to_str().unwrap();
            if is_in(pid, &self.cgroup) || (command.contains(actord::shim::PROGRAM) && command.contains(base)) {
                kill(pid);
            }
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let parent = hierarchy.path().join(&self.cgroup);
            for group in fs::read_dir(&parent).into_iter().flatten().flatten() {
                let _ = fs::remove_dir(group.path());
            }
            let _ = fs::remove_dir(parent);
        }
    }
}

/// Waits for a condition; it comes true within a minute, or `why` tells what is.
pub(crate) async fn until(mut is_true: impl FnMut() -> bool, why: impl Fn() -> String) {
    for _ in 0..3_000 {
        if is_true() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not come true: {}", why());
}

pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
}

/// The process that makes containers for a server.
pub(crate) fn zygote_of(server: u32) -> u32 {
    let parent = server.to_string();
    let is_it = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.split_once(" (zygote) ").map_or("", |(_, rest)| rest);
        rest.split(' ').nth(1) == Some(parent.as_str())
    };
    processes().into_iter().map(|(pid, _)| pid).find(is_it).unwrap()
}

/// Whether a process runs; one that has ended and was not reaped does not.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn is_in(pid: u32, cgroup: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default().contains(cgroup)
}

/// All processes that have not ended, with their command lines.
fn processes() -> Vec<(u32, String)> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let running = pids.filter(|pid| runs(*pid));
    let read = |pid: u32| Some(String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).ok()?).into_owned());
    running.filter_map(|pid| Some((pid, read(pid)?))).collect()
}
