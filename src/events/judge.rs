//! Which events a change of a function is. Nothing else says so.
//!
//! ```text
//! how it stood, how it stands -> deployed, refused, scale, restart: what was done to it, and why
//!                             -> phase: how it stands, whole, after any of those and whenever it stands otherwise
//! ```
//! So the last `phase` of a function is how it stands, whatever came before.

use super::event::{Because, What};
use crate::engine::Changed;
use crate::function::{Desired, Generation, Phase, Status};

/// The longest text of another's that an event carries, in characters: thousands of events are kept.
const TEXT_MAX: usize = 400;

/// The events that a change is, in their order. `before` is the status that was last judged; none of a function that is new.
pub(super) fn judge(before: Option<&Status>, now: &Changed) -> Vec<What> {
    let now = match now {
        Changed::Deleted => return before.map(|_| What::Deleted).into_iter().collect(),
        Changed::Status(now) => &**now,
    };
    // What is on its way out has been told of.
    let Some(is) = &now.desired else { return Vec::new() };
    match before.and_then(|before| Some((before, before.desired.as_ref()?))) {
        None => vec![deployed(is, true), phase(now, is)],
        // That it went and came back was missed.
        Some((_, was)) if was.created_at != is.created_at => {
            vec![What::Deleted, deployed(is, true), phase(now, is)]
        }
        Some((before, was)) => changed((before, was), (now, is)),
    }
}

fn changed((before, was): (&Status, &Desired), (now, is): (&Status, &Desired)) -> Vec<What> {
    let deployed = (is.generation > was.generation).then(|| deployed(is, false));
    let refused = is.refused.as_ref().filter(|refused| was.refused.as_ref() != Some(*refused));
    let refused = refused.map(|refused| What::Refused {
        generation: refused.generation,
        image: refused.image.clone(),
        reason: short(&refused.reason),
    });
    let (from, to) = (was.running_replicas(), is.running_replicas());
    let scale = (from != to).then(|| What::Scale { from, to, because: because(was, is) });
    let restart = (now.restarts > before.restarts)
        .then(|| What::Restart { restarts: now.restarts, reason: reason(now, is).map(short) });
    let phase = (standing(before, was) != standing(now, is)).then(|| phase(now, is));
    [deployed, refused, scale, restart, phase].into_iter().flatten().collect()
}

fn deployed(desired: &Desired, created: bool) -> What {
    What::Deployed { generation: desired.generation, image: desired.spec.image.clone(), created }
}

/// Why another number should run.
fn because(was: &Desired, is: &Desired) -> Because {
    match &is.adjusted {
        _ if is.kept_down && !was.kept_down => Because::KeptDown,
        _ if was.kept_down && !is.kept_down => Because::Started,
        _ if is.idle && !was.idle => Because::Idle,
        _ if was.idle && !is.idle => Because::Woken,
        Some(adjusted) if was.adjusted.as_ref() != Some(adjusted) => Because::Load(short(&adjusted.reason)),
        _ => Because::Asked,
    }
}

/// What `phase` tells of: where any of it changes, it is told anew.
type Standing<'a> = (Phase, Generation, Option<Generation>, u32, u32, Option<&'a str>);

fn standing<'a>(status: &'a Status, desired: &'a Desired) -> Standing<'a> {
    let reason = reason(status, desired);
    (status.phase, desired.generation, status.serving, status.ready, desired.running_replicas(), reason)
}

fn phase(status: &Status, desired: &Desired) -> What {
    let (phase, generation, serving, ready, replicas, reason) = standing(status, desired);
    What::Phase { phase, generation, serving, ready, replicas, reason: reason.map(short), retry_in: None }
}

/// Why it is as it is. What went wrong before it was stopped by hand does not matter while it is.
fn reason<'a>(status: &'a Status, desired: &'a Desired) -> Option<&'a str> {
    let failure = status.failure.as_ref().map(|failure| failure.reason.as_str());
    failure.or(desired.failed.as_deref()).filter(|_| !desired.kept_down)
}

/// A text as it is kept.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
