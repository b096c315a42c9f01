//! What is held back while an upgrade is on trial whose tables the program before it can't read: going back brings the databases
//! back as they were before, so nothing is taken that would be lost by it.
//!
//! ```text
//! changes under /system, all of /async-function -> closed: 503, Retry-After        -> open: as ever
//! everything that only reads, calls of functions, /system/session -> as ever
//! ```

use std::future::pending;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::{Method, StatusCode, header};
use tokio::sync::watch;
use tokio::time::Instant;

use super::seconds::whole_seconds;
use super::text::text;

/// The page knows a trial by "on trial" in it.
const ON_TRIAL: &str = "an upgrade is on trial: nothing is changed until it is over";

/// Who signs in or out changes nothing that is missed afterwards: at worst they do so again.
const SESSION: &str = "/system/session";

/// Whether something may be changed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate(watch::Receiver<Option<Instant>>);

impl Gate {
    /// One that is open for good.
    #[must_use]
    pub fn open() -> Self {
        Self(watch::channel(None).1)
    }

    /// One that is open while this says so. Else it says when it is to open, if all goes well. Who lets go of it while it is
    /// closed leaves it closed.
    #[must_use]
    pub fn of(closed_until: watch::Receiver<Option<Instant>>) -> Self {
        Self(closed_until)
    }

    /// How long it stays closed, in all likelihood; none: it is open.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.0.borrow().map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Returns when it is open.
    pub async fn opened(&self) {
        if self.0.clone().wait_for(Option::is_none).await.is_err() {
            pending::<()>().await;
        }
    }

    /// What is said to who wants to change something; none: it is open.
    pub(super) fn refusal(&self) -> Option<HttpResponse> {
        let left = self.left()?;
        let mut refusal = text(StatusCode::SERVICE_UNAVAILABLE, ON_TRIAL);
        refusal.headers_mut().insert(header::RETRY_AFTER, whole_seconds(left).max(1).into());
        Some(refusal)
    }

    /// The same for a request under `/system`, of which only some change anything.
    pub(super) fn refusal_of(&self, method: &Method, path: &str) -> Option<HttpResponse> {
        let changes = !matches!(*method, Method::GET | Method::HEAD) && path != SESSION;
        self.refusal().filter(|_| changes)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn closed() -> (watch::Sender<Option<Instant>>, Gate) {
        let (sender, until) = watch::channel(Some(Instant::now() + MINUTE));
        (sender, Gate::of(until))
    }

    fn retry_after(gate: &Gate) -> Option<String> {
        let refusal = gate.refusal()?;
        Some(refusal.headers().get(header::RETRY_AFTER)?.to_str().unwrap().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_in_whole_seconds_when_it_is_to_open_and_never_that_it_is_now() {
        let (_sender, gate) = closed();
        assert_eq!(retry_after(&gate).unwrap(), "60");
        advance(Duration::from_millis(1_500)).await;
        assert_eq!(retry_after(&gate).unwrap(), "59");
        advance(2 * MINUTE).await;
        assert_eq!(gate.left(), Some(Duration::ZERO), "only who keeps it opens it");
        assert_eq!(retry_after(&gate).unwrap(), "1");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_it_goes_on_when_it_is_opened_and_not_when_nobody_is_left_to_open_it() {
        let (sender, gate) = closed();
        assert!(timeout(MINUTE * 5, gate.opened()).await.is_err());
        sender.send_replace(None);
        timeout(MINUTE, gate.opened()).await.unwrap();
        assert!(gate.refusal().is_none());
        timeout(MINUTE, Gate::open().opened()).await.unwrap();

        let (sender, gate) = closed();
        drop(sender);
        assert!(timeout(MINUTE * 5, gate.opened()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_reads_and_who_signs_in_pass_while_it_is_closed() {
        let (_sender, gate) = closed();
        for (method, path, passes) in [
            (Method::GET, "/system/functions", true),
            (Method::HEAD, "/system/functions", true),
            (Method::POST, "/system/session", true),
            (Method::DELETE, "/system/session", true),
            (Method::POST, "/system/functions", false),
            (Method::PATCH, "/system/functions", false),
            (Method::POST, "/system/session/", false),
            (Method::POST, "/system/nothing", false),
        ] {
            assert_eq!(gate.refusal_of(&method, path).is_none(), passes, "{method} {path}");
        }
    }
}
