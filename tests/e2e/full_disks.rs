//! Disks that are full: deploys are refused in words, what runs goes on, and all is well once there is room. And a state
//! directory that is a mount point, which `down` empties and leaves.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::actord::{Actord, HELLO_1, HELLO_2, kill, until};
use crate::sample::Sample;

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A small file system of a test's own.
struct Small {
    at: PathBuf,
    mounted: bool,
}

impl Small {
    fn ext4(at: &Path, size: &str) -> Self {
        let image = at.with_extension("img");
        run("truncate", &["--size", size, image.to_str().unwrap()]);
        run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]);
        Self::mount(&["-o", "loop", image.to_str().unwrap()], at)
    }

    fn in_memory(at: &Path, size: &str) -> Self {
        Self::mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0711"), "tmpfs"], at)
    }

    fn mount(what: &[&str], at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        run("mount", &[what, &[at.to_str().unwrap()]].concat());
        Self { at: at.to_owned(), mounted: true }
    }

    /// Leaves no room for another byte.
    fn fill(&self) -> Full {
        let path = self.at.join("fill");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        let _ = file.sync_all();
        Full(path)
    }

    fn unmount(mut self) {
        self.mounted = false;
        run("umount", &[self.at.to_str().unwrap()]);
    }

    fn entries(&self) -> BTreeSet<String> {
        let names = fs::read_dir(&self.at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
        }
    }
}

/// A disk is full until this is dropped.
struct Full(PathBuf);

impl Drop for Full {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// One whose data directory or parts of its state directory are small file systems.
async fn start(mount: impl FnOnce(&Path) -> Vec<Small>) -> (Actord, Vec<Small>) {
    let mut mounts = Vec::new();
    let actord = Actord::with(&[], |images| {
        let data = images.parent().unwrap();
        mounts = mount(data.parent().unwrap());
        fs::create_dir_all(images).unwrap();
        for (reference, version) in [(HELLO_1, "1"), (HELLO_2, "2")] {
            Sample::new(reference).version(version).env("QUIET", "1").write(images);
        }
    })
    .await;
    (actord, mounts)
}

/// A deploy and an update are refused with words that name this path, and nothing is changed by them.
async fn is_refused(actord: &Actord, path: &Path) {
    for (method, name) in [("POST", "second"), ("PUT", "first")] {
        let answer = actord.apply(method, name, json!({ "image": HELLO_2 })).await;
        let words = answer.text();
        assert_eq!(answer.status, 507, "{method} with a full {}: {words}", path.display());
        assert!(words.contains(path.to_str().unwrap()) && words.contains("free"), "{method}: {words}");
        assert!(actord.describe("second").await.is_null(), "{}", actord.log());
        assert_eq!(actord.describe("first").await["image"], HELLO_1);
        assert_eq!(actord.get("/function/first").await.status, 200, "what runs goes on");
    }
}

/// Directories that instances of a function have in the state directory.
fn parts_of(function: &str, actord: &Actord) -> Vec<PathBuf> {
    let bundles = actord.state().join("containerd/io.containerd.runtime.v2.task").join(actord.namespace());
    let entries = [actord.state().join("instances"), bundles].map(|place| fs::read_dir(place).into_iter().flatten());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let of = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{function}-")))
    };
    paths.filter(of).collect()
}

async fn is_ready(actord: &Actord) -> bool {
    actord.get("/readyz").await.status == 200
}

async fn can_be_deployed(actord: &Actord, name: &str) {
    actord.deploy(name, json!({})).await;
    assert_eq!(actord.get(&format!("/function/{name}")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_data_disk_a_deploy_is_refused_and_what_runs_goes_on() {
    let (mut actord, mut mounts) = start(|home| vec![Small::ext4(&home.join("data"), "256M")]).await;
    can_be_deployed(&actord, "first").await;
    let disk = mounts.pop().unwrap();
    let full = disk.fill();
    is_refused(&actord, &actord.data()).await;
    until("it says that it is not ready", async || !is_ready(&actord).await).await;
    let said = actord.get("/readyz").await;
    assert!(said.status == 503 && said.text().starts_with("store: "), "{}", said.text());
    assert_eq!(actord.get("/healthz").await.status, 200);
    drop(full);
    until("it is ready again", async || is_ready(&actord).await).await;
    can_be_deployed(&actord, "second").await;
    assert!(actord.stop().await.success(), "{}", actord.log());
    let down = actord.run(&["down"]);
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    disk.unmount();
    actord.is_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_state_directory_is_full_or_a_part_of_it_a_deploy_is_refused_and_down_leaves_its_mounts() {
    let (mut actord, mut mounts) = start(|home| {
        let state = home.join("state");
        let all = Small::in_memory(&state, "64M");
        vec![all, Small::in_memory(&state.join("instances"), "1M"), Small::in_memory(&state.join("containerd"), "16M")]
    })
    .await;
    can_be_deployed(&actord, "first").await;
    for mount in &mounts {
        let full = mount.fill();
        is_refused(&actord, &mount.at).await;
        drop(full);
        until("it is ready", async || is_ready(&actord).await).await;
        can_be_deployed(&actord, "second").await;
        assert_eq!(actord.delete("second").await.status, 202);
        // What goes with it is room for others: not while the next disk is full.
        until("nothing of it is left", async || parts_of("second", &actord).is_empty()).await;
    }
    assert!(actord.stop().await.success(), "{}", actord.log());
    let down = actord.run(&["down"]);
    let said = String::from_utf8_lossy(&down.stderr).into_owned();
    assert!(down.status.success(), "{said}");
    let entries: Vec<_> = mounts.iter().map(Small::entries).collect();
    assert_eq!(entries, [["containerd", "instances"].map(str::to_owned).into(), BTreeSet::new(), BTreeSet::new()]);
    for mount in mounts.drain(1..) {
        assert!(said.contains(&format!("{} is a mount point", mount.at.display())), "{said}");
        mount.unmount();
    }
    // With nothing mounted in it, it is the one that is left.
    let down = actord.run(&["down"]);
    let said = String::from_utf8_lossy(&down.stderr).into_owned();
    assert!(down.status.success() && said.contains(&format!("{} is a mount point", mounts[0].at.display())), "{said}");
    assert_eq!(mounts[0].entries(), BTreeSet::new());
    mounts.remove(0).unmount();
    actord.is_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_containerd_does_not_answer_actord_is_well_and_not_ready_and_says_so() {
    let actord = Actord::start().await;
    actord.deploy("hello", json!({})).await;
    until("it is ready", async || is_ready(&actord).await).await;
    let containerd = actord.containerd();
    kill(containerd, Signal::STOP);
    until("it says that it is not ready", async || !is_ready(&actord).await).await;
    let said = actord.get("/readyz").await;
    let metrics = crate::client::ask(actord.metrics, crate::client::Request::get("/readyz")).await.unwrap();
    kill(containerd, Signal::CONT);
    assert!(said.status == 503 && said.text().starts_with("containerd: "), "{} {}", said.status, said.text());
    assert_eq!((metrics.status, metrics.text()), (503, said.text()));
    assert_eq!(actord.get("/healthz").await.status, 200);
    assert_eq!(actord.get("/function/hello").await.status, 200);
    until("it is ready again", async || is_ready(&actord).await).await;
    actord.finish().await;
}
