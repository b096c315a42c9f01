//! What goes wrong under `/system`, as an answer: a status and a line of plain text, the way Go's `http.Error` writes it.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::engine::{NamespaceRefused, Refused, SecretRefused};
use crate::function::Invalid;
use crate::http::text::text;

/// An answer that is not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(super) struct HttpError {
    pub(super) status: StatusCode,
    pub(super) text: Cow<'static, str>,
}

impl HttpError {
    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    /// 503: the same request may succeed later.
    pub(super) fn busy(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

impl From<Refused> for HttpError {
    fn from(refused: Refused) -> Self {
        let status = match &refused {
            Refused::Invalid(_)
            | Refused::NoSecret(_)
            | Refused::NoNamespace(_)
            | Refused::NotKept { .. }
            | Refused::Unrunnable(_) => StatusCode::BAD_REQUEST,
            Refused::NotFound(_) => StatusCode::NOT_FOUND,
            Refused::Exists(_) => StatusCode::CONFLICT,
            Refused::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Refused::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refused.to_string())
    }
}

impl From<SecretRefused> for HttpError {
    fn from(refused: SecretRefused) -> Self {
        let status = match &refused {
            SecretRefused::NoNamespace(_) => StatusCode::BAD_REQUEST,
            SecretRefused::NotFound(_) => StatusCode::NOT_FOUND,
            SecretRefused::Exists(_) | SecretRefused::InUse { .. } => StatusCode::CONFLICT,
            SecretRefused::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            SecretRefused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refused.to_string())
    }
}

impl From<NamespaceRefused> for HttpError {
    fn from(refused: NamespaceRefused) -> Self {
        let status = match &refused {
            NamespaceRefused::Exists(_) | NamespaceRefused::InUse { .. } => StatusCode::CONFLICT,
            NamespaceRefused::NotFound(_) => StatusCode::NOT_FOUND,
            NamespaceRefused::Default(_) => StatusCode::BAD_REQUEST,
            NamespaceRefused::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            NamespaceRefused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refused.to_string())
    }
}

impl From<Invalid> for HttpError {
    fn from(invalid: Invalid) -> Self {
        Self::new(StatusCode::BAD_REQUEST, invalid.0)
    }
}

impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        text(self.status, &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::FunctionId;

    fn id() -> FunctionId {
        "echo".parse().unwrap()
    }

    #[test]
    fn every_refusal_has_the_status_that_tells_who_can_act_on_it() {
        for (refused, status) in [
            (Refused::Invalid(Invalid("bad".into())), 400),
            (Refused::NotFound(id()), 404),
            (Refused::Exists(id()), 409),
            (Refused::NoSecret("s".parse().unwrap()), 400),
            (Refused::NoNamespace("gone".parse().unwrap()), 400),
            (Refused::NotKept { id: id(), to: None, kept: Vec::new() }, 400),
            (Refused::Unrunnable("no such image".into()), 400),
            (Refused::Full("disk full".into()), 507),
            (Refused::Failed("the disk is broken".into()), 500),
            (Refused::Busy("too many".into()), 503),
        ] {
            assert_eq!(HttpError::from(refused.clone()).status.as_u16(), status, "{refused:?}");
        }
    }
}
