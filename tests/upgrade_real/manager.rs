//! Plays systemd: holds the sockets, starts actord with them, listens to what it says, and starts it again where a test wants
//! that.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixDatagram;
use tokio::time::{Instant, sleep};

use crate::process::Actord;
use crate::sample::Sample;

/// As systemd numbers them.
const FIRST: i32 = 3;
/// Out of the way of the numbers that they get in the child.
const HIGH: i32 = 200;

/// From the end of a supervised program to its next start.
const AGAIN: Duration = Duration::from_millis(100);

/// An actord, and its service manager.
pub(crate) struct Manager {
    // The first to go: it would start what the sweep after a failed test ends.
    supervised: Option<Supervised>,
    pub(crate) actord: Actord,
    /// What is started: today's program, unless a test says otherwise.
    pub(crate) program: PathBuf,
    sockets: Vec<OwnedFd>,
    said: Arc<Mutex<Vec<String>>>,
    /// `WATCHDOG_USEC`, if there is to be a watchdog.
    pub(crate) watchdog: Option<Duration>,
}

impl Manager {
    /// Binds the sockets. An actord that did not take them would fail: their addresses are in use.
    pub(crate) fn new() -> Self {
        let mut actord = Actord::new();
        let bound = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = |at: usize| -> SocketAddr { bound[at].local_addr().unwrap() };
        (actord.public, actord.provider, actord.metrics) = (address(0), address(1), address(2));
        let sockets = bound.iter().map(|socket| rustix::io::fcntl_dupfd_cloexec(socket, HIGH).unwrap()).collect();
        for socket in &bound {
            rustix::net::listen(socket, 4096).unwrap();
        }
        for version in ["1", "2"] {
            actord.import(&Sample::new(&format!("docker.io/test/hello:{version}")).version(version).env("QUIET", "1"));
        }
        let notices = UnixDatagram::bind(actord.directory().join("notify")).unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length) = notices.recv(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                heard.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        let program = env!("CARGO_BIN_EXE_actord").into();
        Self { supervised: None, actord, program, sockets, said, watchdog: None }
    }

    /// Starts actord as systemd does, and waits until it is ready by its own word.
    pub(crate) async fn start(&mut self) {
        let before = self.count("READY=1");
        let command = self.unit(&[]).command();
        self.actord.start_by(command).await;
        self.hear("READY=1", before + 1).await;
    }

    /// What it starts, with these settings as well.
    fn unit(&self, more: &[String]) -> Unit {
        let up = self.actord.command("up");
        let arguments = up.get_args().map(|word| word.to_str().unwrap().to_owned());
        let path = std::env::var("PATH").unwrap_or_default();
        let mut variables = vec![
            ("PATH", format!("{}:{path}", self.actord.directory().join("bin").display())),
            ("ACTORD_DASHBOARD_LISTEN", "none".to_owned()),
            ("NOTIFY_SOCKET", self.actord.directory().join("notify").display().to_string()),
            ("LISTEN_FDS", "3".to_owned()),
            ("LISTEN_FDNAMES", "public:provider:metrics".to_owned()),
        ];
        variables.extend(self.watchdog.map(|period| ("WATCHDOG_USEC", period.as_micros().to_string())));
        Unit {
            program: self.program.clone(),
            arguments: arguments.chain(more.iter().cloned()).collect(),
            variables,
            sockets: self.sockets.iter().map(AsRawFd::as_raw_fd).collect(),
            log: self.actord.log(),
        }
    }

    /// Starts the program, with these settings as well, and the same path again after each end, until [`Manager::end`]. Returns
    /// when it is ready by its own word.
    pub(crate) async fn supervise(&mut self, more: &[String]) {
        let before = self.count("READY=1");
        self.supervised = Some(Supervised::start(self.unit(more)));
        self.hear("READY=1", before + 1).await;
    }

    /// What it supervises.
    pub(crate) fn supervised(&self) -> &Supervised {
        self.supervised.as_ref().unwrap()
    }

    /// Asks what it supervises to end, and starts it no more.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        self.supervised.take().unwrap().end().await
    }

    /// How often it was told something.
    pub(crate) fn count(&self, notice: &str) -> usize {
        self.said.lock().unwrap().iter().filter(|said| said.starts_with(notice)).count()
    }

    /// All it was told.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it was told something so often.
    pub(crate) async fn hear(&self, notice: &str, times: usize) {
        let begun = Instant::now();
        while self.count(notice) < times {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{notice} was not said {times} times: {:?}",
                self.said()
            );
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Deploys the sample function.
    pub(crate) async fn deploy(&self, name: &str) {
        let spec = format!(r#"{{"service":"{name}","image":"docker.io/test/hello:1"}}"#);
        let answer = self.actord.call("POST", "/system/functions", &spec).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    /// One request as the administrator, which must be well received. Returns the answer's body.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let answer = self.actord.call(method, path, body).await.unwrap();
        assert!(matches!(answer.status, 200..=202), "{method} {path}: {}", answer.text());
        answer.text()
    }

    /// The processes of functions.
    pub(crate) fn functions(&self) -> Vec<i32> {
        let processes = self.actord.traces([].into()).processes();
        let mut found: Vec<i32> =
            processes.into_iter().filter(|(_, command)| command == "/hello").map(|(pid, _)| pid).collect();
        found.sort_unstable();
        found
    }

    /// Descriptors of the sockets, as `/proc/PID/fd` shows them.
    pub(crate) fn sockets(&self) -> Vec<String> {
        let link = |socket: &OwnedFd| fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        self.sockets.iter().map(|socket| link(socket).display().to_string()).collect()
    }
}

/// How a program is started.
struct Unit {
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    sockets: Vec<i32>,
    log: PathBuf,
}

impl Unit {
    fn command(&self) -> Command {
        // Whoever is executed keeps the process id; so the shell can say whom the sockets are for.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\""]).arg(&self.program).args(&self.arguments);
        let log = fs::File::options().create(true).append(true).open(&self.log).unwrap();
        command
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let numbers = self.sockets.clone();
        let hand_over = move || {
            for (target, socket) in (FIRST..).zip(&numbers) {
                // SAFETY: both numbers are valid for the call; the target's former file is the parent's, closed by exec.
                #[allow(unsafe_code)]
                if unsafe { libc::dup2(*socket, target) } < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        };
        // SAFETY: between fork and exec only dup2 is called, which is async-signal-safe; nothing allocates.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(hand_over);
        }
        command
    }
}

/// A program that is started again whenever it has ended. Dropping this kills it.
pub(crate) struct Supervised(Arc<Mutex<Life>>);

#[derive(Default)]
struct Life {
    process: Option<Child>,
    /// Those that were started, in order.
    started: Vec<u32>,
    last: Option<ExitStatus>,
    is_ending: bool,
}

impl Supervised {
    fn start(unit: Unit) -> Self {
        let life = Arc::new(Mutex::new(Life::default()));
        tokio::spawn(live(unit, life.clone()));
        Self(life)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.0.lock().unwrap()
    }

    /// The process ids of all that were started, in order.
    pub(crate) fn started(&self) -> Vec<u32> {
        self.life().started.clone()
    }

    /// Sends it a signal, if it lives just now.
    pub(crate) fn signal(&self, signal: Signal) {
        // Held: nobody takes note of its end meanwhile, so the number is not another's.
        if let Some(process) = &self.life().process {
            kill_process(Pid::from_child(process), signal).unwrap();
        }
    }

    async fn end(self) -> ExitStatus {
        self.life().is_ending = true;
        self.signal(Signal::TERM);
        until("the supervised program has ended", async || self.life().process.is_none()).await;
        self.life().last.unwrap()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let mut life = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        life.is_ending = true;
        if let Some(mut process) = life.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

async fn live(unit: Unit, life: Arc<Mutex<Life>>) {
    loop {
        {
            let mut life = life.lock().unwrap();
            if life.is_ending {
                return;
            }
            let process = unit.command().spawn().unwrap();
            life.started.push(process.id());
            life.process = Some(process);
        }
        loop {
            sleep(Duration::from_millis(5)).await;
            let mut life = life.lock().unwrap();
            let Some(process) = &mut life.process else { return };
            if let Some(status) = process.try_wait().unwrap() {
                (life.process, life.last) = (None, Some(status));
                break;
            }
        }
        sleep(AGAIN).await;
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
