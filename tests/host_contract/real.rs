//! The contract's subject in the flesh: containerd and CNI, each case with its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actord::function::{InstanceId, InstanceIds, SecretName};
use actord::host::containerd::instances::ContainerdRuntime;
use actord::host::{Attachment, Host};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{becomes_ready, image, started, torn_down};
use crate::real_host::RealHost;
use crate::registry::Registry;
use crate::sample::Sample;
use crate::subject::{Kind, Subject};

/// The longest that a case may take on a busy machine.
const CASE: Duration = Duration::from_secs(240);

pub struct Real {
    host: RealHost,
    registry: Registry,
    archives: tempfile::TempDir,
    archives_written: AtomicUsize,
    ids: Mutex<BTreeSet<String>>,
}

pub async fn run(case: impl AsyncFnOnce(&Real)) {
    run_on(RealHost::start().await, case).await;
}

/// On a machine that has both versions of control groups, and freezes by the second.
pub async fn run_freezing_by_version_2(case: impl AsyncFnOnce(&Real)) {
    run_on(RealHost::start_with(ContainerdRuntime::freezing_by_version_2).await, case).await;
}

async fn run_on(host: RealHost, case: impl AsyncFnOnce(&Real)) {
    let mut real = Real {
        host,
        registry: Registry::start(),
        archives: tempfile::tempdir().unwrap(),
        archives_written: AtomicUsize::new(0),
        ids: Mutex::default(),
    };
    tokio::time::timeout(CASE, case(&real)).await.expect("the case ends");
    let traces = real.host.traces(real.ids.into_inner().unwrap());
    assert_eq!(traces.in_containerd(), [""; 0]);
    real.host.stop().await;
    assert_eq!(traces.on_the_machine(), [""; 0]);
}

fn sample(reference: &str, kind: Kind) -> Sample {
    let sample = Sample::new(reference);
    match kind {
        Kind::Hello | Kind::Unrunnable => sample,
        Kind::HelloAgain => sample.version("2"),
        Kind::TwoPorts => sample.env("HANDLER", "127.0.0.1:5000"),
        Kind::ExitsAtStart => sample.env("EXIT_AT_START", "7"),
        Kind::IgnoresTerm => sample.env("IGNORE_SIGTERM_MS", "3600000"),
    }
}

fn packed(reference: &str, kind: Kind) -> Vec<u8> {
    let mut package = sample(reference, kind).package();
    if kind == Kind::Unrunnable {
        package.entrypoint = vec!["/no-such-program".to_owned()];
    }
    actord::archive::pack(&package).unwrap()
}

impl Subject for Real {
    fn host(&self) -> Host {
        self.host.host()
    }

    /// Noted, so that its traces can be looked for.
    fn fresh_id(&self, function: &str) -> InstanceId {
        let id = InstanceIds::new(&function.parse().unwrap(), rand::random()).next_id();
        self.ids.lock().unwrap().insert(id.to_string());
        id
    }

    async fn publish(&self, repository: &str, kind: Kind) -> String {
        let reference = format!("{}/{repository}:1", self.registry.address);
        self.registry.push(repository, "1", &packed(&reference, kind));
        reference
    }

    fn unknown(&self) -> String {
        format!("{}/team/unknown:1", self.registry.address)
    }

    async fn archive(&self, reference: &str, kind: Kind) -> PathBuf {
        let number = self.archives_written.fetch_add(1, Ordering::Relaxed);
        let path = self.archives.path().join(format!("{number}.tar"));
        std::fs::write(&path, packed(reference, kind)).unwrap();
        path
    }

    fn no_archive(&self, exists: bool) -> PathBuf {
        let path = self.archives.path().join(format!("no-archive-{exists}.tar"));
        if exists {
            std::fs::write(&path, b"this is text").unwrap();
        }
        path
    }

    async fn secret(&self, _id: &InstanceId, at: &Attachment, name: &SecretName) -> Vec<u8> {
        let mut stream = TcpStream::connect((at.address, 8080)).await.unwrap();
        let request = format!("GET /file?path=/var/openfaas/secrets/{name} HTTP/1.1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an HTTP answer") + 4;
        let head = String::from_utf8_lossy(&answer[..body]);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        answer.split_off(body)
    }
}

/// Else the checks at the end of each case might look in the wrong places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_kinds_of_traces_are_seen_while_an_instance_runs() {
    run(async |real: &Real| {
        let host = real.host();
        let (id, at) = started(real, "seen", &image(real, Kind::Hello).await).await;
        becomes_ready(&host, &at).await;
        let traces = real.host.traces(real.ids.lock().unwrap().clone());
        let found = [traces.in_containerd(), traces.on_the_machine()].concat();
        let kinds = [
            format!("container {id}"),
            format!("task {id}"),
            format!("snapshot {id}"),
            format!("{id} is left in /run/netns"),
            "a link is left".to_owned(),
            format!("an address is still given out: {}", traces.directory.display()),
            "a CNI file is left".to_owned(),
            "a rule is left".to_owned(),
            format!("a mount is left at {}", traces.directory.display()),
            format!("a cgroup is left: /sys/fs/cgroup/pids/{}/{id}", traces.cgroup_parent),
            "a bundle is left".to_owned(),
            "a shim's socket is left".to_owned(),
            "is left: /hello".to_owned(),
        ];
        for kind in kinds {
            assert!(found.iter().any(|sentence| sentence.contains(&kind)), "{kind:?} is not in {found:#?}");
        }
        torn_down(&host, &id).await;
    })
    .await;
}
