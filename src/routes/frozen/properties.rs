//! Random histories of requests and instances against what must hold after each step, when all tasks rest:
//!
//! - an instance is marked frozen when asked for, if it is published, awake and without a lease, and only then;
//! - no request that goes on is on a frozen instance;
//! - a request that waits, does so for a frozen instance whose task has been told, or for one to be published;
//! - in the end, when every task does as it was told, no request waits, and each got one answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::function::{InstanceId, Outlook};
use crate::routes::tests::{at, function, id, park};
use crate::routes::{Lease, NoEndpoint, Parking, Routes};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A request comes.
    Call,
    /// The request that holds an instance (in order of arrival) for the longest but so many ends.
    Return(usize),
    /// A client that waits goes away.
    Leave(usize),
    Freeze(u16),
    /// The instance's task does what it was told, if it was.
    Thaw(u16),
    Publish(u16),
    Retract(u16),
    /// The function is deleted, and deployed again under the same name.
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let instance = || 1..3_u16;
    let step = prop_oneof![
        8 => Just(Step::Call),
        16 => (0..2_usize).prop_map(Step::Return),
        1 => (0..3_usize).prop_map(Step::Leave),
        9 => instance().prop_map(Step::Freeze),
        12 => instance().prop_map(Step::Thaw),
        4 => instance().prop_map(Step::Publish),
        2 => instance().prop_map(Step::Retract),
        1 => Just(Step::Forget),
    ];
    proptest::collection::vec(step, 1..250)
}

/// The task of an instance that it has marked: it ends when it is told to thaw.
struct Marked(JoinHandle<()>);

struct World {
    routes: Arc<Routes>,
    waiting: Vec<JoinHandle<Result<Lease, NoEndpoint>>>,
    held: Vec<Lease>,
    published: Vec<InstanceId>,
    marked: BTreeMap<InstanceId, Marked>,
    calls: usize,
    answers: usize,
    /// How often a mark met a request that waited for it.
    thawed_for_a_call: usize,
}

impl World {
    fn new() -> Self {
        let parking = Parking { requests: 1_000, ..Parking::default() };
        let routes = Arc::new(Routes::new(parking));
        routes.announce(&function(), Outlook::Coming);
        Self {
            routes,
            waiting: Vec::new(),
            held: Vec::new(),
            published: Vec::new(),
            marked: BTreeMap::new(),
            calls: 0,
            answers: 0,
            thawed_for_a_call: 0,
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let instance = |number: u16| id(&format!("f-{number}"));
        match step {
            Step::Call => {
                self.calls += 1;
                self.waiting.push(park(&self.routes));
            }
            Step::Return(nth) => {
                if nth < self.held.len() {
                    drop(self.held.remove(nth));
                }
            }
            Step::Leave(nth) => {
                if nth < self.waiting.len() {
                    let gone = self.waiting.remove(nth);
                    gone.abort();
                    let _ = gone.await;
                    self.answers += 1;
                }
            }
            Step::Freeze(number) => self.freeze(instance(number))?,
            Step::Thaw(number) => self.thaw(&instance(number)),
            Step::Publish(number) => {
                let id = instance(number);
                // Its task has thawed what it publishes.
                if !self.published.contains(&id) {
                    self.marked.remove(&id);
                    self.routes.publish(&function(), &id, at(number));
                    self.published.push(id);
                }
            }
            Step::Retract(number) => {
                self.routes.retract(&function(), &instance(number));
                self.published.retain(|id| *id != instance(number));
            }
            Step::Forget => {
                self.routes.forget(&function());
                self.routes.announce(&function(), Outlook::Coming);
                self.published.clear();
            }
        }
        self.rest().await?;
        self.check()
    }

    fn freeze(&mut self, id: InstanceId) -> Result<(), TestCaseError> {
        let has_lease = self.held.iter().any(|lease| *lease.instance() == id);
        let marked = self.marked.contains_key(&id);
        let may = self.published.contains(&id) && !has_lease && !marked;
        // A lease of a function of the same name that was deleted is none of this one.
        let unknown = has_lease && !marked;
        let done = self.routes.freeze(&function(), &id);
        prop_assert!(done == may || unknown, "{id}: marked {done}, not {may}");
        if done {
            let (routes, one) = (self.routes.clone(), id.clone());
            self.marked.insert(id, Marked(tokio::spawn(async move { routes.called(&function(), &one).await })));
        }
        Ok(())
    }

    fn thaw(&mut self, id: &InstanceId) {
        if self.marked.get(id).is_some_and(|marked| marked.0.is_finished()) {
            self.marked.remove(id);
            self.thawed_for_a_call += usize::from(self.published.contains(id));
            self.routes.thaw(&function(), id);
        }
    }

    /// Lets every task come to rest, and takes the answers.
    async fn rest(&mut self) -> Result<(), TestCaseError> {
        sleep(Duration::from_micros(1)).await;
        for waiting in std::mem::take(&mut self.waiting) {
            if !waiting.is_finished() {
                self.waiting.push(waiting);
                continue;
            }
            self.answers += 1;
            match waiting.await.unwrap() {
                Ok(lease) => self.held.push(lease),
                Err(NoEndpoint::Unknown(_)) => {}
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let marked = self.published.iter().filter_map(|id| self.marked.get(id));
        let (told, quiet): (Vec<_>, Vec<_>) = marked.partition(|marked| marked.0.is_finished());
        let entry = self.routes.find(&function()).unwrap();
        prop_assert_eq!(entry.frozen(), told.len() + quiet.len());
        prop_assert_eq!(entry.load().parked, self.waiting.len(), "each waits in one place");
        let waits = self.waiting.len();
        prop_assert!(waits == 0 || self.published.is_empty() || !told.is_empty(), "{waits} wait and no task is told");
        Ok(())
    }

    /// A published instance, and tasks that do as they were told: nobody waits.
    async fn end(&mut self) -> Result<(), TestCaseError> {
        self.step(Step::Publish(1)).await?;
        for _ in 0..2 {
            for number in 1..3 {
                self.step(Step::Thaw(number)).await?;
            }
        }
        prop_assert_eq!(self.waiting.len(), 0, "some wait for ever");
        prop_assert_eq!(self.calls, self.answers);
        self.held.clear();
        prop_assert_eq!(self.routes.find(&function()).unwrap().load().in_flight, 0);
        Ok(())
    }
}

#[test]
fn no_request_meets_a_frozen_instance_and_none_waits_for_one_that_is_not_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let met = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in steps())| {
        runtime.block_on(async {
            let mut world = World::new();
            for step in steps {
                world.step(step).await?;
                for lease in &world.held {
                    prop_assert!(lease.is_awake(), "{} is frozen under a lease", lease.instance());
                }
            }
            world.end().await?;
            met.set(met.get() + world.thawed_for_a_call);
            Ok(())
        })?;
    });
    println!("{} thaws for a call", met.get());
    assert!(met.get() > 500, "too tame: {} thaws for a call", met.get());
}
