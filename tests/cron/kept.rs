//! What keeps calls, in memory: a call and its due time by one lock, as the queue does by one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use actord::cron::{Calls, Fired, Firing, Key, Known, Mark};
use async_trait::async_trait;

/// What becomes of the next calls that are to be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Disk {
    #[default]
    Well,
    /// Nothing is kept.
    Full,
    /// All is kept, and nobody is told.
    LosesAnswers,
    /// Whoever asks panics, once.
    Panics,
}

#[derive(Default)]
struct State {
    known: BTreeMap<Key, Known>,
    fired: Vec<(Key, Firing)>,
    ended: BTreeSet<String>,
    disk: Disk,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Kept(Mutex<State>);

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Function and due time of all calls, in the order in which they were kept.
    pub(crate) fn fired(&self) -> Vec<(String, String)> {
        let each = |(key, firing): &(Key, Firing)| (key.function.name.to_string(), firing.due.to_string());
        self.state().fired.iter().map(each).collect()
    }

    pub(crate) fn forget_calls(&self) {
        self.state().fired.clear();
    }

    pub(crate) fn end_all(&self) {
        let mut state = self.state();
        let calls: Vec<_> = state.known.values().filter_map(|known| known.last_call.clone()).collect();
        state.ended.extend(calls);
    }

    pub(crate) fn disk(&self, disk: Disk) {
        self.state().disk = disk;
    }

    pub(crate) fn known(&self) -> Vec<Known> {
        self.state().known.values().cloned().collect()
    }
}

#[async_trait]
impl Calls for Kept {
    async fn fired(&self) -> Result<Vec<Known>, String> {
        Ok(self.known())
    }

    async fn fire(&self, firing: Firing) -> Result<Fired, String> {
        let mut state = self.state();
        if state.disk == Disk::Panics {
            state.disk = Disk::Well;
            panic!("a test asked for it");
        }
        if state.disk == Disk::Full {
            return Err("the disk is full".to_owned());
        }
        let call = format!("call-{}", state.fired.len() + 1);
        let known = state.known.get(&firing.key).cloned().expect("a schedule is seen before it fires");
        if known.last_due.is_some_and(|last| firing.due <= last) {
            return Ok(Fired::Already);
        }
        let goes_on = known.last_call.as_ref().is_some_and(|call| !state.ended.contains(call));
        let mut known = Known { last_due: Some(firing.due), ..known };
        let done = if firing.skip && goes_on {
            known.skipped += 1;
            Fired::Skipped
        } else {
            (known.last_call, known.fired_at) = (Some(call.clone()), Some(firing.now));
            state.fired.push((firing.key.clone(), firing.clone()));
            Fired::Now(call)
        };
        state.known.insert(firing.key, known);
        if state.disk == Disk::LosesAnswers { Err("no answer".to_owned()) } else { Ok(done) }
    }

    async fn mark(&self, key: Key, mark: Mark) -> Result<(), String> {
        let mut state = self.state();
        if state.disk == Disk::Full {
            return Err("the disk is full".to_owned());
        }
        let fresh = |at| Known {
            key: key.clone(),
            anchor: at,
            last_due: Some(at),
            last_call: None,
            fired_at: None,
            missed: 0,
            skipped: 0,
        };
        match mark {
            Mark::Seen(at) => {
                state.known.entry(key.clone()).or_insert_with(|| fresh(at));
            }
            Mark::Anew(at) => {
                let known = state.known.entry(key.clone()).or_insert_with(|| fresh(at));
                (known.anchor, known.last_due) = (at, Some(at));
            }
            Mark::Missed(through, count) => {
                let known = state.known.get_mut(&key).expect("a schedule is seen before it misses anything");
                known.last_due = known.last_due.max(Some(through));
                known.missed += count;
            }
            Mark::Gone => {
                state.known.remove(&key);
            }
        }
        Ok(())
    }
}
