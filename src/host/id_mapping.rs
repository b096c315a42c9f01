//! Which numbers of users and groups of this machine stand for those in user namespaces.

use std::fmt;
use std::str::FromStr;

/// The first number that can't be mapped to: groups from here on can't be let ping (`net.ipv4.ping_group_range`).
const END: u32 = 1 << 31;

/// The kernel's own file systems in a container, and users of every image, have numbers below this.
const FEWEST: u32 = 1_000;

/// Numbers in a user namespace, from 0 on, as numbers of this machine: `100000:65536` maps 0 to 100000, and 65536 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMapping {
    first: u32,
    count: u32,
}

impl IdMapping {
    /// The machine's number that 0 is.
    #[must_use]
    pub fn first(self) -> u32 {
        self.first
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// A number in the namespace, as the machine has it; none where it is not mapped.
    #[must_use]
    pub fn on_the_machine(self, inside: u32) -> Option<u32> {
        (inside < self.count).then(|| self.first + inside)
    }

    /// A number of the machine, as it is in the namespace; none where it is not mapped.
    #[must_use]
    pub fn inside(self, on_the_machine: u32) -> Option<u32> {
        on_the_machine.checked_sub(self.first).filter(|inside| *inside < self.count)
    }
}

impl fmt::Display for IdMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.first, self.count)
    }
}

impl FromStr for IdMapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected the first number of this machine and how many follow, such as 100000:65536".to_owned();
        let (first, count) = text.split_once(':').ok_or_else(expected)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| expected());
        let (first, count) = (number(first)?, number(count)?);
        let end = first.checked_add(count).filter(|end| *end <= END);
        match (first, count, end) {
            (0, ..) => Err("from 0 on would be this machine's root: expected a number such as 100000".to_owned()),
            (.., None) => Err(format!(
                "the kernel lets no group from {END} on ping: expected lower numbers, such as 100000:65536"
            )),
            (_, ..FEWEST, _) => {
                Err(format!("{count} are too few, images use more: expected {FEWEST} at least, such as 100000:65536"))
            }
            _ => Ok(Self { first, count }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways_and_those_that_are_not_mapped_nowhere() {
        let mapping: IdMapping = "100000:65536".parse().unwrap();
        for (inside, outside) in [(0, 100_000), (1000, 101_000), (65_535, 165_535)] {
            assert_eq!(mapping.on_the_machine(inside), Some(outside));
            assert_eq!(mapping.inside(outside), Some(inside));
        }
        assert_eq!(
            (mapping.on_the_machine(65_536), mapping.inside(99_999), mapping.inside(165_536)),
            (None, None, None)
        );
        assert_eq!(mapping.to_string(), "100000:65536");
    }

    #[test]
    fn a_mapping_is_two_numbers_never_with_the_machines_root_or_beyond_the_last() {
        for text in
            ["", "1", "1:", ":1", "x:1", "1:0", "-1:5", "1:999", "4294967295:1", "2147418113:65536", "1:4294967295"]
        {
            assert!(text.parse::<IdMapping>().unwrap_err().contains("100000:65536"), "{text}");
        }
        assert!("0:65536".parse::<IdMapping>().unwrap_err().contains("root"));
        assert!("2147418112:65536".parse::<IdMapping>().is_ok());
    }
}
