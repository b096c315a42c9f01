//! What the processes that make a container say to each other: one message, one packet.
//!
//! ```text
//! server --Order, streams, a channel of its own for this container--> zygote, over the zygote's socket
//! server <--Pid-- zygote         over the container's channel
//! server <--Unmapped-- container's first process, in a namespace of users; --MAPPED--> it
//! server <--Ready or Fault-- it
//! server --GO--> it              and nothing more: it executes its program
//! ```

use std::ffi::OsStr;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::Pid;

use super::fault::Fault;
use super::ids::Ids;

/// Tells a container's first process to execute its program.
pub(super) const GO: u8 = b'g';
/// Tells it that it has its numbers.
pub(super) const MAPPED: u8 = b'm';
/// The longest message; paths are at most as long as the kernel's.
const LENGTH_MAX: usize = 1 << 15;
/// Streams and channel.
const DESCRIPTORS: usize = 4;

/// A container to be made, as the zygote is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) state_root: PathBuf,
}

/// What comes back over a container's channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The number of its first process.
    Pid(Pid),
    /// It is in a namespace of users, and waits for these numbers.
    Unmapped(Ids),
    /// It waits to be told to execute its program.
    Ready,
    Fault(Fault),
}

/// Two ends of a channel.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

impl Word {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Pid(pid) => [b"P".as_slice(), &pid.as_raw_pid().to_le_bytes()].concat(),
            Self::Unmapped(Ids { first, count }) => {
                [b"U".as_slice(), &first.to_le_bytes(), &count.to_le_bytes()].concat()
            }
            Self::Ready => b"R".to_vec(),
            Self::Fault(fault) => {
                let mut bytes = [b"F".as_slice(), &fault.to_bytes()].concat();
                bytes.truncate(LENGTH_MAX);
                bytes
            }
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (b'P', number) => Pid::from_raw(i32::from_le_bytes(number.try_into().ok()?)).map(Self::Pid),
            (b'U', ids) => {
                let (first, count) = ids.split_first_chunk()?;
                let count = u32::from_le_bytes(count.try_into().ok()?);
                Some(Self::Unmapped(Ids { first: u32::from_le_bytes(*first), count }))
            }
            (b'R', []) => Some(Self::Ready),
            (b'F', fault) => Fault::from_bytes(fault).map(Self::Fault),
            _ => None,
        }
    }
}

/// Says a word. With `write`, as every filter of system calls allows it; a process that speaks to nobody ends.
pub(super) fn send(channel: BorrowedFd<'_>, word: &Word) -> Result<(), Errno> {
    rustix::io::write(channel, &word.to_bytes()).map(drop)
}

/// Says a word without being ended by it where the other side has gone.
pub(super) fn tell(channel: BorrowedFd<'_>, word: &Word) -> Result<(), Errno> {
    rustix::net::send(channel, &word.to_bytes(), SendFlags::NOSIGNAL).map(drop)
}

/// Takes a word in; none where the other side has ended.
pub(super) fn receive(channel: BorrowedFd<'_>) -> Result<Option<Word>, Errno> {
    let mut bytes = vec![0; LENGTH_MAX];
    match rustix::io::read(channel, &mut bytes)? {
        0 => Ok(None),
        length => Word::from_bytes(&bytes[..length]).ok_or(Errno::BADMSG).map(Some),
    }
}

/// Waits for one byte; none where the other side has ended.
pub(super) fn receive_byte(channel: BorrowedFd<'_>) -> Result<Option<u8>, Errno> {
    let mut byte = [0];
    loop {
        match rustix::io::read(channel, &mut byte) {
            Err(Errno::INTR) => {}
            read => return read.map(|length| (length == 1).then_some(byte[0])),
        }
    }
}

/// Tells a container's first process one of these bytes.
pub(super) fn send_byte(channel: BorrowedFd<'_>, byte: u8) -> Result<(), Errno> {
    rustix::net::send(channel, &[byte], SendFlags::NOSIGNAL).map(drop)
}

/// Gives the zygote an order.
pub(super) fn send_order(socket: BorrowedFd<'_>, order: &Order, descriptors: [BorrowedFd<'_>; 4]) -> Result<(), Errno> {
    let fields = [order.id.as_bytes(), order.bundle.as_os_str().as_bytes(), order.state_root.as_os_str().as_bytes()];
    if fields.iter().any(|field| field.contains(&0)) {
        return Err(Errno::INVAL);
    }
    let bytes = fields.join(&0);
    if bytes.len() > LENGTH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    attached.push(SendAncillaryMessage::ScmRights(&descriptors));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut attached, flags).map(drop)
}

/// Waits for an order; none where the server has ended.
pub(super) fn receive_order(socket: BorrowedFd<'_>) -> Result<Option<(Order, [OwnedFd; 4])>, Errno> {
    let mut bytes = vec![0; LENGTH_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = loop {
        match recvmsg(socket, &mut parts, &mut attached, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptors: Vec<OwnedFd> = attached
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors.collect::<Vec<_>>()),
            _ => None,
        })
        .flatten()
        .collect();
    let fields: Vec<&[u8]> = bytes[..received.bytes].split(|byte| *byte == 0).collect();
    let (Ok(descriptors), [id, bundle, state_root]) = (<[OwnedFd; 4]>::try_from(descriptors), fields.as_slice()) else {
        return Err(Errno::BADMSG);
    };
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let id = String::from_utf8_lossy(id).into_owned();
    Ok(Some((Order { id, bundle: path(bundle), state_root: path(state_root) }, descriptors)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn words_arrive_as_they_were_said_and_then_the_end() {
        let (one, other) = pair().unwrap();
        let ids = Ids { first: 100_000, count: 65_536 };
        let words = || {
            let pid = Word::Pid(Pid::from_raw(7).unwrap());
            [pid, Word::Unmapped(ids), Word::Ready, Word::Fault(Fault::request("because"))]
        };
        for word in words() {
            send(one.as_fd(), &word).unwrap();
        }
        drop(one);
        for word in words() {
            assert_eq!(receive(other.as_fd()).unwrap(), Some(word));
        }
        assert_eq!(receive(other.as_fd()).unwrap(), None);
        assert!(send_byte(other.as_fd(), GO).is_err() && tell(other.as_fd(), &Word::Ready).is_err());
    }

    #[test]
    fn an_order_brings_its_descriptors() {
        let (one, other) = pair().unwrap();
        let (mine, theirs) = pair().unwrap();
        let order = || Order { id: "f-1".into(), bundle: "/b".into(), state_root: "/s".into() };
        let null = std::fs::File::open("/dev/null").unwrap();
        send_order(one.as_fd(), &order(), [null.as_fd(), null.as_fd(), null.as_fd(), theirs.as_fd()]).unwrap();
        drop((one, theirs));
        let (received, [_, _, _, channel]) = receive_order(other.as_fd()).unwrap().unwrap();
        assert_eq!(received, order());
        send(channel.as_fd(), &Word::Ready).unwrap();
        assert_eq!(receive(mine.as_fd()).unwrap(), Some(Word::Ready));
        assert!(receive_order(other.as_fd()).unwrap().is_none());
    }
}
