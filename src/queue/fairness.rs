//! Whose turn it is. Pure. One call a turn, each lane in its turn, so a flood in one lane holds up another's first call by one
//! turn of each.
//!
//! ```text
//! ready(lane) -> [ ring ] -> next -> the first that may: it leaves the ring, and comes back by `ready` if it has more
//!                                    at its limit: it leaves the ring, and comes back when it has a place
//! ```
//! Where as many calls are under way as may be in all, only a lane that has none gets a turn: calls that take long must not
//! keep everyone else's first call waiting.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// How a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its calls under way.
    pub in_flight: u32,
    /// The most that may be.
    pub limit: u32,
    /// Whether it may have its first call under way beyond what may be in all.
    pub beyond: bool,
}

/// The lanes that have a call to be sent, in the order of their turns.
#[derive(Debug)]
pub struct Turns<K> {
    global: usize,
    ring: VecDeque<K>,
    known: HashSet<K>,
}

impl<K: Copy + Eq + Hash> Turns<K> {
    /// No lane yet; `global` calls may be under way in all.
    #[must_use]
    pub fn new(global: usize) -> Self {
        Self { global, ring: VecDeque::new(), known: HashSet::new() }
    }

    /// The lane has a call to be sent: it gets its turn after those that are there already.
    pub fn ready(&mut self, lane: K) {
        if self.known.insert(lane) {
            self.ring.push_back(lane);
        }
    }

    /// The lane has none any more, or may not be asked for one.
    pub fn not_ready(&mut self, lane: K) {
        if self.known.remove(&lane) {
            self.ring.retain(|other| *other != lane);
        }
    }

    /// Whose turn it is, where so many calls are under way in all. It is not ready any more.
    pub fn next(&mut self, in_flight: usize, standing: impl Fn(K) -> Standing) -> Option<K> {
        let mut at = 0;
        while let Some(lane) = self.ring.get(at).copied() {
            let mine = standing(lane);
            let is_full = mine.in_flight >= mine.limit;
            let may = in_flight < self.global || mine.in_flight == 0 && mine.beyond;
            if !is_full && !may {
                at += 1;
                continue;
            }
            self.ring.remove(at);
            self.known.remove(&lane);
            if !is_full {
                return Some(lane);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn free(_: u8) -> Standing {
        Standing { in_flight: 0, limit: 9, beyond: true }
    }

    #[test]
    fn a_flood_for_one_holds_up_anothers_first_call_by_one_turn() {
        let mut turns = Turns::new(9);
        turns.ready(1);
        for _ in 0..1000 {
            assert_eq!(turns.next(0, free), Some(1));
            turns.ready(1);
        }
        turns.ready(2);
        assert_eq!([turns.next(0, free), turns.next(0, free)], [Some(1), Some(2)]);
        assert_eq!(turns.next(0, free), None, "whoever had a turn says so if there is more");
    }

    #[test]
    fn each_gets_its_turn_in_the_order_in_which_they_came() {
        let mut turns = Turns::new(9);
        for lane in [3, 1, 2, 1, 3] {
            turns.ready(lane);
        }
        turns.not_ready(1);
        turns.not_ready(7);
        turns.ready(1);
        assert_eq!([(); 4].map(|()| turns.next(0, free)), [Some(3), Some(2), Some(1), None]);
    }

    #[test]
    fn who_is_at_its_limit_is_passed_over_and_comes_back() {
        let mut turns = Turns::new(9);
        turns.ready(1);
        turns.ready(2);
        let first_is_full = |lane| Standing { in_flight: if lane == 1 { 9 } else { 0 }, ..free(lane) };
        assert_eq!(turns.next(9 - 1, first_is_full), Some(2));
        assert_eq!(turns.next(0, free), None, "it left the ring");
        turns.ready(1);
        assert_eq!(turns.next(0, free), Some(1));
    }

    #[test]
    fn where_all_places_are_taken_only_a_first_call_gets_a_turn_and_the_others_keep_theirs() {
        let mut turns = Turns::new(4);
        for lane in [1, 2, 3] {
            turns.ready(lane);
        }
        let standing = |lane| Standing { in_flight: if lane == 2 { 0 } else { 2 }, ..free(lane) };
        assert_eq!(turns.next(4, standing), Some(2));
        assert_eq!(turns.next(4, standing), None);
        assert_eq!([(); 2].map(|()| turns.next(3, standing)), [Some(1), Some(3)]);
        turns.ready(4);
        assert_eq!(turns.next(4, |lane| Standing { beyond: false, ..free(lane) }), None);
        assert_eq!(turns.next(4, free), Some(4));
    }

    /// A lane of the model: what waits, what is under way, its limit, and how many turns others had since it is ready.
    #[derive(Debug, Default)]
    struct Lane {
        waiting: u32,
        in_flight: u32,
        limit: u32,
        others: BTreeMap<u8, u32>,
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Comes(u8),
        Turn,
        Ends(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..6_u8).prop_map(Step::Comes),
            Just(Step::Turn),
            Just(Step::Turn),
            (0..6_u8).prop_map(Step::Ends),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        /// Against what the words say, for any order of calls that come, turns, and calls that end.
        #[test]
        fn nobody_waits_longer_than_a_turn_of_each_other_lane_for_a_first_call(
            global in 1..8_usize, limits in prop::array::uniform6(1..4_u32), steps in steps(),
        ) {
            let mut turns = Turns::new(global);
            let mut lanes: Vec<Lane> = limits.map(|limit| Lane { limit, ..Lane::default() }).into();
            for step in steps {
                match step {
                    Step::Comes(lane) => {
                        lanes[lane as usize].waiting += 1;
                        turns.ready(lane);
                    }
                    Step::Ends(lane) => {
                        let ended = &mut lanes[lane as usize];
                        if ended.in_flight > 0 {
                            ended.in_flight -= 1;
                            if ended.waiting > 0 {
                                turns.ready(lane);
                            }
                        }
                    }
                    Step::Turn => {
                        let all: u32 = lanes.iter().map(|lane| lane.in_flight).sum();
                        let standing = |lane: u8| {
                            let Lane { in_flight, limit, .. } = lanes[lane as usize];
                            Standing { in_flight, limit, beyond: true }
                        };
                        let turn = turns.next(all as usize, standing);
                        let may = |lane: &Lane| {
                            let free = (all as usize) < global || lane.in_flight == 0;
                            lane.waiting > 0 && lane.in_flight < lane.limit && free
                        };
                        let Some(turn) = turn else {
                            prop_assert!(!lanes.iter().any(may), "a turn was due: {lanes:?}");
                            continue;
                        };
                        prop_assert!(may(&lanes[turn as usize]), "{turn} may not: {lanes:?}");
                        for (at, lane) in lanes.iter_mut().enumerate() {
                            if at == turn as usize {
                                lane.waiting -= 1;
                                lane.in_flight += 1;
                                lane.others.clear();
                            } else if lane.waiting > 0 && lane.in_flight == 0 {
                                let had = lane.others.entry(turn).or_default();
                                *had += 1;
                                prop_assert!(*had <= 1, "{at} waits, and {turn} had {had} turns");
                            }
                        }
                        if lanes[turn as usize].waiting > 0 {
                            turns.ready(turn);
                        }
                    }
                }
            }
        }
    }
}
