//! The connection to containerd: every call goes through [`Containerd::request`], which names the namespace.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::tonic::transport::{Channel, Endpoint};
use containerd_client::tonic::{Code, Request, Status};

use crate::host::HostError;

/// A connection to one containerd, and the names that all our objects in it carry.
#[derive(Debug, Clone)]
pub struct Containerd {
    /// The gRPC channel: made once, on the runtime that lives longest, and cloned freely; it reconnects by itself.
    pub channel: Channel,
    /// containerd's socket.
    pub socket: PathBuf,
    /// The containerd namespace that holds everything of ours (functions of all namespaces).
    pub namespace: String,
    /// The owner label's value: this installation's host id.
    pub owner: String,
}

/// The label that says whose an object is; its value is the host id.
pub const OWNER_LABEL: &str = "actord.dev/owner";

impl Containerd {
    /// Makes a channel to the socket. Connects when the first call is made, and again after containerd restarted.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] when the path can't be an address.
    pub fn new(socket: &Path, namespace: &str, owner: &str) -> Result<Self, HostError> {
        let path = socket.to_owned();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move {
                let connected = tokio::net::UnixStream::connect(&path).await.map_err(|error| unreached(&path, &error));
                connected.map(hyper_util::rt::TokioIo::new)
            }
        });
        let channel = Endpoint::from_static("http://containerd")
            .connect_timeout(Duration::from_secs(5))
            .connect_with_connector_lazy(connector);
        Ok(Self { channel, socket: socket.to_owned(), namespace: namespace.to_owned(), owner: owner.to_owned() })
    }

    /// `message` as a request in our namespace.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Ok(value) = self.namespace.parse() {
            request.metadata_mut().insert("containerd-namespace", value);
        }
        request
    }

    /// `message` as a request in our namespace, under a lease: what it makes lives until the lease ends.
    pub fn leased<T>(&self, lease: &str, message: T) -> Request<T> {
        let mut request = self.request(message);
        if let Ok(value) = lease.parse() {
            request.metadata_mut().insert("containerd-lease", value);
        }
        request
    }
}

/// Why nobody answered at a socket, and what to do about it.
fn unreached(socket: &Path, error: &io::Error) -> io::Error {
    let text =
        format!("{}: {error}: start the containerd that listens there, or name the right socket", socket.display());
    io::Error::new(error.kind(), text)
}

/// The innermost cause of a status that was made on this side; a server's status has none.
fn cause(status: &Status) -> Option<String> {
    let mut innermost = status.source()?;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Some(innermost.to_string())
}

/// What a failed call means. `what` names the object and the act: `create container echo-1`.
pub fn host_error(what: &str, status: &Status) -> HostError {
    match status.code() {
        Code::NotFound => HostError::NotFound(what.to_owned()),
        Code::Unavailable => {
            let why = cause(status).unwrap_or_else(|| status.message().to_owned());
            HostError::Unavailable(format!("{what}: containerd can't be reached: {why}"))
        }
        Code::DeadlineExceeded => HostError::Deadline(what.to_owned()),
        // Made on this side: the connection was lost, before or during the call.
        _ if status.source().is_some() => {
            HostError::Unavailable(format!("{what}: lost the connection to containerd: {}", status.message()))
        }
        _ => HostError::Failed(format!("{what}: {}", status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::containerd::tasks;

    #[tokio::test]
    async fn a_containerd_that_is_not_there_is_named_by_its_socket() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("containerd.sock");
        let containerd = Containerd::new(&socket, "none", "nobody").unwrap();
        let error = tasks::running(&containerd).await.unwrap_err();
        let HostError::Unavailable(text) = &error else { panic!("{error:?}") };
        assert!(text.contains(socket.to_str().unwrap()) && text.contains("name the right socket"), "{text}");
    }
}
