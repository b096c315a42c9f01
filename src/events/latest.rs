//! How far pulls are: states of which only the newest counts, so that a slow reader passes over some instead of being behind.
//!
//! ```text
//! a look each 500 ms -> the state of each pull -> those who listen, at their own pace
//! a pull ends        -> its last state stays for a while, so that whoever is slow is told that as well
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::{PullProgress, View};
use crate::function::{FunctionId, Phase, Step};

/// How long a pull is kept after its end.
const STAYS: Duration = Duration::from_secs(10);

/// How far the pull of a function's image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The image.
    pub image: String,
    /// Its bytes.
    pub progress: PullProgress,
    /// What it waits for, for a person, if it is known.
    pub waits_for: Option<String>,
}

/// What is wrong with the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What is wrong with what actord needs, in words.
    pub faults: Vec<String>,
    /// Whether asynchronous calls wait because memory is short.
    pub paused: bool,
}

/// The pulls of all functions.
pub(super) type Pulls = Arc<BTreeMap<FunctionId, Pull>>;

/// The pulls that are followed.
#[derive(Debug, Default)]
pub(super) struct Followed(BTreeMap<FunctionId, (Pull, Option<Instant>)>);

impl Followed {
    /// The functions that are to be looked at for it.
    pub(super) fn functions(&self) -> impl Iterator<Item = &FunctionId> {
        self.0.keys()
    }

    /// A function was looked at; none: it is gone.
    pub(super) fn look(&mut self, id: &FunctionId, view: Option<&View>, now: Instant) {
        let Some(view) = view else {
            self.0.remove(id);
            return;
        };
        let image = view.status.desired.as_ref().map(|desired| desired.spec.image.clone());
        if let (Some(progress), Some(image)) = (view.pull, image) {
            let pull = Pull { image, progress, waits_for: view.waits_for.clone() };
            self.0.insert(id.clone(), (pull, None));
        } else if let Some((pull, ended)) = self.0.get_mut(id)
            && ended.is_none()
            // At its very end its bytes are known no more, and the next step has not begun.
            && view.step != Some(Step::Pulling)
        {
            *ended = Some(now);
            pull.waits_for = None;
            let is_past = view.step.is_some_and(|step| step > Step::Pulling)
                || matches!(view.status.phase, Phase::Ready | Phase::Frozen);
            if is_past {
                pull.progress.pulled = pull.progress.total.unwrap_or(pull.progress.pulled);
            }
        }
    }

    /// Tells those who listen, if anything is otherwise than they were told.
    pub(super) fn tell(&mut self, told: &watch::Sender<Pulls>, now: Instant) {
        self.0.retain(|_, (_, ended)| ended.is_none_or(|ended| now - ended < STAYS));
        let is_told = |pulls: &Pulls| {
            pulls.len() == self.0.len() && pulls.iter().zip(&self.0).all(|(one, other)| one == (other.0, &other.1.0))
        };
        if !is_told(&told.borrow()) {
            let pulls = self.0.iter().map(|(id, (pull, _))| (id.clone(), pull.clone())).collect();
            told.send_replace(Arc::new(pulls));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::testing::view;

    fn pulls(followed: &mut Followed, told: &watch::Sender<Pulls>, now: Instant) -> Vec<(u64, Option<String>)> {
        followed.tell(told, now);
        told.borrow().values().map(|pull| (pull.progress.pulled, pull.waits_for.clone())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_state_of_a_pull_is_all_of_its_bytes_and_stays_for_a_while() {
        let (mut followed, told, now) = (Followed::default(), watch::Sender::default(), Instant::now());
        let id = "f".parse().unwrap();
        let pulling = |pulled| View {
            step: Some(Step::Pulling),
            pull: Some(PullProgress { pulled, total: Some(100) }),
            waits_for: (pulled == 10).then(|| "the registry asks to wait 9 s".to_owned()),
            ..view(Phase::Starting)
        };
        followed.look(&id, Some(&pulling(10)), now);
        assert_eq!(pulls(&mut followed, &told, now), [(10, Some("the registry asks to wait 9 s".to_owned()))]);
        followed.look(&id, Some(&pulling(70)), now);
        assert_eq!(pulls(&mut followed, &told, now), [(70, None)]);
        followed.look(&id, Some(&view(Phase::Ready)), now);
        assert_eq!(pulls(&mut followed, &told, now), [(100, None)]);
        followed.look(&id, Some(&view(Phase::Ready)), now + STAYS / 2);
        assert_eq!(pulls(&mut followed, &told, now + STAYS / 2), [(100, None)]);
        assert_eq!(pulls(&mut followed, &told, now + STAYS), []);
        assert_eq!(followed.functions().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_that_fails_stays_where_it_was_and_one_of_a_function_that_is_gone_goes_at_once() {
        let (mut followed, told, now) = (Followed::default(), watch::Sender::default(), Instant::now());
        let pull = Some(PullProgress { pulled: 10, total: Some(100) });
        let pulling = View { step: Some(Step::Pulling), pull, ..view(Phase::Starting) };
        for name in ["failed", "gone"] {
            followed.look(&name.parse().unwrap(), Some(&pulling), now);
        }
        followed.look(&"failed".parse().unwrap(), Some(&view(Phase::Failed)), now);
        followed.look(&"gone".parse().unwrap(), None, now);
        assert_eq!(pulls(&mut followed, &told, now), [(10, None)]);
    }
}
