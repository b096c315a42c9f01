//! The three things asked of the kernel about links: bring `lo` up, find one by name, delete one. Two messages of
//! rtnetlink(7) by hand cost less than a crate for all of it.

use rustix::io::{self, Errno};
use rustix::net::netdevice::name_to_index;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const NLMSG_ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST_ACK: u16 = 1 | 4;
const IFF_UP: u32 = 1;
/// `struct nlmsghdr` and `struct ifinfomsg`.
const LENGTH: u32 = 16 + 16;
/// The loopback interface is the first of every network namespace.
const LOOPBACK: u32 = 1;

/// Brings up `lo` in the network namespace of the calling thread.
pub(super) fn loopback_up() -> io::Result<()> {
    ask(RTM_NEWLINK, LOOPBACK, IFF_UP)
}

/// Whether a link of this name exists in our network namespace.
pub(super) fn link_exists(name: &str) -> io::Result<bool> {
    index(name).map(|found| found.is_some())
}

/// Deletes a link. A link that is not there is deleted already.
pub(super) fn delete_link(name: &str) -> io::Result<()> {
    let Some(index) = index(name)? else { return Ok(()) };
    match ask(RTM_DELLINK, index, 0) {
        Err(Errno::NODEV) => Ok(()),
        other => other,
    }
}

fn index(name: &str) -> io::Result<Option<u32>> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    match name_to_index(&socket, name) {
        Err(Errno::NODEV) => Ok(None),
        other => other.map(Some),
    }
}

/// Sends one link message and reads its acknowledgement.
fn ask(kind: u16, index: u32, flags: u32) -> io::Result<()> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sendto(&socket, &message(kind, index, flags), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut reply = [0u8; 4096];
    let (length, _) = recv(&socket, &mut reply, RecvFlags::empty())?;
    verdict(&reply[..length.min(reply.len())])
}

/// `flags` are set, and only they may change.
fn message(kind: u16, index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH as usize);
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(REQUEST_ACK.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and port: one question a socket
    bytes.extend([0; 4]); // family, padding, device type
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes
}

fn verdict(reply: &[u8]) -> io::Result<()> {
    let kind = reply.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = reply.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(Errno::from_raw_os_error(code.saturating_neg())),
        _ => Err(Errno::PROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_a_loopback_and_none_has_a_link_of_a_random_name() {
        assert!(link_exists("lo").unwrap());
        assert!(!link_exists("no-such-link0").unwrap());
        delete_link("no-such-link0").unwrap();
    }

    #[test]
    fn a_refusal_of_the_kernel_is_an_error_and_half_an_answer_is_none() {
        let mut reply = message(NLMSG_ERROR, 0, 0);
        reply[16..20].copy_from_slice(&(-1i32).to_ne_bytes());
        assert_eq!(verdict(&reply), Err(Errno::PERM));
        reply[16..20].copy_from_slice(&0i32.to_ne_bytes());
        assert_eq!(verdict(&reply), Ok(()));
        assert_eq!(verdict(&reply[..10]), Err(Errno::PROTO));
    }
}
