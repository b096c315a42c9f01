//! Asynchronous calls are accepted, and some of them end, while the power is cut: none that was answered with its id is lost, and none
//! that had ended waits again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actord::store::Durability;
use actord::store::calls::{Attempt, Bounds, CallId, Calls, Filter, Kept, NewCall, Seq, Settled, State, Summary};

use crate::writer::{FILE, List, UNSYNCED};
use crate::{Figures, Kind};

/// Who accepts side by side.
const CALLERS: usize = 64;

/// So many wait at most, and as many more that nobody calls: the disk is small.
const WAITING: usize = 1_000;

/// As little is kept of what has ended as lets a cut be checked.
const BOUNDS: Bounds =
    Bounds { kept: Duration::from_secs(3600), kept_most: 2_000, dead: None, dead_bytes: 2 << 20, bytes: None };

/// What was answered with its id, and what was told to have ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    accepted: HashSet<String>,
    ended: HashSet<String>,
}

impl List for Told {
    fn hear(&mut self, verb: &str, name: &str, _: u64) {
        let list = if verb == "accepted" { &mut self.accepted } else { &mut self.ended };
        list.insert(name.to_owned());
    }

    fn count(&self) -> usize {
        self.accepted.len()
    }
}

pub(crate) struct AsynchronousCalls;

impl Kind for AsynchronousCalls {
    type List = Told;
    const FILE: &'static str = "calls.db";
    const WRITER: &'static str = "calls::accepts_and_ends_until_it_is_killed";

    async fn check(dir: &Path, told: &Told, figures: &mut Figures) {
        let calls = match Calls::open_with(&dir.join(Self::FILE), BOUNDS, 0, Durability::Synced) {
            Ok(calls) => calls,
            Err(error) => {
                println!("after a cut the file can't be opened: {error}");
                figures.corrupt += 1;
                figures.lost += told.accepted.len();
                return;
            }
        };
        figures.corrupt += calls.miscounts().await.unwrap().len();
        let kept: HashMap<String, State> =
            all(&calls).await.into_iter().map(|call| (call.id.to_string(), call.state)).collect();
        // What has ended may be gone by its bounds.
        let is_lost = |id: &&String| !kept.contains_key(*id) && !told.ended.contains(*id);
        let waits_again = |id: &&String| kept.get(*id) == Some(&State::Waiting);
        figures.lost += told.accepted.iter().filter(is_lost).count() + told.ended.iter().filter(waits_again).count();
        for call in sound(&calls).await {
            figures.corrupt += usize::from(!call);
        }
    }
}

async fn all(calls: &Calls) -> Vec<Summary> {
    let (mut filter, mut found) = (Filter { limit: 1_000, ..Filter::default() }, Vec::new());
    loop {
        let page = calls.page(filter.clone()).await.unwrap();
        found.extend(page.calls);
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return found,
        }
    }
}

/// Whether the first calls that wait are as they were written.
async fn sound(calls: &Calls) -> Vec<bool> {
    let mut sound = Vec::new();
    for lane in calls.lanes() {
        for head in calls.heads(lane.id, None, i64::MAX).await.unwrap().heads {
            sound.push(calls.load(head.seq).await.unwrap().is_some_and(|call| call.sound));
        }
    }
    sound
}

fn tell(verb: &str, id: CallId) {
    writeln!(std::io::stdout().lock(), "{} {verb} {id} 0", crate::writer::ACKNOWLEDGED).unwrap();
}

async fn accept(calls: Calls, caller: usize) {
    for n in 0.. {
        let id = CallId::new(n);
        let call = NewCall {
            id,
            accepted: n,
            head: bytes::Bytes::from_static(&[b'h'; 120]),
            // Some fit into a page and some do not.
            body: vec![b'b'; if n % 50 == 0 { 9_000 } else { 200 }].into(),
            ..NewCall::plain(format!("f-{}", caller % 5).parse().unwrap())
        };
        while calls.lanes().iter().map(|lane| lane.waiting()).sum::<u64>() > 2 * WAITING as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        calls.accept(call).await.unwrap();
        tell("accepted", id);
    }
}

/// Of sixteen calls one goes on waiting, some are tried again, and the others end.
fn waits_on(seq: Seq) -> bool {
    seq.0 % 16 == 0
}

async fn dispatch(calls: Calls, seq: Seq) {
    let Some(call) = calls.load(seq).await.unwrap().map(|loaded| loaded.call) else { return };
    let attempt = Attempt { started: 0, took: 1, status: Some(200), error: None, callback: false };
    let settled = match seq.0 % 16 {
        1 | 2 if call.tries == 0 => Settled::Again { due: 0, attempt },
        3 | 4 => Settled::Dead { attempt: None, reason: "no".into(), answer: None },
        _ => Settled::Done { attempt, answer: Kept { body: vec![b'a'; 100].into(), total: 100, ..Kept::default() } },
    };
    let ends = !matches!(settled, Settled::Again { .. });
    settle(&calls, seq, settled).await;
    if ends {
        tell("ended", call.id);
    }
}

async fn settle(calls: &Calls, seq: Seq, settled: Settled) {
    assert!(calls.settle(seq, settled).await.unwrap().0);
}

/// Not a test: what runs in the process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a process of its own, for the tests of this file"]
async fn accepts_and_ends_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let durability = if std::env::var_os(UNSYNCED).is_some() { Durability::Unsynced } else { Durability::Synced };
    let calls = Calls::open_with(&path, BOUNDS, 0, durability).unwrap();
    let mut notices = calls.notices();
    for caller in 0..CALLERS {
        tokio::spawn(accept(calls.clone(), caller));
    }
    let house = calls.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            house.tidy().await.unwrap();
        }
    });
    let mut left = VecDeque::new();
    while let Some(batch) = notices.recv().await {
        let (waiting, called): (Vec<Seq>, Vec<Seq>) =
            batch.iter().map(|notice| notice.head.seq).partition(|seq| waits_on(*seq));
        left.extend(waiting);
        let late = left.drain(..left.len().saturating_sub(WAITING)).chain(called);
        futures_util::future::join_all(late.map(|seq| dispatch(calls.clone(), seq))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_that_was_accepted_is_lost_when_the_power_is_cut_and_none_that_ended_waits_again() {
    let cuts = crate::cuts();
    let figures = crate::cut_the_power::<AsynchronousCalls>(Durability::Synced, cuts).await;
    assert_eq!((figures.lost, figures.corrupt), (0, 0), "{figures:?}");
    assert!(figures.acknowledged > cuts, "hardly anything was accepted: {figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_syncing_the_same_cuts_lose_calls() {
    let figures = crate::cut_the_power::<AsynchronousCalls>(Durability::Unsynced, 8).await;
    assert!(figures.lost > 0, "this test would not notice a lost call: {figures:?}");
}
