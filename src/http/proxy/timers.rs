//! The timers of one worker's requests. One that was not needed is kept for the next request: nearly every request is answered
//! long before it is late, and to put a timer into tokio's wheel and take it out again costs more than to look at one.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// The most timers that are kept.
const KEPT: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Timers(RefCell<Vec<Pin<Box<Sleep>>>>);

/// The timer of one request.
pub(super) struct Timer<'a> {
    timers: &'a Timers,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timers {
    /// A timer that is not set.
    pub(super) fn timer(&self) -> Timer<'_> {
        Timer { timers: self, sleep: None }
    }
}

impl Timer<'_> {
    /// Ready at that time. It may be another one each time that it is asked.
    pub(super) fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let kept = || self.timers.0.borrow_mut().pop();
        let sleep = self.sleep.get_or_insert_with(|| kept().unwrap_or_else(|| Box::pin(sleep_until(due))));
        loop {
            // One that rings too early, for a request before this one, is set anew only when it rings.
            if sleep.deadline() > due {
                sleep.as_mut().reset(due);
            }
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let mut kept = self.timers.0.borrow_mut();
        if let Some(sleep) = self.sleep.take()
            && !sleep.is_elapsed()
            && kept.len() < KEPT
        {
            kept.push(sleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_kept_rings_for_the_next_request_when_that_is_due() {
        let timers = Timers::default();
        let begin = Instant::now();
        for (first, next) in [(10, 60), (60, 10), (30, 30)] {
            let now = Instant::now();
            let mut timer = timers.timer();
            let mut set = poll_fn(|cx| Poll::Ready(timer.poll(now + Duration::from_secs(first), cx)));
            assert!(std::pin::Pin::new(&mut set).await.is_pending());
            drop(timer);
            let mut timer = timers.timer();
            poll_fn(|cx| timer.poll(now + Duration::from_secs(next), cx)).await;
            assert_eq!(now.elapsed().as_secs(), next, "{first}, {next}");
        }
        assert_eq!(begin.elapsed().as_secs(), 100);
    }
}
