//! The way out: actord is about to end, and every answer asks its client to come back on a new connection.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix_http::Response;
use actix_web::http::{ConnectionType, StatusCode};
use tokio::sync::Notify;

/// Raised when actord is about to end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Draining(Arc<Drain>);

#[derive(Debug, Default)]
struct Drain {
    raised: AtomicBool,
    answers: AtomicU64,
    told: Notify,
}

impl Draining {
    /// Raises it, for good.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.0.told.notify_waiters();
    }

    /// Returns when it is raised: for answers that would go on for ever.
    pub async fn raised(&self) {
        let mut told = pin!(self.0.told.notified());
        told.as_mut().enable();
        if !self.is_raised() {
            told.await;
        }
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// How many answers were begun since it was raised.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.0.answers.load(Ordering::Relaxed)
    }

    /// Once it is raised: counts an answer and closes its connection. One that has switched protocols goes on.
    pub(super) fn close_connection<B>(&self, answer: &mut Response<B>) {
        if self.is_raised() {
            self.0.answers.fetch_add(1, Ordering::Relaxed);
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.head_mut().set_connection_type(ConnectionType::Close);
            }
        }
    }
}
