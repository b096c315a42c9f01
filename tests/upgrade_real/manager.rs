//! Plays systemd: holds the sockets, starts actord with them, listens to what it says.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::time::{Instant, sleep};

use crate::process::Actord;
use crate::sample::Sample;

/// As systemd numbers them.
const FIRST: i32 = 3;
/// Out of the way of the numbers that they get in the child.
const HIGH: i32 = 200;

/// An actord, and its service manager.
pub(crate) struct Manager {
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
        Self { actord, program: env!("CARGO_BIN_EXE_actord").into(), sockets, said, watchdog: None }
    }

    /// Starts actord as systemd does, and waits until it is ready by its own word.
    pub(crate) async fn start(&mut self) {
        let before = self.count("READY=1");
        let command = self.command();
        self.actord.start_by(command).await;
        self.hear("READY=1", before + 1).await;
    }

    fn command(&self) -> Command {
        let up = self.actord.command("up");
        // Whoever is executed keeps the process id; so the shell can say whom the sockets are for.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\""]).arg(&self.program).args(up.get_args());
        let path = std::env::var("PATH").unwrap_or_default();
        let helpers = self.actord.directory().join("bin");
        let log = fs::File::options().create(true).append(true).open(self.actord.log()).unwrap();
        command
            .env_clear()
            .env("PATH", format!("{}:{path}", helpers.display()))
            .env("NOTIFY_SOCKET", self.actord.directory().join("notify"))
            .env("LISTEN_FDS", "3")
            .env("LISTEN_FDNAMES", "public:provider:metrics")
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if let Some(period) = self.watchdog {
            command.env("WATCHDOG_USEC", period.as_micros().to_string());
        }
        let numbers: Vec<i32> = self.sockets.iter().map(AsRawFd::as_raw_fd).collect();
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

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
