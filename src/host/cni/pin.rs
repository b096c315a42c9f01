//! What an instance sends is looked at on the host's side of its link: it sends by its own addresses alone, and to the places
//! that its function may send to.
//!
//! ```text
//! its link -> filter: tagged? own hardware address? ARP that claims its own address -> bridge
//!                     IPv4 from its own address -> to whom? anyone, or its gateway and the places of a list -> bridge
//! ```
//! So no function takes another's place, neither for the bridge, which learns where a hardware address is, nor for the
//! host, which learns whose an address is. Nothing else is let through: no IPv6, so no router advertisement, and no
//! multicast. What the gateway's own address offers is for the host's rules to say (forwarding.rs).
//!
//! It is one filter on each link (clsact, cls_bpf) that knows that link's addresses: a packet passes the same few steps
//! however many functions there are, and the filter goes with the link. Other software may remove it, so it is looked at
//! from time to time.

use std::io;
use std::net::Ipv4Addr;

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption,
};
use rscni_types::types::CNIResult;
use rustix::io::Errno;

use super::neighbours::Neighbour;
use super::netlink::{ask, done_or};
use crate::function::{Destination, Outbound};

/// Attributes of a filter that carry its program (linux/pkt_cls.h: `TCA_BPF_OPS_LEN`, `TCA_BPF_OPS`).
const LENGTH: u16 = 4;
const OPS: u16 = 5;
/// Before all others, for packets of every protocol (`ETH_P_ALL`, in the network's order).
const PRIORITY: u32 = 1;
const EVERY_PROTOCOL: u16 = 3;

/// Instructions (linux/filter.h): load four, two bytes or one, or two bytes behind an index, and the length of an IPv4 head
/// as that index; compare with a constant; keep some bits; return.
const LOAD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_BEHIND: u16 = 0x48;
const INDEX_BY_HEAD: u16 = 0xb1;
const IF_EQUAL: u16 = 0x15;
const IF_NOT_LESS: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
/// Whether the packet had a VLAN tag, which is not in its bytes any more (`SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT`).
const HAS_TAG: u32 = 0xffff_f030;
/// What becomes of a packet (linux/pkt_cls.h: `TC_ACT_OK`, `TC_ACT_SHOT`).
const PASS: u32 = 0;
const DROP: u32 = 2;

const IPV4: u32 = 0x0800;
const ARP: u32 = 0x0806;
const TCP: u32 = 6;
const UDP: u32 = 17;
/// Where an IPv4 packet has its fragment's place, its protocol, its sender, its receiver and its head, in a frame.
const FRAGMENT: u32 = 20;
const PROTOCOL: u32 = 23;
const SENDER: u32 = 26;
const RECEIVER: u32 = 30;
const HEAD: u32 = 14;
/// The bits of a fragment's place: all but the flags.
const PLACE: u32 = 0x1fff;
/// The first address that is no single machine's: multicast, and what comes after.
const MANY: u32 = 0xe000_0000;

/// The filter of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    program: Vec<u8>,
    /// Whether its function must not run without it.
    pub(super) is_needed: bool,
}

impl Filter {
    /// For the link of an attachment; none where its plugins gave it no address that it could be held to.
    pub(super) fn of(result: &CNIResult, gateway: Ipv4Addr, outbound: &Outbound) -> Option<Self> {
        Neighbour::of(result).map(|own| Self::letting(own, gateway, outbound))
    }

    /// The filter that lets through what is sent by one, to its gateway and where it may send to.
    fn letting(
        Neighbour { address, hardware_address: [a, b, c, d, e, f] }: Neighbour,
        gateway: Ipv4Addr,
        outbound: &Outbound,
    ) -> Self {
        let (high, low) = (u32::from_be_bytes([a, b, c, d]), u32::from(u16::from_be_bytes([e, f])));
        let own = u32::from(address);
        let mut program = Program::default();
        // What can't be loaded because it is not there ends the program with 0, PASS: the kernel takes no such ARP or IPv4.
        program.must(LOAD, HAS_TAG, 0);
        program.must(LOAD, 6, high);
        program.must(LOAD_HALF, 10, low);
        program.step(LOAD_HALF, 12);
        let ip = program.where_so(IF_EQUAL, IPV4);
        program.must_be(ARP);
        // Of Ethernet and IPv4, by its own hardware address and its own address.
        program.must(LOAD, 14, 0x0001_0000 | IPV4);
        program.must(LOAD_HALF, 18, 0x0604);
        program.must(LOAD, 22, high);
        program.must(LOAD_HALF, 26, low);
        program.must(LOAD, 28, own);
        program.step(RETURN, PASS);
        program.land(ip);
        program.must(LOAD, SENDER, own);
        program.step(LOAD, RECEIVER);
        let many = program.where_not(IF_NOT_LESS, MANY);
        program.step(RETURN, DROP);
        program.land(many);
        match outbound {
            Outbound::All => program.step(RETURN, PASS),
            Outbound::Only(places) => {
                let beyond = program.where_not(IF_EQUAL, gateway.into());
                program.step(RETURN, PASS);
                program.land(beyond);
                for place in places {
                    program.pass_to(*place);
                }
                program.step(RETURN, DROP);
            }
        }
        Self { program: program.finish(), is_needed: outbound.is_limited() }
    }
}

/// A program in the making. Every jump leads forward, over a few steps: it has one byte for how many.
#[derive(Debug, Default)]
struct Program(Vec<Instruction>);

#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    /// How many steps are left out if it is so, and if it is not.
    over: [u8; 2],
    constant: u32,
}

/// A jump whose end is told later: where it stands, and which of its two it is.
struct Jump(usize, usize);

impl Program {
    fn step(&mut self, code: u16, constant: u32) {
        self.0.push(Instruction { code, over: [0, 0], constant });
    }

    /// What was loaded has to be this, or the packet is dropped.
    fn must_be(&mut self, value: u32) {
        let so = self.where_so(IF_EQUAL, value);
        self.step(RETURN, DROP);
        self.land(so);
    }

    fn must(&mut self, code: u16, at: u32, value: u32) {
        self.step(code, at);
        self.must_be(value);
    }

    fn where_so(&mut self, code: u16, value: u32) -> Jump {
        self.step(code, value);
        Jump(self.0.len() - 1, 0)
    }

    fn where_not(&mut self, code: u16, value: u32) -> Jump {
        self.step(code, value);
        Jump(self.0.len() - 1, 1)
    }

    /// The jump leads here.
    fn land(&mut self, Jump(at, way): Jump) {
        self.0[at].over[way] = u8::try_from(self.0.len() - at - 1).unwrap_or(u8::MAX);
    }

    /// Lets through what goes to a place, and goes on with the rest.
    fn pass_to(&mut self, place: Destination) {
        self.step(LOAD, RECEIVER);
        self.step(AND, place.mask());
        let mut elsewhere = vec![self.where_not(IF_EQUAL, place.network.into())];
        if let Some(port) = place.port {
            self.step(LOAD_BYTE, PROTOCOL);
            let tcp = self.where_so(IF_EQUAL, TCP);
            elsewhere.push(self.where_not(IF_EQUAL, UDP));
            self.land(tcp);
            // Of a datagram in parts the first has the port, and without it the rest comes to nothing.
            self.step(LOAD_HALF, FRAGMENT);
            let later = self.where_so(IF_ANY_BIT, PLACE);
            self.step(INDEX_BY_HEAD, HEAD);
            self.step(LOAD_HALF_BEHIND, HEAD + 2);
            elsewhere.push(self.where_not(IF_EQUAL, port.into()));
            self.land(later);
        }
        self.step(RETURN, PASS);
        for jump in elsewhere {
            self.land(jump);
        }
    }

    /// As the kernel takes it: `struct sock_filter` after `struct sock_filter`.
    fn finish(self) -> Vec<u8> {
        let instruction = |Instruction { code, over: [so, not], constant }: Instruction| {
            let ([a, b], [c, d, e, f]) = (code.to_ne_bytes(), constant.to_ne_bytes());
            [a, b, so, not, c, d, e, f]
        };
        self.0.into_iter().flat_map(instruction).collect()
    }
}

impl Filter {
    /// Whether a link has it.
    pub(super) fn is_on(&self, index: u32) -> io::Result<bool> {
        let ours = TcOption::Bpf(TcFilterBpfOption::Other(self.ops()));
        let answers = ask(RouteNetlinkMessage::GetTrafficFilter(on(index)?), NLM_F_DUMP)?;
        Ok(answers.iter().any(|answer| match answer {
            RouteNetlinkMessage::NewTrafficFilter(filter) => {
                filter.attributes.iter().any(|attribute| match attribute {
                    TcAttribute::Options(options) => options.contains(&ours),
                    _ => false,
                })
            }
            _ => false,
        }))
    }

    /// Puts it on a link, in the place of the one that is there.
    pub(super) fn put_on(&self, index: u32) -> io::Result<()> {
        let mut place = on(index)?;
        place.header.handle = TcHandle { major: u16::MAX, minor: 0 };
        place.header.parent = TcHandle::CLSACT;
        place.attributes.push(TcAttribute::Kind("clsact".to_owned()));
        done_or(ask(RouteNetlinkMessage::NewQueueDiscipline(place), NLM_F_CREATE | NLM_F_EXCL), Errno::EXIST)?;
        let mut filter = on(index)?;
        filter.header.handle = TcHandle { major: 0, minor: 1 };
        filter.header.info = PRIORITY << 16 | u32::from(EVERY_PROTOCOL.to_be());
        let length = u16::try_from(self.program.len() / 8).unwrap_or(u16::MAX);
        let options = [
            TcFilterBpfOption::Other(DefaultNla::new(LENGTH, length.to_ne_bytes().to_vec())),
            TcFilterBpfOption::Other(self.ops()),
            TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
        ];
        filter.attributes.push(TcAttribute::Kind(TcFilterBpf::KIND.to_owned()));
        filter.attributes.push(TcAttribute::Options(options.map(TcOption::Bpf).to_vec()));
        ask(RouteNetlinkMessage::NewTrafficFilter(filter), NLM_F_CREATE).map(drop)
    }

    fn ops(&self) -> DefaultNla {
        DefaultNla::new(OPS, self.program.clone())
    }
}

/// What comes in by a link.
fn on(index: u32) -> io::Result<TcMessage> {
    let index = i32::try_from(index).map_err(io::Error::other)?;
    let parent = TcHandle { minor: TcHandle::MIN_INGRESS, ..TcHandle::CLSACT };
    Ok(TcMessage::from_parts(TcHeader { index, parent, ..TcHeader::default() }, Vec::new()))
}

/// Whether an error says that this kernel has no such filters, which no try mends.
pub(super) fn is_missing(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::OPNOTSUPP].iter().any(|known| error.raw_os_error() == Some(known.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0xa, 0xb, 0xc, 0xd, 1];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 7, 8, 2);

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 7, 8, 1);

    fn filter(outbound: &str) -> Filter {
        Filter::letting(Neighbour { address: ADDRESS, hardware_address: OWN }, GATEWAY, &outbound.parse().unwrap())
    }

    /// Runs a program as the kernel does, with a packet that has no tag.
    fn run(Filter { program, .. }: &Filter, packet: &[u8]) -> u32 {
        let instructions: Vec<(u16, [u8; 2], u32)> = program
            .chunks(8)
            .map(|it| {
                let code = u16::from_ne_bytes([it[0], it[1]]);
                (code, [it[2], it[3]], u32::from_ne_bytes([it[4], it[5], it[6], it[7]]))
            })
            .collect();
        let (mut at, mut loaded, mut index) = (0, 0, 0);
        loop {
            let (code, [then, or], constant) = instructions[at];
            let offset = constant as usize;
            let go = |so: bool| usize::from(if so { then } else { or });
            at += 1;
            match code {
                LOAD if constant == HAS_TAG => loaded = 0,
                LOAD | LOAD_HALF | LOAD_BYTE | LOAD_HALF_BEHIND => {
                    let (size, offset) = match code {
                        LOAD => (4, offset),
                        LOAD_HALF => (2, offset),
                        LOAD_BYTE => (1, offset),
                        _ => (2, offset + index),
                    };
                    let Some(bytes) = packet.get(offset..offset + size) else { return PASS };
                    loaded = bytes.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
                }
                INDEX_BY_HEAD => index = 4 * usize::from(packet[offset] & 0xf),
                AND => loaded &= constant,
                IF_EQUAL => at += go(loaded == constant),
                IF_NOT_LESS => at += go(loaded >= constant),
                IF_ANY_BIT => at += go(loaded & constant != 0),
                RETURN => return constant,
                _ => panic!("instruction {code}"),
            }
        }
    }

    fn frame(source: [u8; 6], kind: u32, rest: &[&[u8]]) -> Vec<u8> {
        let kind = u16::try_from(kind).unwrap().to_be_bytes();
        [&[0xff; 6][..], &source, &kind, &rest.concat()].concat()
    }

    fn ip(source: Ipv4Addr, to: [u8; 4]) -> Vec<u8> {
        frame(OWN, IPV4, &[&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0], &source.octets(), &to, &[0; 8]])
    }

    fn arp(hardware: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
        frame(OWN, ARP, &[&[0, 1, 8, 0, 6, 4, 0, 2], &hardware, &address.octets(), &[0; 10]])
    }

    #[test]
    fn what_is_sent_by_its_own_addresses_passes_and_all_else_is_dropped() {
        let filter = filter("all");
        let (other, others) = ([2, 0xa, 0xb, 0xc, 0xd, 2], Ipv4Addr::new(10, 7, 8, 3));
        for (what, packet, verdict) in [
            ("its own", ip(ADDRESS, [9, 9, 9, 9]), PASS),
            ("its own question or answer", arp(OWN, ADDRESS), PASS),
            ("another's address", ip(others, [9, 9, 9, 9]), DROP),
            ("a claim of another's address", arp(OWN, others), DROP),
            ("a claim by another's hardware address", arp(other, ADDRESS), DROP),
            ("another's hardware address", frame(other, IPV4, &[&ip(ADDRESS, [9, 9, 9, 9])[14..]]), DROP),
            ("multicast", ip(ADDRESS, [224, 0, 0, 251]), DROP),
            ("broadcast", ip(ADDRESS, [255; 4]), DROP),
            ("IPv6", frame(OWN, 0x86dd, &[&[0x60; 60]]), DROP),
            ("a tag in a tag", frame(OWN, 0x8100, &[&[0, 1], &ip(ADDRESS, [9; 4])[12..]]), DROP),
            ("an ARP of another kind", frame(OWN, ARP, &[&[0, 6, 8, 0, 6, 4, 0, 2], &[0; 20]]), DROP),
        ] {
            assert_eq!(run(&filter, &packet), verdict, "{what}");
        }
    }
    /// With a head of 24 bytes.
    fn sent(to: [u8; 4], protocol: u8, port: u16, fragment: u16) -> Vec<u8> {
        let [high, low] = fragment.to_be_bytes();
        let head = [0x46, 0, 0, 32, 0, 0, high, low, 64, protocol, 0, 0];
        frame(OWN, IPV4, &[&head, &ADDRESS.octets(), &to, &[1, 1, 1, 0], &[4, 4], &port.to_be_bytes(), &[0; 4]])
    }

    #[test]
    fn what_is_sent_to_the_gateway_or_a_place_of_the_list_passes_and_nothing_else() {
        let (tcp, udp, icmp, later) = (6, 17, 1, 3);
        let gateway = GATEWAY.octets();
        let limited = filter("203.0.113.7:443,10.9.0.0/16,192.0.2.0/31:53");
        for (to, protocol, port, fragment, passes) in [
            (gateway, tcp, 8080, 0, true),
            (gateway, icmp, 0, 0, true),
            ([203, 0, 113, 7], tcp, 443, 0, true),
            ([203, 0, 113, 7], udp, 443, 0, true),
            ([203, 0, 113, 7], tcp, 444, 0, false),
            ([203, 0, 113, 7], icmp, 443, 0, false),
            // More fragments follow; and one of those, which has no port.
            ([203, 0, 113, 7], udp, 443, 0x2000, true),
            ([203, 0, 113, 7], udp, 444, 0x2000, false),
            ([203, 0, 113, 7], udp, 444, later, true),
            ([203, 0, 113, 7], icmp, 444, later, false),
            ([203, 0, 113, 8], tcp, 443, 0, false),
            ([203, 0, 113, 8], udp, 443, later, false),
            ([10, 9, 255, 1], tcp, 1, 0, true),
            ([10, 9, 255, 1], icmp, 1, 0, true),
            ([10, 10, 0, 1], tcp, 443, 0, false),
            ([192, 0, 2, 1], udp, 53, 0, true),
            ([192, 0, 2, 2], udp, 53, 0, false),
            ([10, 7, 8, 3], tcp, 8080, 0, false),
            ([255, 255, 255, 255], udp, 53, 0, false),
        ] {
            let verdict = if passes { PASS } else { DROP };
            let packet = sent(to, protocol, port, fragment);
            assert_eq!(run(&limited, &packet), verdict, "{to:?} {protocol} {port} {fragment:x}");
            assert_eq!(run(&filter("none"), &packet), if to == gateway { PASS } else { DROP }, "{to:?}");
            assert_eq!(run(&filter("all"), &packet), if to[0] == 255 { DROP } else { PASS }, "{to:?}");
        }
        for outbound in ["none", "10.9.0.0/16", "0.0.0.0/0:53"] {
            assert_eq!(run(&filter(outbound), &arp(OWN, ADDRESS)), PASS, "it finds its gateway");
            assert_eq!(run(&filter(outbound), &arp(OWN, GATEWAY)), DROP);
        }
        assert_eq!(run(&filter("0.0.0.0/0:53"), &sent([224, 0, 0, 251], udp, 53, 0)), DROP, "multicast");
        let places: Vec<_> = (0..64).map(|last| format!("192.0.2.{last}:443")).collect();
        let many = filter(&places.join(","));
        assert_eq!(run(&many, &sent([192, 0, 2, 63], tcp, 443, 0)), PASS);
        assert!(many.program.len() / 8 <= 4096, "the kernel takes no more (BPF_MAXINSNS)");
    }
}
