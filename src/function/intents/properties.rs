//! Random interleavings of what is asked, what is written, what fails and what becomes of instances, beside a model that
//! knows nothing of the queue: a list of what was asked, what the disk holds, and what stood before each generation.

mod generations;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use self::generations::Generations;
use super::{Answer, Command, Intents, Next, Refusal, Then, WaitNumber, Write};
use crate::function::{
    Desired, Effect, Event, Generation, InstanceId, Lifecycle, Outcome, Spec, SpecDraft, StartError, Uptime,
};

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
        if event == Event::Delete {
            self.known.deleted();
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

    fn told(&mut self, answers: Vec<Answer<Caller, ()>>) {
        for (caller, answer) in answers {
            match answer {
                // Refused by how the function stands on the disk, in the order in which it was asked.
                Err(Refusal::Exists | Refusal::NotFound | Refusal::NotKept { .. }) => {
                    if self.asked.front().is_some_and(|(first, _)| *first != caller) {
                        self.take_unwritten(None, Some(caller));
                    }
                    let (first, command) = self.asked.pop_front().expect("a refusal of what was not asked");
                    assert_eq!(first, caller, "answered out of order");
                    if let (Command::Rollback(to), Some(newest)) = (&command, self.life.desired()) {
                        assert_eq!(self.known.target(newest.generation, *to), None, "refused, and it is kept");
                        assert_eq!(answer, Err(Refusal::NotKept { to: *to, kept: self.known.kept() }));
                        assert!(self.answers.insert(caller, answer).is_none(), "caller {caller} was answered twice");
                        continue;
                    }
                    let create = matches!(command, Command::Apply { must_exist: false, .. });
                    assert_eq!(answer, Err(if create { Refusal::Exists } else { Refusal::NotFound }));
                    assert_eq!(create, self.durable.is_some(), "refused for what is not so");
                }
                Ok(()) if !self.accepted.contains_key(&caller) => {
                    self.take_unwritten(Some(caller), None);
                    assert!(self.accepted.contains_key(&caller), "accepted, and neither written nor as it was");
                }
                Ok(()) => assert!(self.accepted[&caller], "accepted although it was not written"),
                Err(Refusal::Unrunnable(_)) => {
                    assert!(self.accepted[&caller], "it was never written");
                    let refused = self.generations[&caller];
                    let there = self.durable.as_ref().is_some_and(|durable| durable.generation == refused);
                    assert!(!there || self.kept.contains(&refused), "told before it was undone");
                }
                // Of a create that could not be undone, this is told although it was written.
                Err(Refusal::NotWritten(())) => assert!(self.accepted.contains_key(&caller), "it was never tried"),
                Err(Refusal::Busy) => panic!("the queue is not full"),
            }
            if matches!(answer, Ok(()) | Err(Refusal::NotWritten(()))) && self.accepted[&caller] {
                self.kept.extend(self.generations.get(&caller));
            }
            assert!(self.answers.insert(caller, answer).is_none(), "caller {caller} was answered twice");
        }
    }

    /// Takes commands from the head that change nothing on the disk: until that of `last` is among them, and none from
    /// that of `before` on. What else may be one row with them is the queue's to say, since two may ask for the same.
    fn take_unwritten(&mut self, last: Option<Caller>, before: Option<Caller>) {
        while let Some(there) = self.life.desired().cloned() {
            let at = |caller: Caller| self.asked.iter().position(|(asked, _)| *asked == caller);
            let fits = |count: &usize| match &self.asked[count - 1].1 {
                Command::Apply { spec, .. } => self.life.accept((**spec).clone(), "") == there,
                Command::Rollback(to) => {
                    let target = self.known.target(there.generation, *to);
                    target.is_some_and(|target| self.life.accept((**target).clone(), "") == there)
                }
                Command::Scale(replicas) => *replicas == there.replicas,
                Command::KeepDown(down) => *down == there.kept_down,
                Command::Delete => false,
            };
            let least = last.and_then(at).map_or(1, |at| at + 1);
            let most = before.and_then(at).map_or(self.longest_row(), |at| self.longest_row().min(at));
            let run = match last {
                Some(_) if least <= most => (least..=most).find(fits),
                _ => (1..=most).rev().find(fits),
            };
            let Some(run) = run else { return };
            let mut taken = Vec::new();
            for (caller, command) in self.asked.drain(..run) {
                match command {
                    Command::Apply { .. } | Command::Rollback(_) => {
                        self.generations.insert(caller, there.generation);
                    }
                    Command::Scale(replicas) => scale(&mut self.before, there.generation, replicas),
                    Command::KeepDown(_) | Command::Delete => {}
                }
                taken.push(caller);
            }
            self.accepted.extend(taken.iter().map(|caller| (*caller, true)));
            if last.is_some_and(|last| taken.contains(&last)) {
                return;
            }
        }
    }

    /// How many commands at the head may come to what the last of them is: one, or an Apply and the updates right behind
    /// it; none where it will be refused. (The undoing of a failed create that is queued between them ends the row, and is
    /// not seen here.)
    fn longest_row(&self) -> usize {
        let update = |command: &Command| matches!(command, Command::Apply { must_exist: true, .. });
        match self.asked.front() {
            None => 0,
            Some((_, Command::Apply { must_exist, .. })) if *must_exist != self.life.desired().is_some() => 0,
            Some((_, Command::Apply { .. })) => {
                1 + self.asked.iter().skip(1).take_while(|(_, command)| update(command)).count()
            }
            Some(_) => 1,
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

    /// The callers whose commands a write stands for, which must be those that come next.
    fn covered_by(&mut self, write: &Write) -> Vec<Caller> {
        // What the lifecycle learnt, and the undoing of a failed create, are asked by no caller.
        match self.intents.committing.as_ref().map(|commit| &commit.then) {
            Some(Then::Recorded) => {
                assert!(matches!(write, Write::Put(desired) if Some(desired) == self.life.desired()));
                self.take_unwritten(None, None);
                assert!(self.asked.is_empty(), "commands go first: {:?}", self.asked);
                return Vec::new();
            }
            Some(Then::RolledBack(callers)) => {
                let told = callers.iter().map(|(caller, _)| *caller).collect();
                self.check_undone(write, &told);
                return Vec::new();
            }
            _ => {}
        }
        let event = self.intents.committing.as_ref().and_then(|commit| commit.event.clone());
        let merged = match self.intents.committing.as_ref().map(|commit| &commit.then) {
            Some(Then::Await { callers, .. }) => callers.clone(),
            Some(Then::Accept(caller)) => vec![*caller],
            _ => panic!("{write:?} is of no caller"),
        };
        let comes_next = |world: &Self| world.asked.iter().map(|(caller, _)| caller).take(merged.len()).eq(&merged);
        if !comes_next(self) {
            self.take_unwritten(None, merged.first().copied());
        }
        assert!(comes_next(self) && merged.len() <= self.longest_row(), "{write:?} of {merged:?}: {:?}", self.asked);
        let fits = |command: &Command| match (write, command, &event) {
            (Write::Put(desired), Command::Apply { spec, .. }, Some(Event::Apply(_))) => *desired.spec == **spec,
            (Write::Put(desired), Command::Rollback(to), Some(Event::Apply(_))) => {
                let newest = self.life.desired().expect("rolled back, and it is not there");
                self.known.target(newest.generation, *to) == Some(&desired.spec)
            }
            (Write::Put(desired), Command::Scale(replicas), Some(Event::Scale(_))) => desired.replicas == *replicas,
            (Write::Put(desired), Command::KeepDown(down), Some(Event::KeepDown(_))) => desired.kept_down == *down,
            (Write::Delete, Command::Delete, _) => true,
            _ => false,
        };
        assert!(fits(&self.asked[merged.len() - 1].1), "{write:?} is not what the last of {merged:?} asked for");
        if let (Write::Put(desired), Some(Event::Apply(_))) = (write, &event) {
            self.known.accepted(desired);
            self.generations.extend(merged.iter().map(|caller| (*caller, desired.generation)));
        }
        self.asked.drain(..merged.len()).map(|(caller, _)| caller).collect()
    }

    /// A generation that failed before it was kept: what stood before it is put back, with the scales that came since, and
    /// its number is remembered.
    fn check_undone(&self, write: &Write, told: &BTreeSet<Caller>) {
        let failed = self.life.desired().expect("undone, and it is not there");
        let generation = failed.generation;
        assert!(failed.failed.is_some() && !self.kept.contains(&generation), "undone, and it did not fail");
        match (write, &self.before[&generation]) {
            (Write::Delete, None) => {}
            (Write::Put(put), Some(before)) => {
                assert_eq!(put.newest_generation(), generation);
                assert_eq!(&Desired { refused: before.refused.clone(), ..put.clone() }, before);
            }
            other => panic!("{generation} is undone as {other:?}"),
        }
        assert!(told.iter().all(|caller| self.generations[caller] == generation));
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

    /// What a refusal of the generation that is about to be told puts back: what is asked for now, unless that is about to
    /// be refused itself.
    fn note_before(&mut self) {
        let event = self.intents.committing.as_ref().and_then(|commit| commit.event.clone());
        let now = self.life.desired();
        match event {
            Some(Event::Apply(next)) if now.is_none_or(|now| now.generation != next.generation) => {
                let refused = |now: &&Desired| {
                    let failed = matches!(self.life.outcome(now.generation), Outcome::Failed(_));
                    failed && !self.kept.contains(&now.generation)
                };
                let before = match now.filter(refused) {
                    Some(refused) => self.before[&refused.generation].clone(),
                    None => now.cloned(),
                };
                self.before.insert(next.generation, before);
            }
            Some(Event::Scale(replicas)) => {
                let newest = now.map(|now| now.generation);
                newest.into_iter().for_each(|newest| scale(&mut self.before, newest, replicas));
            }
            Some(Event::KeepDown(down)) => {
                if let Some(Some(before)) = now.and_then(|now| self.before.get_mut(&now.generation)) {
                    before.kept_down = down;
                }
            }
            _ => {}
        }
    }

    /// A wake stays where the generation that it woke is refused.
    fn wake(&mut self) {
        if let Some(now) = self.life.desired().filter(|now| now.replicas == 0 && !now.kept_down)
            && let Some(Some(before)) = self.before.get_mut(&now.generation)
            && before.replicas == 0
        {
            before.replicas = before.serving_spec().min_replicas();
        }
        self.feed(Event::Wake);
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

/// A scale stays where the newest generation is refused.
fn scale(before: &mut BTreeMap<Generation, Option<Desired>>, newest: Generation, replicas: u32) {
    if let Some(Some(before)) = before.get_mut(&newest) {
        before.replicas = replicas;
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
