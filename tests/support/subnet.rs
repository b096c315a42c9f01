//! Subnets for tests: no two that run at the same time have an address in common, whichever programs they belong to.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

use std::fs::{self, File};
use std::net::Ipv4Addr;

use rustix::fs::{FlockOperation, flock};

/// Some addresses of this machine, for as long as this is held. Docker, Kubernetes and actord's defaults don't use them.
#[derive(Debug)]
pub struct Subnet {
    first: [u8; 4],
    length: u8,
    /// Each locks a file that is named after 256 addresses. A lock goes with its process, whatever becomes of that.
    _claims: Vec<File>,
}

impl Subnet {
    /// Draws a network with a mask of so many bits, 16 to 24.
    pub fn draw(length: u8) -> Self {
        for _ in 0..100 {
            let [a, b] = rand::random::<[u8; 2]>();
            let mask = u32::MAX << (32 - length);
            let first = Ipv4Addr::from(u32::from_be_bytes([10, 128 + a % 96, b, 0]) & mask);
            if let Some(claims) = claims(first, length).filter(|_| !is_routed(first, mask)) {
                return Self { first: first.octets(), length, _claims: claims };
            }
        }
        panic!("no free subnet found: are there routes that tests left?");
    }

    /// In CIDR notation.
    pub fn cidr(&self) -> String {
        format!("{}/{}", Ipv4Addr::from(self.first), self.length)
    }

    /// The first three bytes, with the dot behind them: what the addresses of a network of 24 bits begin with.
    pub fn prefix(&self) -> String {
        let [a, b, c, _] = self.first;
        format!("{a}.{b}.{c}.")
    }
}

/// None if a part of it is another's.
fn claims(first: Ipv4Addr, length: u8) -> Option<Vec<File>> {
    let directory = std::env::temp_dir().join("actord-test-subnets");
    fs::create_dir_all(&directory).unwrap();
    let claim = |n: u32| {
        let name = Ipv4Addr::from(first.to_bits() + n * 256).to_string();
        let file = File::options().create(true).append(true).open(directory.join(name)).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok().map(|()| file)
    };
    (0..1 << (24 - length)).map(claim).collect()
}

/// Whether the machine has a route to a part of it, of a test that broke off, say.
fn is_routed(first: Ipv4Addr, mask: u32) -> bool {
    let routes = fs::read_to_string("/proc/net/route").unwrap();
    // As numbers in the order of bytes that the machine has; the default route leads everywhere, and is no reason.
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::from_be);
    routes
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            Some((number(words.next()?)?, number(words.nth(5)?)?))
        })
        .any(|(to, of)| of != 0 && (to ^ first.to_bits()) & of & mask == 0)
}
