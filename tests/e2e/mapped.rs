//! Functions in user namespaces, by the setting: from a deploy on, over changes of the setting, and over the death of actord
//! while it copies an image.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::actord::{Actord, HELLO_1, HELLO_2, until};
use crate::sample::Sample;

const USER: &str = "docker.io/actord/user:1";
const MANY: &str = "docker.io/actord/many:1";
const ON: [&str; 4] = ["--user-namespaces", "true", "--user-namespace-ids", "300000:65536"];

/// Who a process is on the machine.
fn uid(process: i32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

impl Actord {
    /// The names of its snapshots that this accepts.
    fn snapshots(&self, which: impl Fn(&str) -> bool) -> Vec<String> {
        let socket = self.socket().display().to_string();
        let arguments = ["-a", &socket, "-n", &self.namespace(), "snapshots", "ls"];
        let output = Command::new("ctr").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| which(name))
            .map(str::to_owned)
            .collect()
    }

    fn copies(&self) -> Vec<String> {
        self.snapshots(|line| line.starts_with("sha256:") && line.contains("@300000:65536"))
    }

    fn half_made(&self) -> Vec<String> {
        self.snapshots(|line| line.starts_with("copy-") || line.starts_with("view-"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_in_user_namespaces_work_as_any_and_no_image_is_copied_twice() {
    let actord = Actord::with(&ON, |images| {
        for (reference, version) in [(HELLO_1, "1"), (HELLO_2, "2")] {
            Sample::new(reference).version(version).env("QUIET", "1").write(images);
        }
        Sample::new(USER).version("1").user("app").write(images);
    })
    .await;
    let copies = actord.copies();
    assert!(!copies.is_empty(), "what is imported is copied");
    let secret = json!({ "name": "db", "value": "one" });
    assert_eq!(actord.system("POST", "/system/secrets", secret).await.status, 202);
    actord.deploy("root", json!({})).await;
    actord.deploy("again", json!({ "readOnlyRootFilesystem": true })).await;
    actord.deploy("user", json!({ "image": USER, "secrets": ["db"] })).await;
    for (name, expected) in [("root", 300_000), ("again", 300_000), ("user", 301_000)] {
        assert_eq!(actord.get(&format!("/function/{name}/version")).await.text(), "1\n");
        assert_eq!(uid(actord.process(name)), expected, "{name}");
    }
    let seen = async |path: &str| actord.get(&format!("/function/user/file?path={path}")).await.text();
    assert!(seen("/proc/self/status").await.contains("Uid:\t1000\t1000"));
    assert_eq!(seen("/var/openfaas/secrets/db").await, "one");
    let secret = json!({ "name": "db", "value": "two" });
    assert_eq!(actord.system("PUT", "/system/secrets", secret).await.status, 202);
    until("it reads the new secret", async || seen("/var/openfaas/secrets/db").await == "two").await;
    assert_eq!(actord.update("root", json!({ "image": HELLO_2 })).await.status, 202);
    until("it is updated", async || actord.get("/function/root/version").await.text() == "2\n").await;
    assert_eq!(actord.scale("again", 3).await.status, 202);
    until("all are there", async || actord.describe("again").await["availableReplicas"] == 3).await;
    assert_eq!(actord.copies(), copies, "one for each image");
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_stays_as_it_is_when_the_setting_changes_until_it_is_replaced() {
    let mut actord = Actord::start().await;
    actord.deploy("old", json!({})).await;
    let process = actord.process("old");
    assert_eq!((uid(process), actord.copies()), (0, Vec::new()));
    for (settings, expected) in [(&ON[..], 300_000), (&[], 0)] {
        assert!(actord.stop().await.success());
        actord.launch(settings).await;
        let before = actord.process("old");
        assert_ne!(uid(before), expected, "it was taken over");
        assert_eq!(actord.get("/function/old/version").await.text(), "1\n");
        assert_eq!(actord.process("old"), before);
        let change = json!({ "labels": { "round": expected.to_string() } });
        assert_eq!(actord.update("old", change).await.status, 202);
        until("it is replaced", async || actord.processes_of("old").iter().all(|now| uid(*now) == expected)).await;
        assert_eq!(actord.get("/function/old/version").await.text(), "1\n");
    }
    // A collection comes with the next removal.
    actord.deploy("other", json!({})).await;
    assert_eq!(actord.delete("other").await.status, 202);
    until("copies that nothing needs go", async || actord.copies().is_empty()).await;
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_an_image_is_copied_leaves_nothing_and_the_next_life_makes_it_anew() {
    let mut actord = Actord::with(&["--deploy-wait", "1s"], |images| {
        let many =
            (0..5_000).fold(Sample::new(MANY).version("1"), |image, n| image.file(&format!("/many/{n}"), 0o644, b"x"));
        many.write(images);
    })
    .await;
    actord.deploy("f", json!({ "image": MANY })).await;
    let old = actord.process("f");
    assert!(actord.stop().await.success());
    for _ in 0..2 {
        // It is an archive's: it is copied when actord starts.
        actord.spawn(&ON);
        until("a copy is under way", async || !actord.half_made().is_empty()).await;
        actord.kill().await;
        assert_eq!(actord.process("f"), old, "what serves is not touched");
        assert_eq!(actord.copies(), Vec::<String>::new());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let place = actord.data().join("containerd/io.containerd.snapshotter.v1.overlayfs");
        let made = mounts.lines().any(|line| line.split(' ').nth(4).unwrap().starts_with(place.to_str().unwrap()));
        assert!(!made, "{mounts}");
    }
    actord.launch(&ON).await;
    assert_eq!(actord.process("f"), old);
    assert_eq!(actord.update("f", json!({ "image": MANY, "labels": { "a": "b" } })).await.status, 202);
    until("it is replaced", async || actord.processes_of("f").iter().all(|now| uid(*now) == 300_000)).await;
    assert_eq!(actord.get("/function/f/version").await.text(), "1\n");
    until("nothing half-made is left", async || actord.half_made().is_empty()).await;
    assert_eq!(actord.copies().len(), 1);
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_can_not_have_them_is_told_at_the_start_and_by_the_doctor() {
    let actord = Actord::start().await;
    let directory = actord.directory().join("other");
    let at = |name: &str| directory.join(name).display().to_string();
    let (data, state) = (at("data"), at("state"));
    let settings = ["--config", "/dev/null", "--data-dir", &data, "--state-dir", &state, "--snapshotter", "devmapper"];
    let refused = actord.plain(&[&["up"][..], &settings, &ON].concat());
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && words.contains("user-namespaces is on, and the snapshotter devmapper"),
        "{words}"
    );
    assert!(!directory.exists(), "nothing was made");
    let looked = actord.plain(&[&["doctor", "--output", "json"][..], &settings, &ON].concat());
    let findings: Value = serde_json::from_slice(&looked.stdout).unwrap();
    let found =
        findings["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "user namespaces").unwrap();
    assert!(found["state"] == "failure" && found["remedy"].as_str().unwrap().contains("overlayfs"), "{found}");
    actord.finish().await;
}
