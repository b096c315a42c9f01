//! How a function behaves, told in sentences.

mod checks;
mod deploy;
mod history;
mod recover;
mod resting;
mod run;
mod spare;
mod zero;

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::function::{Exit, Failure, RefusedUpdate, SpecDraft, StartError};

/// A lifecycle and a clock.
struct Heart {
    life: Lifecycle,
    now: Uptime,
}

fn spec(image: &str) -> Spec {
    Spec::try_from(SpecDraft { image: image.into(), ..SpecDraft::default() }).unwrap()
}

fn address() -> SocketAddr {
    SocketAddr::from(([10, 62, 0, 2], 8080))
}

fn hopeless() -> StartError {
    StartError::Image("no such image".into())
}

fn not_now() -> StartError {
    StartError::Host("no address left".into())
}

impl Heart {
    fn new() -> Self {
        Self { life: Lifecycle::new(&"f".parse().unwrap(), 1), now: Uptime::default() }
    }

    /// A heart whose function serves `image` with so many replicas.
    fn serving(image: &str, replicas: u32) -> (Self, Vec<InstanceId>) {
        let mut heart = Self::new();
        heart.apply(image);
        heart.on(Event::Scale(replicas));
        let ids = heart.in_phase(InstancePhase::Starting);
        for id in &ids {
            heart.start(id);
        }
        heart.wait(60);
        (heart, ids)
    }

    fn on(&mut self, event: Event) -> Vec<Effect> {
        self.life.on(event, self.now)
    }

    /// Lets so many seconds pass and then wakes the lifecycle.
    fn wait(&mut self, seconds: u64) -> Vec<Effect> {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.on(Event::RetryDue)
    }

    /// How many starts there are so many seconds later.
    fn starts_after(&mut self, seconds: u64) -> usize {
        brought_up(&self.wait(seconds)).len()
    }

    fn apply(&mut self, image: &str) -> Vec<Effect> {
        let next = self.life.accept(spec(image), "then");
        self.on(Event::Apply(next))
    }

    fn start(&mut self, id: &InstanceId) -> Vec<Effect> {
        self.on(Event::Started(id.clone(), address()))
    }

    fn fail(&mut self, id: &InstanceId, error: StartError) -> Vec<Effect> {
        self.on(Event::StartFailed(id.clone(), error))
    }

    fn crash(&mut self, id: &InstanceId) -> Vec<Effect> {
        self.on(Event::Exited(id.clone(), Exit::Code(1)))
    }

    fn removed(&mut self, id: &InstanceId) -> Vec<Effect> {
        self.on(Event::Removed(id.clone()))
    }

    fn in_phase(&self, phase: InstancePhase) -> Vec<InstanceId> {
        self.life.instances().filter(|(_, _, of)| *of == phase).map(|(id, ..)| id.clone()).collect()
    }

    /// The one instance that is being started.
    fn starting(&self) -> InstanceId {
        let ids = self.in_phase(InstancePhase::Starting);
        assert_eq!(ids.len(), 1, "{ids:?}");
        ids[0].clone()
    }

    fn desired(&self) -> &Desired {
        self.life.desired().unwrap()
    }

    fn status(&self) -> Status {
        self.life.status(self.now)
    }

    fn outcome(&self) -> Outcome {
        self.life.outcome(self.desired().generation)
    }
}

fn brought_up(effects: &[Effect]) -> Vec<Generation> {
    let of = |effect: &Effect| if let Effect::BringUp(_, generation, _) = effect { Some(*generation) } else { None };
    effects.iter().filter_map(of).collect()
}

fn recorded(effects: &[Effect]) -> Option<Desired> {
    effects.iter().find_map(|effect| if let Effect::Record(desired) = effect { Some(desired.clone()) } else { None })
}

fn retry(effects: &[Effect]) -> Option<Duration> {
    effects.iter().find_map(|effect| if let Effect::RetryAfter(delay) = effect { Some(*delay) } else { None })
}
