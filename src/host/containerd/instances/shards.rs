//! Which shard an instance is in: the instances of one shard share a shim of the built-in runtime, and go down with it.
//!
//! Two instances of one function are in different shards where that is possible: the old and the new generation of an
//! update, replicas, a spare and what it stands by for. Next, a shard in which fewer are just being made is taken, since a
//! shim makes one at a time; next, the one with the fewest instances. The shard is noted on the container's record, where
//! the next actord finds it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::function::{FunctionId, InstanceId};

/// The instances that are in a shard, by themselves.
#[derive(Debug)]
pub(super) struct Shards {
    count: usize,
    taken: Mutex<HashMap<InstanceId, Place>>,
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

    fn taken(&self) -> MutexGuard<'_, HashMap<InstanceId, Place>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the shard of an instance that is made now, and keeps its place there until [`Shards::release`].
    pub(super) fn choose(&self, id: &InstanceId, function: &FunctionId) -> usize {
        let mut taken = self.taken();
        let mut load = vec![(0_usize, 0_usize, 0_usize); self.count];
        for place in taken.values() {
            // One that an actord with more shards chose is none of these.
            if let Some((alike, being_made, all)) = load.get_mut(place.shard) {
                *alike += usize::from(place.function == *function);
                *being_made += usize::from(!place.made);
                *all += 1;
            }
        }
        let shard = (0..self.count).min_by_key(|shard| load[*shard]).unwrap_or_default();
        taken.insert(id.clone(), Place { shard, function: function.clone(), made: false });
        shard
    }

    /// An instance is made.
    pub(super) fn made(&self, id: &InstanceId) {
        if let Some(place) = self.taken().get_mut(id) {
            place.made = true;
        }
    }

    /// An instance was found in a shard.
    pub(super) fn adopt(&self, id: &InstanceId, function: &FunctionId, shard: usize) {
        let place = || Place { shard, function: function.clone(), made: true };
        self.taken().entry(id.clone()).or_insert_with(place);
    }

    /// An instance is gone.
    pub(super) fn release(&self, id: &InstanceId) {
        self.taken().remove(id);
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

    #[test]
    fn what_is_gone_takes_no_place_and_what_an_actord_with_more_shards_made_is_none_of_these() {
        let shards = Shards::new(2);
        let first = shards.choose(&id("a", 0), &function("a"));
        shards.release(&id("a", 0));
        assert_eq!(shards.choose(&id("a", 1), &function("a")), first);
        shards.adopt(&id("z", 0), &function("z"), 7);
        assert_eq!(shards.choose(&id("z", 1), &function("z")), 1 - first);
    }
}
