//! Random interleavings of what is asked, what is written, what fails and what becomes of instances, beside a model that
//! knows nothing of the queue: a list of what was asked, what the disk holds, what stood before each generation, and which
//! generations served.
//!
//! ```text
//! steps -> World: ask, write, fail -> Intents -> order (each in its turn) -> undo (what is put back), generations
//! ```

mod generations;
mod order;
mod undo;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use self::generations::Generations;
use super::{Command, Intents, Next, Refusal, WaitNumber, Write};
use crate::function::{Desired, Effect, Event, Generation, InstanceId, Lifecycle, Spec, SpecDraft, StartError, Uptime};

#[derive(Debug, Clone, Copy)]
enum Step {
    Create,
    Update,
    UpdateToTheSame,
    /// To the generation so many before the newest, or without a number.
    Rollback(Option<u64>),
    Scale(u32),
    KeepDown(bool),
    Wake,
    Delete,
    Written,
    NotWritten,
    Started,
    Failed,
    NoRoom,
    Removed,
    WaitOver,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Create),
        5 => Just(Step::Update),
        1 => Just(Step::UpdateToTheSame),
        2 => proptest::option::of(0..4u64).prop_map(Step::Rollback),
        2 => (0..4u32).prop_map(Step::Scale),
        1 => any::<bool>().prop_map(Step::KeepDown),
        1 => Just(Step::Wake),
        1 => Just(Step::Delete),
        6 => Just(Step::Written),
        1 => Just(Step::NotWritten),
        3 => Just(Step::Started),
        3 => Just(Step::Failed),
        2 => Just(Step::NoRoom),
        2 => Just(Step::Removed),
        1 => Just(Step::WaitOver),
    ];
    proptest::collection::vec(step, 1..80)
}

type Caller = usize;

struct World {
    intents: Intents<Caller, ()>,
    life: Lifecycle,
    durable: Option<Desired>,
    writing: Option<(Write, Vec<Caller>)>,
    /// What was asked and is neither being written nor answered, in order.
    asked: VecDeque<(Caller, Command)>,
    /// For each caller whose command was written or came to what was there: accepted.
    accepted: BTreeMap<Caller, bool>,
    answers: BTreeMap<Caller, Result<(), Refusal<()>>>,
    /// The generation that each accepted Apply came to, and what is to be asked for again if that is refused.
    generations: BTreeMap<Caller, Generation>,
    before: BTreeMap<Generation, Option<Desired>>,
    known: Generations,
    /// Generations that are kept, whatever becomes of them: a caller was told so, or they can't be undone.
    kept: BTreeSet<Generation>,
    /// Generations of which a start found no room.
    no_room: BTreeSet<Generation>,
    callers: usize,
    up: Vec<InstanceId>,
    going: Vec<InstanceId>,
    waits: VecDeque<WaitNumber>,
}

impl World {
    fn new() -> Self {
        Self {
            intents: Intents::default(),
            life: Lifecycle::new(&"f".parse().unwrap(), 7),
            durable: None,
            writing: None,
            asked: VecDeque::new(),
            accepted: BTreeMap::new(),
            answers: BTreeMap::new(),
            generations: BTreeMap::new(),
            before: BTreeMap::new(),
            known: Generations::default(),
            kept: BTreeSet::new(),
            no_room: BTreeSet::new(),
            callers: 0,
            up: Vec::new(),
            going: Vec::new(),
            waits: VecDeque::new(),
        }
    }

    fn ask(&mut self, command: Command) {
        self.asked.push_back((self.callers, command.clone()));
        self.intents.ask(command, self.callers);
        self.callers += 1;
    }

    fn apply(&mut self, must_exist: bool) {
        let spec = Box::new(spec(&format!("i{}", self.callers)));
        self.ask(Command::Apply { spec, must_exist });
    }

    fn feed(&mut self, event: Event) {
        match &event {
            Event::Delete => self.known.deleted(),
            Event::PutBack(before) => before.refused.iter().for_each(|refused| self.known.refused(refused.generation)),
            _ => {}
        }
        for effect in self.life.on(event, Uptime::default()) {
            match effect {
                Effect::BringUp(id, ..) => self.up.push(id),
                Effect::Publish(id, _) => self.known.published(&self.life, &id),
                Effect::TearDown(id) => self.going.push(id),
                Effect::Record(_) => self.intents.record(),
                _ => {}
            }
        }
    }

    fn advance(&mut self) {
        let Next { write, answers, waits } = self.intents.next(&self.life, "then");
        self.told(answers);
        self.waits.extend(waits);
        match write {
            Some(write) => {
                assert!(self.writing.is_none(), "two writes at once");
                let callers = self.covered_by(&write);
                self.writing = Some((write, callers));
            }
            None if self.writing.is_none() => {
                self.take_unwritten(None, None);
                assert!(self.asked.is_empty(), "left behind: {:?}", self.asked);
                assert_eq!(self.durable.as_ref(), self.life.desired());
            }
            None => {}
        }
    }

    fn written(&mut self, result: Result<(), ()>) {
        let Some((write, callers)) = self.writing.take() else { return };
        if result.is_ok() {
            self.note_before();
            self.durable = match write {
                Write::Put(desired) => Some(desired),
                Write::Delete => None,
            };
        }
        self.accepted.extend(callers.iter().map(|caller| (*caller, result.is_ok())));
        let done = self.intents.committed(result, &self.life);
        self.waits.extend(done.wait);
        if let Some(event) = done.event {
            self.feed(event);
        }
        if done.record_again.is_some() {
            self.intents.record();
        }
        let refused = done.answers.iter().filter(|(_, answer)| matches!(answer, Err(Refusal::NotWritten(())))).count();
        assert!(result.is_err() || refused == 0, "refused although it was written");
        assert!(result.is_ok() || refused >= callers.len(), "a failed write of which not all callers hear");
        self.told(done.answers);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Create => self.apply(false),
            Step::Update => self.apply(true),
            Step::UpdateToTheSame => {
                let same = self.life.desired().map_or_else(|| spec("same"), |desired| (*desired.spec).clone());
                self.ask(Command::Apply { spec: Box::new(same), must_exist: true });
            }
            Step::Rollback(back) => {
                let newest = self.life.desired().map_or(0, |desired| desired.generation.0);
                self.ask(Command::Rollback(back.map(|back| Generation(newest.saturating_sub(back)))));
            }
            Step::Scale(replicas) => self.ask(Command::Scale(replicas)),
            Step::KeepDown(down) => self.ask(Command::KeepDown(down)),
            Step::Wake => self.wake(),
            Step::Delete => self.ask(Command::Delete),
            Step::Written => self.written(Ok(())),
            Step::NotWritten => self.written(Err(())),
            Step::Started => {
                if let Some(id) = self.up.pop() {
                    self.feed(Event::Started(id, "10.0.0.2:8080".parse().unwrap()));
                }
            }
            Step::Failed => {
                if let Some(id) = self.up.pop() {
                    self.feed(Event::StartFailed(id, StartError::Image("no such image".into())));
                }
            }
            Step::NoRoom => {
                if let Some(id) = self.up.pop() {
                    let of =
                        self.life.instances().find(|(known, ..)| **known == id).map(|(_, generation, _)| generation);
                    self.no_room.extend(of);
                    self.feed(Event::StartFailed(id, StartError::NoRoom("the disk is full".into())));
                }
            }
            Step::Removed => {
                if let Some(id) = self.going.pop() {
                    self.feed(Event::Removed(id));
                }
            }
            Step::WaitOver => {
                if let Some(number) = self.waits.pop_front() {
                    let answers = self.intents.wait_over(number);
                    self.told(answers);
                }
            }
        }
        self.advance();
    }

    /// All writes succeed and all waits end.
    fn settle(&mut self) {
        while self.writing.is_some() || !self.waits.is_empty() {
            self.step(if self.writing.is_some() { Step::Written } else { Step::WaitOver });
        }
        assert!(self.intents.is_idle());
        assert!((0..self.callers).all(|caller| self.answers.contains_key(&caller)), "not all were answered");
        assert_eq!(self.durable.as_ref(), self.life.desired());
        let failed = self.durable.as_ref().filter(|durable| durable.failed.is_some());
        assert!(failed.is_none_or(|failed| self.kept.contains(&failed.generation)), "refused, and not undone");
    }
}

fn spec(image: &str) -> Spec {
    SpecDraft { image: image.to_owned(), ..SpecDraft::default() }.try_into().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_caller_is_answered_once_and_what_was_accepted_is_on_the_disk(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
    }
}

/// A history that the model once read wrongly: of updates to the same, the ones on both sides of an undone create.
#[test]
fn equal_updates_beside_an_undone_create_are_told_apart() {
    let mut world = World::new();
    for step in [
        Step::Create,
        Step::Written,
        Step::Scale(2),
        Step::UpdateToTheSame,
        Step::Create,
        Step::UpdateToTheSame,
        Step::Failed,
        Step::UpdateToTheSame,
        Step::Update,
    ] {
        world.step(step);
    }
    world.settle();
}
