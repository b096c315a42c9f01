//! A bound on what an instance may use of the machine: bytes, or a share of what there is.

use std::fmt;
use std::str::FromStr;

use crate::function::{self, Invalid};

/// The least that a process can do anything with, in bytes.
const LEAST: u64 = 1 << 20;

/// A bound; its default is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bound {
    /// As much as there is.
    #[default]
    None,
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of what the machine has.
    Percent(u8),
}

impl Bound {
    /// The bound in bytes on a machine that has so many; none where there is none, or where the machine does not say.
    #[must_use]
    pub fn of(self, whole: Option<u64>) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Bytes(bytes) => Some(bytes),
            Self::Percent(share) => whole.map(|whole| (whole / 100).saturating_mul(u64::from(share)).max(LEAST)),
        }
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        if let Some(share) = text.strip_suffix('%') {
            let share = share.parse().ok().filter(|share| (1..=100).contains(share));
            return share.map(Self::Percent).ok_or_else(|| "expected a share from 1% to 100%".to_owned());
        }
        let bytes = function::parse_memory_bytes(text).map_err(|Invalid(reason)| reason)?;
        let told = || "expected at least 1Mi, such as 512Mi, a share such as 80%, or none".to_owned();
        if bytes >= LEAST { Ok(Self::Bytes(bytes)) } else { Err(told()) }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_bytes_a_share_of_what_there_is_or_none() {
        let of = |text: &str, whole| text.parse::<Bound>().unwrap().of(whole);
        assert_eq!(of("512Mi", Some(1 << 30)), Some(512 << 20));
        assert_eq!(of("512Mi", None), Some(512 << 20));
        assert_eq!(of("20%", Some(100 << 30)), Some(20 << 30));
        assert_eq!(of("20%", None), None, "what is not known bounds nothing");
        assert_eq!(of("none", Some(1 << 30)), None);
    }

    #[test]
    fn what_bounds_nothing_sensible_is_refused() {
        for text in ["", "0", "0%", "101%", "-1%", "1", "1Ki", "half", "None", "80 %"] {
            assert!(text.parse::<Bound>().is_err(), "{text:?}");
        }
    }
}
