//! What is left of a container, wherever it or its making ended: nothing, once it is deleted.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Command;

use actord::shim::container::remove;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::json;

use super::bundle::Bundle;
use super::runtimes::{Made, make, status_of, with_zygote};

/// The directories of a container's groups that are there.
fn groups(id: &str) -> Vec<PathBuf> {
    let mounts = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let groups = mounts.map(|mount| mount.join(Bundle::cgroups(id).trim_start_matches('/')));
    groups.filter(|group| group.exists()).collect()
}

#[track_caller]
fn assert_gone(made: &Made) {
    assert!(groups(&made.id).is_empty());
    assert_eq!(fs::read_dir(&made.state).map_or(0, Iterator::count), 0);
}

fn parent_of(pid: Pid) -> i32 {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    text.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok()).unwrap()
}

#[test]
fn a_first_process_is_the_servers_child_and_waits_to_be_started() {
    let bundle = Bundle::new();
    with_zygote(async |zygote| {
        let mut made = make(zygote, &bundle, &["/bin/echo", "ran"], |_| {}).await.unwrap();
        assert_eq!(parent_of(made.pid), rustix::process::getpid().as_raw_nonzero().get());
        assert!(!groups(&made.id).is_empty());
        assert!(waitpid(Some(made.pid), WaitOptions::NOHANG).unwrap().is_none());
        zygote.start(&made.id, &made.state).await.unwrap();
        assert_eq!(status_of(made.pid), 0);
        let mut wrote = String::new();
        made.output.read_to_string(&mut wrote).unwrap();
        assert_eq!(wrote, "ran\n");
        assert!(zygote.start(&made.id, &made.state).await.is_err());
        zygote.delete(&made.id, &made.state).await.unwrap();
        assert_gone(&made);
        zygote.delete(&made.id, &made.state).await.unwrap();
    });
}

#[test]
fn deleting_ends_what_runs_in_groups_that_were_made_below_even_frozen() {
    let bundle = Bundle::new();
    with_zygote(async |zygote| {
        let made = make(zygote, &bundle, &["/bin/sleep", "1000"], |_| {}).await.unwrap();
        zygote.start(&made.id, &made.state).await.unwrap();
        let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
        for group in groups(&made.id) {
            let below = group.join("below/it");
            fs::create_dir_all(&below).unwrap();
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let (Ok(text), true) = (fs::read_to_string(group.join(file)), below.join(file).exists()) {
                    fs::write(group.join("below").join(file), &text).unwrap();
                    fs::write(below.join(file), &text).unwrap();
                }
            }
            fs::write(below.join("cgroup.procs"), other.id().to_string()).unwrap();
            if group.join("freezer.state").exists() {
                fs::write(group.join("freezer.state"), "FROZEN").unwrap();
            }
        }
        let deleted = zygote.delete(&made.id, &made.state);
        let (deleted, ends) =
            tokio::join!(deleted, tokio::task::spawn_blocking(move || (status_of(made.pid), other.wait())));
        deleted.unwrap();
        assert_eq!(ends.unwrap().0, 128 + 9);
        assert!(groups(&made.id).is_empty());
    });
}

#[test]
fn what_is_not_started_ends_with_its_server_or_when_it_is_deleted() {
    let bundle = Bundle::new();
    with_zygote(async |zygote| {
        let made = make(zygote, &bundle, &["/bin/sleep", "1000"], |_| {}).await.unwrap();
        zygote.delete(&made.id, &made.state).await.unwrap();
        assert_ne!(status_of(made.pid), 0);
        assert_gone(&made);
    });
}

#[test]
fn a_first_process_that_is_killed_before_its_start_is_told_of_and_removed() {
    let bundle = Bundle::new();
    with_zygote(async |zygote| {
        let made = make(zygote, &bundle, &["/bin/true"], |_| {}).await.unwrap();
        kill_process(made.pid, Signal::KILL).unwrap();
        assert_eq!(status_of(made.pid), 128 + 9);
        assert!(zygote.start(&made.id, &made.state).await.is_err());
        zygote.delete(&made.id, &made.state).await.unwrap();
        assert_gone(&made);
    });
}

#[test]
fn a_zygote_that_ends_takes_no_container_along_and_what_is_asked_of_it_fails() {
    let bundle = Bundle::new();
    with_zygote(async |zygote| {
        let made = make(zygote, &bundle, &["/bin/true"], |_| {}).await.unwrap();
        kill_process(zygote.pid(), Signal::KILL).unwrap();
        waitpid(Some(zygote.pid()), WaitOptions::empty()).unwrap();
        zygote.start(&made.id, &made.state).await.unwrap();
        assert_eq!(status_of(made.pid), 0);
        zygote.delete(&made.id, &made.state).await.unwrap();
        assert_gone(&made);
        let fault = make(zygote, &bundle, &["/bin/true"], |_| {}).await.err().expect("no zygote");
        assert!(fault.text.contains("has ended"), "{fault}");
    });
}

#[test]
fn a_failed_making_leaves_nothing_and_the_id_is_free_again() {
    let bundle = Bundle::new();
    with_zygote(async |zygote| {
        for _ in 0..3 {
            let refused = make(zygote, &bundle, &["/no/such"], |_| {}).await;
            assert!(refused.is_err());
            assert!(groups(&format!("ours-{}", bundle.name)).is_empty());
        }
        let made = make(zygote, &bundle, &["/bin/true"], |_| {}).await.unwrap();
        let twice = make(zygote, &bundle, &["/bin/true"], |_| {}).await.err().expect("the id is taken");
        assert!(twice.text.contains("already exists"), "{twice}");
        zygote.start(&made.id, &made.state).await.unwrap();
        assert_eq!(status_of(made.pid), 0);
        // As a program would that finds a bundle whose server is gone.
        remove(&made.id, &made.state).unwrap();
        assert_gone(&made);
    });
}

#[test]
fn a_caller_that_does_not_wait_for_a_container_leaves_the_zygote_at_work() {
    let (bundle, other) = (Bundle::new(), Bundle::new());
    with_zygote(async |zygote| {
        // Given up at its first pause: the order is out, and its answers come to no one.
        let given_up = make(zygote, &bundle, &["/bin/true"], |_| {});
        assert!(futures_util::FutureExt::now_or_never(given_up).is_none());
        let made = make(zygote, &other, &["/bin/true"], |_| {}).await.unwrap();
        zygote.start(&made.id, &made.state).await.unwrap();
        assert_eq!(status_of(made.pid), 0);
        zygote.delete(&made.id, &made.state).await.unwrap();
        assert_gone(&made);
        // What was begun ends by itself, as its channel is gone. Until then it may still make groups.
        let id = format!("ours-{}", bundle.name);
        for _ in 0..500 {
            zygote.delete(&id, &bundle.path().join("ours")).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            if groups(&id).is_empty() {
                break;
            }
        }
        assert!(groups(&id).is_empty());
    });
}

#[test]
fn containers_are_made_side_by_side() {
    let bundles: Vec<Bundle> = (0..8).map(|_| Bundle::new()).collect();
    with_zygote(async |zygote| {
        let made = bundles.iter().map(|bundle| make(zygote, bundle, &["/bin/sleep", "1000"], |_| {}));
        let made = futures_util::future::join_all(made).await;
        for made in made {
            let made = made.unwrap();
            zygote.start(&made.id, &made.state).await.unwrap();
            zygote.kill_all(&made.id, &made.state).unwrap();
            assert_eq!(status_of(made.pid), 128 + 9);
            zygote.delete(&made.id, &made.state).await.unwrap();
            assert_gone(&made);
        }
    });
}

#[test]
fn a_spec_that_is_not_understood_is_refused_before_anything_is_made() {
    let bundle = Bundle::new();
    with_zygote(async |zygote| {
        let refused = make(zygote, &bundle, &["/bin/true"], |spec| spec["hooks"] = json!({"prestart": []})).await;
        let fault = refused.err().expect("hooks");
        assert!(fault.text.contains("hooks"), "{fault}");
        assert!(groups(&format!("ours-{}", bundle.name)).is_empty());
    });
}
