//! The private containerd: started, adopted, watched, stopped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use actord::host::HostError;
use actord::host::containerd::daemon::{Daemon, DaemonOptions, HangPolicy};
use tokio::time::{sleep, timeout};

use crate::support::{directory, kill, options, runs};

/// A program that does as `script` says, in place of containerd.
fn program(base: &Path, script: &str) -> DaemonOptions {
    let binary = base.join("program");
    fs::write(&binary, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    DaemonOptions { binary, ..options(base) }
}

#[tokio::test]
async fn a_living_containerd_is_adopted_and_a_stopped_one_leaves_no_files_beside_its_directories() {
    let base = directory();
    let first = Daemon::adopt_or_start(options(base.path())).await.unwrap();
    let pid = first.pid();
    drop(first);
    assert!(runs(pid), "it outlives whoever started it");

    let second = Daemon::adopt_or_start(options(base.path())).await.unwrap();
    assert_eq!(second.pid(), pid);
    drop(second);

    // The note is lost, as when actord dies between the start and the note: the socket tells who it is.
    fs::remove_file(base.path().join("state/containerd.pid")).unwrap();
    let third = Daemon::adopt_or_start(options(base.path())).await.unwrap();
    assert_eq!(third.pid(), pid);
    third.stop().await.unwrap();
    assert!(!runs(pid));
    assert!(Daemon::adopt(options(base.path())).await.unwrap().is_none());
    let left: Vec<_> = fs::read_dir(base.path().join("state")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["containerd"]);
}

#[tokio::test]
async fn a_containerd_that_dies_is_restarted_until_it_is_stopped() {
    let base = directory();
    let watch = Daemon::adopt_or_start(options(base.path())).await.unwrap().supervise();
    for _ in 0..2 {
        let before = watch.pid();
        kill(before, rustix::process::Signal::KILL);
        timeout(Duration::from_secs(30), async {
            while watch.pid() == before {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("it is restarted");
        assert!(!Path::new(&format!("/proc/{before}")).exists(), "the dead one was reaped");
        assert!(runs(watch.pid()));
    }
    let pid = watch.pid();
    watch.stop().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    assert!(!runs(pid));
    assert!(Daemon::adopt(options(base.path())).await.unwrap().is_none(), "stopped for good");
}

#[tokio::test]
async fn a_containerd_that_hangs_is_killed_and_restarted() {
    let base = directory();
    let hang_policy = HangPolicy { period: Duration::from_millis(100), limit: Duration::from_secs(1) };
    let hasty = DaemonOptions { hang_policy, ..options(base.path()) };
    let watch = Daemon::adopt_or_start(hasty).await.unwrap().supervise();
    let before = watch.pid();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(watch.pid(), before, "one that answers is left alone");

    // For a moment, as when it is only busy.
    kill(before, rustix::process::Signal::STOP);
    sleep(Duration::from_millis(300)).await;
    kill(before, rustix::process::Signal::CONT);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(watch.pid(), before, "one that answers again is left alone");

    kill(before, rustix::process::Signal::STOP);
    timeout(Duration::from_secs(30), async {
        while watch.pid() == before {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it is restarted");
    assert!(!runs(before) && runs(watch.pid()));
    watch.stop().await.unwrap();
}

#[tokio::test]
async fn a_note_that_names_somebody_elses_process_is_not_believed() {
    let base = directory();
    fs::create_dir_all(base.path().join("state")).unwrap();
    let own = std::process::id();
    let stat = fs::read_to_string(format!("/proc/{own}/stat")).unwrap();
    let started = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().to_owned();
    fs::write(base.path().join("state/containerd.pid"), format!("{own} {started}\n")).unwrap();
    assert!(Daemon::adopt(options(base.path())).await.unwrap().is_none());
}

#[tokio::test]
async fn a_stranger_on_the_socket_is_left_alone_and_named() {
    let base = directory();
    fs::create_dir_all(base.path().join("state")).unwrap();
    let _stranger = std::os::unix::net::UnixListener::bind(base.path().join("state/containerd.sock")).unwrap();
    let error = Daemon::adopt_or_start(options(base.path())).await.unwrap_err();
    assert!(matches!(error, HostError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
}

#[tokio::test]
async fn a_containerd_that_ends_at_once_is_an_error_with_the_end_of_its_log() {
    let base = directory();
    let options = program(base.path(), "echo no space left on the moon >&2; exit 3");
    fs::create_dir_all(options.log.parent().unwrap()).unwrap();
    fs::write(&options.log, "of an earlier start\n").unwrap();
    let text = Daemon::adopt_or_start(options).await.unwrap_err().to_string();
    assert!(text.contains("ended before it answered") && text.contains("no space left on the moon"), "{text}");
    assert!(!text.contains("earlier"), "{text}");
}

#[tokio::test]
async fn a_missing_containerd_is_an_error_that_says_what_to_install() {
    let base = directory();
    let missing = DaemonOptions { binary: "/nowhere/containerd".into(), ..options(base.path()) };
    let text = Daemon::adopt_or_start(missing).await.unwrap_err().to_string();
    assert!(text.contains("/nowhere/containerd") && text.contains("apt install containerd"), "{text}");
}

#[tokio::test]
async fn a_socket_path_that_the_kernel_would_refuse_is_refused_with_the_reason() {
    let base = directory();
    let long = DaemonOptions { socket: base.path().join("x".repeat(100)), ..options(base.path()) };
    let text = Daemon::adopt_or_start(long).await.unwrap_err().to_string();
    assert!(text.contains("shorter state directory"), "{text}");
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed() {
    let base = directory();
    // Ignored signals stay ignored across exec, but containerd sets handlers of its own: stop it instead.
    let daemon = Daemon::adopt_or_start(options(base.path())).await.unwrap();
    let pid = daemon.pid();
    kill(pid, rustix::process::Signal::STOP);
    daemon.stop().await.unwrap();
    assert!(!runs(pid));
}
