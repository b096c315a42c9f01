//! Which shard an instance is in: the instances of one shard share a shim of the built-in runtime, and go down with it.
//!
//! Two instances of one function are in different shards where that is possible: the old and the new generation of an
//! update, replicas, a spare and what it stands by for. Next, a shard is taken in which none failed to be made of late: its
//! shim may be stopped or stuck, and would be chosen again and again for having few. Next, one in which fewer are just being
//! made, since a shim makes one at a time; next, the one with the fewest instances. The shard is noted on the container's record, where
//! the next actord finds it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::function::{FunctionId, InstanceId};

/// How long a shard in which an instance failed to be made comes after the others.
const AVOIDED_FOR: Duration = Duration::from_secs(60);

/// The instances that are in a shard, by themselves.
#[derive(Debug)]
pub(super) struct Shards {
    count: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    places: HashMap<InstanceId, Place>,
    /// When an instance failed last to be made in a shard, where none was made since.
    failed: HashMap<usize, Instant>,
}

#[derive(Debug)]
struct Place {
    shard: usize,
    function: FunctionId,
    /// Whether it is made completely.
    made: bool,
}

impl Shards {
    pub(super) fn new(count: usize) -> Self {
        Self { count: count.max(1), taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the shard of an instance that is made now, and keeps its place there until [`Shards::release`].
    pub(super) fn choose(&self, id: &InstanceId, function: &FunctionId) -> usize {
        let mut taken = self.taken();
        taken.failed.retain(|_, at| at.elapsed() < AVOIDED_FOR);
        let of = |shard| (0_usize, taken.failed.contains_key(&shard), 0_usize, 0_usize);
        let mut load: Vec<_> = (0..self.count).map(of).collect();
        for place in taken.places.values() {
            // One that an actord with more shards chose is none of these.
            if let Some((alike, _, being_made, all)) = load.get_mut(place.shard) {
                *alike += usize::from(place.function == *function);
                *being_made += usize::from(!place.made);
                *all += 1;
            }
        }
        let shard = (0..self.count).min_by_key(|shard| load[*shard]).unwrap_or_default();
        taken.places.insert(id.clone(), Place { shard, function: function.clone(), made: false });
        shard
    }

    /// An instance is made.
    pub(super) fn made(&self, id: &InstanceId) {
        let mut taken = self.taken();
        if let Some(place) = taken.places.get_mut(id) {
            place.made = true;
            let shard = place.shard;
            taken.failed.remove(&shard);
        }
    }

    /// An instance was found in a shard.
    pub(super) fn adopt(&self, id: &InstanceId, function: &FunctionId, shard: usize) {
        let place = || Place { shard, function: function.clone(), made: true };
        self.taken().places.entry(id.clone()).or_insert_with(place);
    }

    /// An instance is gone, or was not made.
    pub(super) fn release(&self, id: &InstanceId) {
        let mut taken = self.taken();
        if let Some(Place { shard, made: false, .. }) = taken.places.remove(id) {
            taken.failed.insert(shard, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(function: &str, number: usize) -> InstanceId {
        format!("{function}-{number}").parse().unwrap()
    }

    fn function(name: &str) -> FunctionId {
        format!("{name}.ns").parse().unwrap()
    }

    #[test]
    fn instances_of_one_function_are_in_different_shards_while_there_are_any_and_shards_are_filled_alike() {
        let shards = Shards::new(4);
        let mut full = [0; 4];
        for name in ["a", "b", "c"] {
            let chosen: Vec<_> = (0..4).map(|number| shards.choose(&id(name, number), &function(name))).collect();
            assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), 4, "{name}: {chosen:?}");
            chosen.into_iter().for_each(|shard| full[shard] += 1);
        }
        assert_eq!(full, [3; 4]);
        shards.choose(&id("a", 5), &function("a"));
    }

    #[test]
    fn a_new_generation_takes_the_place_of_none_that_serves_even_when_others_are_emptier() {
        let shards = Shards::new(2);
        let old = shards.choose(&id("f", 0), &function("f"));
        for number in 0..4 {
            shards.adopt(&id("g", number), &function("g"), 1 - old);
        }
        assert_eq!(shards.choose(&id("f", 1), &function("f")), 1 - old);
    }

    #[test]
    fn a_shard_in_which_one_is_being_made_comes_after_a_fuller_one() {
        let shards = Shards::new(2);
        let first = shards.choose(&id("a", 0), &function("a"));
        shards.adopt(&id("b", 0), &function("b"), 1 - first);
        shards.adopt(&id("c", 0), &function("c"), 1 - first);
        assert_eq!(shards.choose(&id("d", 0), &function("d")), 1 - first);
        for made in [id("a", 0), id("d", 0)] {
            shards.made(&made);
        }
        assert_eq!(shards.choose(&id("e", 0), &function("e")), first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_in_which_one_failed_to_be_made_is_avoided_for_a_while_or_until_one_is_made_there() {
        let shards = Shards::new(2);
        let stuck = shards.choose(&id("a", 0), &function("a"));
        shards.adopt(&id("b", 0), &function("b"), 1 - stuck);
        shards.release(&id("a", 0));
        assert_eq!(shards.choose(&id("a", 1), &function("a")), 1 - stuck, "though it is the fuller one");
        assert_eq!(shards.choose(&id("a", 2), &function("a")), stuck, "two of one function are apart all the same");
        shards.made(&id("a", 2));
        assert_eq!(shards.choose(&id("c", 0), &function("c")), stuck, "it works again");
        shards.release(&id("c", 0));
        assert_eq!(shards.choose(&id("d", 0), &function("d")), 1 - stuck);
        tokio::time::advance(AVOIDED_FOR).await;
        assert_eq!(shards.choose(&id("e", 0), &function("e")), stuck);
    }

    #[test]
    fn what_is_gone_takes_no_place_and_what_an_actord_with_more_shards_made_is_none_of_these() {
        let shards = Shards::new(2);
        let first = shards.choose(&id("a", 0), &function("a"));
        shards.made(&id("a", 0));
        shards.release(&id("a", 0));
        assert_eq!(shards.choose(&id("a", 1), &function("a")), first);
        shards.adopt(&id("z", 0), &function("z"), 7);
        assert_eq!(shards.choose(&id("z", 1), &function("z")), 1 - first);
    }
}
