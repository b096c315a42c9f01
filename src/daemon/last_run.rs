//! Where the actord of a data directory works, as it noted when the machine had taken its settings: for verbs that are given
//! other ones.
//!
//! ```text
//! up -> <data-dir>/last-run.json -> image import: takes what the running actord has
//!                                -> down: refuses what is not where the last one worked       doctor: says so
//! ```
//! The data directory is what both sides agree on, and its lock says whether the note's writer still runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;
use crate::data_dir::{DataDir, write_atomically};
use crate::doctor::{Finding, Root, running_pid};
use crate::upgrade::Addresses;

/// The settings by which what an actord made on a machine is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Places {
    state_dir: PathBuf,
    containerd: Option<PathBuf>,
    containerd_namespace: String,
    snapshotter: String,
    cni_name: String,
    cni_bridge: String,
    cni_subnet: String,
    cgroup_parent: String,
}

/// What an actord notes of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    pid: u32,
    settings: Places,
    /// Where it listens, whatever its settings say: sockets may have been handed over. An earlier program did not say.
    #[serde(default)]
    addresses: Option<Addresses>,
}

impl Places {
    fn of(config: &Config) -> Self {
        Self {
            state_dir: config.state_dir.clone(),
            containerd: config.containerd.clone(),
            containerd_namespace: config.containerd_namespace.clone(),
            snapshotter: config.snapshotter.clone(),
            cni_name: config.cni_name.clone(),
            cni_bridge: config.cni_bridge.clone(),
            cni_subnet: config.cni_subnet.to_string(),
            cgroup_parent: config.cgroup_parent.clone(),
        }
    }

    /// The settings that an image is imported by, and the others of `config`.
    fn for_images(self, config: &Config) -> Config {
        let Self { state_dir, containerd, containerd_namespace, snapshotter, .. } = self;
        Config { state_dir, containerd, containerd_namespace, snapshotter, ..config.clone() }
    }

    /// These settings and those of `other`, where they differ, as flags; none if they are the same.
    fn differences(&self, other: &Self) -> Option<(String, String)> {
        let all = |places: &Self| match serde_json::to_value(places) {
            Ok(Value::Object(all)) => all,
            _ => serde_json::Map::new(),
        };
        let (ours, theirs) = (all(self), all(other));
        let flags = |of: &serde_json::Map<String, Value>| {
            let differ = of.iter().filter(|(name, value)| ours.get(*name) != theirs.get(*name) && !value.is_null());
            let flags = differ.map(|(name, value)| format!("--{name} {}", value.as_str().unwrap_or_default()));
            let flags = flags.collect::<Vec<_>>().join(" ");
            if flags.is_empty() { "the default".to_owned() } else { flags }
        };
        (ours != theirs).then(|| (flags(&ours), flags(&theirs)))
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("last-run.json")
}

/// Notes the settings of the actord that starts with this data directory, once the machine has taken them.
pub(super) fn note(config: &Config, data: &DataDir, addresses: Addresses) -> anyhow::Result<()> {
    let run = Run { pid: std::process::id(), settings: Places::of(config), addresses: Some(addresses) };
    Ok(write_atomically(&file(data.path()), serde_json::to_string(&run)?.as_bytes(), 0o600)?)
}

/// The actord that runs with a data directory, as it noted itself: its process, the parent of its control groups, and where it
/// listens.
pub(super) fn running(data_dir: &Path) -> anyhow::Result<(u32, String, Addresses)> {
    let data = data_dir.display();
    let Some(pid) = running_pid(&Root::machine(), data_dir) else {
        bail!("no actord runs with {data}: replace its program and start it, or name its data directory by --data-dir");
    };
    match read(data_dir)?.filter(|run| run.pid == pid) {
        Some(Run { settings, addresses: Some(addresses), .. }) => Ok((pid, settings.cgroup_parent, addresses)),
        _ => bail!(
            "pid {pid} has {data} and does not say where it listens: it starts, it ends, or it is older than this program. \
             Try again, or replace its program and restart it"
        ),
    }
}

/// Removes the note: nothing is left of what that actord made on this machine.
pub(super) fn forget(data: &DataDir) -> anyhow::Result<()> {
    let path = file(data.path());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn read(data_dir: &Path) -> anyhow::Result<Option<Run>> {
    let path = file(data_dir);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// The settings to import images with: those of the actord that runs with this data directory, whatever was given. Where
/// none runs, the given ones, if they are those of the last. `otherwise`: what can be done beside starting it.
pub(super) fn for_images(config: &Config, otherwise: &str) -> anyhow::Result<Config> {
    let running = running_pid(&Root::machine(), &config.data_dir);
    chosen(config, running, read(&config.data_dir)?, otherwise)
}

fn chosen(config: &Config, running: Option<u32>, noted: Option<Run>, otherwise: &str) -> anyhow::Result<Config> {
    let (data, given) = (config.data_dir.display(), Places::of(config));
    match (running, noted) {
        (Some(pid), Some(run)) if run.pid == pid => {
            let chosen = run.settings.for_images(config);
            if let Some((theirs, ours)) = Places::of(&chosen).differences(&given) {
                tracing::info!("taking the settings of the actord that runs (pid {pid}): {theirs}, not {ours}");
            }
            Ok(chosen)
        }
        (Some(pid), _) => bail!(
            "pid {pid} has {data} and does not say with which settings: it starts, it ends, or it is older than this \
             program. Try again{otherwise}"
        ),
        (None, Some(run)) => match Places::of(&run.settings.for_images(config)).differences(&given) {
            Some((theirs, ours)) => bail!(
                "no actord runs with {data}; the last one had {theirs}, and these settings say {ours}. Start `actord up` \
                 first{otherwise}"
            ),
            None => Ok(config.clone()),
        },
        (None, None) => Ok(config.clone()),
    }
}

/// Refuses settings that look for what is to be removed in another place than where the last actord made it.
pub(super) fn must_be_of_the_last(config: &Config, data: &DataDir) -> anyhow::Result<()> {
    let Some(run) = read(data.path())? else { return Ok(()) };
    if let Some((theirs, ours)) = run.settings.differences(&Places::of(config)) {
        bail!(
            "the last actord of {} had {theirs}, and these settings say {ours}: what it made would be left behind. Give \
             `down` the settings of that `up`",
            data.path().display()
        );
    }
    Ok(())
}

/// What to say to those who look at a machine with other settings than the actord that runs on it.
pub(super) fn finding(config: &Config) -> Option<Finding> {
    let pid = running_pid(&Root::machine(), &config.data_dir)?;
    let run = read(&config.data_dir).ok()?.filter(|run| run.pid == pid)?;
    let (theirs, ours) = run.settings.differences(&Places::of(config))?;
    let found = format!("the actord that runs (pid {pid}) has {theirs}, doctor looked with {ours}");
    Some(Finding::warning("settings", found, "give doctor the settings of that `up`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::given::config;

    fn run(pid: u32, arguments: &str) -> Option<Run> {
        Some(Run { pid, settings: Places::of(&config(arguments)), addresses: None })
    }

    fn chosen(config: &Config, running: Option<u32>, noted: Option<Run>) -> anyhow::Result<Config> {
        super::chosen(config, running, noted, ", or put the archive into /var/lib/actord/images")
    }

    const OTHERS: [(&str, &str); 6] = [
        ("", "--containerd-namespace other"),
        ("--containerd-namespace one", "--containerd-namespace other"),
        ("--snapshotter native", ""),
        ("--state-dir /run/other", ""),
        ("--containerd /run/containerd/containerd.sock", ""),
        ("", "--containerd /run/containerd/containerd.sock --state-dir /run/other"),
    ];

    #[test]
    fn an_image_is_imported_to_where_the_running_actord_looks_whatever_was_given() {
        for (up, given) in OTHERS {
            let chosen = chosen(&config(given), Some(7), run(7, up)).unwrap();
            let images = |config: &Config| {
                let Places { state_dir, containerd, containerd_namespace, snapshotter, .. } = Places::of(config);
                (state_dir, containerd, containerd_namespace, snapshotter)
            };
            assert_eq!(images(&chosen), images(&config(up)), "{up:?} {given:?}");
        }
        assert_eq!(chosen(&config(""), Some(7), run(7, "")).unwrap(), config(""));
    }

    #[test]
    fn where_that_can_not_be_known_it_is_refused_with_what_to_do() {
        for (up, given) in OTHERS {
            let refused = chosen(&config(given), None, run(7, up)).unwrap_err().to_string();
            let differ = [up, given].into_iter().flat_map(str::split_whitespace);
            for word in differ.chain(["no actord runs", "/var/lib/actord/images", "actord up"]) {
                assert!(refused.contains(word), "{word}: {refused}");
            }
        }
        for noted in [None, run(8, "")] {
            let refused = chosen(&config(""), Some(7), noted).unwrap_err().to_string();
            assert!(refused.contains("pid 7") && refused.contains("/var/lib/actord/images"), "{refused}");
        }
        for noted in [None, run(7, "")] {
            assert_eq!(chosen(&config(""), None, noted).unwrap(), config(""), "the given ones are the last one's");
        }
    }

    #[test]
    fn everything_is_removed_only_where_the_last_actord_made_it() {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        must_be_of_the_last(&config("--cni-bridge any0"), &data).unwrap();
        let address = "127.0.0.1:8080".parse().unwrap();
        let addresses = Addresses { public: address, provider: address, metrics: address };
        note(&config("--cni-bridge one0 --cni-subnet 10.9.0.0/16"), &data, addresses).unwrap();
        must_be_of_the_last(&config("--cni-bridge one0 --cni-subnet 10.9.0.0/16 --park-time 3"), &data).unwrap();
        for other in ["", "--cni-bridge one0", "--cni-bridge two0 --cni-subnet 10.9.0.0/16"] {
            let refused = must_be_of_the_last(&config(other), &data).unwrap_err().to_string();
            assert!(refused.contains("would be left behind"), "{refused}");
        }
        let refused = must_be_of_the_last(&config("--cni-bridge one0"), &data).unwrap_err().to_string();
        assert!(
            refused.contains("had --cni-subnet 10.9.0.0/16, and these settings say --cni-subnet 10.62"),
            "{refused}"
        );
        forget(&data).unwrap();
        forget(&data).unwrap();
        must_be_of_the_last(&config(""), &data).unwrap();
    }
}
