//! The process that deploys, and the list of what it was told is done.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use actord::function::{Desired, FunctionId, Generation, GoodGeneration, Spec, SpecDraft};
use actord::store::{Durability, Store};
use tokio::sync::watch;

pub(crate) const FILE: &str = "POWER_CUT_FILE";
pub(crate) const UNSYNCED: &str = "POWER_CUT_UNSYNCED";
pub(crate) const ACKNOWLEDGED: &str = "acknowledged";

/// What was acknowledged by now.
pub(crate) trait List: Default + Clone + Send + Sync + 'static {
    fn hear(&mut self, verb: &str, name: &str, generation: u64);
    fn count(&self) -> usize;
}

/// The last thing that was acknowledged of each function.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged {
    count: usize,
    pub(crate) last: BTreeMap<String, Last>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Last {
    Put(u64),
    Deleted(u64),
}

/// A line of the process, as it told it.
fn hear(list: &mut impl List, line: &str) {
    // The test runner has things to say as well, and begins a line with them.
    let Some((_, line)) = line.split_once(ACKNOWLEDGED) else { return };
    let mut words = line.split_whitespace();
    let (Some(verb), Some(name), Some(generation)) = (words.next(), words.next(), words.next()) else { return };
    list.hear(verb, name, generation.parse().unwrap());
}

impl List for Acknowledged {
    fn hear(&mut self, verb: &str, name: &str, generation: u64) {
        let last = if verb == "put" { Last::Put(generation) } else { Last::Deleted(generation) };
        self.last.insert(name.to_owned(), last);
        self.count += 1;
    }

    fn count(&self) -> usize {
        self.count
    }
}

impl Acknowledged {
    /// How many functions are not as they were acknowledged, or as something later made them.
    pub(crate) fn lost(&self, found: &BTreeMap<String, u64>) -> usize {
        let kept = |name: &String, last: &Last| match (last, found.get(name)) {
            (Last::Put(generation), Some(found)) => found >= generation,
            // The deletion that comes next may have been done, but not acknowledged.
            (Last::Put(_), None) => is_deleted_at_times(name),
            (Last::Deleted(generation), Some(found)) => found > generation,
            (Last::Deleted(_), None) => true,
        };
        self.last.iter().filter(|(name, last)| !kept(name, last)).count()
    }
}

/// Whose name begins so is deleted between its puts; all others only ever get newer.
fn is_deleted_at_times(name: &str) -> bool {
    name.starts_with("fleeting")
}

/// The process, from outside. Dropping it kills it.
pub(crate) struct Writer<L> {
    process: Child,
    heard: watch::Receiver<L>,
}

impl<L: List> Writer<L> {
    /// Runs a test of this program that never ends, and writes that file.
    pub(crate) fn start(test: &str, file: &Path, durability: Durability) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", test]).env(FILE, file);
        if durability == Durability::Unsynced {
            command.env(UNSYNCED, "1");
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (say, heard) = watch::channel(L::default());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                say.send_modify(|list| hear(list, &line));
            }
        });
        Self { process, heard }
    }

    /// What is acknowledged by now, with something new since the last time.
    pub(crate) async fn acknowledged(&mut self) -> L {
        let news = tokio::time::timeout(Duration::from_secs(60), self.heard.changed()).await;
        news.expect("the writer is stuck").expect("the writer has ended");
        self.heard.borrow_and_update().clone()
    }
}

impl<L> Drop for Writer<L> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn acknowledge(verb: &str, name: &str, generation: u64) {
    writeln!(std::io::stdout().lock(), "{ACKNOWLEDGED} {verb} {name} {generation}").unwrap();
}

fn good(generation: Generation, spec: Arc<Spec>) -> GoodGeneration {
    GoodGeneration { generation, spec, accepted_at: "2026-01-02T03:04:05Z".into() }
}

fn desired(generation: u64) -> Desired {
    // Some fit into a page of the store and some do not.
    let size = usize::try_from(generation * 769 % 9_000).unwrap();
    let env_vars = [("payload".to_owned(), "x".repeat(size))].into();
    let annotations = [("actord.freeze-after".to_owned(), "1s".to_owned())].into();
    let draft = SpecDraft { image: format!("image:{generation}"), env_vars, annotations, ..SpecDraft::default() };
    let spec = Arc::new(Spec::try_from(draft).unwrap());
    Desired {
        generation: Generation(generation),
        spec: spec.clone(),
        replicas: 1,
        kept_down: false,
        idle: false,
        adjusted: None,
        accepted_at: "2026-01-03T03:04:05Z".into(),
        history: (1..3).map(|n| good(Generation(3 - n), spec.clone())).collect(),
        has_served: true,
        failed: None,
        created_at: "2026-01-02T03:04:05Z".into(),
        refused: None,
    }
}

async fn deploy(store: Store, prefix: String) {
    for generation in 1.. {
        let name = format!("{prefix}-{}", generation % 17);
        let id: FunctionId = name.parse().unwrap();
        store.put(&id, &desired(generation)).await.unwrap();
        acknowledge("put", &name, generation);
        // That nothing calls it is written behind, and acknowledged to nobody.
        store.put(&id, &Desired { idle: true, ..desired(generation) }).await.unwrap();
        if is_deleted_at_times(&name) {
            store.delete(&id).await.unwrap();
            acknowledge("deleted", &name, generation);
        }
    }
}

/// Not a test: what runs in the process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a process of its own, for the tests of this file"]
async fn deploys_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let durability = if std::env::var_os(UNSYNCED).is_some() { Durability::Unsynced } else { Durability::Synced };
    let store = Store::open_with(&path, durability).unwrap();
    let deploys = ["lasting-a", "lasting-b", "fleeting"].map(|prefix| deploy(store.clone(), prefix.to_owned()));
    futures_util::future::join_all(deploys).await;
}
