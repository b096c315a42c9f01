//! A machine of its own for each test: directories, a private containerd, names that nobody else has. At its end it is
//! looked through for anything left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actord::function::{
    Compat32Bit, Exit, Generation, GrantableCapabilities, InstanceId, InstanceIds, Spec, SpecDraft,
};
use actord::host::containerd::Containerd;
use actord::host::containerd::daemon::{Daemon, DaemonOptions, HangPolicy};
use actord::host::containerd::images::{ContainerdImages, ImagesOptions};
use actord::host::containerd::instances::{BUILTIN_SHIM, ContainerdRuntime, Dns, RuntimeOptions, thaw_all};
use actord::host::{
    Attachment, HostError, IdMapping, Image, Images as _, InstanceConfig, Logs as _, PullPolicy, Runtime,
};
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::images::Recipe;
use crate::oci_runtimes::{is_builtin, runtimes};

/// The capabilities that functions may ask for here.
const GRANTABLE: [&str; 3] = ["CHOWN", "NET_RAW", "SYS_CHROOT"];

/// How users are mapped where all tests have it so: `ACTORD_TEST_USER_NAMESPACES` is set.
pub(crate) const MAPPING: &str = "300000:65536";

/// Where the instances are said to be.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 62, 0, 9));

/// Directories that are removed at the end. Short, because a unix socket's path must be.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("ar").tempdir_in("/tmp").unwrap();
    // As the state directory: runc goes through it as a user of a user namespace.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
    directory
}

/// A private containerd's options under `base`.
pub(crate) fn options(base: &Path) -> DaemonOptions {
    DaemonOptions {
        binary: PathBuf::from("containerd"),
        root: base.join("data/containerd"),
        state: base.join("state/containerd"),
        socket: base.join("state/containerd.sock"),
        log: base.join("data/containerd.log"),
        hang_policy: HangPolicy::default(),
    }
}

/// Whether a process runs; a zombie does not.
pub(crate) fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// The hierarchies of control groups on this machine.
fn hierarchies() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let groups = text.lines().filter(|line| line.contains(" - cgroup"));
    groups.map(|line| PathBuf::from(line.split(' ').nth(4).unwrap())).collect()
}

fn entries(directory: &Path) -> Vec<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

pub(crate) struct World {
    base: TempDir,
    pub(crate) name: String,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) containerd: Containerd,
    pub(crate) options: RuntimeOptions,
    pub(crate) runtime: ContainerdRuntime,
    images: BTreeMap<String, Image>,
    seed: AtomicU64,
}

/// How many machines this process has made.
static WORLDS: AtomicU64 = AtomicU64::new(0);

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_images(&crate::images::usual()).await
    }

    pub(crate) async fn with_images(recipes: &[Recipe]) -> Self {
        let base = directory();
        let name = base.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let options = options(base.path());
        let daemon = Daemon::adopt_or_start(options.clone()).await.unwrap();
        let containerd = Containerd::new(&options.socket, &name, "host-of-the-test").unwrap();
        let options = RuntimeOptions {
            snapshotter: "overlayfs".into(),
            containerd_root: options.root,
            containerd_state: options.state,
            runtimes: runtimes(&base.path().join("state"), &[]),
            runc_root: base.path().join("state/runc"),
            cgroup_parent: format!("/{name}"),
            instances_dir: base.path().join("state/instances"),
            logs_dir: base.path().join("data/logs"),
            log_max_size: 1 << 20,
            dns: Dns::Servers(vec!["10.9.8.7".parse().unwrap()]),
            pids_limit: 4_096,
            memory_limit: None,
            open_files: 65_536,
            capabilities: GrantableCapabilities::new(GRANTABLE.map(|name| name.parse().unwrap())),
            compat_32bit: Compat32Bit(true),
        };
        let runtime = ContainerdRuntime::new(containerd.clone(), options.clone()).unwrap();
        let archive = base.path().join("images.tar");
        let images = crate::images::write(&archive, recipes);
        // Ids are unique on the machine, so that no world finds traces of another's instances.
        let number = u64::from(std::process::id()) << 32 | WORLDS.fetch_add(1, Ordering::Relaxed) << 16;
        let seed = AtomicU64::new(number);
        let mut world = Self { base, name, daemon: Some(daemon), containerd, options, runtime, images, seed };
        world.ctr(&["images", "import", "--snapshotter", "overlayfs", archive.to_str().unwrap()]);
        run("ip", &["netns", "add", &world.name]);
        if std::env::var_os("ACTORD_TEST_USER_NAMESPACES").is_some() {
            world.map_users(MAPPING.parse().ok()).await;
        }
        world
    }

    /// The images of this machine, as actord has them where users are mapped so.
    pub(crate) fn images(&self, ids: Option<IdMapping>) -> ContainerdImages {
        let options = ImagesOptions { ids, ..ImagesOptions::new(self.base().join("none")) };
        ContainerdImages::new(self.containerd.clone(), options)
    }

    /// Has the instances that are made from now on be in user namespaces, or not.
    pub(crate) async fn map_users(&mut self, ids: Option<IdMapping>) {
        let images = self.images(ids);
        for image in self.images.values_mut() {
            *image = images.ensure(&image.reference, PullPolicy::Never).await.unwrap();
        }
    }

    pub(crate) fn base(&self) -> &Path {
        self.base.path()
    }

    pub(crate) fn ctr(&self, arguments: &[&str]) -> String {
        let socket = self.containerd.socket.to_str().unwrap();
        run("ctr", &[&["-a", socket, "-n", &self.name], arguments].concat())
    }

    /// What is needed to make an instance of `function` from an image, that does `todo`.
    pub(crate) fn creation(&self, function: &str, image: &str, todo: &str) -> InstanceConfig {
        self.creation_of(
            function,
            image,
            SpecDraft { env_vars: [("DO".into(), todo.into())].into(), ..SpecDraft::default() },
        )
    }

    pub(crate) fn creation_of(&self, function: &str, image: &str, draft: SpecDraft) -> InstanceConfig {
        let image = self.images[image].clone();
        let spec = Spec::try_from(SpecDraft { image: image.reference.clone(), ..draft }).unwrap();
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        InstanceConfig {
            id: InstanceIds::new(&function.parse().unwrap(), seed).next_id(),
            function: function.parse().unwrap(),
            generation: Generation(3),
            spec: Arc::new(spec),
            image,
            secrets: BTreeMap::new(),
        }
    }

    /// Where every instance is.
    pub(crate) fn at(&self) -> Attachment {
        Attachment { address: ADDRESS, netns: Path::new("/run/netns").join(&self.name) }
    }

    /// Prepares and creates an instance.
    pub(crate) async fn create(&self, creation: &InstanceConfig) -> Result<(), HostError> {
        self.runtime.prepare(creation).await?;
        self.runtime.create(&creation.id, &self.at()).await
    }

    /// Makes and starts an instance.
    pub(crate) async fn up(&self, creation: &InstanceConfig) -> InstanceId {
        self.create(creation).await.unwrap();
        self.runtime.start(&creation.id).await.unwrap();
        creation.id.clone()
    }

    /// Runs an instance to its end, and removes it. Returns how it ended and what it wrote.
    pub(crate) async fn run(&self, creation: &InstanceConfig) -> (Exit, String) {
        let id = self.up(creation).await;
        self.ended(&id).await
    }

    /// Waits for an instance's end, and removes it. Returns how it ended and what it wrote.
    ///
    /// A shim that copies that may have the last lines still to copy when the end is told. It is done with them before it
    /// lets the instance go, so they are read from what is kept of one that is gone.
    pub(crate) async fn ended(&self, id: &InstanceId) -> (Exit, String) {
        let exit = self.exit(id).await.unwrap();
        self.runtime.remove(id).await.unwrap();
        let log = match fs::read(self.options.logs_dir.join(format!("ended/{id}.log"))) {
            // It wrote nothing.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.unwrap(),
        };
        (exit, String::from_utf8_lossy(&log).into_owned())
    }

    /// Removes an instance, of which nothing is left then.
    pub(crate) async fn removed(&self, id: &InstanceId) {
        self.runtime.remove(id).await.unwrap();
        assert_eq!(self.traces(id.as_str()), Vec::<String>::new());
    }

    /// Waits for an instance's end, bounded.
    pub(crate) async fn exit(&self, id: &InstanceId) -> Result<Exit, HostError> {
        timeout(Duration::from_secs(60), self.runtime.wait(id)).await.expect("it ends")
    }

    /// The process id of an instance, as containerd tells it.
    pub(crate) fn pid(&self, id: &InstanceId) -> i32 {
        let listed = self.ctr(&["tasks", "ls"]);
        let line = listed.lines().find(|line| line.starts_with(id.as_str())).expect("a task");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The one file of that name in an instance's control groups.
    pub(crate) fn cgroup_file(&self, id: &InstanceId, names: &[&str]) -> String {
        let paths = hierarchies().into_iter().flat_map(|mount| {
            names
                .iter()
                .map(move |name| mount.clone().join(&self.name).join(id.as_str()).join(name))
                .collect::<Vec<_>>()
        });
        paths.filter_map(|path| fs::read_to_string(path).ok()).next().expect("such a file")
    }

    fn shim_socket(&self, id: &str) -> PathBuf {
        let name = format!("{}/{}/{id}", self.containerd.socket.display(), self.name);
        let hash = Sha256::digest(name.as_bytes());
        Path::new("/run/containerd/s").join(hash.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
    }

    /// Whether the shim of an instance listens where it should: for itself, or for its shard.
    pub(crate) fn has_shim_socket(&self, id: &InstanceId) -> bool {
        match is_builtin() {
            true => self.base().join("state").join(actord::shim::SOCKETS).read_dir().is_ok_and(|mut all| {
                all.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|name| name == "sock")))
            }),
            false => self.shim_socket(id.as_str()).exists(),
        }
    }

    /// Has containerd remove what nothing refers to.
    pub(crate) fn collect_garbage(&self) {
        self.ctr(&["leases", "create", "--id", "collected"]);
        self.ctr(&["leases", "delete", "--sync", "collected"]);
    }

    /// Everything that is there of an instance; empty once it is removed.
    pub(crate) fn traces(&self, id: &str) -> Vec<String> {
        let mut traces = Vec::new();
        for (what, listed) in [
            ("container", self.ctr(&["containers", "ls", "-q"])),
            ("task", self.ctr(&["tasks", "ls", "-q"])),
            ("snapshot", self.ctr(&["snapshots", "ls"])),
            ("lease", self.ctr(&["leases", "ls"])),
            ("mount", fs::read_to_string("/proc/self/mountinfo").unwrap()),
        ] {
            traces.extend(listed.lines().filter(|line| line.contains(id)).map(|line| format!("{what}: {line}")));
        }
        let mut paths = vec![
            self.options.instances_dir.join(id),
            self.options.logs_dir.join(format!("{id}.log")),
            self.options.logs_dir.join(format!("{id}.idx")),
            self.options.runc_root.join(&self.name).join(id),
            self.shim_socket(id),
        ];
        for directory in [&self.options.containerd_root, &self.options.containerd_state] {
            paths.push(directory.join("io.containerd.runtime.v2.task").join(&self.name).join(id));
        }
        paths.extend(hierarchies().into_iter().map(|mount| mount.join(&self.name).join(id)));
        traces
            .extend(paths.iter().filter(|path| path.symlink_metadata().is_ok()).map(|path| path.display().to_string()));
        // The server of a shard still names the first instance that it was started for. It has to end in time: see `finish`.
        let of_instance = self.processes(id).into_iter().filter(|(_, line)| !is_server(line));
        traces.extend(of_instance.map(|(pid, line)| format!("process {pid}: {line}")));
        traces
    }

    /// Processes whose command line or environment names something, other than this test.
    fn processes(&self, text: &str) -> Vec<(i32, String)> {
        let own = i32::try_from(std::process::id()).unwrap();
        let pids = entries(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
        pids.filter(|pid| *pid != own && runs(*pid))
            .filter_map(|pid: i32| Some((pid, fs::read(format!("/proc/{pid}/cmdline")).ok()?)))
            .map(|(pid, line)| (pid, String::from_utf8_lossy(&line).replace('\0', " ")))
            .filter(|(_, line)| line.contains(text))
            .collect()
    }

    /// Checks that nothing is left, and ends the machine.
    pub(crate) async fn finish(mut self) {
        assert_eq!(self.runtime.list().await.unwrap(), []);
        assert_eq!(self.ctr(&["containers", "ls", "-q"]), "");
        assert_eq!(self.ctr(&["leases", "ls", "-q"]), "");
        let snapshots = self.ctr(&["snapshots", "ls"]);
        // A copy for user namespaces is named after what it is a copy of.
        let layered = self.images.values().map(|image| image.chain_id.as_str()).collect::<BTreeSet<_>>();
        let known = |line: &str| layered.iter().any(|chain_id| line.starts_with(chain_id));
        let others: Vec<_> = snapshots.lines().skip(1).filter(|line| !known(line)).collect();
        assert!(others.len() <= 1, "nothing but the images' layers: {others:?}");
        assert!(others.iter().all(|line| line.contains("Committed")), "{others:?}");
        for directory in [&self.options.instances_dir, &self.options.runc_root.join(&self.name)] {
            assert_eq!(entries(directory), Vec::<String>::new(), "{}", directory.display());
        }
        assert_eq!(entries(&self.options.logs_dir), ["ended"], "the logs of instances that are gone");
        self.runtime.logs().sweep(&BTreeMap::new(), jiff::Timestamp::now()).await.unwrap();
        assert_eq!(entries(&self.options.logs_dir.join("ended")), Vec::<String>::new());
        self.runtime.remove_shared().await;
        for mount in hierarchies() {
            assert!(!mount.join(&self.name).exists(), "{} has a group of ours left", mount.display());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.base().to_str().unwrap()), "{mounts}");
        self.daemon.take().unwrap().stop().await.unwrap();
        assert_eq!(self.processes(self.base().to_str().unwrap()), []);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // After a failed test: whatever belongs to its directories goes. What is frozen would not.
        let _ = thaw_all(&self.options.cgroup_parent);
        for (pid, _) in self.processes(self.base().to_str().unwrap()) {
            kill(pid, Signal::KILL);
        }
        for mount in hierarchies() {
            let parent = mount.join(&self.name);
            for group in entries(&parent).iter().map(|name| parent.join(name)).filter(|path| path.is_dir()) {
                for pid in fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
                    kill(pid.parse().unwrap(), Signal::KILL);
                }
            }
        }
        for line in fs::read_to_string("/proc/self/mountinfo").unwrap().lines().rev() {
            let at = line.split(' ').nth(4).unwrap();
            if at.starts_with(self.base().to_str().unwrap()) {
                let _ = rustix::mount::unmount(at, rustix::mount::UnmountFlags::DETACH);
            }
        }
        for mount in hierarchies() {
            let parent = mount.join(&self.name);
            for group in entries(&parent) {
                let _ = fs::remove_dir(parent.join(group));
            }
            let _ = fs::remove_dir(parent);
        }
        let bundles = self.options.containerd_state.join("io.containerd.runtime.v2.task").join(&self.name);
        for id in entries(&bundles) {
            let _ = fs::remove_file(self.shim_socket(&id));
        }
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

/// Whether a command line is that of a shard's server.
fn is_server(line: &str) -> bool {
    line.split(' ').next().is_some_and(|program| program.ends_with(BUILTIN_SHIM)) && line.contains(" -first ")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
