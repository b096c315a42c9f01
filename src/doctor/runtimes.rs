//! The OCI runtimes that functions may have: is each one's program there, does it answer, and does it take this machine?
//!
//! A program is asked for its version and starts nothing. What it would refuse a container for is known of it by name.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::programs::INSTALL;
use super::source::{Root, ask, version_in};
use crate::config::Config;
use crate::function::RuntimeName;
use crate::host::containerd::daemon::find_program;

/// What is known of the runtimes of these settings.
#[derive(Debug)]
pub(super) struct Runtimes {
    default: RuntimeName,
    listed: Vec<Listed>,
    /// Whether the machine has hierarchies of both versions of control groups.
    hybrid: bool,
    /// The kernel's version.
    kernel: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Listed {
    name: RuntimeName,
    /// None of actord's own.
    program: Option<Program>,
}

#[derive(Debug)]
struct Program {
    path: PathBuf,
    said: Result<String, String>,
}

impl Runtimes {
    pub(super) async fn read(root: &Root, config: &Config) -> Self {
        let named = config.runtimes.iter().map(|listed| (listed.name.clone(), listed.path.clone()));
        let mut all: Vec<_> = named.collect();
        if all.iter().all(|(name, _)| *name != config.runtime) {
            all.insert(0, (config.runtime.clone(), None));
        }
        let mut listed = Vec::new();
        for (name, path) in all {
            let program = match name.as_str() {
                RuntimeName::BUILTIN => None,
                _ => Some(Program::read(path.unwrap_or_else(|| name.as_str().into())).await),
            };
            listed.push(Listed { name, program });
        }
        let mounts = root.text("/proc/self/mountinfo").unwrap_or_default();
        let kind = |kind: &str| mounts.lines().any(|line| line.contains(&format!(" - {kind} ")));
        let kernel = version_in(&root.text("/proc/sys/kernel/osrelease").unwrap_or_default());
        Self { default: config.runtime.clone(), listed, hybrid: kind("cgroup") && kind("cgroup2"), kernel }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        self.listed.iter().map(|listed| self.one(listed)).collect()
    }

    fn one(&self, Listed { name, program }: &Listed) -> Finding {
        let role = if *name == self.default { "the default" } else { "functions may choose it" };
        let check = format!("runtime {name}");
        let Some(Program { path, said }) = program else {
            return match self.kernel {
                Some(kernel) if kernel < SEALS_MOUNTS => {
                    let (major, minor) = kernel;
                    let found = format!("{role}; needs Linux 5.12, and this is {major}.{minor}");
                    Finding::failure(check, found, "set runtime to \"runc\", or start a newer kernel".to_owned())
                }
                _ => Finding::ok(check, format!("{role}; a part of actord")),
            };
        };
        let remedy = if name.is_known() { INSTALL.to_owned() } else { format!("mend the path of {name} in runtimes") };
        match said {
            Err(error) => Finding::failure(check, format!("{role}; {error}"), remedy),
            Ok(said) => match self.refuses(path, said) {
                Some((why, other)) => Finding::failure(check, format!("{role}; {} {why}", path.display()), other),
                None => {
                    let version = said.lines().next().unwrap_or_default();
                    Finding::ok(check, format!("{role}; {}: {version}", path.display()))
                }
            },
        }
    }

    /// Why a runtime that says this of itself runs nothing here, and what would help.
    fn refuses(&self, path: &Path, said: &str) -> Option<(&'static str, &'static str)> {
        if self.hybrid && said.starts_with("crun version") {
            return Some((
                "refuses machines with both versions of control groups: \"cgroups in hybrid mode not supported\"",
                "boot with systemd.unified_cgroup_hierarchy=1, or choose another runtime",
            ));
        }
        let sandbox = said.strip_prefix("runsc version").and_then(built_on).is_some_and(|day| day < SEES_ITS_NAMESPACE);
        let newer = self.kernel.is_some_and(|kernel| kernel >= SHOWS_BUFFERS);
        (sandbox && newer && !uses_given_network(path)).then_some((
            "starts nothing with a network on Linux 6.11 and later: \"cannot run with network enabled in root network \
             namespace\"",
            "install a gVisor of 2024-09 or later, or list a script that runs it with --network=host, which is the \
             function's own network namespace",
        ))
    }
}

/// From here on a mount can be made read-only by itself, mount_setattr(2): the built-in runtime seals its program so.
const SEALS_MOUNTS: (u32, u32) = (5, 12);
/// From here on the kernel shows in every network namespace what gVisor took for a sign of the first one.
const SHOWS_BUFFERS: (u32, u32) = (6, 11);
/// The day of the first gVisor that looks for another sign, as its versions are numbered.
const SEES_ITS_NAMESPACE: u32 = 20_240_901;

/// The day that stands in a version of gVisor's, `0.0~20221219.0` or `release-20240901.0`.
fn built_on(version: &str) -> Option<u32> {
    let line = version.lines().next().unwrap_or_default();
    line.split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == 8)?.parse().ok()
}

/// Whether a program is a script that has gVisor use the network namespace that it is given.
fn uses_given_network(path: &Path) -> bool {
    let mut begin = [0; 4096];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut begin)).unwrap_or_default();
    let text = String::from_utf8_lossy(&begin[..read]);
    text.starts_with("#!") && text.contains("-network=host")
}

impl Program {
    async fn read(name: PathBuf) -> Self {
        match find_program(&name) {
            Some(path) => Self { said: ask(&path, &["--version"]).await, path },
            None => Self { said: Err(missing(&name)), path: name },
        }
    }
}

fn missing(name: &Path) -> String {
    let is_path = name.components().count() > 1;
    format!("{} {}", name.display(), if is_path { "is no program" } else { "is not found in PATH" })
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn listed(name: &str, said: Option<Result<&str, &str>>) -> Listed {
        let said = said.map(|said| said.map(str::to_owned).map_err(str::to_owned));
        let program = said.map(|said| Program { path: format!("/usr/bin/{name}").into(), said });
        Listed { name: name.parse().unwrap(), program }
    }

    fn check(listed: Listed, hybrid: bool) -> Finding {
        let runtimes = Runtimes {
            default: RuntimeName::RUNC.parse().unwrap(),
            listed: vec![listed],
            hybrid,
            kernel: Some((6, 12)),
        };
        runtimes.check().remove(0)
    }

    #[test]
    fn each_says_whether_it_is_the_default_and_what_it_says_of_itself() {
        let found = check(listed("runc", Some(Ok("runc version 1.1.5\nspec: 1.0.2"))), true);
        assert_eq!((found.state, found.check.as_str()), (State::Ok, "runtime runc"));
        assert_eq!(found.found, "the default; /usr/bin/runc: runc version 1.1.5");
        let found = check(listed("gvisor", Some(Ok("runsc version release-20250101.0"))), true);
        assert!(found.state == State::Ok && found.found.starts_with("functions may choose it"), "{found:?}");
        let found = check(listed("builtin", None), true);
        assert!(found.state == State::Ok && found.found.ends_with("a part of actord"), "{found:?}");
        let listed = vec![listed("builtin", None)];
        let older = Runtimes { default: RuntimeName::default(), listed, hybrid: true, kernel: Some((5, 10)) };
        let found = older.check().remove(0);
        assert!(found.state == State::Failure && found.found.contains("this is 5.10"), "{found:?}");
        assert!(found.remedy.unwrap().contains("runc"));
    }

    #[test]
    fn one_that_is_missing_or_refuses_the_machine_says_why() {
        let found = check(listed("gvisor", Some(Err("/usr/bin/gvisor is no program"))), false);
        assert_eq!(
            (found.state, found.remedy.as_deref()),
            (State::Failure, Some("mend the path of gvisor in runtimes"))
        );
        let crun = || listed("crun", Some(Ok("crun version 1.8.1\ncommit: x")));
        assert_eq!(check(crun(), false).state, State::Ok);
        let found = check(crun(), true);
        assert!(found.state == State::Failure && found.found.contains("hybrid mode not supported"), "{found:?}");
        let runsc = || listed("gvisor", Some(Ok("runsc version 0.0~20221219.0\nspec: 1.0.2-dev")));
        let found = check(runsc(), false);
        assert!(found.state == State::Failure && found.remedy.unwrap().contains("--network=host"));
        let older = Runtimes {
            default: RuntimeName::RUNC.parse().unwrap(),
            listed: vec![runsc()],
            hybrid: true,
            kernel: Some((6, 1)),
        };
        assert_eq!(older.check()[0].state, State::Ok);
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), "#!/bin/sh\nexec runsc --network=host \"$@\"\n").unwrap();
        assert!(uses_given_network(script.path()) && !uses_given_network(Path::new("/nonexistent")));
        assert!(missing(Path::new("runc")).contains("PATH"));
        assert!(missing(Path::new("/opt/runsc")).contains("no program"));
    }
}
