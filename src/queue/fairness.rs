//! Whose turn it is. Pure. One call a turn, each lane in its turn, so a flood in one lane holds up another's first call by one
//! turn of each.
//!
//! ```text
//! ready(lane) -> functions [ first: none under way | more: some are ]  \
//!                callbacks [ first                 | more           ]  / -> next: one of each in turn, the lane that waits longest
//! ```
//! Functions and callbacks take turns with each other, for callers make up as many hosts to be called back as they like: however
//! many those are, they cost functions every other turn. They have at most half of the places, too.
//!
//! Where as many calls are under way as may be in all, only a lane that has none gets a turn: calls that take long must not
//! keep everyone else's first call waiting. A turn costs the same whatever number of lanes there is: nobody is passed over one by
//! one.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// For what a lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The calls of a function.
    Function,
    /// Callbacks.
    Callback,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// Calls and callbacks in all.
    pub all: usize,
    /// Of these, callbacks.
    pub callbacks: usize,
    /// Whether one more lane of callbacks may have its first one under way beyond what may be.
    pub beyond: bool,
}

/// The lanes that have a call to be sent, in the order of their turns.
#[derive(Debug)]
pub struct Turns<K> {
    global: usize,
    /// Functions, then callbacks.
    kinds: [Ring<K>; 2],
    known: HashMap<K, Place>,
    ticket: u64,
    /// Which kind has the next turn, if it has a lane that may.
    next: usize,
}

/// The lanes of one kind by the time since which they wait for their turn.
#[derive(Debug)]
struct Ring<K> {
    first: BTreeMap<u64, K>,
    more: BTreeMap<u64, K>,
}

/// Where a lane stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    kind: usize,
    is_first: bool,
    ticket: u64,
}

impl<K: Copy + Eq + Hash> Turns<K> {
    /// No lane yet; `global` calls may be under way in all.
    #[must_use]
    pub fn new(global: usize) -> Self {
        let ring = || Ring { first: BTreeMap::new(), more: BTreeMap::new() };
        Self { global, kinds: [ring(), ring()], known: HashMap::new(), ticket: 0, next: 0 }
    }

    /// The lane has a call to be sent, and a place for it: it gets its turn after those that are there already. `is_first`: it has
    /// none under way. Where it is known already, only that is noted.
    pub fn ready(&mut self, lane: K, kind: Kind, is_first: bool) {
        let ticket = match self.remove(lane) {
            Some(before) => before.ticket,
            None => {
                self.ticket += 1;
                self.ticket
            }
        };
        let place = Place { kind: usize::from(kind == Kind::Callback), is_first, ticket };
        self.known.insert(lane, place);
        self.ring(place).insert(ticket, lane);
    }

    /// The lane has none any more, or may not be asked for one.
    pub fn not_ready(&mut self, lane: K) {
        self.remove(lane);
    }

    /// Whether no lane is ready.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whose turn it is, where so much is under way. It is not ready any more.
    pub fn next(&mut self, under_way: UnderWay) -> Option<K> {
        let is_free = under_way.all < self.global;
        let share = (self.global / 2).max(1);
        let may = [
            (true, is_free),
            (under_way.beyond || is_free && under_way.callbacks < share, is_free && under_way.callbacks < share),
        ];
        for kind in [self.next, 1 - self.next] {
            let (first, more) = may[kind];
            let ring = &self.kinds[kind];
            let first = ring.first.first_key_value().filter(|_| first);
            let more = ring.more.first_key_value().filter(|_| more);
            if let Some((_, lane)) = first.into_iter().chain(more).min_by_key(|(ticket, _)| **ticket) {
                let lane = *lane;
                self.remove(lane);
                self.next = 1 - kind;
                return Some(lane);
            }
        }
        None
    }

    fn remove(&mut self, lane: K) -> Option<Place> {
        let place = self.known.remove(&lane)?;
        self.ring(place).remove(&place.ticket);
        Some(place)
    }

    fn ring(&mut self, place: Place) -> &mut BTreeMap<u64, K> {
        let ring = &mut self.kinds[place.kind];
        if place.is_first { &mut ring.first } else { &mut ring.more }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const IDLE: UnderWay = UnderWay { all: 0, callbacks: 0, beyond: true };

    fn full(all: usize) -> UnderWay {
        UnderWay { all, ..IDLE }
    }

    fn ready(turns: &mut Turns<u32>, lanes: impl IntoIterator<Item = u32>) {
        lanes.into_iter().for_each(|lane| turns.ready(lane, Kind::Function, true));
    }

    #[test]
    fn a_flood_for_one_holds_up_anothers_first_call_by_one_turn() {
        let mut turns = Turns::new(9);
        ready(&mut turns, [1]);
        for _ in 0..1000 {
            assert_eq!(turns.next(IDLE), Some(1));
            ready(&mut turns, [1]);
        }
        ready(&mut turns, [2]);
        assert_eq!([turns.next(IDLE), turns.next(IDLE)], [Some(1), Some(2)]);
        assert_eq!(turns.next(IDLE), None, "whoever had a turn says so if there is more");
    }

    #[test]
    fn each_gets_its_turn_in_the_order_in_which_they_came() {
        let mut turns = Turns::new(9);
        ready(&mut turns, [3, 1, 2, 1, 3]);
        turns.not_ready(1);
        turns.not_ready(7);
        ready(&mut turns, [1]);
        assert_eq!([(); 4].map(|()| turns.next(IDLE)), [Some(3), Some(2), Some(1), None]);
    }

    #[test]
    fn where_all_places_are_taken_only_a_first_call_gets_a_turn_and_the_others_keep_theirs() {
        let mut turns = Turns::new(4);
        turns.ready(1, Kind::Function, false);
        turns.ready(2, Kind::Function, true);
        turns.ready(3, Kind::Function, false);
        assert_eq!([turns.next(full(4)), turns.next(full(4))], [Some(2), None]);
        turns.ready(3, Kind::Function, true);
        assert_eq!(turns.next(full(4)), Some(3), "its other calls have ended");
        turns.ready(3, Kind::Function, false);
        assert_eq!([(); 2].map(|()| turns.next(full(3))), [Some(1), Some(3)]);
    }

    #[test]
    fn callbacks_have_every_other_turn_and_half_of_the_places_however_many_lanes_they_are() {
        let mut turns = Turns::new(8);
        (100..10_100).for_each(|lane| turns.ready(lane, Kind::Callback, true));
        ready(&mut turns, [1, 2]);
        let order = [(); 5].map(|()| turns.next(IDLE));
        assert_eq!(order, [1, 100, 2, 101, 102].map(Some));
        let taken = UnderWay { all: 4, callbacks: 4, beyond: false };
        assert_eq!(turns.next(taken), None);
        assert_eq!(turns.next(UnderWay { beyond: true, ..taken }), Some(103), "a first one goes beyond");
        ready(&mut turns, [3]);
        assert_eq!(turns.next(taken), Some(3));
        assert_eq!(turns.next(UnderWay { all: 3, callbacks: 3, beyond: false }), Some(104));
    }

    thread_local! {
        static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    /// A lane that counts how often one is looked at.
    #[derive(Debug, Clone, Copy, Eq)]
    struct Counted(u32);

    impl Counted {
        fn looked_at() -> usize {
            LOOKED_AT.with(|count| count.replace(0))
        }

        fn look(self) -> u32 {
            LOOKED_AT.with(|count| count.set(count.get() + 1));
            self.0
        }
    }

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            self.look() == other.0
        }
    }

    impl Hash for Counted {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.look().hash(state);
        }
    }

    #[test]
    fn a_turn_costs_the_same_beside_ten_thousand_lanes_as_beside_ten() {
        let most = [10, 10_000].map(|lanes| {
            let mut turns = Turns::new(4);
            (1..lanes).for_each(|lane| turns.ready(Counted(lane), Kind::Callback, lane % 2 == 0));
            let mut most = 0;
            for round in 0..1000 {
                Counted::looked_at();
                turns.ready(Counted(0), Kind::Function, false);
                // All places are taken, or one is free: nobody is passed over one by one.
                assert_eq!(turns.next(UnderWay { all: 4, callbacks: 4, beyond: false }), None);
                let under_way = UnderWay { all: 3, callbacks: if round % 2 == 0 { 3 } else { 1 }, beyond: false };
                let lane = turns.next(under_way).unwrap();
                turns.ready(lane, if lane.0 == 0 { Kind::Function } else { Kind::Callback }, round % 3 == 0);
                turns.not_ready(Counted(0));
                most = most.max(Counted::looked_at());
            }
            most
        });
        assert!(most[1] <= 40 && most[1] <= 2 * most[0], "{most:?}");
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

    /// The last two are callbacks.
    fn kind(lane: usize) -> Kind {
        if lane < 4 { Kind::Function } else { Kind::Callback }
    }

    fn touch(turns: &mut Turns<u8>, lanes: &[Lane], at: u8) {
        let lane = &lanes[usize::from(at)];
        if lane.waiting > 0 && lane.in_flight < lane.limit {
            turns.ready(at, kind(at.into()), lane.in_flight == 0);
        } else {
            turns.not_ready(at);
        }
    }

    proptest! {
        /// Against what the words say, for any order of calls that come, turns, and calls that end.
        #[test]
        fn nobody_waits_longer_than_a_turn_of_each_other_lane_of_its_kind_for_a_first_call(
            global in 1..8_usize, limits in prop::array::uniform6(1..4_u32), beyond in any::<bool>(), steps in steps(),
        ) {
            let mut turns = Turns::new(global);
            let mut lanes: Vec<Lane> = limits.map(|limit| Lane { limit, ..Lane::default() }).into();
            for step in steps {
                match step {
                    Step::Comes(lane) => {
                        lanes[lane as usize].waiting += 1;
                        touch(&mut turns, &lanes, lane);
                    }
                    Step::Ends(lane) => {
                        let ended = &mut lanes[lane as usize];
                        ended.in_flight = ended.in_flight.saturating_sub(1);
                        touch(&mut turns, &lanes, lane);
                    }
                    Step::Turn => {
                        let sum = |lanes: &[Lane]| lanes.iter().map(|lane| lane.in_flight as usize).sum::<usize>();
                        let under_way = UnderWay { all: sum(&lanes), callbacks: sum(&lanes[4..]), beyond };
                        let turn = turns.next(under_way);
                        let may = |at: usize| {
                            let lane = &lanes[at];
                            let (is_free, is_callback) = (under_way.all < global, kind(at) == Kind::Callback);
                            let has_share = !is_callback || under_way.callbacks < (global / 2).max(1);
                            let is_first = lane.in_flight == 0 && (!is_callback || beyond);
                            lane.waiting > 0 && lane.in_flight < lane.limit && (is_free && has_share || is_first)
                        };
                        let Some(turn) = turn else {
                            prop_assert!(!(0..6).any(may), "a turn was due: {lanes:?}");
                            continue;
                        };
                        prop_assert!(may(turn.into()), "{turn} may not: {lanes:?}");
                        for (at, lane) in lanes.iter_mut().enumerate() {
                            if at == turn as usize {
                                lane.waiting -= 1;
                                lane.in_flight += 1;
                                lane.others.clear();
                            } else if lane.waiting > 0 && lane.in_flight == 0 && kind(at) == kind(turn.into()) {
                                let had = lane.others.entry(turn).or_default();
                                *had += 1;
                                prop_assert!(*had <= 1, "{at} waits, and {turn} had {had} turns");
                            }
                        }
                        touch(&mut turns, &lanes, turn);
                    }
                }
            }
        }
    }
}
