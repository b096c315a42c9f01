//! A machine whose actord is upgraded: a service manager that keeps the program of a file of its own running, and programs to
//! upgrade it to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::load::Load;
use crate::manager::{Manager, until};
use crate::restart::habits;

const TODAY: &str = env!("CARGO_BIN_EXE_actord");
/// Long enough for a debug build on a busy machine to be ready in half of it.
const TRIAL: &str = "20s";

/// See the module.
pub(crate) struct Machine {
    pub(crate) manager: Manager,
    /// What an upgrade keeps.
    pub(crate) home: PathBuf,
    /// What the service manager starts.
    pub(crate) program: PathBuf,
}

/// What `actord upgrade` said to its caller.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) is_good: bool,
    pub(crate) text: String,
}

impl Machine {
    /// With today's program, which runs the function `hello`.
    pub(crate) async fn start() -> Self {
        let mut manager = Manager::new();
        let directory = manager.actord.directory().to_owned();
        let (home, program) = (directory.join("upgrade"), directory.join("program/actord"));
        fs::create_dir(program.parent().unwrap()).unwrap();
        fs::copy(TODAY, &program).unwrap();
        manager.program.clone_from(&program);
        // Whatever it has become by then removes what it made.
        manager.actord.program.clone_from(&program);
        manager.supervise(&["--upgrade-dir".to_owned(), home.display().to_string()]).await;
        manager.deploy("hello").await;
        Self { manager, home, program }
    }

    /// Another program, which does what `tests/upgrade-bad` says of these words.
    pub(crate) fn other(&self, words: &str) -> PathBuf {
        let built = Path::new(TODAY).parent().unwrap().join("examples/upgrade-bad");
        assert!(built.exists(), "{} is missing: cargo build --example upgrade-bad", built.display());
        let path = self.manager.actord.directory().join(words.replace(' ', "-"));
        let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).open(&path).unwrap();
        std::io::copy(&mut fs::File::open(built).unwrap(), &mut file).unwrap();
        std::io::Write::write_all(&mut file, format!("\nupgrade-bad: {words}\n").as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// `actord upgrade` of the program that is installed, behind the words of this command.
    pub(crate) fn command_by(&self, mut command: Command, more: &[&str]) -> Command {
        let settings = self.manager.actord.command("upgrade");
        command
            .arg(&self.program)
            .args(settings.get_args())
            .arg("--upgrade-dir")
            .arg(&self.home)
            .args(["--trial-time", TRIAL]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Begins an upgrade to this file. Its caller is there as long as nobody ends it.
    pub(crate) fn begin(&self, file: &Path, more: &[&str]) -> Child {
        self.command_by(Command::new("/usr/bin/env"), more).arg(file).spawn().unwrap()
    }

    /// Upgrades to this file, and waits for what comes of it.
    pub(crate) async fn upgrade(&self, file: &Path, more: &[&str]) -> Said {
        Said::by(self.begin(file, more)).await
    }

    /// The step that an upgrade is at; none: none is under way.
    pub(crate) fn step(&self) -> Option<String> {
        let marker: Value = serde_json::from_slice(&fs::read(self.home.join("trial.json")).ok()?).unwrap();
        let step = &marker["step"];
        let name = step.as_str().or_else(|| step.as_object()?.keys().next().map(String::as_str));
        Some(name.unwrap().to_owned())
    }

    /// Waits until an upgrade is at this step.
    pub(crate) async fn reaches(&self, step: &str) {
        until(&format!("the upgrade is at {step}"), async || self.step().as_deref() == Some(step)).await;
    }

    /// What came of the last upgrade, and why, once none is under way.
    pub(crate) async fn outcome(&self) -> (String, String) {
        until("no upgrade is under way", async || self.step().is_none() && self.watchers().is_empty()).await;
        let last = fs::read(self.home.join("last.json")).unwrap();
        let last: Value = serde_json::from_slice(&last).unwrap();
        let word = |key: &str| last[key].as_str().unwrap_or_default().to_owned();
        (word("outcome"), word("reason"))
    }

    /// Starts a watcher as `actord-upgrade.service` does, which starts one whenever one has failed.
    pub(crate) fn start_watcher(&self) {
        let kept = self.home.join("kept/actord");
        let mut command = std::process::Command::new(kept);
        command.args(["upgrade", "--watch", "--config", "/dev/null", "--upgrade-dir"]).arg(&self.home).env_clear();
        let mut watcher = command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).spawn().unwrap();
        // Somebody has to take note of its end.
        std::thread::spawn(move || watcher.wait());
    }

    /// Those who watch an upgrade.
    pub(crate) fn watchers(&self) -> Vec<i32> {
        let processes = self.manager.actord.traces([].into()).processes();
        processes.into_iter().filter(|(_, command)| command.contains("--watch")).map(|(pid, _)| pid).collect()
    }

    /// Whether the installed program is this file, to the byte, and runs.
    pub(crate) fn runs(&self, file: &Path) -> bool {
        let pid = *self.manager.supervised().started().last().unwrap();
        [self.program.clone(), format!("/proc/{pid}/exe").into()].iter().all(|one| is_same(one, file))
    }

    /// The same of today's program.
    pub(crate) fn runs_today(&self) -> bool {
        self.runs(Path::new(TODAY))
    }

    /// Clients of `hello`, of which a hundred requests have been answered, and how many clients they are.
    pub(crate) async fn load(&self) -> (Load, usize) {
        let habits = habits();
        let clients = habits.len();
        let load = Load::start(self.manager.actord.public, habits);
        load.reaches(100).await;
        (load, clients)
    }

    /// What a request as the administrator is answered with.
    pub(crate) async fn status(&self, method: &str, path: &str, body: &str) -> u16 {
        self.manager.actord.call(method, path, body).await.unwrap().status
    }

    /// Ends everything, and looks for what is left.
    pub(crate) async fn finish(mut self) {
        assert!(self.manager.end().await.success(), "{}", self.manager.actord.end_of_log());
        self.manager.actord.finish().await;
    }

    /// All that is known of what went on.
    pub(crate) fn story(&self) -> String {
        let watch = fs::read_to_string(self.home.join("watch.log")).unwrap_or_default();
        format!("{}\n---- the watcher\n{watch}", self.manager.actord.end_of_log())
    }
}

impl Said {
    pub(crate) async fn by(caller: Child) -> Self {
        let output = caller.wait_with_output().await.unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Self { is_good: output.status.success(), text }
    }
}

/// Whether two files have the same bytes.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    std::process::Command::new("cmp").arg("-s").args([one, other]).status().unwrap().success()
}
