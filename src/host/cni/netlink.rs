//! What is asked of the kernel about links, addresses, neighbours and routes, by rtnetlink(7). Each call opens a socket, asks one
//! question and closes it, in the network namespace of the calling thread; all of them take microseconds.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoBridgePort, InfoKind, InfoPortData, InfoPortKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rscni_types::ipnet::Ipv4Net;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily as Family, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// The loopback interface is the first of every network namespace.
const LOOPBACK: u32 = 1;
/// The kernel sends a dump in parts of at most 32 KiB.
const REPLY: usize = 64 << 10;
/// How the kernel says that no route, or one that refuses, leads to an address.
const UNREACHABLE: [Errno; 2] = [Errno::NETUNREACH, Errno::HOSTUNREACH];

/// A link as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    /// Whether an administrator, or a program, has set it up.
    pub(super) up: bool,
    /// Whether it has a carrier: of a pair, that the other end is there and up.
    pub(super) runs: bool,
    /// The index of the bridge that it is a port of.
    pub(super) master: Option<u32>,
    pub(super) is_bridge: bool,
    /// Whether it is a port of a bridge that sends nothing to other such ports and gets nothing from them.
    pub(super) isolated: bool,
}

/// A route to a subnet in the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Its addresses are neighbours on a link; packets leave with this source.
    Link(u32, Ipv4Addr),
    /// It is refused: who sends to it is told that it is unreachable. Only where no route with a smaller metric is there.
    Refuse {
        /// The greater, the later it is looked at.
        metric: u32,
        /// Tells whose route it is.
        protocol: u8,
    },
}

/// Brings up `lo` in the network namespace of the calling thread.
pub(super) fn loopback_up() -> io::Result<()> {
    set_up(LOOPBACK)
}

/// Whether a link of this name exists.
pub(super) fn link_exists(name: &str) -> io::Result<bool> {
    link(name).map(|found| found.is_some())
}

/// A link by its name.
pub(super) fn link(name: &str) -> io::Result<Option<Link>> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    let answers = match ask(RouteNetlinkMessage::GetLink(message), 0) {
        Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => return Ok(None),
        other => other?,
    };
    Ok(answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(found) => Some(read_link(&found)),
        _ => None,
    }))
}

/// The names of a bridge's ports that are up and isolated.
pub(super) fn ports(bridge: u32) -> io::Result<BTreeSet<String>> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Controller(bridge));
    let answers = ask(RouteNetlinkMessage::GetLink(message), NLM_F_DUMP)?;
    // An old kernel tells of all links.
    let links = answers.iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(found) => Some((read_link(found), found)),
        _ => None,
    });
    let ports = links.filter(|(link, _)| link.up && link.isolated && link.master == Some(bridge));
    Ok(ports.filter_map(|(_, found)| name(found)).collect())
}

fn name(found: &LinkMessage) -> Option<String> {
    found.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })
}

fn read_link(found: &LinkMessage) -> Link {
    let infos = || {
        let infos = found.attributes.iter().filter_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos),
            _ => None,
        });
        infos.flatten()
    };
    let isolates = |info: &LinkInfo| match info {
        LinkInfo::PortData(InfoPortData::BridgePort(port)) => port.contains(&InfoBridgePort::Isolated(true)),
        _ => false,
    };
    Link {
        index: found.header.index,
        up: found.header.flags.contains(LinkFlags::Up),
        runs: found.header.flags.contains(LinkFlags::LowerUp),
        master: found.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Controller(index) => Some(*index),
            _ => None,
        }),
        is_bridge: infos().any(|info| *info == LinkInfo::Kind(InfoKind::Bridge)),
        isolated: infos().any(isolates),
    }
}

/// Makes a bridge, down and without an address, with this hardware address if there is one to keep.
pub(super) fn create_bridge(name: &str, hardware_address: Option<[u8; 6]>) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message.attributes.extend(hardware_address.map(|address| LinkAttribute::Address(address.to_vec())));
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
    ask(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL).map(drop)
}

/// Sets a link up.
pub(super) fn set_up(index: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    (message.header.flags, message.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
    ask(RouteNetlinkMessage::SetLink(message), 0).map(drop)
}

/// Makes a link a port of a bridge.
pub(super) fn set_master(index: u32, bridge: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Controller(bridge));
    ask(RouteNetlinkMessage::SetLink(message), 0).map(drop)
}

/// Keeps a bridge's port apart from all others that are isolated: nothing of layer 2 gets from one to another.
pub(super) fn isolate(index: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(true)])),
    ]));
    // Without NLM_F_CREATE this changes a link that is there; SetLink would not look at what is a port's.
    ask(RouteNetlinkMessage::NewLink(message), 0).map(drop)
}

/// Deletes a link. A link that is not there is deleted already.
pub(super) fn delete_link(name: &str) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    done_or(ask(RouteNetlinkMessage::DelLink(message), 0), Errno::NODEV)
}

/// Whether a link has an address with this prefix.
pub(super) fn has_address(index: u32, address: Ipv4Net) -> io::Result<bool> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    let found = ask(RouteNetlinkMessage::GetAddress(message), NLM_F_DUMP)?;
    Ok(found.iter().any(|answer| match answer {
        RouteNetlinkMessage::NewAddress(found) => {
            found.header.index == index
                && found.header.prefix_len == address.prefix_len()
                && found.attributes.contains(&AddressAttribute::Local(IpAddr::V4(address.addr())))
        }
        _ => false,
    }))
}

/// Gives an address to a link. The kernel makes the route to its network, if the link is up.
pub(super) fn add_address(index: u32, address: Ipv4Net) -> io::Result<()> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    let own = IpAddr::V4(address.addr());
    message.attributes = vec![
        AddressAttribute::Local(own),
        AddressAttribute::Address(own),
        AddressAttribute::Broadcast(address.broadcast()),
    ];
    done_or(ask(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL), Errno::EXIST)
}

/// The link by which packets to an address leave, if any; asked of the kernel's own lookup, which costs the same however
/// many routes there are.
pub(super) fn link_towards(address: Ipv4Addr) -> io::Result<Option<u32>> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 32;
    message.header.flags = RouteFlags::FibMatch;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(address)));
    let answers = match ask(RouteNetlinkMessage::GetRoute(message), 0) {
        Err(error) if UNREACHABLE.iter().any(|known| error.raw_os_error() == Some(known.raw_os_error())) => {
            return Ok(None);
        }
        other => other?,
    };
    let links = answers.iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(found) => Some(&found.attributes),
        _ => None,
    });
    Ok(links.flatten().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    }))
}

/// Makes a neighbour of a bridge that does not age, whatever it was before.
pub(super) fn set_neighbour(bridge: u32, address: Ipv4Addr, hardware_address: [u8; 6]) -> io::Result<()> {
    let mut message = neighbour(bridge, address);
    message.header.state = NeighbourState::Permanent;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(hardware_address.to_vec()));
    ask(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE).map(drop)
}

/// Deletes a neighbour of a bridge; one that is not there is deleted already.
pub(super) fn delete_neighbour(bridge: u32, address: Ipv4Addr) -> io::Result<()> {
    done_or(ask(RouteNetlinkMessage::DelNeighbour(neighbour(bridge, address)), 0), Errno::NOENT)
}

/// The neighbours of a bridge that do not age.
pub(super) fn lasting_neighbours(bridge: u32) -> io::Result<BTreeSet<Ipv4Addr>> {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    let answers = ask(RouteNetlinkMessage::GetNeighbour(message), NLM_F_DUMP)?;
    let lasting = answers.iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewNeighbour(found) if found.header.ifindex == bridge => Some(found),
        _ => None,
    });
    let lasting = lasting.filter(|found| found.header.state == NeighbourState::Permanent);
    Ok(lasting
        .filter_map(|found| {
            found.attributes.iter().find_map(|attribute| match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
                _ => None,
            })
        })
        .collect())
}

fn neighbour(bridge: u32, address: Ipv4Addr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    (message.header.family, message.header.ifindex) = (AddressFamily::Inet, bridge);
    message.header.kind = RouteType::Unicast;
    message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(address)));
    message
}

/// Whether the main table has the route that refuses a subnet.
pub(super) fn is_refused(subnet: Ipv4Net, metric: u32, protocol: u8) -> io::Result<bool> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    let found = ask(RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP)?;
    let destination = RouteAttribute::Destination(RouteAddress::Inet(subnet.network()));
    Ok(found.iter().any(|answer| match answer {
        RouteNetlinkMessage::NewRoute(RouteMessage { header, attributes, .. }) => {
            header.table == RouteHeader::RT_TABLE_MAIN
                && header.kind == RouteType::Unreachable
                && header.destination_prefix_length == subnet.prefix_len()
                && u8::from(header.protocol) == protocol
                && attributes.contains(&destination)
                && attributes.contains(&RouteAttribute::Priority(metric))
        }
        _ => false,
    }))
}

/// Adds a route to a subnet; one that is there is added already.
pub(super) fn add_route(subnet: Ipv4Net, route: Route) -> io::Result<()> {
    done_or(ask(RouteNetlinkMessage::NewRoute(message_of(subnet, route)), NLM_F_CREATE | NLM_F_EXCL), Errno::EXIST)
}

/// Deletes a route to a subnet; one that is not there is deleted already.
pub(super) fn delete_route(subnet: Ipv4Net, route: Route) -> io::Result<()> {
    done_or(ask(RouteNetlinkMessage::DelRoute(message_of(subnet, route)), 0), Errno::SRCH)
}

fn message_of(subnet: Ipv4Net, route: Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = AddressFamily::Inet;
    header.destination_prefix_length = subnet.prefix_len();
    header.table = RouteHeader::RT_TABLE_MAIN;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(subnet.network())));
    match route {
        Route::Link(index, source) => {
            (header.kind, header.protocol, header.scope) =
                (RouteType::Unicast, RouteProtocol::Kernel, RouteScope::Link);
            message.attributes.push(RouteAttribute::Oif(index));
            message.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(source)));
        }
        Route::Refuse { metric, protocol } => {
            (header.kind, header.protocol, header.scope) =
                (RouteType::Unreachable, protocol.into(), RouteScope::Universe);
            message.attributes.push(RouteAttribute::Priority(metric));
        }
    }
    message
}

/// Success, or the error that says that what was asked for is so already.
pub(super) fn done_or(result: io::Result<Vec<RouteNetlinkMessage>>, already: Errno) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(already.raw_os_error()) => Ok(()),
        other => other.map(drop),
    }
}

/// Asks one question. The answers come before an acknowledgement, or before the end of a dump.
pub(super) fn ask(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket_with(Family::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut question = NetlinkMessage::from(message);
    question.header.flags = NLM_F_REQUEST | flags | if flags & NLM_F_DUMP == NLM_F_DUMP { 0 } else { NLM_F_ACK };
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    sendto(&socket, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let (mut reply, mut answers) = (vec![0; REPLY], Vec::new());
    loop {
        let (length, _) = recv(&socket, reply.as_mut_slice(), RecvFlags::empty())?;
        if read(&reply[..length.min(REPLY)], &mut answers)? {
            return Ok(answers);
        }
    }
}

/// Takes the answers out of one datagram. Whether it was the last.
fn read(mut reply: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
    while !reply.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(reply).map_err(io::Error::other)?;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) if error.code.is_none() => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(answer) => answers.push(answer),
            _ => {}
        }
        // Each message begins at a multiple of four.
        let length = (message.header.length as usize).next_multiple_of(4).max(4);
        reply = reply.get(length..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_a_loopback_and_none_has_a_link_of_a_random_name() {
        let found = link("lo").unwrap().unwrap();
        assert_eq!((found.index, found.master, found.is_bridge), (LOOPBACK, None, false));
        assert!(has_address(LOOPBACK, "127.0.0.1/8".parse().unwrap()).unwrap());
        assert!(!has_address(LOOPBACK, "127.0.0.1/16".parse().unwrap()).unwrap());
        assert!(!link_exists("no-such-link0").unwrap());
        delete_link("no-such-link0").unwrap();
    }

    #[test]
    fn a_refusal_of_the_kernel_is_an_error_and_half_an_answer_is_none() {
        let answer = |code: i32| {
            let mut bytes = Vec::new();
            bytes.extend(36u32.to_ne_bytes());
            bytes.extend(2u16.to_ne_bytes()); // NLMSG_ERROR
            bytes.extend([0; 10]);
            bytes.extend(code.to_ne_bytes());
            bytes.extend([0; 16]);
            bytes
        };
        let read = |bytes: &[u8]| read(bytes, &mut Vec::new());
        assert_eq!(read(&answer(-1)).unwrap_err().raw_os_error(), Some(Errno::PERM.raw_os_error()));
        assert!(read(&answer(0)).unwrap());
        assert!(read(&answer(0)[..10]).is_err());
        assert!(!read(&[]).unwrap(), "nothing is not the end");
    }
}
