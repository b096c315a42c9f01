//! A private containerd: found alive and adopted, or started, then watched until it is stopped for good.
//!
//! It lives in a session of its own and outlives actord; the next actord adopts it. Functions outlive both: their shims
//! have no parent but init. Beside its socket lie its configuration (`.toml`) and a note of who it is (`.pid`).

mod config;
mod process;
mod watch;

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1::version_client::VersionClient;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use self::process::Process;
pub use self::process::find_program;
pub(super) use self::process::readable;
pub use self::watch::Watch;
use super::connection::Containerd;
use crate::durable;
use crate::host::HostError;
use crate::process::lives;

/// The oldest containerd that actord is tried with.
pub const OLDEST: (u32, u32) = (1, 6);

/// How long a containerd may take to answer after it was started. It opens its database and reconnects every shim.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(10);
/// How long one question to it may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest path of a unix socket, less what containerd appends to it for its second one (`.ttrpc`).
pub const SOCKET_PATH_MAX: usize = 107 - 6;

/// Where a private containerd lives.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// The program: a path, or a name to be found in `PATH`.
    pub binary: PathBuf,
    /// What it keeps: content, snapshots, its database.
    pub root: PathBuf,
    /// What it needs while the machine is up: bundles.
    pub state: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// Its log, appended to.
    pub log: PathBuf,
    /// When it is taken for hung.
    pub hang_policy: HangPolicy,
}

/// How a containerd that lives and answers nothing is told from a busy one.
#[derive(Debug, Clone, Copy)]
pub struct HangPolicy {
    /// The time between two questions to it.
    pub period: Duration,
    /// For how long in a row it may leave them unanswered before it is killed and restarted.
    pub limit: Duration,
}

impl Default for HangPolicy {
    /// Every 5 s, for 30 s. The question is for its version, which costs it nothing.
    fn default() -> Self {
        Self { period: Duration::from_secs(5), limit: Duration::from_secs(30) }
    }
}

impl DaemonOptions {
    fn config(&self) -> PathBuf {
        self.socket.with_extension("toml")
    }

    fn note(&self) -> PathBuf {
        self.socket.with_extension("pid")
    }
}

/// A private containerd that answered when it was adopted or started.
#[derive(Debug)]
pub struct Daemon {
    options: DaemonOptions,
    process: Process,
}

impl Daemon {
    /// Adopts the containerd of these directories if it lives and answers, else starts one and waits for its answer.
    ///
    /// # Errors
    /// [`HostError::Failed`] when it can't be started or ends at once, with the end of its log;
    /// [`HostError::Unavailable`] when it does not answer in time, or another process listens on the socket.
    pub async fn adopt_or_start(options: DaemonOptions) -> Result<Self, HostError> {
        match Self::adopt(options.clone()).await? {
            Some(daemon) => Ok(daemon),
            None => Self::start(options).await,
        }
    }

    /// Adopts the containerd of these directories, if there is a living one. One that lives and does not answer in time
    /// is ended first: functions don't need it in order to go on.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] when another process listens on the socket, [`HostError::Failed`] when a containerd of
    /// ours neither answers nor ends.
    pub async fn adopt(options: DaemonOptions) -> Result<Option<Self>, HostError> {
        let Some(process) = living(&options).await? else { return Ok(None) };
        let daemon = Self { options, process };
        tracing::info!(pid = daemon.pid(), socket = %daemon.options.socket.display(), "found our containerd alive");
        match daemon.answered(0).await {
            Ok(()) => {
                daemon.note_down()?;
                Ok(Some(daemon))
            }
            Err(error) => {
                tracing::warn!(pid = daemon.pid(), %error, "ending a containerd that lives and does not answer");
                daemon.stop().await?;
                Ok(None)
            }
        }
    }

    async fn start(options: DaemonOptions) -> Result<Self, HostError> {
        let failed = |error: &dyn std::fmt::Display| {
            HostError::Failed(format!("start containerd ({}): {error}", options.binary.display()))
        };
        if options.socket.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(failed(&format!(
                "the path of its socket, {}, is longer than {SOCKET_PATH_MAX} bytes: choose a shorter state directory",
                options.socket.display()
            )));
        }
        let text = config::render(&options).map_err(|error| failed(&error))?;
        let log = prepare(&options, &text).map_err(|error| failed(&error))?;
        let written = log.metadata().map_or(0, |about| about.len());
        let process = Process::start(&options.binary, &options.config(), log).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                failed(&"no such program: install containerd (apt install containerd runc)")
            }
            _ => failed(&error),
        })?;
        let daemon = Self { options, process };
        daemon.note_down()?;
        tracing::info!(pid = daemon.pid(), socket = %daemon.options.socket.display(), "started containerd");
        match daemon.answered(written).await {
            Ok(()) => Ok(daemon),
            Err(error) => {
                let _ = daemon.process.end(STOP).await;
                Err(error)
            }
        }
    }

    /// Whether a containerd answers at this socket, ours or another.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] says why not.
    pub async fn probe(socket: &Path) -> Result<(), HostError> {
        answers(socket, ANSWER).await
    }

    /// Its process id, which changes when [`Watch`] restarts it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Watches it in a task of its own and restarts it when it dies.
    #[must_use]
    pub fn supervise(self) -> Watch {
        Watch::over(self)
    }

    /// Ends it for good: SIGTERM, and SIGKILL if that does not help. Functions that still run go on without it.
    ///
    /// # Errors
    /// [`HostError::Failed`] when it does not end.
    pub async fn stop(self) -> Result<(), HostError> {
        let pid = self.pid();
        self.process
            .end(STOP)
            .await
            .map_err(|error| HostError::Failed(format!("stop containerd (process {pid}): {error}")))?;
        let socket = &self.options.socket;
        let second = PathBuf::from(format!("{}.ttrpc", socket.display()));
        for file in [self.options.note(), self.options.config(), socket.clone(), second] {
            let _ = fs::remove_file(file);
        }
        tracing::info!(pid, "containerd stopped");
        Ok(())
    }

    /// Waits until it answers. `written`: how long its log was before it was started.
    async fn answered(&self, written: u64) -> Result<(), HostError> {
        let socket = &self.options.socket;
        let begun = Instant::now();
        let mut told = begun;
        let mut error = loop {
            let asked = tokio::select! {
                asked = answers(socket, ANSWER) => asked,
                ended = self.process.ended() => {
                    let how = ended.map_or_else(|error| format!("can't be watched: {error}"), |()| "ended".to_owned());
                    break HostError::Failed(format!("containerd (process {}) {how} before it answered", self.pid()));
                }
            };
            match asked {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > START => break error,
                Err(error) if told.elapsed() > ANSWER => {
                    told = Instant::now();
                    tracing::info!(%error, "waiting for containerd to answer at {}", socket.display());
                }
                Err(_) => {}
            }
            sleep(Duration::from_millis(20)).await;
        };
        if let HostError::Failed(text) | HostError::Unavailable(text) = &mut error {
            let tail = log_tail(&self.options.log, written);
            *text = format!("{text}; the end of its log {}:\n{tail}", self.options.log.display());
        }
        Err(error)
    }

    /// Writes down who it is, for the next actord.
    fn note_down(&self) -> Result<(), HostError> {
        let (note, process) = (self.options.note(), &self.process);
        let line = format!("{} {}\n", process.pid(), process.started);
        durable::swap(&note, line.as_bytes(), 0o644)
            .map_err(|error| HostError::Failed(format!("write {}: {error}", note.display())))
    }
}

/// The living containerd of these directories: the one that was noted down, else the one that holds the socket.
async fn living(options: &DaemonOptions) -> Result<Option<Process>, HostError> {
    let config = options.config();
    let note = fs::read_to_string(options.note()).unwrap_or_default();
    if let Some((pid, started)) = note.trim().split_once(' ')
        && let Some(process) = pid.parse().ok().and_then(|pid| Process::ours(pid, &config))
        && started.parse() == Ok(process.started)
    {
        return Ok(Some(process));
    }
    let mut asked = 0;
    let holder = loop {
        let Ok(Ok(stream)) = timeout(ANSWER, UnixStream::connect(&options.socket)).await else { return Ok(None) };
        let holder = stream.peer_cred().ok().and_then(|peer| peer.pid());
        if let Some(process) = holder.and_then(|pid| Process::ours(pid, &config)) {
            return Ok(Some(process));
        }
        // A process that is just being killed holds its socket for a moment longer.
        if asked == 100 || holder.is_none_or(lives) {
            break holder;
        }
        asked += 1;
        sleep(Duration::from_millis(20)).await;
    };
    let who = holder.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
    Err(HostError::Unavailable(format!(
        "{who} that is not our containerd listens on {}: end it, or choose another state directory",
        options.socket.display()
    )))
}

/// Asks for the version, over a connection of its own.
///
/// # Errors
/// [`HostError::Unavailable`] names the socket and why there was no answer in time.
pub async fn answers(socket: &Path, within: Duration) -> Result<(), HostError> {
    let unanswered = |error: &dyn std::fmt::Display| {
        HostError::Unavailable(format!("containerd does not answer at {}: {error}", socket.display()))
    };
    let mut client = VersionClient::new(Containerd::new(socket, "", "")?.channel);
    let within = within.min(ANSWER);
    match timeout(within, client.version(())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(status)) => Err(unanswered(&status.message())),
        Err(_) => Err(unanswered(&format!("no answer within {within:?}"))),
    }
}

/// Makes its directories and configuration; returns its log, opened for appending.
fn prepare(options: &DaemonOptions, config: &str) -> std::io::Result<fs::File> {
    for (directory, mode) in [(&options.root, 0o700), (&options.state, 0o711)] {
        fs::DirBuilder::new().recursive(true).mode(mode).create(directory)?;
    }
    for file in [&options.socket, &options.log] {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
    }
    fs::write(options.config(), config)?;
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&options.log)
}

/// The last lines of a log, of what was written since it had `from` bytes.
fn log_tail(log: &Path, from: u64) -> String {
    const SHOWN: u64 = 4_096;
    let read = || {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(SHOWN))))?;
        let mut bytes = Vec::new();
        file.take(SHOWN).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_else(|error| format!("({error})"))
}
