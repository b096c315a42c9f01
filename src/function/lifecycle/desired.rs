//! What was last asked of a function, and which of its generations may serve.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::History;
use crate::function::spec::Spec;

/// Counts the specs that a function has accepted; a later one is a greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An update that was refused: what was asked for before it is asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedUpdate {
    /// Its generation, which is not used again.
    pub generation: Generation,
    /// The image that it asked for.
    pub image: String,
    /// Why it was refused, for a person.
    pub reason: String,
    /// When, RFC 3339.
    pub at: String,
}

/// How many instances run in place of the number that was asked for, and why: the scaler's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// How many instances should serve.
    pub replicas: u32,
    /// Why, for a person.
    pub reason: String,
}

/// What was last asked of a function, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Counts the accepted specs of this function, from 1.
    pub generation: Generation,
    /// The accepted spec.
    pub spec: Arc<Spec>,
    /// How many instances should serve.
    pub replicas: u32,
    /// Whether `actord stop` keeps it down: nothing runs until `actord start`, whatever is asked for or called.
    pub kept_down: bool,
    /// Whether nothing runs because nothing was called for a while: a call starts what is asked for. Nothing waits for this
    /// to be durable; losing it costs one start, or one wake.
    pub idle: bool,
    /// The number that runs in place of `replicas`, as the load asks for it. Written behind, too.
    pub adjusted: Option<Adjusted>,
    /// When `generation` was accepted, RFC 3339; empty where an older actord accepted it, which did not note it.
    pub accepted_at: String,
    /// The generations before `generation` that ever served. The newest of them is what serves if `generation` fails, and
    /// what is still adopted if actord restarts in the middle of a rolling update.
    pub history: History,
    /// Whether `generation` itself ever served.
    pub has_served: bool,
    /// Why `generation` failed for good, if it did.
    pub failed: Option<String>,
    /// When the function was created, RFC 3339.
    pub created_at: String,
    /// The last update that was refused since `generation` was accepted.
    pub refused: Option<Arc<RefusedUpdate>>,
}

impl Desired {
    /// How many instances should run just now: as many as were asked for or the load needs, and none while it is kept down
    /// or idle. A zero that was asked for is never adjusted.
    #[must_use]
    pub fn running_replicas(&self) -> u32 {
        match &self.adjusted {
            _ if self.kept_down || self.idle || self.replicas == 0 => 0,
            Some(adjusted) => adjusted.replicas,
            None => self.replicas,
        }
    }

    /// The load's number for another spec: within its bounds, and none where its load moves nothing.
    pub(super) fn adjusted_for(&self, spec: &Spec) -> Option<Adjusted> {
        let scaling = spec.scaling();
        let adjusted = self.adjusted.clone().filter(|_| scaling.rule.is_some())?;
        Some(Adjusted { replicas: adjusted.replicas.clamp(scaling.min, scaling.max), ..adjusted })
    }

    /// The same with another number, which was asked for: it stands in place of what the load asked for, and ends idleness.
    #[must_use]
    pub fn scaled(self, replicas: u32) -> Self {
        Self { replicas, idle: false, adjusted: None, ..self }
    }

    /// The same kept down, or no longer: then it runs, idle or not.
    #[must_use]
    pub fn stopped(self, kept_down: bool) -> Self {
        Self { kept_down, idle: self.idle && kept_down, ..self }
    }

    /// The spec that requests are for: the newest unless it failed, else the one to fall back on.
    #[must_use]
    pub fn serving_spec(&self) -> &Spec {
        match self.last_good() {
            Some(good) if self.failed.is_some() => &good.spec,
            _ => &self.spec,
        }
    }

    /// Whether a call needs a token: if what serves asks for one, may serve in a moment, or was to serve. Who was told that an
    /// update is accepted which adds a guard has no reason to look whether it failed later.
    #[must_use]
    pub fn asks_for_token(&self) -> bool {
        let before = self.last_good().filter(|_| self.is_on_trial());
        [&*self.spec, self.serving_spec()].into_iter().any(Spec::asks_for_token)
            || before.is_some_and(|good| good.spec.asks_for_token())
    }

    /// Whether the newest generation has yet to prove itself: it never served, and has not failed.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        !self.has_served && self.failed.is_none()
    }

    /// The specs that an instance may yet be started of: the newest, and the one before it for as long as it may be fallen
    /// back on. One that is only kept for a rollback is none of them: that is an update, which is checked as one.
    pub fn startable_specs(&self) -> impl Iterator<Item = &Spec> {
        let proven = self.has_served && self.failed.is_none();
        let good = self.last_good().filter(|_| !proven).map(|good| &good.spec);
        std::iter::once(&self.spec).chain(good).map(|spec| &**spec)
    }

    /// Whether it was put back, because a newer generation was refused.
    #[must_use]
    pub fn is_put_back(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.generation > self.generation)
    }

    /// The newest generation that was accepted, refused ones included: the next one is greater.
    #[must_use]
    pub fn newest_generation(&self) -> Generation {
        self.refused.as_ref().map_or(self.generation, |refused| refused.generation.max(self.generation))
    }
}
