//! The power is cut at random moments while functions are deployed, or calls accepted: nothing that was acknowledged is lost.
//!
//! ```text
//! writer process --puts--> ext4 on a loop device --> disk.img on XFS --cp --reflink--> cut.img, mounted and checked
//!       | acknowledges by a pipe: its list lies outside of the disk
//! ```
//! A reflink copy is taken in one instant. It holds what ext4 wrote to its disk, and nothing of what was still in its page
//! cache: the loop device writes past the cache of the file below (direct I/O). The list of what was acknowledged is taken
//! before the copy, so all that is on it must be in the copy. The same without syncing must lose some: otherwise the test
//! would not notice. 20 cuts, 200 with `ACTORD_SOAK=1`, or `ROUNDS`; `SEED` chooses the moments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod calls;
mod disk;
mod writer;

use std::path::Path;
use std::time::Duration;

use actord::store::{Durability, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use disk::Disk;
use writer::{Acknowledged, List, Writer};

#[derive(Debug, Default)]
struct Figures {
    cuts: usize,
    acknowledged: usize,
    lost: usize,
    corrupt: usize,
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty());
    text.map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// What is written while the power is cut.
trait Kind {
    type List: List;
    /// Its file on the disk.
    const FILE: &'static str;
    /// The test that writes it until it is killed.
    const WRITER: &'static str;
    /// Opens what a cut left, as `actord up` would.
    async fn check(dir: &Path, list: &Self::List, figures: &mut Figures);
}

fn cuts() -> usize {
    let usual = if std::env::var_os("ACTORD_SOAK").is_some() { 200 } else { 20 };
    setting("ROUNDS").map_or(usual, |rounds| usize::try_from(rounds).unwrap())
}

async fn cut_the_power<K: Kind>(durability: Durability, cuts: usize) -> Figures {
    let seed = setting("SEED").unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let disk = Disk::make();
    let mut writer = Writer::<K::List>::start(K::WRITER, &disk.mounted().join(K::FILE), durability);
    let mut figures = Figures { cuts, ..Figures::default() };
    for _ in 0..cuts {
        tokio::time::sleep(Duration::from_millis(random.random_range(5..150))).await;
        let acknowledged = writer.acknowledged().await;
        let after_the_cut = disk.cut();
        K::check(after_the_cut.mounted(), &acknowledged, &mut figures).await;
        let names = std::fs::read_dir(after_the_cut.mounted()).unwrap().map(|entry| entry.unwrap().file_name());
        if names.into_iter().any(|name| name.to_string_lossy().contains(".damaged-")) {
            figures.corrupt += 1;
        }
        after_the_cut.unmount().await;
    }
    figures.acknowledged = writer.acknowledged().await.count();
    println!(
        "power cuts: {} {durability:?} seed={seed} cuts={} acknowledged={} lost={} corrupt={}",
        K::FILE,
        figures.cuts,
        figures.acknowledged,
        figures.lost,
        figures.corrupt
    );
    figures
}

struct Deploys;

impl Kind for Deploys {
    type List = Acknowledged;
    const FILE: &'static str = "actord.db";
    const WRITER: &'static str = "writer::deploys_until_it_is_killed";

    async fn check(dir: &Path, acknowledged: &Acknowledged, figures: &mut Figures) {
        let path = dir.join(Self::FILE);
        let copy = dir.join("actord.db.good");
        if copy.exists() && Store::read(&copy).is_err() {
            figures.corrupt += 1;
        }
        let Ok(store) = Store::open(&path) else {
            figures.corrupt += 1;
            figures.lost += acknowledged.last.len();
            return;
        };
        let found = store.all().await.unwrap();
        let found = found.into_iter().map(|(id, desired)| (id.name.to_string(), desired.generation.0)).collect();
        figures.lost += acknowledged.lost(&found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_deploy_is_lost_when_the_power_is_cut() {
    let cuts = cuts();
    let figures = cut_the_power::<Deploys>(Durability::Synced, cuts).await;
    assert_eq!((figures.lost, figures.corrupt), (0, 0), "{figures:?}");
    assert!(figures.acknowledged > cuts, "hardly anything was written: {figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_syncing_the_same_cuts_lose_deploys() {
    let figures = cut_the_power::<Deploys>(Durability::Unsynced, 8).await;
    assert!(figures.lost > 0, "this test would not notice a lost deploy: {figures:?}");
}
