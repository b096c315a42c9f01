//! Where a function's instances may send to, beside what the machine offers them at their gateway.
//!
//! ```text
//! actord.outbound   all | none | PLACE,PLACE ...     PLACE: an IPv4 address or network, and a port if it is for one alone
//! ```

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::keys::Keys;

/// The annotation.
const OUTBOUND: &str = "actord.outbound";
/// Each is looked at for each packet that goes to none before it.
const MOST: usize = 64;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outbound {
    /// Wherever the machine itself can send to.
    #[default]
    All,
    /// To these alone; to nothing, where there are none.
    Only(Vec<Destination>),
}

/// One place of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// The first address of the network.
    pub network: Ipv4Addr,
    /// How many bits of it are the network's, at most 32.
    pub prefix: u8,
    /// The port, by TCP and UDP; none: any, by any protocol.
    pub port: Option<u16>,
}

impl Outbound {
    /// Whether it is less than all.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        *self != Self::All
    }
}

/// What the function says; all, where it says nothing that can be read.
pub(super) fn outbound(keys: &mut Keys<'_>) -> Outbound {
    keys.annotation(OUTBOUND, str::parse).unwrap_or_default()
}

impl FromStr for Outbound {
    type Err = String;

    /// What is wrong is told as what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => return Ok(Self::All),
            "none" => return Ok(Self::Only(Vec::new())),
            _ => {}
        }
        let places: Vec<_> = text.split(',').map(|place| place.trim().parse()).collect::<Result<_, _>>()?;
        if places.len() > MOST {
            return Err(format!("at most {MOST} places"));
        }
        Ok(Self::Only(places))
    }
}

impl Destination {
    /// The bits that are the network's.
    #[must_use]
    pub fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "all, none, or IPv4 addresses and networks with a port or without, such as 203.0.113.7:443,10.1.0.0/16 (names \
             are not looked up)"
                .to_owned()
        };
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok())?;
        let (place, port) = match text.split_once(':') {
            Some((place, port)) => (place, Some(number(port).filter(|port| *port > 0).ok_or_else(wrong)?)),
            None => (text, None),
        };
        let (network, prefix) = match place.split_once('/') {
            Some((network, bits)) => (network, number(bits).filter(|bits| *bits <= 32).ok_or_else(wrong)?),
            None => (place, 32),
        };
        let network: Ipv4Addr = network.parse().map_err(|_| wrong())?;
        let read = Self { network, prefix: u8::try_from(prefix).map_err(|_| wrong())?, port };
        let first = Self { network: (u32::from(network) & read.mask()).into(), ..read };
        if read == first { Ok(read) } else { Err(format!("the first address of a network, such as {first}")) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.network)?;
        if self.prefix < 32 {
            write!(f, "/{}", self.prefix)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Invalid, Spec, SpecDraft};
    use super::*;

    fn of(text: &str) -> SpecDraft {
        let annotations = [(OUTBOUND.to_owned(), text.to_owned())].into();
        SpecDraft { image: "i".into(), annotations, ..SpecDraft::default() }
    }

    #[test]
    fn it_is_all_none_or_a_list_of_addresses_and_networks_with_ports_or_without() {
        let read = |text: &str| Spec::try_from(of(text)).unwrap().outbound();
        let silent = Spec::try_from(SpecDraft { image: "i".into(), ..SpecDraft::default() }).unwrap();
        assert_eq!(silent.outbound(), Outbound::All);
        assert_eq!((read("all"), read(" none ")), (Outbound::All, Outbound::Only(Vec::new())));
        let Outbound::Only(places) = read("203.0.113.7:443, 10.1.0.0/16,0.0.0.0/0:53") else { panic!() };
        let shown: Vec<_> = places.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["203.0.113.7:443", "10.1.0.0/16", "0.0.0.0/0:53"]);
        assert_eq!(places.iter().map(|place| place.mask()).collect::<Vec<_>>(), [u32::MAX, 0xffff_0000, 0]);
    }

    #[test]
    fn what_is_no_such_list_is_refused_at_the_door_and_counts_as_not_given_where_it_was_accepted_before() {
        let many = vec!["192.0.2.1"; MOST + 1].join(",");
        for (text, expected) in [
            ("", "all, none, or"),
            ("None", "all, none, or"),
            ("example.com", "names are not looked up"),
            ("example.com:443", "names are not looked up"),
            ("all,10.0.0.1", "all, none, or"),
            ("10.0.0.1,", "all, none, or"),
            ("10.0.0.1:0", "all, none, or"),
            ("10.0.0.1:65536", "all, none, or"),
            ("10.0.0.1:+1", "all, none, or"),
            ("10.0.0.1:443:80", "all, none, or"),
            ("10.0.0.0/33", "all, none, or"),
            ("10.0.0.0/", "all, none, or"),
            ("fd00::1", "all, none, or"),
            ("[fd00::1]:443", "all, none, or"),
            ("10.1.2.3/16:80", "such as 10.1.0.0/16:80"),
            (&many, "at most 64 places"),
        ] {
            let Invalid(reason) = Spec::try_from(of(text)).unwrap_err();
            assert!(reason.contains(OUTBOUND) && reason.contains(expected), "{text}: {reason}");
            assert_eq!(Spec::accepted_before(of(text)).outbound(), Outbound::All);
        }
    }
}
