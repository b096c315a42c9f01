//! Words to the service manager: that requests are answered, what is going on, that the actors live. Where none listens
//! (no `NOTIFY_SOCKET`) nothing is said. Children never see its variables: they start with a clean environment.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How much more time is asked for while something long is under way, and a third of it before it is asked for again.
const MORE: Duration = Duration::from_secs(30);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager can't be told how it goes");
    }
}

/// Says what is going on, for `systemctl status`.
pub(super) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Says that requests are answered from now on.
pub(super) fn ready(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(text)]);
}

/// Says that this process ends by itself.
pub(super) fn stopping(text: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(text)]);
}

/// Does something long. As long as it goes on, the time limit of a start or stop is moved; each step of it has a limit of
/// its own.
pub(super) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    let more = NotifyState::ExtendTimeoutUsec(u32::try_from(MORE.as_micros()).unwrap_or(u32::MAX));
    let mut again = interval(MORE / 3);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = again.tick() => tell(std::slice::from_ref(&more)),
        }
    }
}

/// Says that actord is alive as often as the service manager wants to hear it, but only when `asked` returns in time: it
/// asks the actors for something. Silence makes the service manager end and restart actord. Returns at once where the
/// service manager does not want to hear it.
pub(super) async fn watchdog<T>(asked: impl AsyncFn() -> Option<T>) {
    if let Some(period) = sd_notify::watchdog_enabled() {
        keep_alive(period, asked, || tell(&[NotifyState::Watchdog])).await;
    }
}

async fn keep_alive<T>(period: Duration, asked: impl AsyncFn() -> Option<T>, mut ping: impl FnMut()) {
    // Three times in a period: one question that meets an actor as it is being replaced is no reason to end.
    let often = period / 3;
    let mut tick = interval(often);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match timeout(often, asked()).await {
            Ok(Some(_)) => ping(),
            _ => {
                tracing::error!("the actors do not answer; after {period:?} of it the service manager restarts actord");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(30);

    /// How often the service manager hears of it in ten periods.
    async fn pings<T>(asked: impl AsyncFn() -> Option<T>) -> u32 {
        let count = Cell::new(0);
        let watch = keep_alive(PERIOD, asked, || count.set(count.get() + 1));
        assert!(timeout(PERIOD * 10, watch).await.is_err(), "it never ends by itself");
        count.get()
    }

    #[tokio::test(start_paused = true)]
    async fn actors_that_answer_are_reported_more_often_than_is_asked_for() {
        assert!(pings(async || Some(())).await >= 20);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_said_while_the_actors_are_deaf_or_gone() {
        assert_eq!(pings(async || pending::<Option<()>>().await).await, 0);
        assert_eq!(pings(async || None::<()>).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_after_a_gap() {
        let asked = Cell::new(0);
        let now_and_then = async || {
            asked.set(asked.get() + 1);
            (asked.get() % 2 == 0).then_some(())
        };
        assert!(pings(now_and_then).await >= 10);
    }
}
