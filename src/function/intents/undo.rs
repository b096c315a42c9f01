//! What is put back where the newest generation is refused.
//!
//! ```text
//! an Apply is committed -> Undo: what stood before it    a caller is told a success -> no Undo any more
//! refused -> PutBack -> the record before it is written again (of a create: its deletion) -> the callers are told
//! ```
//! It is kept in memory only: after a crash a refused generation counts as one that failed after it was accepted.

use std::sync::Arc;

use super::{Cause, Intent, Intents, Next, Then, Write, came_to_nothing};
use crate::function::lifecycle::{Desired, Event, Generation, Lifecycle, RefusedUpdate};

/// What stood before a generation; nothing before a create.
#[derive(Debug)]
pub(super) struct Undo {
    pub(super) generation: Generation,
    before: Option<Box<Desired>>,
    /// The number that the generation was asked to have. Where it has another, a call woke it.
    replicas: u32,
}

impl<C, E: Clone> Intents<C, E> {
    /// Notes what a change that is durable, and not told to the lifecycle yet, means for an undo.
    pub(super) fn note_undo(&mut self, event: &Event, life: &Lifecycle) {
        match event {
            Event::Apply(next) if life.desired().is_none_or(|now| now.generation != next.generation) => {
                let before = self.standing(life);
                self.undo = Some(Undo { generation: next.generation, before, replicas: next.replicas });
            }
            Event::Apply(next) => {
                if let Some(undo) = &mut self.undo {
                    undo.replicas = next.replicas;
                }
            }
            Event::Scale(replicas) => self.undo_to(*replicas),
            Event::KeepDown(down) => {
                if let Some(undo) = &mut self.undo {
                    undo.before = undo.before.take().map(|before| Box::new(before.stopped(*down)));
                }
            }
            Event::Delete => self.undo = None,
            _ => {}
        }
    }

    /// A scale stays, whatever becomes of the update that it came behind.
    pub(super) fn undo_to(&mut self, replicas: u32) {
        let Some(undo) = &mut self.undo else { return };
        undo.replicas = replicas;
        undo.before = undo.before.take().map(|before| Box::new(before.scaled(replicas)));
    }

    pub(super) fn can_undo(&self, generation: Generation) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.generation == generation)
    }

    /// Queues the undoing of the newest generation. What waits in the queue goes on from the record that is put back; but
    /// an update behind a create goes on in its place, so that its caller is not told that there is no such function.
    pub(super) fn put_back(&mut self, callers: Vec<(C, Cause)>) {
        let Some(undo) = &self.undo else { return };
        let intent = Intent::PutBack { generation: undo.generation, callers };
        if undo.before.is_some() {
            self.queue.push_front(intent);
        } else {
            self.queue.push_back(intent);
        }
    }

    pub(super) fn plan_put_back(
        &mut self,
        callers: Vec<(C, Cause)>,
        refused: &Desired,
        now: &str,
        next: &mut Next<C, E>,
    ) {
        match self.undo.take_if(|undo| undo.generation == refused.generation) {
            Some(Undo { before: Some(mut before), replicas, .. }) => {
                if before.replicas == 0 && refused.replicas != replicas {
                    before.replicas = before.serving_spec().min_replicas();
                }
                let told = callers.first().map(|(_, cause)| cause.words().to_owned());
                let refusal = RefusedUpdate {
                    generation: refused.generation,
                    image: refused.spec.image.clone(),
                    reason: refused.failed.clone().or(told).unwrap_or_default(),
                    at: now.to_owned(),
                };
                let before = Desired { refused: Some(Arc::new(refusal)), ..*before };
                self.write(Write::Put(before.clone()), Some(Event::PutBack(before)), Then::PutBack(callers), next);
            }
            Some(Undo { before: None, .. }) => {
                self.write(Write::Delete, Some(Event::Delete), Then::PutBack(callers), next);
            }
            // It could not be written before: the failed generation is kept.
            None => next.answers.extend(callers.into_iter().map(came_to_nothing)),
        }
    }

    /// What stands before a generation that takes the place of the newest one: that one, unless its callers are about to
    /// be told that it was refused.
    fn standing(&mut self, life: &Lifecycle) -> Option<Box<Desired>> {
        let newest = life.desired()?;
        let is_refused = |intent: &Intent<C>| matches!(intent, Intent::PutBack { generation, .. } if *generation == newest.generation);
        match self.undo.take_if(|undo| undo.generation == newest.generation) {
            Some(undo) if !newest.has_served && self.queue.iter().any(is_refused) => undo.before,
            _ => Some(Box::new(newest.clone())),
        }
    }
}
