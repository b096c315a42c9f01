//! The same container by either runtime, from its making to its end.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use actord::shim::container::{Creation, Fault, Zygote};
use rustix::process::{Pid, WaitOptions, set_child_subreaper, waitpid};
use serde_json::Value;

use super::bundle::Bundle;

/// How a container ended, and all that it wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) wrote: String,
}

/// Runs a command in a container that runc makes; what runc refuses is its error's text.
pub(crate) fn by_runc(bundle: &Bundle, arguments: &[&str], change: impl FnOnce(&mut Value)) -> Result<Ended, String> {
    set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let id = format!("runc-{}", bundle.name);
    bundle.configure(&id, arguments, change);
    let root = bundle.path().join("runc");
    let (pid_file, log) = (bundle.path().join("pid"), bundle.path().join("log"));
    let _ = fs::remove_file(&log);
    let (mut read, write) = std::io::pipe().unwrap();
    let runc = |verb: &str| {
        let mut command = Command::new("runc");
        command.arg("--root").arg(&root).arg("--log").arg(&log).arg(verb);
        command.stdin(Stdio::null()).stdout(write.try_clone().unwrap()).stderr(write.try_clone().unwrap());
        command
    };
    let mut create = runc("create");
    let created = create.arg("--bundle").arg(bundle.path()).arg("--pid-file").arg(&pid_file).arg(&id).status().unwrap();
    if !created.success() {
        let text = fs::read_to_string(&log).unwrap();
        let _ = runc("delete").arg("--force").arg(&id).status();
        return Err(text.replace("\\\"", "\""));
    }
    let pid = Pid::from_raw(fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap()).unwrap();
    assert!(runc("start").arg(&id).status().unwrap().success());
    let status = status_of(pid);
    drop(create);
    let _ = runc("delete").arg("--force").arg(&id).status();
    drop(write);
    let mut wrote = String::new();
    read.read_to_string(&mut wrote).unwrap();
    Ok(Ended { status, wrote })
}

/// A container of ours that waits to be started.
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) pid: Pid,
    pub(crate) output: File,
    pub(crate) state: PathBuf,
}

/// Makes a container of ours.
pub(crate) async fn make(
    zygote: &Zygote,
    bundle: &Bundle,
    arguments: &[&str],
    change: impl FnOnce(&mut Value),
) -> Result<Made, Fault> {
    let id = format!("ours-{}", bundle.name);
    bundle.configure(&id, arguments, change);
    let state = bundle.path().join("ours");
    let (read, write) = std::io::pipe().unwrap();
    let creation = Creation {
        id: id.clone(),
        bundle: bundle.path().to_owned(),
        state_root: state.clone(),
        stdin: File::open("/dev/null").unwrap().into(),
        stdout: OwnedFd::from(write.try_clone().unwrap()),
        stderr: write.into(),
    };
    let pid = zygote.create(creation).await?;
    Ok(Made { id, pid, output: File::from(OwnedFd::from(read)), state })
}

/// Runs a command in a container of ours; what is refused is the fault as it is printed.
pub(crate) async fn by_us(
    zygote: &Zygote,
    bundle: &Bundle,
    arguments: &[&str],
    change: impl FnOnce(&mut Value),
) -> Result<Ended, String> {
    let mut made = make(zygote, bundle, arguments, change).await.map_err(|fault| fault.to_string())?;
    zygote.start(&made.id, &made.state).await.unwrap();
    let status = status_of(made.pid);
    let mut wrote = String::new();
    made.output.read_to_string(&mut wrote).unwrap();
    zygote.delete(&made.id, &made.state).await.unwrap();
    Ok(Ended { status, wrote })
}

/// Waits for a child, and returns its exit status, or 128 and the signal that ended it.
pub(crate) fn status_of(pid: Pid) -> i32 {
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap()
}

/// A zygote, and a runtime to talk to it with.
pub(crate) fn with_zygote(test: impl AsyncFnOnce(&Zygote)) {
    // Of a process with more than one thread, which works here: the other threads of a test hold nothing that it needs.
    let zygote = Zygote::spawn(None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(&zygote));
}
