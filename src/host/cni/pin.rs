//! An instance sends by its own addresses alone: what comes from its link with others' is dropped on the host's side.
//!
//! ```text
//! its link -> filter: tagged? own hardware address? IPv4 from its own address, or ARP that claims that one? -> bridge
//! ```
//! So no function takes another's place, neither for the bridge, which learns where a hardware address is, nor for the
//! host, which learns whose an address is. Nothing else is let through: no IPv6, so no router advertisement, and no
//! multicast.
//!
//! It is one filter on each link (clsact, cls_bpf) that knows that link's addresses: a packet passes the same few steps
//! however many functions there are, and the filter goes with the link. Other software may remove it, so it is looked at
//! from time to time.

use std::io;

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption,
};
use rscni_types::types::CNIResult;
use rustix::io::Errno;

use super::neighbours::Neighbour;
use super::netlink::{ask, done_or};

/// Attributes of a filter that carry its program (linux/pkt_cls.h: `TCA_BPF_OPS_LEN`, `TCA_BPF_OPS`).
const LENGTH: u16 = 4;
const OPS: u16 = 5;
/// Before all others, for packets of every protocol (`ETH_P_ALL`, in the network's order).
const PRIORITY: u32 = 1;
const EVERY_PROTOCOL: u16 = 3;

/// Instructions (linux/filter.h): load four or two bytes, compare with a constant, return.
const LOAD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const IF_EQUAL: u16 = 0x15;
const IF_NOT_LESS: u16 = 0x35;
const RETURN: u16 = 0x06;
/// Whether the packet had a VLAN tag, which is not in its bytes any more (`SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT`).
const HAS_TAG: u32 = 0xffff_f030;
/// What becomes of a packet (linux/pkt_cls.h: `TC_ACT_OK`, `TC_ACT_SHOT`).
const PASS: u32 = 0;
const DROP: u32 = 2;

const IPV4: u32 = 0x0800;
const ARP: u32 = 0x0806;
/// The first address that is no single machine's: multicast, and what comes after.
const MANY: u32 = 0xe000_0000;

/// The filter of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(Vec<u8>);

impl Filter {
    /// For the link of an attachment; none where its plugins gave it no address that it could be held to.
    pub(super) fn of(result: &CNIResult) -> Option<Self> {
        Neighbour::of(result).map(Self::letting)
    }

    /// The filter that lets through what is sent by these.
    fn letting(Neighbour { address, hardware_address }: Neighbour) -> Self {
        let [a, b, c, d, e, f] = hardware_address;
        let (high, low) = (u32::from_be_bytes([a, b, c, d]), u32::from(u16::from_be_bytes([e, f])));
        let own = u32::from(address);
        let mut program = Program::default();
        // What can't be loaded because it is not there ends the program with 0, PASS: the kernel takes no such ARP or IPv4.
        program.must(LOAD, HAS_TAG, 0);
        program.must(LOAD, 6, high);
        program.must(LOAD_HALF, 10, low);
        program.load(LOAD_HALF, 12);
        let ip = program.jump(IF_EQUAL, IPV4);
        program.must_be(ARP);
        // Of Ethernet and IPv4, by its own hardware address and its own address.
        program.must(LOAD, 14, 0x0001_0000 | IPV4);
        program.must(LOAD_HALF, 18, 0x0604);
        program.must(LOAD, 22, high);
        program.must(LOAD_HALF, 26, low);
        program.must(LOAD, 28, own);
        program.end(PASS);
        program.land(ip);
        program.must(LOAD, 26, own);
        program.load(LOAD, 30);
        program.must_be_less(MANY);
        program.end(PASS);
        Self(program.finish())
    }
}

/// A program in the making: whatever a packet fails leads to its last instruction, which drops it.
#[derive(Debug, Default)]
struct Program(Vec<Instruction>);

#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    /// Where it goes on if it is so, and if it is not.
    then: Jump,
    or: Jump,
    constant: u32,
}

#[derive(Debug, Clone, Copy)]
enum Jump {
    Next,
    To(usize),
    Drop,
}

impl Program {
    fn push(&mut self, code: u16, constant: u32, then: Jump, or: Jump) {
        self.0.push(Instruction { code, then, or, constant });
    }

    fn load(&mut self, code: u16, at: u32) {
        self.push(code, at, Jump::Next, Jump::Next);
    }

    /// What was loaded has to be this.
    fn must_be(&mut self, value: u32) {
        self.push(IF_EQUAL, value, Jump::Next, Jump::Drop);
    }

    fn must_be_less(&mut self, value: u32) {
        self.push(IF_NOT_LESS, value, Jump::Drop, Jump::Next);
    }

    fn must(&mut self, code: u16, at: u32, value: u32) {
        self.load(code, at);
        self.must_be(value);
    }

    /// A jump to a place that is told later.
    fn jump(&mut self, code: u16, value: u32) -> usize {
        self.push(code, value, Jump::Next, Jump::Next);
        self.0.len() - 1
    }

    /// The jump leads here.
    fn land(&mut self, jump: usize) {
        self.0[jump].then = Jump::To(self.0.len());
    }

    fn end(&mut self, verdict: u32) {
        self.push(RETURN, verdict, Jump::Next, Jump::Next);
    }

    /// As the kernel takes it: `struct sock_filter` after `struct sock_filter`.
    fn finish(mut self) -> Vec<u8> {
        let last = self.0.len();
        self.end(DROP);
        let mut bytes = Vec::with_capacity(8 * self.0.len());
        for (at, Instruction { code, then, or, constant }) in self.0.into_iter().enumerate() {
            let over = |jump| match jump {
                Jump::Next => 0,
                Jump::To(place) => place - at - 1,
                Jump::Drop => last - at - 1,
            };
            let over = [then, or].map(|jump| u8::try_from(over(jump)).unwrap_or(u8::MAX));
            bytes.extend(code.to_ne_bytes());
            bytes.extend(over);
            bytes.extend(constant.to_ne_bytes());
        }
        bytes
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
        let length = u16::try_from(self.0.len() / 8).unwrap_or(u16::MAX);
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
        DefaultNla::new(OPS, self.0.clone())
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
    use std::net::Ipv4Addr;

    use super::*;

    const OWN: [u8; 6] = [2, 0xa, 0xb, 0xc, 0xd, 1];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 7, 8, 2);

    /// Runs a program as the kernel does, with a packet that has no tag.
    fn run(Filter(program): &Filter, packet: &[u8]) -> u32 {
        let instructions: Vec<(u16, [u8; 2], u32)> = program
            .chunks(8)
            .map(|it| {
                let code = u16::from_ne_bytes([it[0], it[1]]);
                (code, [it[2], it[3]], u32::from_ne_bytes([it[4], it[5], it[6], it[7]]))
            })
            .collect();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let (code, [then, or], constant) = instructions[at];
            let offset = constant as usize;
            let go = |so: bool| usize::from(if so { then } else { or });
            at += 1;
            match code {
                LOAD if constant == HAS_TAG => loaded = 0,
                LOAD | LOAD_HALF => {
                    let size = if code == LOAD { 4 } else { 2 };
                    let Some(bytes) = packet.get(offset..offset + size) else { return PASS };
                    loaded = bytes.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
                }
                IF_EQUAL => at += go(loaded == constant),
                IF_NOT_LESS => at += go(loaded >= constant),
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
        let filter = Filter::letting(Neighbour { address: ADDRESS, hardware_address: OWN });
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
}
