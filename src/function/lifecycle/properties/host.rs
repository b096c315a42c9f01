//! What the host does in the model: its work, well or badly, the ends of processes, and restarts of actord.

use std::net::SocketAddr;

use super::rule::{Rule, Violation, check};
use super::step::{Death, How};
use super::world::{HOPELESS, Pending, Real, World, pick_of};
use crate::function::{Event, Exit, Generation, InstanceId, InstancePhase, Observed, ObservedState, StartError};

fn address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8080))
}

impl Real {
    fn new(generation: Generation, alive: bool, watched: bool) -> Self {
        Self { generation, alive, watched, ready: true, told_ready: true, sick: false, requests: 0, frozen: false }
    }
}

impl World {
    /// Does a piece of work, or delivers a message.
    pub(super) fn proceed(&mut self, pick: usize, how: How) -> Result<(), Violation> {
        let Some(at) = self.pick(pick) else { return Ok(()) };
        match self.pending.remove(at) {
            Pending::BringUp(id, generation, spec) => {
                let hopeless = spec.image == HOPELESS;
                self.late_start |= self.condemned.contains(&id);
                let alive = how == How::Well && !hopeless;
                self.host.insert(id.clone(), Real::new(generation, alive, alive));
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
                    self.take_over(&id)
                } else {
                    Event::StartFailed(id, StartError::Host("can't be adopted".into()))
                };
                self.pending.push(Pending::Told(answer));
            }
            Pending::Freeze(id) => self.freeze(&id, how)?,
            Pending::StandBy(id) => self.stand_by(&id, how),
            Pending::Promote(id) => self.promote(&id, how),
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
            Pending::Probe(id) => self.probe(&id)?,
            Pending::Timer(due) if due > self.now => self.pending.push(Pending::Timer(due)),
            Pending::Timer(_) => self.deliver(&Event::RetryDue)?,
            Pending::Told(event) => self.deliver(&event)?,
        }
        Ok(())
    }

    /// An instance's task freezes it, unless a request has it or it gets none any more; it tells so at once, since what a
    /// task tells keeps its order.
    fn freeze(&mut self, id: &InstanceId, how: How) -> Result<(), Violation> {
        let published = self.published.contains(id);
        let Some(real) = self.host.get_mut(id) else { return Ok(()) };
        if how != How::Well || !published || !real.alive || !real.watched || real.requests > 0 {
            return Ok(());
        }
        real.frozen = true;
        self.froze = true;
        self.deliver(&Event::Frozen(id.clone()))
    }

    /// The task of a spare freezes it once its last request is answered, unless it gets requests again, or is not ready. Nothing
    /// is told of that.
    fn stand_by(&mut self, id: &InstanceId, how: How) {
        let published = self.published.contains(id);
        let Some(real) = self.host.get_mut(id).filter(|real| real.alive && real.watched) else { return };
        if real.requests > 0 && !published {
            self.pending.push(Pending::StandBy(id.clone()));
        } else if how == How::Well && !published && real.told_ready {
            real.frozen = true;
        }
    }

    /// The task of a spare that takes over thaws it, if no request came before that.
    fn promote(&mut self, id: &InstanceId, how: How) {
        let Some(real) = self.host.get_mut(id).filter(|real| real.alive && real.watched && real.frozen) else { return };
        match how {
            How::Well => real.frozen = false,
            _ => self.pending.push(Pending::Told(Event::Unhealthy(id.clone(), "can't be thawed".into()))),
        }
    }

    /// Looks at a living instance, and begins to watch it.
    fn take_over(&mut self, id: &InstanceId) -> Event {
        let Some(real) = self.host.get_mut(id) else { return Event::Started(id.clone(), address()) };
        real.watched = true;
        real.frozen = false;
        real.told_ready = real.ready;
        if real.sick {
            self.pending.push(Pending::Told(Event::Unhealthy(id.clone(), "no pulse".into())));
        }
        match real.ready {
            true => Event::Started(id.clone(), address()),
            false => Event::Unready(id.clone(), "busy".into()),
        }
    }

    /// Asks a watched instance whether it is ready.
    fn probe(&mut self, id: &InstanceId) -> Result<(), Violation> {
        let watched = self.watched().contains(id);
        let Some(real) = self.host.get_mut(id).filter(|real| watched && real.ready != real.told_ready) else {
            return Ok(());
        };
        real.told_ready = real.ready;
        let event = match real.ready {
            true => Event::Ready(id.clone(), address()),
            false => Event::Unready(id.clone(), "busy".into()),
        };
        self.deliver(&event)
    }

    /// Instances whose checks are under way: those that live and that the lifecycle knows to have served. A frozen one is
    /// asked nothing.
    fn watched(&self) -> Vec<InstanceId> {
        let served = |phase| matches!(phase, InstancePhase::Ready | InstancePhase::Unready | InstancePhase::Spare);
        let known = self.life.instances().filter(|(_, _, phase)| served(*phase)).map(|(id, ..)| id.clone());
        known.filter(|id| self.host.get(id).is_some_and(|real| real.alive && real.watched && !real.frozen)).collect()
    }

    /// An instance changes its mind about its readiness, and is asked.
    pub(super) fn waver(&mut self, pick: usize) {
        let Some(id) = pick_of(&self.watched(), pick) else { return };
        if let Some(real) = self.host.get_mut(&id) {
            real.ready = !real.ready;
            self.wavered = true;
            self.pending.push(Pending::Probe(id));
        }
    }

    /// An instance goes on running and is not well.
    pub(super) fn sicken(&mut self, pick: usize) {
        let Some(id) = pick_of(&self.watched(), pick) else { return };
        if let Some(real) = self.host.get_mut(&id).filter(|real| !real.sick) {
            real.sick = true;
            self.sickened = true;
            self.pending.push(Pending::Told(Event::Unhealthy(id, "no pulse".into())));
        }
    }

    /// All instances get ready, and are asked.
    pub(super) fn recover_readiness(&mut self) {
        self.host.values_mut().for_each(|real| real.ready = true);
        for id in self.watched() {
            if self.host.get(&id).is_some_and(|real| !real.told_ready) {
                self.pending.push(Pending::Probe(id));
            }
        }
    }

    /// Ends a process.
    pub(super) fn end(&mut self, id: &InstanceId) {
        let Some(real) = self.host.get_mut(id).filter(|real| real.alive) else { return };
        real.alive = false;
        real.requests = 0;
        if real.watched {
            self.pending.push(Pending::Told(Event::Exited(id.clone(), Exit::Code(1))));
        }
    }

    pub(super) fn restart(&mut self, death: Death, bits: u32) -> Result<(), Violation> {
        let mut bit = (0..32).map(|at| bits >> at & 1 == 1).cycle();
        let mut bit = move || bit.next().unwrap_or(false);
        for work in std::mem::take(&mut self.pending) {
            match work {
                Pending::BringUp(id, generation, spec) if bit() => {
                    let alive = bit() && spec.image != HOPELESS;
                    self.host.insert(id, Real::new(generation, alive, false));
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
        self.last_promotion = None;
        self.before = None;
        if self.store.is_none() {
            // One that is deployed later is another function.
            self.numbered = Generation::default();
        }
        self.gone = self.store.is_none() && observed.is_empty();
        self.seed += 1;
        let seed = self.seed.wrapping_mul(0xd134_2543_de82_ef95);
        let before = self.published_of_the_store();
        let (life, effects) = self.flaw.recover(&self.name, seed, self.store.clone(), observed, self.now);
        self.life = life;
        self.perform(None, before, effects)
    }
}
