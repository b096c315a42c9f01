//! What a request can expect that finds no instance ready: whether one comes, and when.

use super::instance::Instance;
use super::{Desired, Lifecycle};
use crate::function::Uptime;

/// What a request can expect that finds no instance ready. `At` is a moment on the clock of whoever reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Outlook<At = Uptime> {
    /// An instance is on its way.
    #[default]
    Coming,
    /// An instance is on its way, the first since none was to run: its callers have asked for its start.
    Waking,
    /// None is asked to run. A call starts one.
    AtZero,
    /// No instance is being started before then, because the last starts failed.
    BackingOff {
        /// When the next start is due.
        until: At,
        /// Whether the last start failed in a way that waiting does not mend.
        is_permanent: bool,
        /// What went wrong last.
        reason: String,
    },
    /// None will come until another version is deployed, for this reason.
    Failed(String),
    /// None will come until `actord start`: an operator keeps it down.
    KeptDown,
}

impl<At> Outlook<At> {
    /// The same on another clock.
    pub fn at<Other>(self, clock: impl FnOnce(At) -> Other) -> Outlook<Other> {
        match self {
            Self::Coming => Outlook::Coming,
            Self::Waking => Outlook::Waking,
            Self::AtZero => Outlook::AtZero,
            Self::BackingOff { until, is_permanent, reason } => {
                Outlook::BackingOff { until: clock(until), is_permanent, reason }
            }
            Self::Failed(reason) => Outlook::Failed(reason),
            Self::KeptDown => Outlook::KeptDown,
        }
    }
}

impl Lifecycle {
    /// What a request can expect that finds no instance ready; none once the function is deleted.
    #[must_use]
    pub fn outlook(&self, now: Uptime) -> Option<Outlook> {
        let desired = self.desired.as_ref()?;
        Some(match desired {
            Desired { kept_down: true, .. } => Outlook::KeptDown,
            Desired { failed: Some(reason), .. } if desired.last_good().is_none() => Outlook::Failed(reason.clone()),
            Desired { replicas: 0, .. } | Desired { idle: true, .. } => Outlook::AtZero,
            _ => self.waits_until(now).unwrap_or(if self.from_zero { Outlook::Waking } else { Outlook::Coming }),
        })
    }

    /// Whether all that may serve waits for its next start.
    fn waits_until(&self, now: Uptime) -> Option<Outlook> {
        if self.count(Instance::counts) > 0 {
            return None;
        }
        let wanted = self.wanted();
        let may_serve = [wanted.target, wanted.fallback].into_iter().flatten();
        let waits = may_serve.map(|(generation, _)| {
            let backoff = self.backoffs.get(&generation)?;
            Some((backoff.until(now)?, backoff.is_permanent))
        });
        let (until, is_permanent) = waits.collect::<Option<Vec<_>>>()?.into_iter().min()?;
        let reason = self.failure.as_ref().map_or_else(String::new, |failure| failure.reason.clone());
        Some(Outlook::BackingOff { until, is_permanent, reason })
    }
}
