//! containerd, its shim and runc: found, new enough, and does the containerd that is named answer?

use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::source::{ask, version_in};
use crate::host::containerd::daemon::{Daemon, OLDEST as OLDEST_CONTAINERD, find_program};

/// Secrets, cgroup v2 and seccomp notifications work from here on.
const OLDEST_RUNC: (u32, u32) = (1, 0);
const SHIM: &str = "containerd-shim-runc-v2";
pub(super) const INSTALL: &str = "apt-get install containerd runc";

/// A program, where it is and what it says of itself.
#[derive(Debug)]
struct Program {
    name: String,
    path: Option<PathBuf>,
    said: Result<String, String>,
}

impl Program {
    async fn read(name: &Path) -> Self {
        let path = find_program(name);
        let said = match &path {
            Some(path) => ask(path, &["--version"]).await,
            None => Err("it is not in PATH".to_owned()),
        };
        Self { name: name.display().to_string(), path, said }
    }

    fn check(&self, check: &str, oldest: (u32, u32)) -> Finding {
        let (Some(path), (major, minor)) = (&self.path, oldest) else {
            return Finding::failure(check, format!("{} is not found in PATH", self.name), INSTALL);
        };
        let said = match &self.said {
            Ok(said) => said,
            Err(error) => return Finding::failure(check, error, format!("apt-get install --reinstall {check}")),
        };
        let at = path.display();
        match version_in(said) {
            None => Finding::unknown(check, format!("{at} says no version: {said}")),
            Some(version) if version < oldest => {
                let found = format!("{at} is {}.{}, older than {major}.{minor}", version.0, version.1);
                Finding::failure(check, found, format!("apt-get update && apt-get install --only-upgrade {check}"))
            }
            Some(_) => Finding::ok(check, format!("{at}: {}", said.lines().next().unwrap_or_default())),
        }
    }
}

/// What is known of what runs containers.
#[derive(Debug)]
pub(super) struct Programs {
    containerd: Program,
    runc: Program,
    shim: Option<PathBuf>,
    socket: PathBuf,
    /// Whether the socket is one that was named, and not our own containerd's.
    named: bool,
    answers: Result<(), String>,
}

impl Programs {
    /// `socket`: where the containerd of these settings is asked. `named`: it is not ours to start.
    pub(super) async fn read(containerd: &Path, socket: PathBuf, named: bool) -> Self {
        Self {
            containerd: Program::read(containerd).await,
            runc: Program::read(Path::new("runc")).await,
            shim: find_program(Path::new(SHIM)),
            answers: Daemon::probe(&socket).await.map_err(|error| error.to_string()),
            socket,
            named,
        }
    }

    /// `running`: whether an actord runs with these settings.
    pub(super) fn check(&self, running: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        // The program of a containerd that is not ours may be anywhere.
        if !self.named {
            found.push(self.containerd.check("containerd", OLDEST_CONTAINERD));
        }
        found.push(self.runc.check("runc", OLDEST_RUNC));
        found.push(match &self.shim {
            Some(path) => Finding::ok(SHIM, path.display().to_string()),
            None if self.named => Finding::unknown(SHIM, "not in PATH; the named containerd may have it elsewhere"),
            None => Finding::failure(SHIM, "it is not found in PATH", INSTALL),
        });
        found.push(self.socket(running));
        found
    }

    fn socket(&self, running: bool) -> Finding {
        let (check, socket) = ("containerd answers", self.socket.display());
        match &self.answers {
            Ok(()) => Finding::ok(check, format!("at {socket}")),
            Err(error) if self.named => Finding::failure(check, error, "systemctl start containerd"),
            Err(error) if running => Finding::failure(check, error, "systemctl restart actord"),
            Err(_) => Finding::ok(check, "not running; it is started with actord"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn program(name: &str, said: Result<&str, &str>) -> Program {
        Program {
            name: name.into(),
            path: Some(format!("/usr/bin/{name}").into()),
            said: said.map(str::to_owned).map_err(str::to_owned),
        }
    }

    fn all(named: bool, answers: Result<(), String>) -> Programs {
        Programs {
            containerd: program("containerd", Ok("containerd github.com/containerd/containerd 1.6.20~ds1 x")),
            runc: program("runc", Ok("runc version 1.1.5+ds1\nspec: 1.0.2-dev")),
            shim: Some("/usr/bin/shim".into()),
            socket: "/run/c.sock".into(),
            named,
            answers,
        }
    }

    #[test]
    fn what_debian_has_is_well_also_while_nothing_runs() {
        let found = all(false, Err("no".into())).check(false);
        assert!(found.iter().all(|finding| finding.state == State::Ok), "{found:?}");
        assert_eq!(found[1].found, "/usr/bin/runc: runc version 1.1.5+ds1");
    }

    #[test]
    fn a_program_that_is_missing_old_or_broken_is_named_with_its_package() {
        let missing = Program { path: None, ..program("containerd", Err("-")) };
        let found = missing.check("containerd", OLDEST_CONTAINERD);
        assert_eq!((found.state, found.remedy.as_deref()), (State::Failure, Some(INSTALL)));
        let old = program("containerd", Ok("containerd github.com/containerd/containerd 1.4.13~ds1 x"));
        let found = old.check("containerd", OLDEST_CONTAINERD);
        assert_eq!(found.state, State::Failure);
        assert!(found.found.contains("1.4, older than 1.6"), "{found:?}");
        assert!(found.remedy.unwrap().contains("--only-upgrade containerd"));
        assert_eq!(program("runc", Err("Exec format error")).check("runc", OLDEST_RUNC).state, State::Failure);
        assert_eq!(program("runc", Ok("hello")).check("runc", OLDEST_RUNC).state, State::Unknown);
        let found = Programs { shim: None, ..all(false, Ok(())) }.check(false);
        assert_eq!((found[2].state, found[2].check.as_str()), (State::Failure, SHIM));
    }

    #[test]
    fn a_containerd_that_should_answer_and_does_not_is_a_failure() {
        for (named, running, remedy) in
            [(true, false, "systemctl start containerd"), (false, true, "systemctl restart actord")]
        {
            let found = all(named, Err("no answer".into())).check(running).pop().unwrap();
            assert_eq!((found.state, found.remedy.as_deref()), (State::Failure, Some(remedy)));
        }
        assert_eq!(all(true, Ok(())).check(false).pop().unwrap().state, State::Ok);
    }
}
