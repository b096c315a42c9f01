//! What a connection's other side has not acknowledged yet, and what was not even sent to it.

use std::os::fd::AsRawFd as _;

use tokio::net::TcpStream;

/// The bytes that were given to our kernel and that the other one has not acknowledged (`tcp(7)`, SIOCOUTQ).
pub(super) fn unacknowledged(tcp: &TcpStream) -> Option<u64> {
    ask(tcp, libc::TIOCOUTQ)
}

/// The bytes that were given to our kernel and that it has not sent: the other one has no room for them, or the way there has
/// not (`linux/sockios.h`, SIOCOUTQNSD).
pub(super) fn unsent(tcp: &TcpStream) -> Option<u64> {
    const SIOCOUTQNSD: libc::Ioctl = 0x894b;
    ask(tcp, SIOCOUTQNSD)
}

fn ask(tcp: &TcpStream, what: libc::Ioctl) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `tcp` is borrowed; both calls write one int, which is ours.
    #[allow(unsafe_code)]
    let done = unsafe { libc::ioctl(tcp.as_raw_fd(), what, &raw mut bytes) };
    (done == 0).then(|| u64::try_from(bytes).ok()).flatten()
}
