//! What one intent comes to, given how the function stands now: a write, or answers at once.

use super::{Command, Commit, Intent, Intents, Next, Refusal, Then, Write, came_to_nothing};
use crate::function::lifecycle::{Event, Lifecycle};
use crate::function::spec::Spec;

impl<C, E: Clone> Intents<C, E> {
    pub(super) fn plan(&mut self, intent: Intent<C>, life: &Lifecycle, now: &str, next: &mut Next<C, E>) {
        match (intent, life.desired()) {
            (Intent::Asked(Command::Apply { spec, must_exist }, caller), before) => match (must_exist, before) {
                (false, Some(_)) => next.answers.push((caller, Err(Refusal::Exists))),
                (true, None) => next.answers.push((caller, Err(Refusal::NotFound))),
                _ => {
                    let (spec, callers) = self.replaced_by_neighbours(*spec, caller);
                    self.plan_apply(spec, callers, life, now, next);
                }
            },
            (Intent::Asked(Command::Rollback(to), caller), Some(desired)) => match desired.rollback_target(to) {
                Some(target) => self.plan_apply((*target.spec).clone(), vec![caller], life, now, next),
                None => {
                    let kept = desired.kept().iter().map(|kept| kept.generation).collect();
                    next.answers.push((caller, Err(Refusal::NotKept { to, kept })));
                }
            },
            (Intent::Asked(_, caller), None) => next.answers.push((caller, Err(Refusal::NotFound))),
            (Intent::Asked(Command::Scale(replicas), caller), Some(desired)) => {
                // A number that the lifecycle learnt by itself may not be on the disk yet.
                let is_durable = !self.record && !self.unrecorded;
                let scaled = desired.clone().scaled(replicas);
                if scaled == *desired && is_durable {
                    self.undo_to(replicas);
                    next.answers.push((caller, Ok(())));
                } else {
                    self.write(Write::Put(scaled), Some(Event::Scale(replicas)), Then::Accept(caller), next);
                }
            }
            (Intent::Asked(Command::KeepDown(down), caller), Some(desired)) => {
                let record = desired.clone().stopped(down);
                if record == *desired {
                    next.answers.push((caller, Ok(())));
                } else {
                    self.write(Write::Put(record), Some(Event::KeepDown(down)), Then::Accept(caller), next);
                }
            }
            (Intent::Asked(Command::Delete, caller), Some(_)) => {
                self.write(Write::Delete, Some(Event::Delete), Then::Accept(caller), next);
            }
            // There was room for its next start, while another write was under way.
            (Intent::PutBack { generation, callers }, Some(desired))
                if desired.generation == generation && desired.has_served =>
            {
                let served = callers.into_iter().map(|(caller, _)| self.succeeded(generation, caller));
                next.answers.extend(served);
            }
            (Intent::PutBack { generation, mut callers }, Some(desired)) if desired.generation == generation => {
                // Those who asked for the same meanwhile are told the same.
                if let Some(cause) = callers.first().map(|(_, cause)| cause.clone()) {
                    callers.extend(self.waiting.take(generation).into_iter().map(|caller| (caller, cause.clone())));
                }
                self.plan_put_back(callers, desired, now, next);
            }
            // An update or a deletion came between.
            (Intent::PutBack { callers, .. }, _) => next.answers.extend(callers.into_iter().map(came_to_nothing)),
        }
    }

    /// Takes the updates that follow at once out of the queue: the newest spec stands for all of them. A create ends the
    /// row, since whether it is refused depends on what becomes of the write.
    fn replaced_by_neighbours(&mut self, mut spec: Spec, caller: C) -> (Spec, Vec<C>) {
        let mut callers = vec![caller];
        let is_update =
            |intent: &Intent<C>| matches!(intent, Intent::Asked(Command::Apply { must_exist: true, .. }, _));
        while self.queue.front().is_some_and(is_update)
            && let Some(Intent::Asked(Command::Apply { spec: newer, .. }, caller)) = self.queue.pop_front()
        {
            spec = *newer;
            callers.push(caller);
        }
        (spec, callers)
    }

    fn plan_apply(&mut self, spec: Spec, callers: Vec<C>, life: &Lifecycle, now: &str, next: &mut Next<C, E>) {
        let before = life.desired();
        let desired = life.accept(spec, now);
        let generation = desired.generation;
        if before == Some(&desired) {
            next.waits.push(self.waiting.add(generation, callers, life));
            return;
        }
        let then = Then::Await { generation, callers };
        self.write(Write::Put(desired.clone()), Some(Event::Apply(desired)), then, next);
    }

    pub(super) fn write(&mut self, write: Write, event: Option<Event>, then: Then<C>, next: &mut Next<C, E>) {
        let carries_record = std::mem::take(&mut self.record);
        self.committing = Some(Commit { event, then, carries_record });
        next.write = Some(write);
    }
}
