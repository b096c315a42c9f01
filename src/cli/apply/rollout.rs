//! One function, from the request for it to its last word: what it comes to, told on the way.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::poll::{Poll, RolloutState};
use super::progress::Progress;
use super::report::Verdict;
use crate::cli::client::ClientError;
use crate::function::{FunctionId, Phase};

/// How long it may take.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Patience {
    pub(in crate::cli) timeout: Duration,
    /// When it began.
    pub(in crate::cli) begun: Instant,
}

impl Patience {
    pub(in crate::cli) fn of(timeout: Duration) -> Self {
        Self { timeout, begun: Instant::now() }
    }
}

/// Waits for `done`, and shows meanwhile what the polls find of the function. The poll has to be run beside it.
///
/// # Errors
/// Those of `done`.
pub(in crate::cli) async fn watched(
    id: &FunctionId,
    done: impl Future<Output = Result<RolloutState, ClientError>>,
    poll: &Poll,
    progress: &RefCell<Progress>,
    patience: Patience,
) -> Result<Verdict, ClientError> {
    let mut last = None;
    let watch = poll.follow(id, |state| {
        if let RolloutState::Coming { step, waiting_for, reason } = state {
            // What it backs off for is known, and worth more than the word.
            let why = reason.as_deref().filter(|_| step == Phase::BACKING_OFF);
            progress.borrow_mut().step(id, &step, waiting_for.as_deref().or(why));
            last = Some((step, waiting_for.or(reason)));
        }
    });
    let ended = timeout_at(patience.begun + patience.timeout, async {
        tokio::select! {
            done = done => done,
            never = watch => match never {},
        }
    });
    Ok(match ended.await {
        Ok(Ok(RolloutState::Ready)) => Verdict::Done,
        Ok(Ok(RolloutState::KeptDown(reason))) => Verdict::KeptDown(reason),
        Ok(Ok(RolloutState::Failed(reason))) => Verdict::Failed(reason),
        Ok(Ok(_)) => Verdict::Failed("it was removed meanwhile".to_owned()),
        Ok(Err(error)) => return Err(error),
        Err(_) => Verdict::NotReady(why_not_ready(patience.timeout, last)),
    })
}

fn why_not_ready(timeout: Duration, last: Option<(String, Option<String>)>) -> String {
    let (step, reason) = last.unwrap_or_else(|| ("asked for".to_owned(), None));
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{step} after {timeout:?}{reason}; it goes on, `actord describe` shows it")
}
