//! The processes of a comparison: a bare backend, actord's proxy without a machine below it, and nginx. What each takes is
//! what the kernel says of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use actord::credentials::Credentials;
use actord::function::Outlook;
use actord::http::{self, ApiFlavor, Bodies, Draining, Gate, Metrics, Services, Settings};
use actord::queue::{self, Queue};
use actord::routes::{Parking, Routes};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::backend;
use super::memory_engine::MemoryEngine;

/// Functions that the proxy knows, all with one instance: the backend.
pub(crate) const FUNCTIONS: usize = 500;

/// As many as actord and nginx have on the machine that the issue names.
const WORKERS: usize = 2;

/// A process that listens. It is ended when it is dropped.
pub(crate) struct Listening {
    child: Child,
    pub(crate) address: SocketAddr,
    _directory: Option<tempfile::TempDir>,
}

/// If this process was started to be a part of a comparison: it is that, and does not return.
pub(crate) fn play() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(role) = arguments.iter().position(|one| one == "--play") else { return };
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let (listener, address) = backend::listen();
    println!("{address}");
    std::io::stdout().flush().unwrap();
    match arguments[role + 1].as_str() {
        "backend" => backend::serve(listener),
        "proxy" => proxy(listener, arguments[role + 2].parse().unwrap()),
        other => panic!("there is no part {other}"),
    }
}

fn proxy(listener: std::net::TcpListener, backend: SocketAddr) -> ! {
    let routes = Arc::new(Routes::new(Parking::default()));
    let engine = MemoryEngine::new();
    for number in 0..FUNCTIONS {
        let id = format!("echo{number}").parse().unwrap();
        routes.announce(&id, Outlook::Coming);
        routes.publish(&id, &format!("echo{number}-0").parse().unwrap(), backend);
    }
    let settings = Settings::new(Credentials { user: "admin".into(), password: "x".into() }, ApiFlavor::Public);
    actix_web::rt::System::new().block_on(async move {
        let calls = queue::Settings::usual();
        let services = Arc::new(Services {
            engine: Arc::new(engine.clone()),
            secrets: Arc::new(engine.clone()),
            routes: routes.clone(),
            namespaces: Arc::new(engine.clone()),
            metrics: Metrics::new().unwrap(),
            draining: Draining::default(),
            gate: Gate::open(),
            queue: Queue::in_memory(Arc::new(engine.clone()), routes, calls).await.unwrap(),
            bodies: Bodies::default(),
            schedules: actord::cron::Handle::default(),
            events: actord::events::Events::none(),
            history: actord::history::History::none(),
            logs: Arc::new(engine),
            machine: Arc::new(actord::wire::MachineView::default()),
        });
        http::serve(listener, WORKERS, Duration::from_secs(1), &services, settings).unwrap().await.unwrap();
    });
    std::process::exit(0)
}

impl Listening {
    fn own(part: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.arg("--play").args(part).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap(), _directory: None }
    }

    pub(crate) fn backend() -> Self {
        Self::own(&["backend"])
    }

    pub(crate) fn proxy(backend: SocketAddr) -> Self {
        Self::own(&["proxy", &backend.to_string()])
    }

    /// Debian's nginx; none where it is not installed.
    pub(crate) fn nginx(backend: SocketAddr) -> Option<Self> {
        let (child, address, directory) = super::nginx::start(backend)?;
        Some(Self { child, address, _directory: Some(directory) })
    }

    fn pids(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        std::iter::once(pid).chain(children.split_whitespace().map(|pid| pid.parse().unwrap())).collect()
    }

    /// The time that it and its children had a processor, so far, in µs.
    pub(crate) fn cpu(&self) -> f64 {
        let tasks = self.pids().into_iter().flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap());
        // Nanoseconds on a processor, then what it waited for one, then how often it had one.
        let of_task = |path: PathBuf| {
            let text = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0)
        };
        tasks.map(|task| of_task(task.unwrap().path())).sum::<f64>() / 1e3
    }

    /// What it and its children have in memory now, in MB.
    pub(crate) fn resident(&self) -> f64 {
        let of = |pid| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1e3
        };
        self.pids().into_iter().map(of).sum()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        super::nginx::end(&mut self.child);
    }
}
