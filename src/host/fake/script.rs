//! Faults on request: which call goes wrong, how, and how often.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Method, Subject};
use crate::function::{FunctionName, InstanceId, InstanceIds};
use crate::host::HostError;

/// How a call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this error (a probe, which has no such error: with its text).
    Error(HostError),
    /// It is not answered, until [`super::FakeHost::release`].
    Hang,
    /// It panics.
    Panic,
    /// It takes this long, and then does as it should.
    Delay(Duration),
    /// Its caller is killed at this moment: from now on nothing that it asks for happens or is answered, until
    /// [`super::FakeHost::resume`]. [`super::FakeHost::halted`] tells the test to drop the caller.
    Halt,
}

/// How much of its work a call has done when it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Nothing,
    Half,
    All,
}

/// Which calls a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Only {
    Any,
    Instance(InstanceId),
    Function(FunctionName),
    Image(String),
}

/// A fault and the calls that it befalls: by default the next call of the method, before it has done anything.
#[derive(Debug, Clone)]
pub struct Rule {
    method: Option<Method>,
    fault: Fault,
    done: Done,
    spared: usize,
    left: Option<usize>,
    only: Only,
}

impl Rule {
    /// The next call of `method` goes wrong.
    #[must_use]
    pub fn on(method: Method, fault: Fault) -> Self {
        Self { method: Some(method), fault, done: Done::Nothing, spared: 0, left: Some(1), only: Only::Any }
    }

    /// The next call of any method goes wrong.
    #[must_use]
    pub fn on_anything(fault: Fault) -> Self {
        Self { method: None, fault, done: Done::Nothing, spared: 0, left: Some(1), only: Only::Any }
    }

    /// The next `times` calls.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    /// Every call.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.left = None;
        self
    }

    /// Only after so many calls that it would have been for.
    #[must_use]
    pub fn after(mut self, calls: usize) -> Self {
        self.spared = calls;
        self
    }

    /// It goes wrong when all of its work is done: the caller is told of a failure, or nothing, or takes a panic, and
    /// the thing exists all the same.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.done = Done::All;
        self
    }

    /// It goes wrong when half of its work is done: `prepare` and `create` leave remains without a container, `attach` a namespace
    /// without an address, `remove` a container without a process, `detach` a namespace. Such a call always fails. Other
    /// calls know no half: for them it is as if nothing had been done.
    #[must_use]
    pub fn halfway(mut self) -> Self {
        self.done = Done::Half;
        self
    }

    /// Only calls about this instance.
    #[must_use]
    pub fn only(mut self, id: &InstanceId) -> Self {
        self.only = Only::Instance(id.clone());
        self
    }

    /// Only calls about instances of this function.
    #[must_use]
    pub fn only_function(mut self, name: &FunctionName) -> Self {
        self.only = Only::Function(name.clone());
        self
    }

    /// Only calls about the image, as the call names it.
    #[must_use]
    pub fn only_image(mut self, reference: &str) -> Self {
        self.only = Only::Image(reference.to_owned());
        self
    }

    fn is_for(&self, method: Method, subject: &Subject, instance: Option<&InstanceId>) -> bool {
        self.method.is_none_or(|it| it == method)
            && match &self.only {
                Only::Any => true,
                Only::Instance(id) => instance == Some(id),
                Only::Function(name) => instance.is_some_and(|id| is_of(id, name)),
                Only::Image(reference) => matches!(subject, Subject::Image(it) if it == reference),
            }
    }
}

/// Whether an id was made for a function of this name: before `create`, nothing but the id itself says so.
pub(super) fn is_of(id: &InstanceId, name: &FunctionName) -> bool {
    let sample = InstanceIds::new(name, 0).next_id();
    match (id.as_str().rsplit_once('-'), sample.as_str().rsplit_once('-')) {
        (Some((prefix, _)), Some((wanted, _))) => prefix == wanted,
        _ => false,
    }
}

#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Mutex<Vec<Rule>>,
    released: watch::Sender<u64>,
    halted: watch::Sender<bool>,
}

impl Script {
    pub(super) fn add(&self, rule: Rule) {
        self.lock().push(rule);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn release(&self) {
        self.released.send_modify(|times| *times += 1);
    }

    pub(super) fn halt(&self, halted: bool) {
        self.halted.send_replace(halted);
    }

    /// Returns when the caller was killed.
    pub(super) async fn halted(&self) {
        // The sender lives as long as `self`: this can't fail.
        let _ = self.halted.subscribe().wait_for(|halted| *halted).await;
    }

    /// Lets living callers through; a dead one gets no further.
    pub(super) async fn gate(&self) {
        if *self.halted.borrow() {
            std::future::pending::<()>().await;
        }
    }

    /// The fault that befalls this call, if any; counts it.
    pub(super) fn draw(
        &self,
        method: Method,
        subject: &Subject,
        instance: Option<&InstanceId>,
    ) -> Option<(Fault, Done)> {
        let mut rules = self.lock();
        let mut fitting =
            rules.iter_mut().filter(|rule| rule.is_for(method, subject, instance) && rule.left != Some(0));
        let rule = fitting.find_map(|rule| match rule.spared {
            0 => Some(rule),
            _ => {
                rule.spared -= 1;
                None
            }
        })?;
        rule.left = rule.left.map(|left| left - 1);
        Some((rule.fault.clone(), rule.done))
    }

    /// Does what the fault says; an error is for the caller to answer with.
    #[expect(clippy::panic, reason = "the panic is what was asked for")]
    pub(super) async fn suffer(&self, fault: Fault) -> Result<(), HostError> {
        match fault {
            Fault::Error(error) => return Err(error),
            Fault::Hang => {
                let mut released = self.released.subscribe();
                // The sender lives as long as `self`: this can't fail.
                let _ = released.changed().await;
            }
            Fault::Panic => std::panic::panic_any("a scripted panic"),
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::Halt => {
                self.halt(true);
                self.gate().await;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
