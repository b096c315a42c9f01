//! Why a registry did not give what was asked: whether to ask again, and words for a person.
//!
//! What its answers mean is told by `registry::refusal`; here is what it means that no answer came.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use rustls::CertificateError;

use crate::host::HostError;

/// Why an attempt at something failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Another attempt may succeed: the network, or a registry that is busy.
    Transient(String),
    /// Another attempt may succeed, and the server says when.
    Busy {
        /// What it answered.
        why: String,
        /// How long it asks to be left alone.
        wait: Duration,
    },
    /// Nothing answers at its address: an unknown host, a refused connection. It heals with a start or a mended name, so
    /// only a registry that answered a moment ago is worth another attempt.
    Unreachable(String),
    /// Its certificate is refused.
    Untrusted(Untrusted),
    /// The registry wants other credentials than it got, or grants nothing to these; with its words, if it has any.
    Denied(String),
    /// The registry does not have it.
    NotFound,
    /// The server does not have as much of it as was asked for.
    NotInRange,
    /// Every attempt would end like this one.
    Permanent(String),
    /// The fault is not the registry's but of this machine.
    Host(HostError),
}

/// Why a certificate is refused, by what there is to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untrusted {
    /// No authority that is trusted has signed it.
    #[error("{0}")]
    UnknownIssuer(String),
    /// It is an authority's own.
    #[error("{0}")]
    IsAuthority(String),
    /// Another reason, such as its time or its name.
    #[error("{0}")]
    Other(String),
}

impl From<&CertificateError> for Untrusted {
    fn from(error: &CertificateError) -> Self {
        let why = rustls::Error::InvalidCertificate(error.clone()).to_string();
        match error {
            CertificateError::UnknownIssuer => Self::UnknownIssuer(why),
            // rustls hands this one on from its verifier as an error of another crate, which is told by its name only.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => Self::IsAuthority(why),
            _ => Self::Other(why),
        }
    }
}

impl From<HostError> for Fault {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl Fault {
    /// A denial without words.
    pub(crate) fn denied() -> Self {
        Self::Denied(String::new())
    }

    /// The same, said of `who` instead of the registry.
    pub(crate) fn of(self, who: &str) -> Self {
        match self {
            Self::Transient(why) => Self::Transient(format!("{who}: {why}")),
            Self::Busy { why, wait } => Self::Busy { why: format!("{who}: {why}"), wait },
            Self::Unreachable(why) => Self::Unreachable(format!("{who}: {why}")),
            Self::Permanent(why) => Self::Permanent(format!("{who}: {why}")),
            other => other,
        }
    }

    /// What an error of a request that got no answer means.
    pub(crate) fn of_request(error: &reqwest::Error) -> Self {
        if error.is_builder() || error.is_redirect() {
            return Self::Permanent(chain(error));
        }
        let why = chain(error);
        if let Some(error) = cause::<rustls::Error>(error) {
            return Self::of_tls(error);
        }
        let cut = cause::<std::io::Error>(error).is_some_and(|error| is_cut(error.kind()));
        if error.is_connect() && !cut {
            let why = if error.is_timeout() { "nobody answers at its address".to_owned() } else { innermost(error) };
            return Self::Unreachable(format!("it can't be reached: {why}"));
        }
        if error.is_timeout() {
            return Self::Transient(format!("no answer in time ({why})"));
        }
        Self::Transient(format!("it can't be reached: {why}"))
    }

    /// What it means that the body of an answer ends early.
    pub(crate) fn of_body(error: &reqwest::Error) -> Self {
        Self::Transient(format!("the connection ended early: {}", chain(error)))
    }

    fn of_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(_) => Self::Permanent(
                "it does not speak TLS: list it under the insecure registries if it is meant to speak plain http"
                    .to_owned(),
            ),
            rustls::Error::InvalidCertificate(error) => Self::Untrusted(error.into()),
            other => Self::Permanent(format!("TLS can't be agreed on with it: {other}")),
        }
    }
}

/// Whether a connection was there and ended: what is restarted, or a line that is bad.
fn is_cut(kind: ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(kind, K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof)
}

/// An error and its causes, from the outermost on. An I/O error stands for the error in it, and then comes that one.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let below = |error: &&'a (dyn Error + 'static)| -> Option<&'a (dyn Error + 'static)> {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    };
    std::iter::successors(Some(error), below)
}

/// The innermost of the causes that is of this kind.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).filter_map(|cause| cause.downcast_ref::<E>()).last()
}

/// What it all began with.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
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

    async fn asked(url: &str) -> Fault {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Fault::of_request(&reqwest::get(url).await.unwrap_err())
    }

    #[tokio::test]
    async fn an_unknown_host_and_a_refused_connection_are_told_by_their_last_word() {
        // Its port stays taken: a free one may be given to another test.
        let taken = tokio::net::TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let closed = taken.local_addr().unwrap();
        let Fault::Unreachable(why) = asked(&format!("http://{closed}/v2/")).await else { panic!("not unreachable") };
        assert_eq!(why, "it can't be reached: Connection refused (os error 111)");
        let Fault::Unreachable(why) = asked("http://registry.invalid/v2/").await else { panic!("not unreachable") };
        assert!(why.contains("failed to lookup address information"), "{why}");
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_may_be_a_restart_and_one_without_tls_never_gets_any() {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().flatten().enumerate() {
                let (mut stream, mut some) = (stream, [0; 64]);
                let _ = stream.read(&mut some);
                if n > 1 {
                    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                }
            }
        });
        for scheme in ["http", "https"] {
            let fault = asked(&format!("{scheme}://{address}/v2/")).await;
            assert!(matches!(fault, Fault::Transient(_)), "{fault:?}");
        }
        let fault = asked(&format!("https://{address}/v2/")).await;
        assert!(matches!(&fault, Fault::Permanent(why) if why.contains("does not speak TLS")), "{fault:?}");
    }
}
