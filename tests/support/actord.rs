//! The real `actord` for tests: the built program with directories, ports, a bridge, a subnet and a containerd of its
//! own, driven from outside. At its end `actord down` removes what it made, and the machine is looked through.
//!
//! ```no_run
//! let mut actord = Actord::start().await;
//! actord.deploy("hello", json!({})).await;
//! actord.finish().await;
//! ```
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::{self, Answer, Request};
use crate::leaks::Traces;
use crate::run::{self, Run};
use crate::sample::Sample;

/// References of the sample's images that every test finds imported.
pub const HELLO_1: &str = "docker.io/actord/hello:1";
pub const HELLO_2: &str = "docker.io/actord/hello:2";

/// The way to its API with the credentials, for tasks that outlive one life of the program.
#[derive(Debug, Clone)]
pub struct Api {
    pub public: SocketAddr,
    authorization: String,
}

impl Api {
    /// A request with credentials; a connection that fails is an answer, too.
    pub async fn system(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Answer> {
        let request = Request::new(method, path).header("Authorization", &self.authorization);
        client::ask(self.public, if body.is_null() { request } else { request.body(body.to_string()) }).await
    }
}

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An actord of a test's own.
pub struct Actord {
    run: Run,
    program: PathBuf,
    process: Option<Child>,
    settings: Vec<String>,
    variables: BTreeMap<String, String>,
    /// Where it listens.
    pub public: SocketAddr,
    pub provider: SocketAddr,
    pub metrics: SocketAddr,
    authorization: String,
    clean: bool,
}

impl Actord {
    /// With versions 1 and 2 of the sample, ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With versions 1 and 2 of the sample and these settings, ready.
    pub async fn start_with(settings: &[&str]) -> Self {
        Self::with(settings, |images| {
            for (reference, version) in [(HELLO_1, "1"), (HELLO_2, "2")] {
                Sample::new(reference).version(version).env("QUIET", "1").write(images);
            }
        })
        .await
    }

    /// With these settings and images, ready.
    pub async fn with(settings: &[&str], images: impl FnOnce(&Path)) -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_actord")), settings, images).await
    }

    /// Of another build, with these settings and images, ready.
    pub async fn of(program: &Path, settings: &[&str], images: impl FnOnce(&Path)) -> Self {
        let run = Run::new();
        let [public, provider, metrics] = addresses();
        let public = setting(settings, "--listen").map_or(public, |address| address.parse().unwrap());
        let directory = |name: &str| run.directory().join(name).display().to_string();
        let own = [
            ("--config", "/dev/null".to_owned()),
            // So that the log names every instance that was ever begun; see `traces`.
            ("--log-level", "info,actord=debug".to_owned()),
            ("--data-dir", directory("data")),
            ("--state-dir", directory("state")),
            ("--listen", public.to_string()),
            ("--provider-listen", provider.to_string()),
            ("--metrics-listen", metrics.to_string()),
            ("--cni-name", run.bridge()),
            ("--cni-bridge", run.bridge()),
            ("--cni-subnet", run.subnet()),
            ("--cgroup-parent", format!("/{}", run.namespace())),
            ("--containerd-namespace", run.namespace()),
        ];
        let own = own.into_iter().filter(|(name, _)| !settings.contains(name));
        let mut all: Vec<String> = own.flat_map(|(name, value)| [name.to_owned(), value]).collect();
        all.extend(settings.iter().map(|word| (*word).to_owned()));
        // Fewer attachments than a burst of deploys is worth: each test removes them again. No dashboard: all would meet at the
        // default port. An older actord does not know the settings.
        let variables = [("ACTORD_WARM_ATTACHMENTS", "4"), ("ACTORD_DASHBOARD_LISTEN", "none")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let authorization = String::new();
        let mut actord = Self {
            run,
            program: program.to_owned(),
            process: None,
            settings: all,
            variables,
            public,
            provider,
            metrics,
            authorization,
            clean: false,
        };
        fs::create_dir_all(actord.data().join("images")).unwrap();
        images(&actord.data().join("images"));
        actord.launch(&[]).await;
        actord
    }

    // ---- the process ---------------------------------------------------------------------------------------------

    /// Starts the program and waits until it answers.
    pub async fn launch(&mut self, more: &[&str]) {
        self.spawn(more);
        self.answers().await;
    }

    /// Starts the program.
    pub fn spawn(&mut self, more: &[&str]) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let process = self.command(&["up"], more, log).spawn().unwrap();
        self.process = Some(process);
    }

    /// Gives a variable of the environment to the lives that come.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Waits until it answers.
    pub async fn answers(&mut self) {
        let begun = Instant::now();
        loop {
            if let Ok(answer) = client::ask(self.door(), Request::get("/healthz")).await {
                assert_eq!(answer.status, 200, "{answer:?}");
                break;
            }
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "actord ended ({ended:?}): {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "actord does not answer: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
        let password = fs::read_to_string(self.data().join("auth/basic-auth-password")).unwrap();
        let pair = base64::prelude::BASE64_STANDARD.encode(format!("admin:{}", password.trim()));
        self.authorization = format!("Basic {pair}");
    }

    fn command(&self, verb: &[&str], more: &[&str], log: File) -> Command {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        self.bare_command(&[verb, &settings, more].concat(), log)
    }

    fn bare_command(&self, arguments: &[&str], log: File) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        // What the tester's shell says about actord is not meant for this one.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ACTORD_")) {
            command.env_remove(name);
        }
        command.envs(&self.variables);
        command
    }

    /// Another verb with the same settings, beside the program that may be running.
    pub fn run(&self, verb: &[&str]) -> Output {
        self.output(|log| self.command(verb, &[], log))
    }

    /// Another verb with these settings alone.
    pub fn plain(&self, arguments: &[&str]) -> Output {
        self.output(|log| self.bare_command(arguments, log))
    }

    fn output(&self, command: impl FnOnce(File) -> Command) -> Output {
        let log = self.run.directory().join("verb.log");
        let child = command(File::create(&log).unwrap()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        Output { stderr: fs::read(log).unwrap(), ..output }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.as_ref().unwrap().id()).unwrap()
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self) -> ExitStatus {
        kill(self.pid(), Signal::TERM);
        self.ended().await
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        kill(self.pid(), Signal::KILL);
        self.ended().await;
    }

    async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                self.process = None;
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "actord does not end: {}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it, removes everything, and looks for what is left.
    pub async fn finish(mut self) {
        if self.process.is_some() {
            assert!(self.stop().await.success(), "{}", self.log());
        }
        let down = self.run(&["down"]);
        assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
        self.is_gone();
        assert_eq!(fs::read_dir(self.data().join("logs/ended")).unwrap().count(), 0, "a log is left");
        self.clean = true;
    }

    /// Nothing is left but the data directory.
    pub fn is_gone(&mut self) {
        let mut left = self.traces().on_the_machine();
        for directory in [self.data().join("logs"), self.state()] {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
            // The logs of instances that are gone are there.
            let files = entries.filter(|path| !path.ends_with("logs/ended"));
            left.extend(files.map(|path| format!("a file is left: {}", path.display())));
        }
        assert!(left.is_empty(), "left: {left:#?}\n{}", self.log());
        self.clean = true;
    }

    // ---- where things are ----------------------------------------------------------------------------------------

    pub fn directory(&self) -> &Path {
        self.run.directory()
    }

    pub fn data(&self) -> PathBuf {
        self.run.directory().join("data")
    }

    pub fn state(&self) -> PathBuf {
        self.run.directory().join("state")
    }

    /// The socket of its containerd.
    pub fn socket(&self) -> PathBuf {
        self.state().join("containerd.sock")
    }

    /// The containerd namespace that everything of its is in.
    pub fn namespace(&self) -> String {
        self.run.namespace()
    }

    fn log_path(&self) -> PathBuf {
        self.run.directory().join("actord.log")
    }

    /// What the program said on standard error, over all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The first three bytes of the functions' addresses, with a dot behind them.
    pub fn subnet(&self) -> String {
        self.traces().subnet
    }

    /// What the leak checker looks for. The instances are those that the log tells of.
    pub fn traces(&self) -> Traces {
        let log = self.log();
        let words = log.split_whitespace().filter_map(|word| word.strip_prefix("instance="));
        let instances: BTreeSet<String> = words.map(str::to_owned).collect();
        self.run.traces(&self.socket(), instances)
    }

    /// The containerd of this actord, as its note says.
    pub fn containerd(&self) -> i32 {
        let note = fs::read_to_string(self.state().join("containerd.pid")).unwrap();
        note.split(' ').next().unwrap().parse().unwrap()
    }

    /// The processes of all functions, by instance, read from the control groups: no daemon is asked.
    pub fn processes(&self) -> BTreeMap<String, i32> {
        let hierarchies = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
        let parents = hierarchies.iter().map(|root| Path::new(root).join(self.run.namespace()));
        let groups = parents.flat_map(|parent| fs::read_dir(parent).into_iter().flatten().flatten());
        groups
            .filter_map(|group| {
                let processes = fs::read_to_string(group.path().join("cgroup.procs")).ok()?;
                let first = processes.lines().next()?.parse().ok()?;
                Some((group.file_name().into_string().unwrap(), first))
            })
            .collect()
    }

    /// The processes of one function.
    pub fn processes_of(&self, function: &str) -> Vec<i32> {
        let of = |id: &str| id.rsplit_once('-').is_some_and(|(name, _)| name == function);
        self.processes().into_iter().filter(|(id, _)| of(id)).map(|(_, pid)| pid).collect()
    }

    /// The process of a function that has one.
    pub fn process(&self, function: &str) -> i32 {
        let processes = self.processes_of(function);
        assert_eq!(processes.len(), 1, "processes of {function}: {:?}", self.processes());
        processes[0]
    }

    // ---- requests ------------------------------------------------------------------------------------------------

    /// Where plain HTTP is spoken: the public port, or the provider's where that speaks TLS.
    fn door(&self) -> SocketAddr {
        let is_secure = self.settings.iter().any(|word| word == "--tls-certificate");
        if is_secure { self.provider } else { self.public }
    }

    /// A request to the public port.
    pub async fn ask(&self, request: Request) -> Answer {
        client::ask(self.door(), request).await.unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path)).await
    }

    /// A request with credentials.
    pub fn request(&self, method: &str, path: &str, body: &Value) -> Request {
        let request = Request::new(method, path).header("Authorization", &self.authorization);
        if body.is_null() { request } else { request.body(body.to_string()) }
    }

    pub fn api(&self) -> Api {
        Api { public: self.door(), authorization: self.authorization.clone() }
    }

    /// A request with credentials to the public port.
    pub async fn system(&self, method: &str, path: &str, body: Value) -> Answer {
        self.ask(self.request(method, path, &body)).await
    }

    /// POST or PUT of version 1 of the sample under this name, with changes.
    pub async fn apply(&self, method: &str, name: &str, changes: Value) -> Answer {
        let mut body = json!({ "service": name, "image": HELLO_1 });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.system(method, "/system/functions", body).await
    }

    /// Deploys and checks that it worked.
    pub async fn deploy(&self, name: &str, changes: Value) {
        let answer = self.apply("POST", name, changes).await;
        assert_eq!(answer.status, 202, "{}: {}", answer.text(), self.log());
    }

    pub async fn update(&self, name: &str, changes: Value) -> Answer {
        self.apply("PUT", name, changes).await
    }

    pub async fn delete(&self, name: &str) -> Answer {
        self.system("DELETE", "/system/functions", json!({ "functionName": name })).await
    }

    pub async fn scale(&self, name: &str, replicas: u32) -> Answer {
        let body = json!({ "serviceName": name, "replicas": replicas });
        self.system("POST", &format!("/system/scale-function/{name}"), body).await
    }

    /// What the API says of a function; null when it does not know it.
    pub async fn describe(&self, name: &str) -> Value {
        let answer = self.system("GET", &format!("/system/function/{name}"), Value::Null).await;
        if answer.status == 404 {
            return Value::Null;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// What the API says of all functions.
    pub async fn list(&self) -> Vec<Value> {
        let answer = self.system("GET", "/system/functions", Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }
}

impl Drop for Actord {
    fn drop(&mut self) {
        if self.clean {
            return;
        }
        // After a failed test: whatever is the run's goes.
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        eprintln!("---- the log of actord\n{}\n----", self.log());
        run::sweep(&self.traces());
    }
}

/// What a setting is given as.
fn setting<'a>(settings: &[&'a str], name: &str) -> Option<&'a str> {
    settings.iter().skip_while(|word| **word != name).nth(1).copied()
}

/// Three addresses that nobody listens on, outside of the range that the kernel hands out by itself.
fn addresses() -> [SocketAddr; 3] {
    let mut found = Vec::new();
    while found.len() < 3 {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::random_range(12_000..32_000)));
        if TcpListener::bind(address).is_ok() && !found.contains(&address) {
            found.push(address);
        }
    }
    [found[0], found[1], found[2]]
}

/// Sends a signal to a process; one that has ended already is no fault.
pub fn kill(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// Waits until something is so.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
