//! Writes down what came of a try, for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::context::Context;
use super::ends::Ended;
use super::settling::{Progress, Written};
use crate::store::calls::{Calls, Notice, Seq, Settled, State};

/// Before it is written again what the disk refused.
const AGAIN: Duration = Duration::from_secs(1);

/// One that is unwritten, as long as this is held.
struct Unwritten {
    context: Arc<Context>,
    call: Seq,
    is_refused: bool,
}

impl Unwritten {
    fn begin(context: Arc<Context>, call: Seq, progress: watch::Receiver<Progress>) -> Self {
        context.settling.unwritten().insert(call, progress);
        context.settling.count(|counts| counts.unwritten += 1);
        Self { context, call, is_refused: false }
    }

    async fn write(&mut self, calls: &Calls, settled: &Settled, told: &watch::Sender<Progress>) -> Option<Notice> {
        loop {
            match calls.settle(self.call, settled.clone()).await {
                Ok((_, notice)) => return notice,
                Err(error) if !self.is_refused => {
                    tracing::error!(%error, "what came of a call can't be written down: it is tried again each second");
                    self.is_refused = true;
                    self.context.settling.count(|counts| counts.refused += 1);
                    told.send_replace(Progress::Refused);
                }
                Err(_) => {}
            }
            sleep(AGAIN).await;
        }
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        let settling = &self.context.settling;
        settling.unwritten().remove(&self.call);
        settling.count(|counts| {
            counts.unwritten -= 1;
            counts.refused -= usize::from(self.is_refused);
        });
    }
}

impl Context {
    /// Writes down what came of a call; `end` is what it has become, if it has ended by that, and `news` what is said of it to
    /// whoever listens.
    pub(super) fn settle(
        self: &Arc<Self>,
        calls: &Calls,
        call: Seq,
        settled: Settled,
        (end, news): (Option<State>, Vec<Ended>),
    ) -> Written {
        let (told, progress) = watch::channel(Progress::UnderWay);
        let mut unwritten = Unwritten::begin(self.clone(), call, progress.clone());
        let calls = calls.clone();
        let waits = matches!(settled, Settled::Again { .. });
        self.settling.tasks.spawn(async move {
            let context = unwritten.context.clone();
            let notice = tokio::select! {
                biased;
                () = context.settling.end.cancelled() => None,
                () = calls.damaged() => None,
                notice = unwritten.write(&calls, &settled, &told) => {
                    if !waits {
                        context.left(&[call], end, news);
                    }
                    if unwritten.is_refused {
                        tracing::info!(call = call.0, "what came of a call is written down again");
                    }
                    notice
                }
            };
            drop(unwritten);
            told.send_replace(Progress::Ended(notice));
        });
        Written(progress)
    }
}
