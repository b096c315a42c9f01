//! The order of calls in a lane, and that each is taken once.

use proptest::prelude::*;

use super::*;

fn head(due: i64, seq: i64) -> Head {
    Head { due, seq: Seq(seq) }
}

fn lane() -> Lane {
    Lane::new(LaneId(1), LaneKey::Host("h:80".into()), Gate::Open, 8)
}

fn begun() -> Lane {
    let mut lane = lane();
    assert_eq!(lane.begin_reading(0), Some(START));
    lane.read(vec![], None, 0);
    lane
}

fn taken(lane: &mut Lane) -> Vec<i64> {
    std::iter::from_fn(|| lane.take()).map(|head| head.seq.0).collect()
}

#[test]
fn what_comes_is_sent_in_the_order_in_which_it_came_and_nothing_is_read_for_it() {
    let mut lane = begun();
    for seq in 1..=5 {
        lane.told(head(seq, seq), 10);
    }
    assert_eq!((lane.begin_reading(10), taken(&mut lane)), (None, vec![1, 2, 3, 4, 5]));
}

#[test]
fn a_retry_that_waits_holds_up_none_that_came_later_and_has_its_turn_when_it_is_due() {
    let mut lane = begun();
    lane.told(head(100, 1), 10);
    for seq in 2..=4 {
        lane.told(head(10 + seq, seq), 20);
    }
    assert_eq!(lane.begin_reading(20), None);
    assert_eq!((lane.due(), taken(&mut lane)), (Some(100), vec![2, 3, 4]));
    assert_eq!(lane.begin_reading(100), Some(head(14, 4)));
    lane.read(vec![head(100, 1)], None, 100);
    assert_eq!(taken(&mut lane), [1]);
}

#[test]
fn what_is_told_of_while_it_is_being_read_is_taken_once() {
    let mut lane = lane();
    assert_eq!(lane.begin_reading(10), Some(START));
    for told in [head(5, 5), head(6, 6), head(9, 9)] {
        lane.told(told, 10);
    }
    assert_eq!(lane.begin_reading(10), None, "one at a time");
    lane.read(vec![head(4, 4), head(6, 6), head(7, 7)], None, 10);
    assert_eq!(taken(&mut lane), [4, 5, 6, 7, 9], "5 was passed over by the reader");
}

#[test]
fn what_was_given_back_goes_first_and_what_is_under_way_is_not_taken_twice() {
    let mut lane = begun();
    for seq in 1..=3 {
        lane.told(head(seq, seq), 10);
    }
    let first = lane.take().unwrap();
    lane.told(first, 10);
    lane.take();
    lane.give_back(first);
    assert_eq!(taken(&mut lane), [1, 3]);
    lane.begin_anew();
    assert_eq!(lane.begin_reading(10), Some(START));
    assert_eq!(lane.forget(Seq(1)), None);
    lane.read(vec![head(1, 1), head(2, 2), head(3, 3), head(4, 4)], None, 10);
    assert_eq!(taken(&mut lane), [4], "the others are under way, or were when it was read");
    lane.told(first, 10);
    assert_eq!(taken(&mut lane), [1], "it waits anew");
}

#[test]
fn only_some_are_held_in_memory_whatever_waits() {
    let mut lane = begun();
    for seq in 0..1000 {
        lane.told(head(seq, seq), 1000);
    }
    assert_eq!((lane.heads.len(), lane.next), (HEADS, Some(HEADS as i64)));
    assert_eq!(lane.begin_reading(1000), None, "enough is here");
    taken(&mut lane);
    assert_eq!(lane.begin_reading(1000), Some(head(63, 63)));
}

#[test]
fn callbacks_to_one_host_wait_for_each_other_and_those_to_functions_of_our_own_for_those_to_the_same_one() {
    let rules = super::super::Settings::usual().rules;
    for (url, waits) in [
        ("http://example.com/a", "example.com:80"),
        ("https://EXAMPLE.com./b?c", "example.com:443"),
        ("http://example.com:443/a", "example.com:443"),
        ("http://example.com/function/f.dev/a", "example.com:80"),
        ("http://example.com/async-function/g", "example.com:80"),
        ("http://[2001:db8::7]:80/", "[2001:db8::7]:80"),
        ("http://gateway:8080/function/f.dev/a", "/function/f.dev"),
        ("http://gateway/async-function/f.dev?x", "/function/f.dev"),
        ("http://gateway/function/f", "/function/f.openfaas-fn"),
        ("http://127.0.0.1/refused", "127.0.0.1:80"),
        ("no url", "nowhere"),
    ] {
        assert_eq!(of_callback(url, &rules), LaneKey::Host(waits.into()), "{url}");
    }
}

#[test]
fn what_is_set_aside_holds_up_nothing_until_there_is_too_much_of_it() {
    let mut lane = begun();
    for seq in 0..3 {
        lane.told(head(seq, seq), 10);
    }
    let (first, second) = (lane.take().unwrap(), lane.take().unwrap());
    lane.set_aside(second);
    lane.set_aside(first);
    assert_eq!(taken(&mut lane), [2]);
    assert_eq!((lane.oldest(10), lane.take_aside(), lane.has_aside()), (Some(0), Some(first), true));
    (10..10 + ASIDE as i64).for_each(|seq| lane.set_aside(head(5, seq)));
    lane.told(head(7, 7000), 10);
    assert!(!lane.has_head() && lane.begin_reading(10).is_none());
    while lane.take_aside().is_some() {}
    assert_eq!(taken(&mut lane), [7000]);
}

/// What the writer and the dispatcher do to a lane.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A call comes, to be due in so many ticks.
    Comes(i64),
    /// Its notice arrives.
    Told,
    Reads,
    HasRead,
    Takes,
    /// One that was taken ends, waits anew, or is given back.
    Ends(u8),
    /// It ends, and waits anew before its end is noted.
    Revives(u8),
    Again(u8),
    GivesBack(u8),
    Aside(u8),
    TakesAside,
    /// One on the disk that is due.
    Hurries(u8),
    Time(i64),
    Anew,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Comes(0)),
        4 => Just(Step::Told),
        2 => Just(Step::Reads),
        2 => Just(Step::HasRead),
        4 => Just(Step::Takes),
        2 => any::<u8>().prop_map(Step::Ends),
        1 => any::<u8>().prop_map(Step::Revives),
        2 => any::<u8>().prop_map(Step::Again),
        1 => any::<u8>().prop_map(Step::GivesBack),
        1 => any::<u8>().prop_map(Step::Aside),
        1 => Just(Step::TakesAside),
        1 => any::<u8>().prop_map(Step::Hurries),
        3 => (1..20_i64).prop_map(Step::Time),
        1 => Just(Step::Anew),
        1 => (0..20_i64).prop_map(Step::Comes),
    ];
    prop::collection::vec(step, 0..300)
}

/// The disk, the notices on their way, and what is under way.
#[derive(Default)]
struct World {
    now: i64,
    seq: i64,
    disk: BTreeSet<Head>,
    notices: VecDeque<Head>,
    taken: Vec<Head>,
    reading: Option<(Vec<Head>, Option<i64>)>,
}

impl World {
    fn read(&mut self, after: Head) {
        let (now, after) = (self.now, (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
        let due: Vec<_> = self.disk.range(after).copied().filter(|head| head.due <= now).take(HEADS).collect();
        let beyond = due.last().copied().map_or(after, |last| (std::ops::Bound::Excluded(last), after.1));
        self.reading = Some((due, self.disk.range(beyond).next().map(|head| head.due)));
    }

    fn has_read(&mut self, lane: &mut Lane) {
        if let Some((heads, next)) = self.reading.take() {
            lane.read(heads, next, self.now);
        }
    }

    fn tell(&mut self, lane: &mut Lane) {
        if let Some(head) = self.notices.pop_front() {
            lane.told(head, self.now);
        }
    }

    fn take(&mut self, lane: &mut Lane) -> Result<(), TestCaseError> {
        self.took(lane.take())
    }

    fn took(&mut self, head: Option<Head>) -> Result<(), TestCaseError> {
        if let Some(head) = head {
            prop_assert!(self.taken.iter().all(|other| other.seq != head.seq), "{head:?} was taken twice");
            prop_assert!(head.due <= self.now, "{head:?} is not due at {}", self.now);
            self.taken.push(head);
        }
        Ok(())
    }

    fn taken(&mut self, which: u8) -> Option<Head> {
        let count = self.taken.len().max(1);
        (!self.taken.is_empty()).then(|| self.taken.swap_remove(usize::from(which) % count))
    }
}

proptest! {
    /// Whatever the order in which calls come, are told of, read, taken and given back: each is taken once for each time
    /// that it waits, none before it is due, and in the end all are.
    #[test]
    fn every_call_is_taken_once_and_none_is_forgotten(steps in steps()) {
        let (mut world, mut lane) = (World::default(), lane());
        for step in steps {
            match step {
                Step::Comes(later) => {
                    world.seq += 1;
                    let head = head(world.now + later, world.seq);
                    world.disk.insert(head);
                    world.notices.push_back(head);
                }
                Step::Told => world.tell(&mut lane),
                Step::Reads => {
                    if let Some(after) = lane.begin_reading(world.now) {
                        world.read(after);
                    }
                }
                Step::HasRead => world.has_read(&mut lane),
                Step::Takes => world.take(&mut lane)?,
                // As the dispatcher does: all that was told before an end is noted before the end.
                Step::Ends(which) => {
                    if let Some(head) = world.taken(which) {
                        world.disk.remove(&head);
                        while !world.notices.is_empty() {
                            world.tell(&mut lane);
                        }
                        prop_assert_eq!(lane.forget(head.seq), None);
                    }
                }
                Step::Revives(which) => {
                    if let Some(before) = world.taken(which) {
                        let anew = head(world.now.max(before.due + 1), before.seq.0);
                        world.disk.remove(&before);
                        world.disk.insert(anew);
                        world.notices.push_back(anew);
                        while !world.notices.is_empty() {
                            world.tell(&mut lane);
                        }
                        let told = lane.forget(anew.seq);
                        prop_assert_eq!(told, Some(anew));
                        lane.told(anew, world.now);
                    }
                }
                Step::Again(which) => {
                    if let Some(before) = world.taken(which) {
                        let again = head(world.now + 1 + i64::from(which % 8), before.seq.0);
                        world.disk.remove(&before);
                        world.disk.insert(again);
                        world.notices.push_back(again);
                        while !world.notices.is_empty() {
                            world.tell(&mut lane);
                        }
                        let told = lane.forget(again.seq);
                        lane.told(again, world.now);
                        told.into_iter().for_each(|head| lane.told(head, world.now));
                    }
                }
                Step::GivesBack(which) => {
                    if let Some(head) = world.taken(which) {
                        lane.give_back(head);
                    }
                }
                Step::Aside(which) => {
                    if let Some(head) = world.taken(which) {
                        lane.set_aside(head);
                    }
                }
                Step::Hurries(which) => {
                    let due: Vec<_> = world.disk.iter().filter(|head| head.due <= world.now).copied().collect();
                    if let Some(head) = due.get(usize::from(which) % due.len().max(1)) {
                        lane.hurry(*head);
                    }
                }
                Step::TakesAside => world.took(lane.take_aside())?,
                Step::Time(ticks) => world.now += ticks,
                Step::Anew => lane.begin_anew(),
            }
            prop_assert!(lane.heads.len() <= HEADS + FEW);
        }
        // In the end all is told, read and taken.
        world.now += 100;
        let waiting: Vec<Head> = world.disk.iter().filter(|head| world.taken.iter().all(|one| one.seq != head.seq)).copied().collect();
        let under_way = world.taken.len();
        for _ in 0..waiting.len() * 3 + 10 {
            world.has_read(&mut lane);
            world.tell(&mut lane);
            if let Some(after) = lane.begin_reading(world.now) {
                world.read(after);
            }
            world.take(&mut lane)?;
            world.took(lane.take_aside())?;
        }
        let sent: BTreeSet<Seq> = world.taken[under_way..].iter().map(|head| head.seq).collect();
        prop_assert_eq!(sent, waiting.iter().map(|head| head.seq).collect::<BTreeSet<_>>());
    }
}
