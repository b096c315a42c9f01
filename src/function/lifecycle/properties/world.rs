//! A model of all that surrounds a lifecycle: the host with its processes, the store, the endpoint table, the requests,
//! time, and messages that come late, twice or in the wrong order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::flaw::Flaw;
use super::rule::{Rule, Violation, check};
use super::step::{Death, How, Step};
use crate::function::{
    Desired, Effect, Event, Exit, FunctionName, Generation, InstanceId, InstancePhase, Lifecycle, Observed,
    ObservedState, Spec, SpecDraft, StartError, Uptime,
};

/// What there is of one instance on the host.
#[derive(Debug, Clone)]
pub(super) struct Real {
    pub(super) generation: Generation,
    pub(super) alive: bool,
    /// Whether somebody would tell of its end.
    watched: bool,
    pub(super) requests: u32,
}

/// What is still to come.
#[derive(Debug, Clone)]
pub(super) enum Pending {
    BringUp(InstanceId, Generation, Arc<Spec>),
    Adopt(InstanceId),
    Drain(InstanceId),
    TearDown(InstanceId),
    Timer(Uptime),
    Told(Event),
}

pub(super) struct World {
    flaw: Flaw,
    name: FunctionName,
    specs: Vec<Spec>,
    pub(super) now: Uptime,
    pub(super) life: Lifecycle,
    seed: u64,
    pub(super) store: Option<Desired>,
    /// Recorded, and not written yet.
    unwritten: Option<Desired>,
    pub(super) host: BTreeMap<InstanceId, Real>,
    pub(super) published: BTreeSet<InstanceId>,
    pub(super) pending: Vec<Pending>,
    /// Every id that was ever brought up.
    pub(super) used: BTreeSet<InstanceId>,
    /// Told to go, by this lifecycle.
    pub(super) condemned: BTreeSet<InstanceId>,
    /// Before then no start of this generation may happen.
    pub(super) not_before: BTreeMap<Generation, Uptime>,
    pub(super) gone: bool,
    /// What happened, if somebody wants to read it.
    pub(super) trace: Option<Vec<String>>,
}

/// The image that no registry has.
const HOPELESS: &str = "hopeless";

pub(super) fn specs() -> Vec<Spec> {
    let image = |image: &str| SpecDraft { image: image.to_owned(), ..SpecDraft::default() };
    ["a", "b", "c", HOPELESS].map(|name| Spec::try_from(image(name)).unwrap()).into()
}

fn address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8080))
}

impl World {
    pub(super) fn new(flaw: Flaw, specs: &[Spec], trace: bool) -> Self {
        let name: FunctionName = "f".parse().unwrap();
        Self {
            flaw,
            life: Lifecycle::new(&name, 1),
            name,
            specs: specs.to_vec(),
            now: Uptime::default(),
            seed: 1,
            store: None,
            unwritten: None,
            host: BTreeMap::new(),
            published: BTreeSet::new(),
            pending: Vec::new(),
            used: BTreeSet::new(),
            condemned: BTreeSet::new(),
            not_before: BTreeMap::new(),
            gone: true,
            trace: trace.then(Vec::new),
        }
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    pub(super) fn step(&mut self, step: Step) -> Result<(), Violation> {
        let now = self.now.0.as_secs_f64();
        self.say(|| format!("{now:7.1} s  {step:?}"));
        match step {
            Step::Proceed { pick, how } => self.proceed(pick, how)?,
            Step::Twice { pick } => {
                if let Some(again) = self.pick(pick) {
                    let again = self.pending[again].clone();
                    self.proceed(pick, How::Well)?;
                    if matches!(again, Pending::Told(_) | Pending::Timer(_)) {
                        self.pending.push(again);
                    }
                }
            }
            Step::Crash { pick } => {
                let alive: Vec<_> = self.host.iter().filter(|(_, real)| real.alive).map(|(id, _)| id.clone()).collect();
                if let Some(id) = pick_of(&alive, pick) {
                    self.end(&id);
                }
            }
            Step::Request { pick } => {
                let published: Vec<_> = self.published.iter().cloned().collect();
                if let Some(real) = pick_of(&published, pick).and_then(|id| self.host.get_mut(&id)) {
                    real.requests += u32::from(real.alive);
                }
            }
            Step::Answer { pick } => {
                let ids: Vec<_> = self.host.keys().cloned().collect();
                if let Some(real) = pick_of(&ids, pick).and_then(|id| self.host.get_mut(&id)) {
                    real.requests = 0;
                }
            }
            Step::Wait { half_seconds } => {
                self.now = self.now.after(Duration::from_millis(500) * half_seconds);
            }
            Step::Apply { spec, meanwhile } => {
                let desired = self.life.accept(self.specs[spec as usize % self.specs.len()].clone(), "then");
                if Some(&desired) != self.life.desired() {
                    self.commit(Some(desired.clone()), meanwhile, Event::Apply(desired))?;
                }
            }
            Step::Scale { replicas, meanwhile } => {
                if let Some(desired) = self.life.desired().cloned() {
                    self.commit(Some(Desired { replicas, ..desired }), meanwhile, Event::Scale(replicas))?;
                }
            }
            Step::Delete { meanwhile } => self.commit(None, meanwhile, Event::Delete)?,
            Step::Restart { death, bits } => self.restart(death, bits)?,
        }
        Ok(())
    }

    /// Makes it durable, then tells of it; something else may happen in between.
    fn commit(&mut self, desired: Option<Desired>, meanwhile: Option<usize>, event: Event) -> Result<(), Violation> {
        self.write();
        self.store = desired;
        if let Some(pick) = meanwhile {
            self.proceed(pick, How::Well)?;
        }
        self.deliver(event)
    }

    fn pick(&self, pick: usize) -> Option<usize> {
        (!self.pending.is_empty()).then(|| pick % self.pending.len())
    }

    /// Does a piece of work, or delivers a message.
    pub(super) fn proceed(&mut self, pick: usize, how: How) -> Result<(), Violation> {
        let Some(at) = self.pick(pick) else { return Ok(()) };
        match self.pending.remove(at) {
            Pending::BringUp(id, generation, spec) => {
                let hopeless = spec.image == HOPELESS;
                let alive = how == How::Well && !hopeless;
                self.host.insert(id.clone(), Real { generation, alive, watched: alive, requests: 0 });
                let answer = match how {
                    _ if hopeless => Event::StartFailed(id, StartError::Image("no such image".into())),
                    How::Well => Event::Started(id, address()),
                    How::Badly => Event::StartFailed(id, StartError::Host("not now".into())),
                    How::Hopelessly => Event::StartFailed(id, StartError::Spec("never".into())),
                };
                self.pending.push(Pending::Told(answer));
            }
            Pending::Adopt(id) => {
                let alive = how == How::Well && self.host.get(&id).is_some_and(|real| real.alive);
                let answer = if alive {
                    self.host.entry(id.clone()).and_modify(|real| real.watched = true);
                    Event::Started(id, address())
                } else {
                    Event::StartFailed(id, StartError::Host("can't be adopted".into()))
                };
                self.pending.push(Pending::Told(answer));
            }
            Pending::Drain(id) => {
                if how == How::Well && self.host.get(&id).is_some_and(|real| real.requests > 0) {
                    self.pending.push(Pending::Drain(id));
                } else {
                    self.pending.push(Pending::Told(Event::Drained(id)));
                }
            }
            Pending::TearDown(id) => {
                check(!self.published.contains(&id), Rule::RetractComesBeforeTearDownAndDrain, || {
                    format!("{id} is torn down and gets requests")
                })?;
                self.end(&id);
                let answer = if how == How::Well {
                    self.host.remove(&id);
                    Event::Removed(id)
                } else {
                    Event::RemoveFailed(id, "busy".into())
                };
                self.pending.push(Pending::Told(answer));
            }
            Pending::Timer(due) if due > self.now => self.pending.push(Pending::Timer(due)),
            Pending::Timer(_) => self.deliver(Event::RetryDue)?,
            Pending::Told(event) => self.deliver(event)?,
        }
        Ok(())
    }

    /// Ends a process.
    fn end(&mut self, id: &InstanceId) {
        let Some(real) = self.host.get_mut(id).filter(|real| real.alive) else { return };
        real.alive = false;
        real.requests = 0;
        if real.watched {
            self.pending.push(Pending::Told(Event::Exited(id.clone(), Exit::Code(1))));
        }
    }

    fn restart(&mut self, death: Death, bits: u32) -> Result<(), Violation> {
        let mut bit = (0..32).map(|at| bits >> at & 1 == 1).cycle();
        let mut bit = move || bit.next().unwrap_or(false);
        for work in std::mem::take(&mut self.pending) {
            match work {
                Pending::BringUp(id, generation, spec) if bit() => {
                    let alive = bit() && spec.image != HOPELESS;
                    self.host.insert(id, Real { generation, alive, watched: false, requests: 0 });
                }
                Pending::TearDown(id) if bit() => {
                    self.host.remove(&id);
                }
                _ => {}
            }
        }
        let lost = if death == Death::Kill && bit() { self.unwritten.take() } else { None };
        self.write();
        self.check_store(lost.is_some())?;
        if death == Death::Kill {
            self.published.clear();
        }
        for real in self.host.values_mut() {
            real.watched = false;
            if death == Death::Kill {
                real.requests = 0;
            }
        }
        let observed = self.host.iter().map(|(id, real)| {
            let state = if real.alive { ObservedState::Running } else { ObservedState::Remains };
            Observed { id: id.clone(), generation: real.generation, state }
        });
        let observed: Vec<_> = observed.collect();
        self.condemned.clear();
        self.not_before.clear();
        self.gone = self.store.is_none() && observed.is_empty();
        self.seed += 1;
        let seed = self.seed.wrapping_mul(0xd134_2543_de82_ef95);
        let before = self.published_of_the_store();
        let (life, effects) = self.flaw.recover(&self.name, seed, self.store.clone(), observed, self.now);
        self.life = life;
        self.perform(None, before, effects)
    }

    /// Published instances that live and that the store knows the spec of.
    fn published_of_the_store(&self) -> usize {
        let Some(store) = &self.store else { return 0 };
        let known = |generation: Generation| {
            (store.generation == generation && store.failed.is_none())
                || store.good.as_ref().is_some_and(|(good, _)| *good == generation)
        };
        let serves = |id: &&InstanceId| self.host.get(*id).is_some_and(|real| real.alive && known(real.generation));
        self.published.iter().filter(serves).count()
    }

    /// Tells the lifecycle, and does what it says.
    pub(super) fn deliver(&mut self, event: Event) -> Result<(), Violation> {
        let dead = match &event {
            Event::Exited(id, _) | Event::StartFailed(id, _) | Event::Removed(id) => Some(id),
            _ => None,
        };
        let before = self.published.iter().filter(|id| Some(*id) != dead).count();
        self.note_backoff(&event);
        let effects = self.flaw.on(&mut self.life, &self.name, event.clone(), self.now);
        self.say(|| format!("            {}", brief(&event)));
        self.perform(Some(&event), before, effects)
    }

    fn perform(&mut self, event: Option<&Event>, before: usize, effects: Vec<Effect>) -> Result<(), Violation> {
        let known = self.life.instances().count();
        let count = effects.len();
        check(count <= 3 * known + 12, Rule::EffectsAreBounded, || format!("{count} effects at once"))?;
        let mut brought_up = BTreeSet::new();
        for effect in effects {
            self.say(|| format!("              -> {}", brief(&effect)));
            self.check_effect(event, &effect)?;
            match effect {
                Effect::BringUp(id, generation, spec) => {
                    brought_up.insert(generation);
                    self.used.insert(id.clone());
                    self.gone = false;
                    self.pending.push(Pending::BringUp(id, generation, spec));
                }
                Effect::Adopt(id, _, _) => self.pending.push(Pending::Adopt(id)),
                Effect::Publish(id, _) => {
                    self.published.insert(id);
                }
                Effect::Retract(id) => {
                    self.published.remove(&id);
                }
                Effect::Drain(id) => self.pending.push(Pending::Drain(id)),
                Effect::TearDown(id) => {
                    self.condemned.insert(id.clone());
                    self.gone = false;
                    self.pending.push(Pending::TearDown(id));
                }
                Effect::RetryAfter(delay) => self.pending.push(Pending::Timer(self.now.after(delay))),
                Effect::Record(desired) => {
                    self.write();
                    self.unwritten = Some(desired);
                }
                Effect::Gone => self.gone = true,
            }
        }
        self.check_state(before, &brought_up)
    }

    /// Notes when the next start of a generation may be, from what is known before the event.
    fn note_backoff(&mut self, event: &Event) {
        let (Event::StartFailed(id, _) | Event::Exited(id, _)) = event else { return };
        let Some(instance) = self.life.instances.get(id) else { return };
        let crashed = matches!(event, Event::Exited(..)) && instance.phase == InstancePhase::Ready;
        let counts = crashed || matches!(instance.phase, InstancePhase::Starting | InstancePhase::Adopting);
        let generation = instance.generation;
        if crashed && self.now.since(instance.since) >= Duration::from_secs(30) {
            self.not_before.remove(&generation);
        } else if counts && self.life.backoff_of(generation, self.now).is_none() {
            self.not_before.insert(generation, self.now.after(Duration::from_millis(900)));
        }
    }

    /// Takes what was recorded into the store.
    pub(super) fn write(&mut self) {
        let Some(record) = self.unwritten.take() else { return };
        if let Some(stored) = self.store.take_if(|stored| stored.generation == record.generation) {
            self.store = Some(Desired { replicas: stored.replicas, ..record });
        }
    }
}

/// An event or effect for a reader: the specs in it by their image alone.
fn brief(what: &impl std::fmt::Debug) -> String {
    let mut text = format!("{what:?}");
    while let Some(from) = text.find("Spec(SpecDraft") {
        let end = text[from..].find("})").map_or(text.len(), |at| from + at + 2);
        let image = text[from..end].split('"').nth(1).unwrap_or_default().to_owned();
        text.replace_range(from..end, &image);
    }
    text
}

fn pick_of(ids: &[InstanceId], pick: usize) -> Option<InstanceId> {
    (!ids.is_empty()).then(|| ids[pick % ids.len()].clone())
}
