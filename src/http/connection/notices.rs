//! What clients can cause as often as they like, told in one line a minute: the first at once, the others in one line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

/// The time between two lines.
pub(super) const EVERY: Duration = Duration::from_secs(60);

/// One kind of notice of one listener. Cheap to clone.
#[derive(Debug)]
pub(super) struct Notices<T> {
    seen: Arc<Mutex<Seen<T>>>,
    /// Writes a line: how many came, and the last of them.
    tell: fn(u64, &T),
}

#[derive(Debug)]
struct Seen<T> {
    /// Whether a line was written less than a minute ago, and a task counts on.
    is_told: bool,
    /// How many came since, and the last of them.
    since: Option<(u64, T)>,
}

impl<T> Clone for Notices<T> {
    fn clone(&self) -> Self {
        Self { seen: self.seen.clone(), tell: self.tell }
    }
}

impl<T: 'static> Notices<T> {
    pub(super) fn told_by(tell: fn(u64, &T)) -> Self {
        Self { seen: Arc::new(Mutex::new(Seen { is_told: false, since: None })), tell }
    }

    /// Notes one: the first is told at once, those of the minute after it in one line.
    pub(super) fn note(&self, what: T) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_told {
            let before = seen.since.take().map_or(0, |(count, _)| count);
            seen.since = Some((before + 1, what));
            return;
        }
        seen.is_told = true;
        drop(seen);
        (self.tell)(1, &what);
        actix_web::rt::spawn(self.clone().tell_the_rest());
    }

    /// Tells what came in each minute, until one in which nothing did.
    async fn tell_the_rest(self) {
        loop {
            sleep(EVERY).await;
            let since = {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.is_told = seen.since.is_some();
                seen.since.take()
            };
            let Some((count, last)) = since else { return };
            (self.tell)(count, &last);
        }
    }
}
