//! The way out: actord is about to end, and every answer asks its client to come back on a new connection.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use tokio::sync::Notify;

use super::Services;

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
}

/// Around every route: once draining is raised, counts answers and closes their connections. A connection that has
/// switched protocols goes on.
pub(super) async fn close_connections<B: MessageBody + 'static>(
    services: web::Data<Services>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut answer = next.call(request).await?;
    if services.draining.is_raised() {
        services.draining.0.answers.fetch_add(1, Ordering::Relaxed);
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
    }
    Ok(answer)
}
