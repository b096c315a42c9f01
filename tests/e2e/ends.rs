//! How actord ends, and what becomes of functions that are frozen then.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::actord::Actord;
use crate::client::{self, Request};
use crate::freezer::Freezer;

/// Freezes the only instance of a function behind actord's back.
fn freeze(actord: &Actord, function: &str) -> Freezer {
    let processes = actord.processes();
    let of = |id: &&String| id.rsplit_once('-').is_some_and(|(name, _)| name == function);
    let ids: Vec<_> = processes.keys().filter(of).collect();
    assert_eq!(ids.len(), 1, "{processes:?}");
    let freezer = Freezer::of(&actord.namespace(), ids[0]).unwrap();
    freezer.freeze();
    freezer
}

/// A control group as systemd makes one for a service.
struct Service(PathBuf);

impl Service {
    /// Puts the running actord into it.
    fn around(actord: &Actord) -> Self {
        let (legacy, unified) = (Path::new("/sys/fs/cgroup/systemd"), Path::new("/sys/fs/cgroup"));
        let mount = if legacy.exists() { legacy } else { unified };
        let group = mount.join(actord.namespace()).join("actord.service");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("cgroup.procs"), actord.pid().to_string()).unwrap();
        Self(group)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn down_removes_frozen_functions_as_any_others() {
    let mut actord = Actord::start().await;
    for name in ["one", "two", "awake"] {
        actord.deploy(name, json!({})).await;
    }
    let frozen = ["one", "two"].map(|name| freeze(&actord, name));
    assert!(actord.stop().await.success(), "{}", actord.log());
    assert!(frozen.iter().all(Freezer::is_frozen), "an end by hand may be a restart");
    // With nothing left.
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_of_the_service_thaws_what_is_frozen_and_a_restart_does_not() {
    let mut actord = Actord::start().await;
    let directory = actord.directory().join("bin");
    fs::create_dir(&directory).unwrap();
    let jobs = actord.directory().join("jobs");
    let systemctl = directory.join("systemctl");
    fs::write(&systemctl, format!("#!/bin/sh\nexec cat {}\n", jobs.display())).unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    actord.set_variable("PATH", &format!("{}:{path}", directory.display()));
    actord.stop().await;
    actord.launch(&[]).await;
    actord.deploy("f", json!({})).await;
    let answer = actord.get("/function/f/version").await;
    let instance = format!("{}:8080", answer.header("x-instance").unwrap()).parse().unwrap();
    let pid = actord.process("f");
    // Without such a file systemctl fails, and says so.
    for (job, thawed) in [(Some("restart"), false), (Some("stop"), true), (None, true)] {
        let _ = fs::remove_file(&jobs);
        if let Some(job) = job {
            fs::write(&jobs, format!("71 actord.service {job} running\n72 other.service stop waiting\n")).unwrap();
        }
        let freezer = freeze(&actord, "f");
        let service = Service::around(&actord);
        assert!(actord.stop().await.success(), "{}", actord.log());
        assert_eq!(freezer.is_frozen(), !thawed, "{job:?}: {}", actord.log());
        drop(service);
        if thawed {
            assert_eq!(client::ask(instance, Request::get("/version")).await.unwrap().text(), "1\n", "by itself");
        }
        actord.launch(&[]).await;
        assert_eq!(actord.get("/function/f/version").await.text(), "1\n", "{job:?}");
        assert_eq!(actord.process("f"), pid, "it is taken over");
    }
    actord.finish().await;
}
