//! What stood before each generation, and is put back where that is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::{Caller, World};
use crate::function::intents::{Intent, Write};
use crate::function::{Desired, Event, Generation, Outcome};

impl World {
    /// A generation that failed before it was kept: what stood before it is put back, with the scales that came since, and
    /// its number is remembered.
    pub(super) fn check_undone(&self, write: &Write, told: &BTreeSet<Caller>) {
        let failed = self.life.desired().expect("undone, and it is not there");
        let generation = failed.generation;
        let found_no_room = self.no_room.contains(&generation) && !failed.has_served;
        let refused = failed.failed.is_some() || found_no_room;
        assert!(refused && !self.kept.contains(&generation), "undone, and it did not fail");
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

    /// What a refusal of the generation that is about to be told puts back: what is asked for now, unless that is about to
    /// be refused itself.
    pub(super) fn note_before(&mut self) {
        let event = self.intents.committing.as_ref().and_then(|commit| commit.event.clone());
        let now = self.life.desired();
        match event {
            Some(Event::Apply(next)) if now.is_none_or(|now| now.generation != next.generation) => {
                let refused = |now: &&Desired| {
                    let failed = matches!(self.life.outcome(now.generation), Outcome::Failed(_));
                    (failed || self.is_told_of_no_room(now)) && !self.kept.contains(&now.generation)
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

    /// Whether its callers are about to be told that it found no room: from then on it is refused, also where it is scaled to
    /// zero meanwhile and so asks for no more.
    fn is_told_of_no_room(&self, now: &Desired) -> bool {
        let of = |intent: &Intent<Caller>| matches!(intent, Intent::PutBack { generation, .. } if *generation == now.generation);
        !now.has_served && self.intents.queue.iter().any(of)
    }

    /// A wake stays where the generation that it woke is refused.
    pub(super) fn wake(&mut self) {
        if let Some(now) = self.life.desired().filter(|now| now.replicas == 0 && !now.kept_down)
            && let Some(Some(before)) = self.before.get_mut(&now.generation)
            && before.replicas == 0
        {
            before.replicas = before.serving_spec().min_replicas();
        }
        self.feed(Event::Wake);
    }
}

/// A scale stays where the newest generation is refused.
pub(super) fn scale(before: &mut BTreeMap<Generation, Option<Desired>>, newest: Generation, replicas: u32) {
    if let Some(Some(before)) = before.get_mut(&newest) {
        before.replicas = replicas;
    }
}
