//! The connection to containerd. Every call is a `Call`, which names the namespace and has a deadline; what calls make
//! is kept by a `Lease` until something else refers to it.

mod call;
mod lease;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::tonic::Request;
use containerd_client::tonic::transport::{Channel, Endpoint};

pub(crate) use self::call::{CALL_DEADLINE, Call, Failure, host_error};
pub(crate) use self::lease::{Lease, end_stale};
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

    /// The filter for objects that carry our owner label.
    pub(crate) fn owned_filter(&self) -> String {
        format!("labels.\"{OWNER_LABEL}\"==\"{}\"", self.owner)
    }

    /// `message` as a request in our namespace.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Ok(value) = self.namespace.parse() {
            request.metadata_mut().insert("containerd-namespace", value);
        }
        request
    }
}

/// Why no containerd answered at a socket, and what to do about it.
fn unreached(socket: &Path, error: &io::Error) -> io::Error {
    let text =
        format!("{}: {error}: start the containerd that listens there, or name the right socket", socket.display());
    io::Error::new(error.kind(), text)
}
