//! A model of all that surrounds a lifecycle: the host with its processes, the store, the routes, the requests,
//! time, and messages that come late, twice or in the wrong order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::flaw::Flaw;
use super::history::Generations;
use super::rule::{Rule, Violation, check};
use super::step::{How, Step};
use crate::function::{
    Adjusted, Desired, Effect, Event, FunctionName, Generation, InstanceId, InstancePhase, Lifecycle, Outlook,
    RefusedUpdate, Spec, SpecDraft, Tier, Uptime,
};

/// What there is of one instance on the host.
#[derive(Debug, Clone)]
pub(super) struct Real {
    pub(super) generation: Generation,
    pub(super) alive: bool,
    /// Whether its end would be told.
    pub(super) watched: bool,
    /// What it would answer if it were asked whether it is ready, and what the lifecycle was last told of that.
    pub(super) ready: bool,
    pub(super) told_ready: bool,
    /// Whether it is unwell, which is told once a lifecycle.
    pub(super) sick: bool,
    pub(super) requests: u32,
    /// Whether its processes are frozen: the next request thaws them.
    pub(super) frozen: bool,
}

/// What is still to come.
#[derive(Debug, Clone)]
pub(super) enum Pending {
    BringUp(InstanceId, Generation, Arc<Spec>),
    Adopt(InstanceId),
    Freeze(InstanceId),
    StandBy(InstanceId),
    Promote(InstanceId),
    Drain(InstanceId),
    TearDown(InstanceId),
    Timer(Uptime),
    /// A running instance is asked whether it is ready; an answer that is new is told at once, so they keep their order.
    Probe(InstanceId),
    Told(Event),
}

pub(super) struct World {
    pub(super) flaw: Flaw,
    pub(super) name: FunctionName,
    specs: Vec<Spec>,
    pub(super) now: Uptime,
    pub(super) life: Lifecycle,
    pub(super) seed: u64,
    pub(super) store: Option<Desired>,
    /// Recorded, and not written yet.
    pub(super) unwritten: Option<Desired>,
    pub(super) host: BTreeMap<InstanceId, Real>,
    pub(super) published: BTreeSet<InstanceId>,
    pub(super) pending: Vec<Pending>,
    /// Every id that was ever brought up.
    pub(super) used: BTreeSet<InstanceId>,
    /// Told to go, by this lifecycle.
    pub(super) condemned: BTreeSet<InstanceId>,
    /// What was asked for before the newest generation, until this lifecycle ends.
    pub(super) before: Option<Desired>,
    /// The greatest number that was given to this function.
    pub(super) numbered: Generation,
    pub(super) generations: Generations,
    /// Before then no start of this generation may happen.
    pub(super) not_before: BTreeMap<Generation, Uptime>,
    pub(super) gone: bool,
    /// Whether a commit is under way, which the lifecycle is about to be told of.
    pub(super) committing: bool,
    /// Whether a request ever woke it.
    pub(super) woken: bool,
    /// Whether an instance ever froze, and whether a request thawed one.
    pub(super) froze: bool,
    pub(super) thawed: bool,
    /// Whether a spare ever stood by, and whether one took over.
    pub(super) stood_by: bool,
    pub(super) promoted: bool,
    /// When one did last, in this life.
    pub(super) last_promotion: Option<Uptime>,
    /// Whether a good generation was ever started beside a newer one that stumbled.
    pub(super) fallback: bool,
    /// Whether a generation was ever refused, and whether what it was put back to was still on trial.
    pub(super) put_back: bool,
    pub(super) back_on_trial: bool,
    /// Whether an instance ever said that it is not ready, or was found unwell.
    pub(super) wavered: bool,
    pub(super) sickened: bool,
    /// Whether a bring-up ever came to its end after the tear-down of its instance.
    pub(super) late_start: bool,
    /// What happened, where it is wanted for the report.
    pub(super) trace: Option<Vec<String>>,
}

/// The image that no registry has.
pub(super) const HOPELESS: &str = "hopeless";

pub(super) fn specs() -> Vec<Spec> {
    let of = |image: &str, spares: u32| {
        let annotations = [("actord.spare".to_owned(), spares.to_string())].into();
        Spec::try_from(SpecDraft { image: image.to_owned(), annotations, ..SpecDraft::default() }).unwrap()
    };
    [of("a", 0), of("b", 1), of("c", 2), of(HOPELESS, 1)].into()
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
            before: None,
            numbered: Generation::default(),
            generations: Generations::default(),
            not_before: BTreeMap::new(),
            gone: true,
            committing: false,
            woken: false,
            froze: false,
            thawed: false,
            stood_by: false,
            promoted: false,
            last_promotion: None,
            fallback: false,
            late_start: false,
            put_back: false,
            back_on_trial: false,
            wavered: false,
            sickened: false,
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
                    match again {
                        // What one instance's checks found is told by one task, in order: a doubled one comes right
                        // behind its original. Behind a newer one it would be the last word, and a check tells what
                        // it finds only when that has changed, so the lifecycle would believe it for ever.
                        Pending::Told(event @ (Event::Ready(..) | Event::Unready(..))) => self.deliver(&event)?,
                        Pending::Told(_) | Pending::Timer(_) => self.pending.push(again),
                        _ => {}
                    }
                }
            }
            Step::Crash { pick } => {
                let alive: Vec<_> = self.host.iter().filter(|(_, real)| real.alive).map(|(id, _)| id.clone()).collect();
                if let Some(id) = pick_of(&alive, pick) {
                    self.end(&id);
                }
            }
            Step::Waver { pick } => self.waver(pick),
            Step::Sicken { pick } => self.sicken(pick),
            Step::Request { pick } => {
                let published: Vec<_> = self.published.iter().cloned().collect();
                if let Some(id) = pick_of(&published, pick) {
                    self.request(&id)?;
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
                    self.check_number(desired.generation)?;
                    self.generations.accepted(&desired);
                    self.commit(Some(desired.clone()), meanwhile, &Event::Apply(desired))?;
                }
            }
            Step::Scale { replicas, meanwhile } => {
                if let Some(desired) = self.life.desired().cloned() {
                    self.commit(Some(desired.scaled(replicas)), meanwhile, &Event::Scale(replicas))?;
                }
            }
            Step::KeepDown { down, meanwhile } => {
                if let Some(desired) = self.life.desired().cloned() {
                    self.commit(Some(desired.stopped(down)), meanwhile, &Event::KeepDown(down))?;
                }
            }
            Step::Wake => self.wake()?,
            Step::Adjust { replicas } => self.adjust(replicas)?,
            Step::Rest { tier } => self.rest(tier)?,
            Step::Delete { meanwhile } => self.commit(None, meanwhile, &Event::Delete)?,
            Step::PutBack { meanwhile } => self.put_back(meanwhile)?,
            Step::Restart { death, bits } => self.restart(death, bits)?,
        }
        Ok(())
    }

    /// Makes it durable, then tells of it; something else may happen in between.
    fn commit(&mut self, desired: Option<Desired>, meanwhile: Option<usize>, event: &Event) -> Result<(), Violation> {
        self.write();
        self.store = desired;
        self.committing = true;
        if let Some(pick) = meanwhile {
            self.proceed(pick, How::Well)?;
        }
        self.committing = false;
        match event {
            Event::Apply(next) if self.life.desired().is_none_or(|now| now.generation != next.generation) => {
                self.before = self.life.desired().cloned();
            }
            Event::Scale(replicas) => self.before = self.before.take().map(|before| before.scaled(*replicas)),
            Event::KeepDown(down) => self.before = self.before.take().map(|before| before.stopped(*down)),
            Event::Delete => {
                self.before = None;
                self.generations.deleted();
            }
            _ => {}
        }
        self.deliver(event)
    }

    /// A request is parked, and what the routes' watcher makes of it.
    fn wake(&mut self) -> Result<(), Violation> {
        let kept_down = self.life.desired().is_some_and(|desired| desired.kept_down);
        let before = self.life.desired().cloned();
        self.deliver(&Event::Wake)?;
        let after = self.life.desired().cloned();
        let stays = after == before;
        check(!kept_down || stays, Rule::WhatIsKeptDownStaysDown, || format!("{after:?}"))?;
        let awake = after.as_ref().is_none_or(|after| after.kept_down || after.running_replicas() > 0);
        self.woken |= before.is_some_and(|before| before.running_replicas() == 0) && !kept_down;
        check(awake, Rule::DemandEndsAZero, || format!("{after:?}"))
    }

    /// A request on its way to an instance thaws it, which its task tells of afterwards.
    fn request(&mut self, id: &InstanceId) -> Result<(), Violation> {
        let Some(real) = self.host.get_mut(id).filter(|real| real.alive) else { return Ok(()) };
        real.requests += 1;
        if std::mem::take(&mut real.frozen) {
            self.thawed = true;
            self.deliver(&Event::Thawed(id.clone()))?;
        }
        Ok(())
    }

    /// The scaler asks for another number.
    fn adjust(&mut self, replicas: u32) -> Result<(), Violation> {
        let running = |life: &Lifecycle| life.desired().map(Desired::running_replicas);
        let before = running(&self.life);
        self.deliver(&Event::Adjust(Adjusted { replicas, reason: "load".into() }))?;
        let after = running(&self.life);
        let expected = before.map(|before| if before == 0 || replicas == 0 { before } else { replicas });
        check(after == expected, Rule::TheLoadMovesOnlyWhatRuns, || format!("{before:?} to {replicas} is {after:?}"))
    }

    /// Nothing was called for a while.
    fn rest(&mut self, tier: Tier) -> Result<(), Violation> {
        let before = self.life.desired().cloned();
        let waking = self.life.outlook(self.now) == Some(Outlook::Waking);
        self.deliver(&Event::Rest(tier))?;
        let Some((before, after)) = before.zip(self.life.desired().cloned()) else { return Ok(()) };
        let may = !waking && before.running_replicas() > 0 && (before.has_served || before.failed.is_some());
        let idle = match tier {
            Tier::Ready => false,
            Tier::Frozen => before.idle,
            Tier::Stopped => before.idle || may,
        };
        check(after.idle == idle, Rule::OnlyWhatIsProvenRests, || format!("{tier:?}: {after:?}"))
    }

    /// Every number that is given is new.
    fn check_number(&mut self, generation: Generation) -> Result<(), Violation> {
        let newest = self.life.desired().map(|desired| desired.generation);
        check(newest == Some(generation) || generation > self.numbered, Rule::GenerationsAreNeverReused, || {
            format!("{generation} after {}", self.numbered)
        })?;
        self.numbered = self.numbered.max(generation);
        Ok(())
    }

    /// A generation that failed is refused, if what was asked for before it is known.
    fn put_back(&mut self, meanwhile: Option<usize>) -> Result<(), Violation> {
        let Some(failed) = self.life.desired().filter(|desired| desired.failed.is_some()) else { return Ok(()) };
        let refused = RefusedUpdate {
            generation: failed.generation,
            image: failed.spec.image.clone(),
            reason: failed.failed.clone().unwrap_or_default(),
            at: "then".to_owned(),
        };
        let Some(before) = self.before.take() else { return Ok(()) };
        self.put_back = true;
        self.back_on_trial |= !before.has_served && before.failed.is_none();
        let before = Desired { refused: Some(Arc::new(refused)), ..before };
        self.commit(Some(before.clone()), meanwhile, &Event::PutBack(before))
    }

    pub(super) fn pick(&self, pick: usize) -> Option<usize> {
        (!self.pending.is_empty()).then(|| pick % self.pending.len())
    }

    /// Published instances that live and that the store knows the spec of.
    pub(super) fn published_of_the_store(&self) -> usize {
        let Some(store) = &self.store else { return 0 };
        let known = |generation: Generation| {
            (store.generation == generation && store.failed.is_none())
                || store.last_good().is_some_and(|good| good.generation == generation)
        };
        let serves = |id: &&InstanceId| self.host.get(*id).is_some_and(|real| real.alive && known(real.generation));
        self.published.iter().filter(serves).count()
    }

    /// Tells the lifecycle, and does what it says.
    pub(super) fn deliver(&mut self, event: &Event) -> Result<(), Violation> {
        let dead = match event {
            Event::Exited(id, _)
            | Event::StartFailed(id, _)
            | Event::Removed(id)
            | Event::Unready(id, _)
            | Event::Unhealthy(id, _) => Some(id),
            _ => None,
        };
        let before = self.published.iter().filter(|id| Some(*id) != dead).count();
        self.note_backoff(event);
        let effects = self.flaw.on(&mut self.life, &self.name, event.clone(), self.now);
        self.say(|| format!("            {}", brief(event)));
        self.perform(Some(event), before, effects)?;
        if let Event::Unready(id, _) = event {
            let asked = self.published.contains(id);
            check(!asked, Rule::WhatIsNotReadyGetsNoRequests, || id.to_string())?;
        }
        Ok(())
    }

    pub(super) fn perform(
        &mut self,
        event: Option<&Event>,
        before: usize,
        effects: Vec<Effect>,
    ) -> Result<(), Violation> {
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
                    let newer = self.life.desired().filter(|desired| desired.generation > generation);
                    self.fallback |= newer.is_some_and(|newer| newer.failed.is_none());
                    self.used.insert(id.clone());
                    self.gone = false;
                    self.pending.push(Pending::BringUp(id, generation, spec));
                }
                Effect::Adopt(id, _, _) => self.pending.push(Pending::Adopt(id)),
                Effect::Publish(id, _) => {
                    self.generations.published(&self.life, &id);
                    self.published.insert(id);
                }
                Effect::StandBy(id) => {
                    self.stood_by = true;
                    self.pending.push(Pending::StandBy(id));
                }
                Effect::Promote(id, _) => {
                    self.promoted = true;
                    self.last_promotion = Some(self.now);
                    self.published.insert(id.clone());
                    self.pending.push(Pending::Promote(id));
                }
                Effect::Retract(id) => {
                    self.published.remove(&id);
                }
                Effect::Freeze(id) => self.pending.push(Pending::Freeze(id)),
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
        let (Event::StartFailed(id, _) | Event::Exited(id, _) | Event::Unhealthy(id, _)) = event else { return };
        let Some(instance) = self.life.instances.get(id) else { return };
        let served =
            instance.phase.is_ready() || matches!(instance.phase, InstancePhase::Unready | InstancePhase::Spare);
        let crashed = served && !matches!(event, Event::StartFailed(..));
        let counts = crashed || matches!(instance.phase, InstancePhase::Starting | InstancePhase::Adopting);
        let generation = instance.generation;
        if crashed && self.now.since(instance.since) >= Duration::from_secs(30) {
            self.not_before.remove(&generation);
        } else if counts && self.life.backoff_of(generation, self.now).is_none() {
            self.not_before.insert(generation, self.now.after(Duration::from_millis(900)));
        }
    }

    /// Takes what was recorded into the store, unless a commit is under way: it goes first.
    pub(super) fn write(&mut self) {
        if self.committing {
            return;
        }
        let Some(record) = self.unwritten.take() else { return };
        if let Some(stored) = self.store.take_if(|stored| stored.generation == record.generation) {
            let now = self.life.desired().filter(|now| now.generation == record.generation);
            let Desired { replicas, kept_down, idle, adjusted, .. } = now.cloned().unwrap_or(stored);
            self.store = Some(Desired { replicas, kept_down, idle, adjusted, ..record });
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

pub(super) fn pick_of(ids: &[InstanceId], pick: usize) -> Option<InstanceId> {
    (!ids.is_empty()).then(|| ids[pick % ids.len()].clone())
}
