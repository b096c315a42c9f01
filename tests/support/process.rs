//! The product itself, as a process: the built binary with directories, ports, bridge, subnet and cgroup of its own.
//!
//! ```no_run
//! let mut actord = Actord::new();
//! actord.import(&Sample::new("docker.io/test/hello:1"));
//! actord.start().await;
//! actord.finish().await; // stops it, removes everything, and looks for what is left
//! ```
//! Dropped without `finish` (a test that failed), it sweeps the machine instead.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use crate::leaks::Traces;
use crate::raw_client::{Answer, Connection, Fault};
use crate::run::{Run, sweep};
use crate::sample::Sample;

/// How long it may take until it answers, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// An actord of a test's own.
pub struct Actord {
    run: Run,
    /// Its public address.
    pub public: SocketAddr,
    /// Its provider's address.
    pub provider: SocketAddr,
    /// Its metrics' address.
    pub metrics: SocketAddr,
    /// More settings, as flags.
    pub settings: Vec<String>,
    /// What is run: the built program, unless a test says otherwise.
    pub program: PathBuf,
    process: Option<Child>,
    finished: bool,
}

impl Actord {
    /// Draws its names and finds it free ports. Nothing is started.
    pub fn new() -> Self {
        // Held at the same time, so that they differ.
        let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [public, provider, metrics] = free.map(|listener| listener.local_addr().unwrap());
        let run = Run::new();
        fs::create_dir_all(run.directory().join("data/images")).unwrap();
        let program = env!("CARGO_BIN_EXE_actord").into();
        Self { run, public, provider, metrics, settings: Vec::new(), program, process: None, finished: false }
    }

    /// Everything that it keeps lies below it.
    pub fn directory(&self) -> &Path {
        self.run.directory()
    }

    /// The socket of its containerd.
    pub fn containerd_socket(&self) -> PathBuf {
        self.directory().join("state/containerd.sock")
    }

    /// The containerd namespace of everything that it makes.
    pub fn namespace(&self) -> String {
        self.run.namespace()
    }

    /// Puts an image where it is imported from at its next start.
    pub fn import(&self, image: &Sample) {
        image.write(&self.directory().join("data/images"));
    }

    /// `actord VERB` with its settings and a clean environment.
    pub fn command(&self, verb: &str) -> Command {
        let at = |name: &str| self.directory().join(name).display().to_string();
        let mut command = Command::new(&self.program);
        command.arg(verb).args(["--config", "/dev/null"]);
        for (setting, value) in [
            ("--data-dir", at("data")),
            ("--state-dir", at("state")),
            ("--listen", self.public.to_string()),
            ("--provider-listen", self.provider.to_string()),
            ("--metrics-listen", self.metrics.to_string()),
            ("--containerd-namespace", self.run.namespace()),
            ("--cni-name", self.run.namespace()),
            ("--cni-bridge", self.run.bridge()),
            ("--cni-subnet", self.run.subnet()),
            ("--cgroup-parent", format!("/{}", self.run.namespace())),
        ] {
            command.args([setting, &value]);
        }
        // The runtime that is tested; a test that says which one it means is not asked.
        let runtime = std::env::var("ACTORD_TEST_RUNTIME").unwrap_or_default();
        if !runtime.is_empty() && !self.settings.iter().any(|setting| setting == "--runtime") {
            let (name, _) = runtime.split_once('=').unwrap_or((&runtime, ""));
            command.args(["--runtime", name]);
            if name != runtime {
                command.args(["--runtimes", &runtime]);
            }
        }
        command.args(&self.settings);
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        // All would meet at the default port. An older actord does not know the setting, as it would have to know a flag.
        command.env_clear().env("PATH", path).env("ACTORD_DASHBOARD_LISTEN", "none");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.directory().join("actord.log")
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        let command = self.command("up");
        self.start_by(command).await;
    }

    /// Starts it in a way of the caller's and waits until it answers.
    pub async fn start_by(&mut self, mut command: Command) {
        self.process = Some(command.spawn().unwrap());
        let begun = Instant::now();
        loop {
            // Where somebody else holds the socket, a request is not refused: it waits.
            let asked = timeout(Duration::from_secs(1), self.call("GET", "/healthz", "")).await;
            if matches!(asked, Ok(Ok(answer)) if answer.status == 200) {
                return;
            }
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                panic!("actord ended with {status}: {}", self.end_of_log());
            }
            assert!(begun.elapsed() < PATIENCE, "actord does not answer: {}", self.end_of_log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            if begun.elapsed() > PATIENCE {
                process.kill().unwrap();
                panic!("actord does not end: {}", self.end_of_log());
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asks it to end, and waits.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// One request to its public address, or the provider's where that speaks TLS, on a connection of its own, as the
    /// administrator.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Result<Answer, Fault> {
        let is_secure = self.settings.iter().any(|word| word == "--tls-certificate");
        let door = if is_secure { self.provider } else { self.public };
        let headers = format!("Authorization: Basic {}\r\nConnection: close\r\n", self.credentials());
        Connection::open(door).await?.send(method, path, &headers, body.as_bytes()).await
    }

    fn credentials(&self) -> String {
        let password = fs::read_to_string(self.directory().join("data/auth/basic-auth-password")).unwrap_or_default();
        base64::engine::general_purpose::STANDARD.encode(format!("admin:{}", password.trim()))
    }

    /// The last lines that it logged.
    pub fn end_of_log(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What to look for when these instances are gone.
    pub fn traces(&self, instances: BTreeSet<String>) -> Traces {
        self.run.traces(&self.containerd_socket(), instances)
    }

    /// Stops it if it runs, has it remove everything, and checks that nothing is left.
    pub async fn finish(mut self) {
        if self.process.is_some() {
            assert!(self.stop().await.success(), "{}", self.end_of_log());
        }
        let status = self.command("down").status().unwrap();
        assert!(status.success(), "{}", self.end_of_log());
        self.finished = true;
        let left = self.traces(BTreeSet::new()).on_the_machine();
        if !left.is_empty() {
            self.finished = false;
            panic!("left: {left:#?}\n{}", self.end_of_log());
        }
    }
}

impl Drop for Actord {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if !self.finished {
            eprintln!("{}", self.end_of_log());
            sweep(&self.traces(BTreeSet::new()));
        }
    }
}
