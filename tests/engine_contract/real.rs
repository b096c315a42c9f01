//! The contract's subject in the flesh: containerd and CNI, each case with its own.

use std::collections::BTreeSet;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::System;
use actord::actors::Settings;
use actord::routes::Lease;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::cleaning::clean;
use crate::fixture::until;
use crate::local::{Life, Local};
use crate::real_host::RealHost;
use crate::registry::Registry;
use crate::sample::Sample;
use crate::subject::Kind;

/// The longest that a case may take on a busy machine.
const CASE: Duration = Duration::from_secs(300);

pub struct Real {
    host: RealHost,
    registry: Registry,
    silent: SilentRegistry,
    directory: tempfile::TempDir,
    life: Option<Life>,
}

pub fn run(case: impl AsyncFnOnce(&mut Real)) {
    let runtime = || Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    System::with_tokio_rt(runtime).block_on(async {
        let host = RealHost::start().await;
        let (registry, directory) = (Registry::start(), tempfile::tempdir().unwrap());
        let mut real = Real { host, registry, silent: SilentRegistry::start(), directory, life: None };
        real.push_images();
        real.begin().await;
        timeout(CASE, case(&mut real)).await.expect("the case ends");
        real.silent.hang_up();
        clean(&real).await;
        real.leaves_nothing().await;
    });
}

impl Real {
    fn push_images(&self) {
        for kind in [Kind::Hello, Kind::HelloAgain, Kind::EndsAtOnce, Kind::FindsNoCommand, Kind::Unrunnable] {
            let sample = Sample::new(&self.image(kind)).env("QUIET", "1");
            let sample = match kind {
                Kind::HelloAgain => sample.version("2"),
                Kind::EndsAtOnce => sample.env("EXIT_AT_START", "7"),
                Kind::FindsNoCommand => sample.env("EXIT_AT_START", "127"),
                _ => sample,
            };
            let mut package = sample.package();
            if kind == Kind::Unrunnable {
                package.entrypoint = vec!["/no-such-program".to_owned()];
            }
            self.registry.push(&repository(kind), "1", &actord::archive::pack(&package).unwrap());
        }
    }

    async fn leaves_nothing(mut self) {
        let host = self.host.host();
        let gone =
            async || host.runtime.list().await.unwrap().is_empty() && host.network.list().await.unwrap().is_empty();
        until("every instance is gone", gone).await;
        self.life.take().unwrap().end().await;
        let traces = self.host.traces(BTreeSet::new());
        until("containerd holds nothing but images", async || traces.in_containerd().is_empty()).await;
        self.host.stop().await;
        assert_eq!(traces.on_the_machine(), [""; 0]);
    }
}

fn repository(kind: Kind) -> String {
    format!("team/{}", format!("{kind:?}").to_lowercase())
}

impl Local for Real {
    fn image(&self, kind: Kind) -> String {
        let address = if kind == Kind::Hangs { self.silent.address } else { self.registry.address };
        format!("{address}/{}:1", repository(kind))
    }

    async fn answers(&self, lease: &Lease) -> bool {
        let ask = async {
            let mut stream = net::TcpStream::connect(lease.address()).await?;
            stream.write_all(b"GET /version HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        // A frozen instance takes the connection and never answers.
        let answer = timeout(Duration::from_secs(20), ask).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")))
    }

    fn life(&mut self) -> &mut Option<Life> {
        &mut self.life
    }

    fn living(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    async fn begin(&mut self) {
        // What ends at once would be tried for all of a longer wait.
        let settings = Settings { deploy_wait: Duration::from_secs(8), ..Settings::default() };
        self.life = Some(Life::begin(self.host.host(), self.directory.path(), settings).await);
    }
}

/// A registry that takes every connection and answers none.
struct SilentRegistry {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<TcpStream>>>,
}

impl SilentRegistry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = Self { address: listener.local_addr().unwrap(), over: Arc::default(), taken: Arc::default() };
        let (over, taken) = (silent.over.clone(), silent.taken.clone());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten().filter(|_| !over.load(Ordering::Relaxed)) {
                taken.lock().unwrap().push(stream);
            }
        });
        silent
    }

    /// From now on it lets go of every connection at once.
    fn hang_up(&self) {
        self.over.store(true, Ordering::Relaxed);
        for stream in self.taken.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
