//! What goes wrong with a call before its function has answered.

use std::time::Duration;

use actix_web::http::StatusCode;

use super::deadline::Late;
use super::forward::UpstreamError;
use super::unanswered::Unanswered;
use crate::routes::NoEndpoint;

/// Why a request got no answer of its function: what is said after the function's name.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// There is no such function, or the name can be no function's.
    #[error("not found")]
    Unknown,
    #[error(transparent)]
    Upstream(UpstreamError),
    /// It switched protocols although the client did not ask for it.
    #[error("switched protocols unasked")]
    Switched,
    #[error(transparent)]
    Late(Late),
}

impl ProxyError {
    /// Whether the function did answer, and what it said can't be passed on.
    pub(super) fn is_of_the_answer(&self) -> bool {
        matches!(self, Self::Upstream(UpstreamError::Unanswered(Unanswered::Bad(_))))
    }

    /// As who called the function with this name is told of it: by the gateway's status, and a line.
    pub(super) fn told(&self, name: &str) -> (StatusCode, String) {
        match self {
            Self::Unknown => (StatusCode::NOT_FOUND, format!("function {name} not found")),
            Self::Upstream(UpstreamError::Incomplete) => (StatusCode::BAD_REQUEST, self.to_string()),
            Self::Late(Late::Sending(_)) => (StatusCode::REQUEST_TIMEOUT, self.to_string()),
            Self::Upstream(UpstreamError::NoEndpoint(why)) => (StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
            Self::Upstream(_) | Self::Switched => (StatusCode::BAD_GATEWAY, format!("function {name} {self}")),
            Self::Late(_) => (StatusCode::GATEWAY_TIMEOUT, format!("function {name} {self}")),
        }
    }

    /// How long to wait before the same is asked again, where that is known.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Upstream(UpstreamError::NoEndpoint(why)) = self { why.retry_after() } else { None }
    }
}

impl From<UpstreamError> for ProxyError {
    fn from(why: UpstreamError) -> Self {
        match why {
            UpstreamError::NoEndpoint(NoEndpoint::Unknown(_)) => Self::Unknown,
            why => Self::Upstream(why),
        }
    }
}
