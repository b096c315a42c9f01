//! From any state of the disk and any order of cuts the end is one of two whole programs with its own store.

use proptest::prelude::*;

use super::*;
use crate::upgrade::marker::testing::marker;

/// What is kept, as far as it matters: who can read it, and whether it has what was accepted before the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    Old,
    New,
    /// A copy is being put in its place.
    Half,
}

/// Who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    None,
    /// Waits; it becomes whatever program is there when it is its turn.
    Parked(Place),
    Runs(Place),
}

/// One change of the world that is all or nothing.
#[derive(Debug, Clone)]
enum Part {
    Mark(Step),
    Program(Place),
    CopyHalf,
    CopyAll,
    Ask,
    End,
    StoreHalf,
    StoreAll,
    ForgetCopies,
    Stay,
    Unmark(End),
}

#[derive(Debug, Clone)]
struct World {
    step: Option<Step>,
    mine: bool,
    same_boot: bool,
    program: Place,
    store: Store,
    copied: bool,
    process: Process,
    asked: bool,
    parts: Vec<Part>,
    verdict: Verdict,
    ended: Option<End>,
    changes: bool,
    package: bool,
    /// Whether this watcher installed the old package itself: only then it is known to be whole.
    reinstalled: bool,
    /// Whether the copies are no longer what they were.
    damaged: bool,
    /// Whether there was a reason for what did not pass to stay.
    stays: bool,
    /// Whether an operator has stopped it.
    stopped: bool,
}

impl World {
    fn new(changes: bool, package: bool) -> Self {
        Self {
            step: Some(Step::Prepared),
            mine: false,
            same_boot: true,
            program: Place::From,
            store: Store::Old,
            copied: false,
            process: Process::Runs(Place::From),
            asked: false,
            parts: Vec::new(),
            verdict: Verdict::Undecided,
            ended: None,
            changes,
            package,
            reinstalled: false,
            damaged: false,
            stays: false,
            stopped: false,
        }
    }

    fn parts_of(&self, act: Act) -> Vec<Part> {
        let trial = Step::Trial { since_boot: Duration::ZERO, pid: None };
        let half: &[Part] = if self.package { &[Part::Program(Place::Other)] } else { &[] };
        let program = |place| [half, &[Part::Program(place)]].concat();
        match act {
            Act::Wait => vec![],
            Act::Stop => vec![Part::Mark(Step::Stopping), Part::Ask],
            Act::Copy => vec![Part::CopyHalf, Part::CopyAll, Part::Mark(Step::Copied)],
            Act::Switch => [vec![Part::Mark(Step::Switched)], program(Place::To)].concat(),
            Act::Try => vec![Part::Mark(trial)],
            Act::Pass => vec![Part::Mark(Step::Passed)],
            Act::GoBack(_) if self.changes && self.copied && self.damaged => match self.step {
                Some(Step::Trial { .. }) => vec![Part::Stay],
                _ => vec![Part::ForgetCopies, Part::Mark(Step::GoingBack { restored: false })],
            },
            Act::GoBack(_) => vec![Part::Mark(Step::GoingBack { restored: false })],
            Act::PutBack => program(Place::From),
            Act::End => vec![Part::End],
            Act::Restore if self.changes && self.copied => {
                vec![Part::StoreHalf, Part::StoreAll, Part::Mark(Step::GoingBack { restored: true })]
            }
            Act::Restore => vec![Part::Mark(Step::GoingBack { restored: true })],
            Act::Return => vec![Part::Mark(Step::Back)],
            Act::Finish(end) => vec![Part::Unmark(end)],
        }
    }

    fn seen(&self, patience: Duration) -> Seen {
        let marker_is_back = matches!(self.step, Some(Step::GoingBack { .. }));
        let unsure = self.package && marker_is_back && !self.reinstalled && self.program == Place::From;
        Seen {
            program: if unsure { Place::Other } else { self.program },
            is_parked: matches!(self.process, Process::Parked(_)),
            runs: matches!(self.process, Process::Runs(_)),
            is_stopped: self.stopped,
            is_mine: self.mine,
            same_boot: self.same_boot,
            here: patience,
            alone: patience,
            verdict: self.verdict.clone(),
        }
    }

    /// What the watcher does next.
    fn watch(&mut self, patience: Duration) {
        let Some(step) = self.step.clone() else { return };
        if self.parts.is_empty() {
            let mut now = marker(step, self.changes);
            now.to.deb = self.package.then(|| "new.deb".into());
            now.reason = self.stays.then(|| "damaged".into());
            self.parts = self.parts_of(next(&now, &self.seen(patience)));
            self.parts.reverse();
        }
        match self.parts.pop() {
            None => {}
            Some(Part::Mark(step)) => {
                (self.step, self.mine, self.same_boot) = (Some(step), true, true);
                self.verdict = Verdict::Undecided;
            }
            Some(Part::Program(place)) => {
                self.program = place;
                self.reinstalled = self.step != Some(Step::Switched) && place == Place::From;
            }
            Some(Part::CopyHalf) => self.copied = false,
            Some(Part::CopyAll) => {
                assert_eq!(self.store, Store::Old, "what is copied is the old one's");
                assert!(!matches!(self.process, Process::Runs(_)), "nobody changes what is being copied");
                (self.copied, self.damaged) = (true, false);
            }
            Some(Part::Ask) => self.asked = true,
            Some(Part::End) => {
                self.process = if let Process::Runs(_) = self.process { Process::None } else { self.process };
            }
            Some(Part::StoreHalf) => {
                assert!(!matches!(self.process, Process::Runs(_)), "nobody uses what is being put back");
                assert!(!self.damaged, "what is put back is whole");
                self.store = Store::Half;
            }
            Some(Part::StoreAll) => self.store = Store::Old,
            Some(Part::ForgetCopies) => {
                assert_eq!(self.store, Store::Old, "nobody was let in");
                self.copied = false;
            }
            Some(Part::Stay) => (self.step, self.mine, self.stays) = (Some(Step::Passed), true, true),
            Some(Part::Unmark(end)) => (self.step, self.ended) = (None, Some(end)),
        }
    }

    /// What processes and their manager do next.
    fn live(&mut self) {
        if self.stopped {
            self.process = Process::None;
            return;
        }
        if self.asked && matches!(self.process, Process::Runs(Place::From)) {
            (self.process, self.asked) = (Process::None, false);
            return;
        }
        let waits = self.step.as_ref().is_some_and(Step::has_up_wait);
        match self.process {
            // Half a program can't be executed.
            Process::None if self.program != Place::Other && waits => self.process = Process::Parked(self.program),
            Process::None if self.program != Place::Other => self.run(self.program),
            Process::Parked(_) if !waits && self.program != Place::Other => self.run(self.program),
            _ => {}
        }
    }

    fn run(&mut self, place: Place) {
        self.process = Process::Runs(place);
        match place {
            Place::To if self.changes => {
                assert_ne!(self.store, Store::Half, "it begins with the whole old store, or with its own");
                self.store = Store::New;
            }
            _ => assert_eq!(self.store, Store::Old, "{place:?} has a store that it can read"),
        }
    }

    /// A watcher that knows nothing takes over; after a power cut no process is left either.
    fn cut(&mut self, power: bool) {
        self.parts.clear();
        (self.mine, self.reinstalled, self.verdict) = (false, false, Verdict::Undecided);
        if power {
            (self.process, self.same_boot, self.asked) = (Process::None, false, false);
        }
    }

    /// An operator stops it, and what was stopped is started again.
    fn stop(&mut self, stopped: bool) {
        if self.stopped && !stopped {
            // As one who knows nothing of the trial that was.
            self.mine &= !matches!(self.step, Some(Step::Trial { .. }));
        }
        self.stopped = stopped;
    }
}

fn any_end(changes: bool, package: bool, choices: &[u8]) -> World {
    let mut world = World::new(changes, package);
    for choice in choices {
        match choice % 20 {
            0 => world.cut(false),
            1 => world.cut(true),
            2 => world.process = Process::None,
            3 if matches!(world.step, Some(Step::Trial { .. })) => world.verdict = Verdict::Failed("x".into()),
            4 if matches!(world.step, Some(Step::Trial { .. })) && matches!(world.process, Process::Runs(_)) => {
                world.verdict = Verdict::Passed;
            }
            5 => world.watch(ENDS_WITHIN + STARTS_WITHIN),
            6..=10 => world.live(),
            11 => world.stop(!world.stopped),
            12 if !matches!(world.step, Some(Step::GoingBack { .. })) && world.parts.is_empty() => {
                world.damaged = world.copied;
            }
            _ => world.watch(Duration::ZERO),
        }
    }
    // Whatever it is, it ends: nothing is cut or stopped any more, and a trial that nobody answers for has failed.
    world.stop(false);
    for _ in 0..64 {
        world.live();
        if matches!(world.step, Some(Step::Trial { .. })) && world.verdict == Verdict::Undecided && world.mine {
            world.verdict = Verdict::Failed("x".into());
        }
        world.watch(Duration::ZERO);
    }
    world.live();
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_end_is_one_of_two_whole_programs_with_its_own_store(
        changes: bool, package: bool, choices in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let world = any_end(changes, package, &choices);
        let ended = world.ended.clone().expect("it ends");
        prop_assert_eq!(&world.step, &None);
        let is_new = matches!(ended, End::Passed | End::Stays(_));
        let expected = if is_new { Place::To } else { Place::From };
        prop_assert_eq!(world.program, expected, "{:?}", ended);
        let store = if is_new && changes { Store::New } else { Store::Old };
        prop_assert_eq!(world.store, store, "{:?}", ended);
        prop_assert_eq!(world.process, Process::Runs(expected), "it runs");
    }
}

#[test]
fn without_a_cut_it_is_passed_or_goes_back_as_the_trial_says() {
    for (changes, package) in [(false, false), (true, false), (false, true), (true, true)] {
        for (verdict, expected) in [(Verdict::Passed, End::Passed), (Verdict::Failed("it ended".into()), End::WentBack)]
        {
            let mut world = World::new(changes, package);
            for _ in 0..64 {
                world.live();
                if matches!(world.step, Some(Step::Trial { .. })) && world.process == Process::Runs(Place::To) {
                    world.verdict = verdict.clone();
                }
                world.watch(Duration::ZERO);
            }
            assert_eq!(world.ended, Some(expected), "{changes} {package}");
        }
    }
}

#[test]
fn what_an_operator_stops_is_not_fought() {
    let trial = Step::Trial { since_boot: Duration::ZERO, pid: None };
    let back = Step::GoingBack { restored: false };
    let stopped = |step: &Step, program, package| {
        let mut world = World::new(true, package);
        (world.step, world.program, world.stopped) = (Some(step.clone()), program, true);
        (world.process, world.mine) = (Process::None, true);
        world.verdict = Verdict::Failed("it ended".into());
        let mut now = marker(step.clone(), true);
        now.to.deb = package.then(|| "new.deb".into());
        next(&now, &world.seen(Duration::from_secs(7_200)))
    };
    for package in [false, true] {
        assert_eq!(stopped(&trial, Place::To, package), Act::Wait, "nobody goes back from it");
        assert_eq!(stopped(&trial, Place::Operators, package), Act::Finish(End::Replaced));
        assert!(matches!(stopped(&trial, Place::From, package), Act::GoBack(_)), "it needs its store");
        assert_eq!(stopped(&back, Place::Gone, package), Act::Restore, "what is removed is not installed again");
        assert_eq!(stopped(&back, Place::To, package), Act::PutBack);
    }
    for place in [Place::Gone, Place::Other] {
        assert_eq!(stopped(&trial, place, false), Act::Finish(End::Replaced), "{place:?} is the operator's");
        assert_eq!(stopped(&trial, place, true), Act::Wait, "{place:?} is what dpkg knows nothing of");
    }
}

#[test]
fn where_the_copies_are_not_whole_the_new_program_stays_and_one_that_nobody_tried_goes() {
    for (tried, expected) in [(true, Place::To), (false, Place::From)] {
        let mut world = World::new(true, false);
        let mut damaged = false;
        for _ in 0..128 {
            world.live();
            let is_there = if tried {
                matches!(world.step, Some(Step::Trial { .. })) && world.process == Process::Runs(Place::To)
            } else {
                world.step == Some(Step::Switched)
            };
            if is_there && !damaged {
                (damaged, world.damaged, world.verdict) = (true, true, Verdict::Failed("x".into()));
                if !tried {
                    // Half a program was put in its place.
                    world.cut(false);
                    world.program = Place::Other;
                }
            }
            world.watch(Duration::ZERO);
        }
        world.live();
        assert_eq!(world.program, expected);
        assert_eq!(matches!(world.ended, Some(End::Stays(_))), tried, "{:?}", world.ended);
        assert_eq!(world.process, Process::Runs(expected));
    }
}

#[test]
fn another_version_of_the_package_that_an_operator_installs_during_a_trial_stays() {
    let on_trial = marker(Step::Trial { since_boot: Duration::ZERO, pid: None }, false);
    let mut world = World::new(false, true);
    (world.step, world.mine) = (Some(on_trial.step.clone()), true);
    for (program, verdict, expected) in [
        (Place::Changing, Verdict::Failed("half of it".into()), Act::Wait),
        (Place::Operators, Verdict::Failed("it ended".into()), Act::Finish(End::Replaced)),
        (Place::Operators, Verdict::Undecided, Act::Finish(End::Replaced)),
    ] {
        (world.program, world.verdict) = (program, verdict);
        for is_mine in [true, false] {
            world.mine = is_mine;
            assert_eq!(next(&on_trial, &world.seen(Duration::ZERO)), expected, "{program:?}");
        }
    }
}
