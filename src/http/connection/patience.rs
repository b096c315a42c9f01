//! How long a client is waited for that sends nothing, or no whole head of a request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::http::ClientTimes;

/// The waits for one client.
#[derive(Debug)]
pub(super) struct Patience {
    times: ClientTimes,
    /// Bounds the wait for a head, or for the end of a client that was refused.
    timer: Option<Pin<Box<Sleep>>>,
    /// When the last answer was out, while no other request has come.
    idle_since: Option<Instant>,
    /// Rings when it may have been idle for too long. One for all requests: it is set anew when it rings.
    idle: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) fn new(times: ClientTimes) -> Self {
        Self { times, timer: None, idle_since: None, idle: None }
    }

    /// A whole head has come.
    pub(super) fn head_came(&mut self) {
        (self.timer, self.idle_since) = (None, None);
    }

    /// Another wait begins, of this time or of the one that is asked for first.
    pub(super) fn begin(&mut self, longest: Option<Duration>) {
        self.timer = longest.map(|longest| Box::pin(sleep(longest)));
    }

    /// Whether a wait has been too long.
    pub(super) fn poll_late(&mut self, longest: Duration, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.get_or_insert_with(|| Box::pin(sleep(longest))).as_mut().poll(cx)
    }

    /// Ready when a head has been on its way for too long; with that time.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        self.poll_late(self.times.head, cx).map(|()| self.times.head)
    }

    /// Ready when no request has come for too long after the last answer.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.idle_since.get_or_insert_with(Instant::now) + self.times.idle;
        let idle = self.idle.get_or_insert_with(|| Box::pin(sleep_until(until)));
        loop {
            ready!(idle.as_mut().poll(cx));
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            idle.as_mut().reset(until);
        }
    }
}
