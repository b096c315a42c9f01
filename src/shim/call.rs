//! What `start` and `delete` ask a running server: one ttrpc call each, blocking, with a deadline.
//!
//! They run once for each container, so they have neither an async runtime nor a client with threads of its own. The
//! server has these two calls beside containerd's task service, on the same socket ([`super::server`]). Both stay as
//! they are: a server may be older than who asks it.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::{Message as _, MessageField};
use containerd_shim_protos::ttrpc::Code;
use containerd_shim_protos::ttrpc::proto::{MESSAGE_HEADER_LENGTH, MessageHeader, Request, Response};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// The service of both calls.
pub(super) const SERVICE: &str = "actord.shim.v1.Shard";
/// Announces a container. The payload is its id.
pub(super) const RESERVE: &str = "Reserve";
/// Removes a container that containerd has lost. The payload is its id, the answer a `DeleteResponse`.
pub(super) const REMOVE: &str = "Remove";

/// How long a server may take for each step of an answer. It takes well under a millisecond for a reservation.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer that is read.
const ANSWER_MAX: u32 = 64 << 10;

/// Announces a container to the server at `socket`; `false` where there is no server.
pub(super) fn reserve(socket: &Path, id: &str) -> io::Result<bool> {
    Ok(call(socket, RESERVE, id)?.is_some())
}

/// Lets the server at `socket` remove a container; none where there is no server, or it has no such container.
pub(super) fn remove(socket: &Path, id: &str) -> io::Result<Option<DeleteResponse>> {
    let Some(answer) = call(socket, REMOVE, id)? else { return Ok(None) };
    DeleteResponse::parse_from_bytes(&answer).map(Some).map_err(io::Error::other)
}

/// Whether there is a socket at that path which no server listens on.
pub(super) fn is_dead(socket: &Path) -> bool {
    connected(socket).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The payload of an answer; none where no server listens, it went before it answered, or it knows no such container.
fn call(socket: &Path, method: &str, id: &str) -> io::Result<Option<Vec<u8>>> {
    match try_call(socket, method, id) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Ok(None),
            io::ErrorKind::WouldBlock => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the shim at {} does not answer: look whether it is stopped or stuck", socket.display()),
            )),
            _ => Err(io::Error::new(error.kind(), format!("ask the shim at {}: {error}", socket.display()))),
        },
    }
}

fn try_call(socket: &Path, method: &str, id: &str) -> io::Result<Vec<u8>> {
    let request = Request {
        service: SERVICE.to_owned(),
        method: method.to_owned(),
        payload: id.as_bytes().to_vec(),
        ..Request::default()
    };
    let body = request.write_to_bytes().map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut message = Vec::from(MessageHeader::new_request(1, length));
    message.extend_from_slice(&body);

    let mut stream = connected(socket)?;
    stream.write_all(&message)?;
    let mut header = [0; MESSAGE_HEADER_LENGTH];
    stream.read_exact(&mut header)?;
    let header = MessageHeader::from(header);
    if header.length > ANSWER_MAX {
        return Err(io::Error::other(format!("an answer of {} bytes", header.length)));
    }
    let mut body = vec![0; header.length as usize];
    stream.read_exact(&mut body)?;
    let answer = Response::parse_from_bytes(&body).map_err(io::Error::other)?;
    match answer.status {
        MessageField(Some(status)) if status.code() == Code::NOT_FOUND => Err(io::ErrorKind::NotFound.into()),
        MessageField(Some(status)) if status.code() != Code::OK => Err(io::Error::other(status.message)),
        _ => Ok(answer.payload),
    }
}

/// A connection on which nothing takes longer than [`PATIENCE`], connecting included.
fn connected(socket: &Path) -> io::Result<UnixStream> {
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for timeout in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&stream, timeout, Some(PATIENCE))?;
    }
    connect(&stream, &SocketAddrUnix::new(socket)?)?;
    Ok(stream.into())
}
