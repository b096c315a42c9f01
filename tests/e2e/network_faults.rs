//! A CNI plugin that fails in every way, at every verb, while functions are deployed, updated, deleted and adopted; and
//! actord killed in the middle of it. What is desired is reached, and nothing is left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::actord::{Actord, HELLO_2, kill, until};

/// How long after the end of a fault everything is as it should be.
const HEALED: Duration = Duration::from_secs(10);

/// What the plugin does, in its own words.
const FAULTS: [&str; 4] = ["error no luck", "crash", "garbage", "hang"];

/// An actord whose network list ends with the plugin.
struct Bed {
    actord: Actord,
    faults: PathBuf,
    settings: Vec<String>,
}

impl Bed {
    async fn start() -> Self {
        let mut actord = Actord::start_with(&["--host-timeout", "4s"]).await;
        assert!(actord.stop().await.success());
        let faults = actord.directory().join("faults");
        fs::create_dir_all(&faults).unwrap();
        let traces = actord.traces();
        let mut list: Value = serde_json::from_str(include_str!("../../config/actord.conflist")).unwrap();
        list["name"] = json!(traces.bridge);
        list["plugins"][0]["bridge"] = json!(traces.bridge);
        list["plugins"][0]["ipam"]["ranges"] = json!([[{ "subnet": format!("{}0/24", traces.subnet) }]]);
        list["plugins"][0]["ipam"].as_object_mut().unwrap().remove("dataDir");
        list["plugins"].as_array_mut().unwrap().push(json!({ "type": "cni-fault", "faultDir": faults }));
        let conflist = actord.directory().join("faulty.conflist");
        fs::write(&conflist, list.to_string()).unwrap();
        let plugin = Path::new(env!("CARGO_BIN_EXE_actord")).parent().unwrap().join("examples");
        let settings = [
            ["--cni-conflist", conflist.to_str().unwrap()],
            ["--cni-plugin-dir", "/usr/lib/cni"],
            ["--cni-plugin-dir", plugin.to_str().unwrap()],
        ];
        let settings = settings.concat().into_iter().map(str::to_owned).collect();
        let mut bed = Self { actord, faults, settings };
        bed.launch().await;
        bed
    }

    async fn launch(&mut self) {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        self.actord.launch(&settings).await;
    }

    fn fault(&self, verb: &str, fault: &str) {
        fs::write(self.faults.join(verb), fault).unwrap();
    }

    /// How often the plugin was asked for that.
    fn calls(&self, verb: &str) -> usize {
        let calls = fs::read_to_string(self.faults.join("calls")).unwrap_or_default();
        let verb = format!("\"verb\":\"{verb}\"");
        calls.lines().filter(|line| line.contains(&verb)).count()
    }

    /// Returns when the plugin has been asked once more than `before`, and ends the fault.
    async fn struck(&self, verb: &str, before: usize) {
        until(&format!("{verb} is called"), async || self.calls(verb) > before).await;
        fs::remove_file(self.faults.join(verb)).unwrap();
    }

    /// The plugin that hangs, and its child, once they do: it notes the call before.
    async fn hanging(&self) -> (String, String) {
        let noted = || {
            let text = fs::read_to_string(self.faults.join("hanging")).ok()?;
            text.split_once(' ').map(|(plugin, child)| (plugin.to_owned(), child.to_owned()))
        };
        until("the plugin hangs", async || noted().is_some()).await;
        noted().unwrap()
    }

    /// The plugin that hung ends with the actord that started it. What the plugin started is not actord's to end.
    async fn plugin_died_too(&self, (plugin, child): (String, String)) {
        fs::remove_file(self.faults.join("hanging")).unwrap();
        let dead = || {
            let stat = fs::read_to_string(format!("/proc/{plugin}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
        };
        until("the plugin ends", async || dead()).await;
        kill(child.parse().unwrap(), Signal::KILL);
    }

    /// Waits until these functions answer with these versions, and nothing else is there.
    async fn as_desired(&self, what: &str, desired: &[(&str, &str)]) {
        let begun = Instant::now();
        loop {
            let wrong = self.wrong(desired).await;
            if wrong.is_empty() {
                return;
            }
            assert!(begun.elapsed() < HEALED, "{what}, {HEALED:?} later: {wrong:#?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wrong(&self, desired: &[(&str, &str)]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, version) in desired {
            let path = format!("/function/{name}/version");
            match timeout(Duration::from_secs(5), self.actord.get(&path)).await {
                Ok(answer) if answer.text().trim() == *version => {}
                other => wrong.push(format!("{name} should answer {version}: {other:?}")),
            }
        }
        if self.actord.list().await.len() != desired.len() {
            wrong.push("functions are listed that are not desired".to_owned());
        }
        let running: BTreeSet<String> = self.actord.processes().into_keys().collect();
        if running.len() != desired.len() {
            wrong.push(format!("running: {running:?}"));
        }
        let traces = self.actord.traces();
        let ipam = self.actord.state().join("cni/ipam").join(&traces.bridge);
        let results = self.actord.state().join("cni/results");
        for (kind, found) in [
            ("network namespaces", traces.namespaces()),
            ("addresses", names(&ipam).into_iter().filter(|name| name.starts_with(&traces.subnet)).collect()),
            ("results", names(&results)),
            ("instance directories", names(&self.actord.state().join("instances"))),
        ] {
            if found.len() != running.len() {
                wrong.push(format!("{kind}: {found:?}, running: {running:?}"));
            }
        }
        if desired.is_empty() {
            wrong.extend(traces.in_containerd());
        }
        wrong
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_plugin_does_what_is_desired_is_reached_and_nothing_is_left() {
    let mut bed = Bed::start().await;
    let mut cells = 0;
    for fault in FAULTS {
        let what = |verb: &str, during: &str| format!("{verb} {fault:?} during {during}");

        let before = bed.calls("ADD");
        bed.fault("ADD", fault);
        let (answer, ()) = tokio::join!(bed.actord.apply("POST", "f", json!({})), bed.struck("ADD", before));
        assert_eq!(answer.status, 202, "{}", answer.text());
        bed.as_desired(&what("ADD", "a deploy"), &[("f", "1")]).await;

        let before = bed.calls("ADD");
        bed.fault("ADD", fault);
        let update = bed.actord.update("f", json!({ "image": HELLO_2 }));
        let (answer, ()) = tokio::join!(update, bed.struck("ADD", before));
        assert_eq!(answer.status, 202, "{}", answer.text());
        bed.as_desired(&what("ADD", "an update"), &[("f", "2")]).await;

        let before = bed.calls("DEL");
        bed.fault("DEL", fault);
        let (answer, ()) = tokio::join!(bed.actord.update("f", json!({})), bed.struck("DEL", before));
        assert_eq!(answer.status, 202, "{}", answer.text());
        let patience = if fault == "hang" { Duration::from_secs(4) } else { Duration::ZERO };
        sleep(patience).await;
        bed.as_desired(&what("DEL", "an update"), &[("f", "1")]).await;

        let process = bed.actord.process("f");
        let before = bed.calls("CHECK");
        bed.actord.kill().await;
        bed.fault("CHECK", fault);
        let settings = bed.settings.clone();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        bed.actord.spawn(&settings);
        bed.struck("CHECK", before).await;
        bed.actord.answers().await;
        sleep(patience).await;
        bed.as_desired(&what("CHECK", "an adoption"), &[("f", "1")]).await;
        assert_eq!(bed.actord.process("f"), process, "{}: it was touched", what("CHECK", "an adoption"));

        let before = bed.calls("DEL");
        bed.fault("DEL", fault);
        let (answer, ()) = tokio::join!(bed.actord.delete("f"), bed.struck("DEL", before));
        assert_eq!(answer.status, 202, "{}", answer.text());
        sleep(patience).await;
        bed.as_desired(&what("DEL", "a delete"), &[]).await;
        cells += 5;
    }
    println!("network faults: {cells} cells, {cells} passed");
    bed.actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actord_that_is_killed_while_a_plugin_works_is_followed_by_one_that_makes_all_well() {
    let mut bed = Bed::start().await;
    bed.actord.deploy("stays", json!({})).await;
    let stays = bed.actord.process("stays");
    let acts = ["deploy", "update at ADD", "update at DEL", "delete"];
    for act in acts {
        let verb = if matches!(act, "deploy" | "update at ADD") { "ADD" } else { "DEL" };
        let before = bed.calls(verb);
        bed.fault(verb, "hang");
        let answer = {
            let request = async {
                match act {
                    "deploy" => bed.actord.apply("POST", "f", json!({})).await,
                    "update at ADD" => bed.actord.update("f", json!({ "image": HELLO_2 })).await,
                    "update at DEL" => bed.actord.update("f", json!({})).await,
                    _ => bed.actord.delete("f").await,
                }
            };
            // Deletes and updates may be answered before the old instance's network goes.
            let struck = bed.struck(verb, before);
            tokio::pin!(request, struck);
            tokio::select! {
                answer = &mut request => {
                    struck.await;
                    Some(answer.status)
                }
                () = &mut struck => None,
            }
        };
        let hanging = bed.hanging().await;
        bed.actord.kill().await;
        bed.plugin_died_too(hanging).await;
        bed.launch().await;
        let desired: &[(&str, &str)] = match act {
            // It was durable before the network was touched.
            "deploy" | "update at DEL" => &[("f", "1"), ("stays", "1")],
            "update at ADD" => &[("f", "2"), ("stays", "1")],
            _ => &[("stays", "1")],
        };
        bed.as_desired(&format!("actord killed during {act}, answered {answer:?}"), desired).await;
        assert_eq!(bed.actord.process("stays"), stays, "killed during {act}: the other one was touched");
    }
    println!("actord killed at a plugin: {} cells, {} passed", acts.len(), acts.len());
    assert_eq!(bed.actord.delete("stays").await.status, 202);
    bed.as_desired("all deleted", &[]).await;
    bed.actord.finish().await;
}
