//! Why a registry did not give what was asked: what oci-client says -> whether to ask again, and words for a person.

use std::error::Error;

use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};

use crate::host::HostError;

/// Why an attempt at something failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Another attempt may succeed: the network, or a registry that is busy.
    Transient(String),
    /// The registry wants other credentials than it got.
    Denied,
    /// Every attempt would end like this one.
    Permanent(String),
    /// The fault is not the registry's but of this machine.
    Host(HostError),
}

impl From<HostError> for Fault {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl Fault {
    /// What an error of the transport means.
    pub(crate) fn of(error: &OciDistributionError) -> Self {
        use OciDistributionError as E;
        match error {
            E::AuthenticationFailure(_) | E::UnauthorizedError { .. } => Self::Denied,
            E::RegistryError { envelope, .. } => {
                Self::of_codes(envelope.errors.iter().map(|error| &error.code), || {
                    envelope.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
                })
            }
            E::ServerError { code, message, .. } => Self::of_status(*code, message),
            E::RequestError(error) => Self::of_request(error),
            E::IoError(error) => Self::Transient(chain(error)),
            E::DigestError(error) => Self::Permanent(format!("digest mismatch: {error}")),
            other => Self::Permanent(format!("the registry's answer makes no sense: {other}")),
        }
    }

    fn of_codes<'a>(codes: impl Iterator<Item = &'a OciErrorCode>, message: impl FnOnce() -> String) -> Self {
        use OciErrorCode as C;
        for code in codes {
            match code {
                C::ManifestUnknown | C::NameUnknown | C::NotFound | C::BlobUnknown | C::ManifestBlobUnknown => {
                    return Self::not_found();
                }
                C::Unauthorized | C::Denied => return Self::Denied,
                C::Toomanyrequests => return Self::Transient(format!("too many requests: {}", message())),
                _ => {}
            }
        }
        Self::Permanent(format!("the registry refused: {}", message()))
    }

    fn of_status(code: u16, message: &str) -> Self {
        let message: String = message.trim().chars().take(200).collect();
        match code {
            401 | 403 => Self::Denied,
            404 => Self::not_found(),
            408 | 429 | 500.. => Self::Transient(format!("the registry answered {code}: {message}")),
            _ => Self::Permanent(format!("the registry answered {code}: {message}")),
        }
    }

    /// What an error of a request that got no answer means.
    pub(crate) fn of_request(error: &reqwest::Error) -> Self {
        if error.is_builder() || error.is_redirect() {
            return Self::Permanent(chain(error));
        }
        let why = chain(error);
        if error.is_decode() {
            return Self::Permanent(format!("its answer can't be read: {why}"));
        }
        if error.is_timeout() {
            return Self::Transient(format!("no answer in time ({why})"));
        }
        if why.contains("InvalidContentType") || why.contains("corrupt message") {
            return Self::Permanent(
                "it does not speak TLS: list it under the insecure registries if it is meant to speak plain http"
                    .to_owned(),
            );
        }
        Self::Transient(format!("it can't be reached: {why}"))
    }

    /// What the early end of a blob's bytes means.
    pub(crate) fn of_stream(error: &std::io::Error) -> Self {
        match error.get_ref().and_then(|cause| cause.downcast_ref::<DigestError>()) {
            Some(error) => Self::Permanent(format!("digest mismatch: {error}")),
            None => Self::Transient(chain(error)),
        }
    }

    fn not_found() -> Self {
        Self::Permanent("not found there: check the name and the tag".to_owned())
    }
}

/// An error with all its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(code: &str) -> OciDistributionError {
        let json = format!(r#"{{"errors":[{{"code":"{code}","message":"words"}}]}}"#);
        OciDistributionError::RegistryError { envelope: serde_json::from_str(&json).unwrap(), url: String::new() }
    }

    fn status(code: u16) -> OciDistributionError {
        OciDistributionError::ServerError { code, url: String::new(), message: "words".to_owned() }
    }

    #[test]
    fn a_registry_that_is_busy_or_broken_is_asked_again() {
        for error in [status(429), status(500), status(503), envelope("TOOMANYREQUESTS")] {
            assert!(matches!(Fault::of(&error), Fault::Transient(_)), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_or_not_allowed_is_not_asked_for_again() {
        for error in [status(404), envelope("MANIFEST_UNKNOWN"), envelope("NAME_UNKNOWN"), status(400)] {
            assert!(matches!(Fault::of(&error), Fault::Permanent(_)), "{error}");
        }
        for error in [status(401), status(403), envelope("DENIED"), envelope("UNAUTHORIZED")] {
            assert!(matches!(Fault::of(&error), Fault::Denied), "{error}");
        }
    }
}
