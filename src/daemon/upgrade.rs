//! What an `up` has to do with an upgrade that is under way: it waits for its turn, becomes the program whose turn it is, and
//! sees to it that somebody watches. And what only this room can tell those who upgrade: of functions, and of the password.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::{for_good, last_run, must_be_root, systemd};
use crate::config::Config;
use crate::credentials::{self, Credentials};
use crate::host::containerd::instances::{first_processes, thaw_all};
use crate::store;
use crate::upgrade::{Build, Home, Machine, PROTOCOL, Parked, Running, park, refuse_second, start_watcher, watch};

/// How often it is looked whether somebody watches, while an upgrade is under way and while none is.
const LOOK: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_secs(5);

/// Returns when it is this program's turn. Does not where it is another's: this process is that one then.
pub(super) fn settle(home: &Home, config: &Config) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let parked = runtime.block_on(systemd::patiently(park(home, &config.data_dir, systemd::status, start_watcher)));
    drop(runtime);
    match parked {
        Ok(Parked::No | Parked::GoOn) => Ok(()),
        Ok(Parked::Exec(program)) => {
            tracing::info!(program = %program.display(), "going on as another program: an upgrade is under way");
            let mut arguments = std::env::args_os();
            let name = arguments.next().unwrap_or_else(|| program.clone().into());
            let error = Command::new(&program).arg0(name).args(arguments).exec();
            Err(error).with_context(|| format!("execute {}", program.display()))
        }
        // Of a file that nobody wrote so it is not known what to wait for. Whatever else is wrong, what is kept may just be copied
        // or put back: whoever starts this program tries again.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::error!(%error, "what an upgrade left can't be read: going on without it");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Starts a watcher whenever an upgrade is under way and nobody watches. For as long as actord runs: one that begins later may
/// lose its first watcher before this program has been asked to end.
pub(super) fn have_watched(home: Home, data_dir: PathBuf) {
    actix::spawn(async move {
        loop {
            let is_under_way = matches!(home.marker_of(&data_dir), Ok(Some(_)));
            if is_under_way
                && home.watcher().is_none()
                && let Err(error) = start_watcher(&home)
            {
                tracing::error!(%error, "no watcher of the upgrade can be started; it is tried again");
            }
            sleep(if is_under_way { LOOK } else { REST }).await;
        }
    });
}

/// What this program is, for those who upgrade to it.
#[must_use]
pub fn description() -> Build {
    let schemas = [
        ("store", store::known_schema()),
        ("calls", store::calls::known_schema()),
        ("tokens", credentials::known_schema()),
    ];
    Build {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("ACTORD_COMMIT").to_owned(),
        schemas: schemas.map(|(what, version)| (what.to_owned(), version)).into(),
        ..Build::default()
    }
}

/// The actord that runs with these settings, and this machine.
///
/// # Errors
/// When an upgrade is under way, none runs, or it can't be upgraded.
pub fn to_be_upgraded(config: &Config, home: &Home) -> anyhow::Result<(Running, impl Machine + use<>)> {
    must_be_root()?;
    // First: in the middle of one, who runs says nothing of itself, or is nobody.
    refuse_second(home)?;
    let (pid, cgroup_parent, addresses) = last_run::running(&config.data_dir)?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    // Where systemd is not what started the machine, a group's name says nothing of who starts what.
    let unit = Path::new("/run/systemd/system").exists().then(|| for_good::unit(&groups).map(str::to_owned)).flatten();
    let pid = i32::try_from(pid)?;
    Ok((Running { pid, data_dir: config.data_dir.clone(), cgroup_parent, addresses, unit }, ThisMachine))
}

/// `actord upgrade --watch`: until the upgrade that is under way has ended.
///
/// # Errors
/// What the system said.
pub fn watch_upgrade(home: &Home) -> anyhow::Result<()> {
    must_be_root()?;
    Ok(runtime()?.block_on(watch(home, &ThisMachine))?)
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

struct ThisMachine;

impl Machine for ThisMachine {
    fn thaw(&self, cgroup_parent: &str) -> Result<usize, String> {
        thaw_all(cgroup_parent).map_err(|error| error.to_string())
    }

    fn processes(&self, cgroup_parent: &str) -> Result<BTreeMap<String, i32>, String> {
        first_processes(cgroup_parent).map_err(|error| error.to_string())
    }

    fn authorization(&self, data_dir: &Path) -> Option<String> {
        Credentials::read(&data_dir.join("auth")).map(|credentials| credentials.authorization())
    }

    fn boot_id(&self) -> io::Result<String> {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
    }
}
