//! What a connection's other side has not acknowledged yet.

use std::os::fd::AsRawFd as _;

use tokio::net::TcpStream;

/// The bytes that were given to our kernel and that the other one has not acknowledged (`tcp(7)`, SIOCOUTQ).
pub(super) fn unacknowledged(tcp: &TcpStream) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `tcp` is borrowed; the call writes one int, which is ours.
    #[allow(unsafe_code)]
    let done = unsafe { libc::ioctl(tcp.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    (done == 0).then(|| u64::try_from(bytes).ok()).flatten()
}
