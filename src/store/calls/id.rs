//! What names a call: our own id for people and programs, a number in the file.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use sha2::{Digest, Sha256};

/// Our own id of a call, a UUID of version 7: never used twice, and ids of later calls are greater, by milliseconds, so that new ones
/// go to the end of their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId([u8; 16]);

impl CallId {
    /// A new one, of a call that was accepted at this time of the wall's clock, in milliseconds.
    #[must_use]
    pub fn new(accepted: i64) -> Self {
        let mut bytes: [u8; 16] = rand::rng().random();
        bytes[..6].copy_from_slice(&accepted.max(0).to_be_bytes()[2..]);
        bytes[6] = 0x70 | bytes[6] & 0x0f;
        bytes[8] = 0x80 | bytes[8] & 0x3f;
        Self(bytes)
    }

    /// That of a call that follows from this one: the same for the same numbers, and as new as this one.
    #[must_use]
    pub fn following(&self, which: &[u64]) -> Self {
        let mut sum = Sha256::new_with_prefix(self.0);
        which.iter().for_each(|number| sum.update(number.to_be_bytes()));
        let sum = sum.finalize();
        let mut bytes = self.0;
        bytes[6..].copy_from_slice(&sum[..10]);
        bytes[6] = 0x70 | bytes[6] & 0x0f;
        bytes[8] = 0x80 | bytes[8] & 0x3f;
        Self(bytes)
    }

    /// The id that these bytes are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            if matches!(n, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A text is not written as our ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a call: expected 32 hexadecimal digits as 018f2f6e-7c1a-7b3c-8d4e-5f6071829304")]
pub struct NotAnId;

impl FromStr for CallId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(NotAnId);
        }
        let mut digits = text.iter().enumerate().filter_map(|(n, byte)| match (n, byte) {
            (8 | 13 | 18 | 23, b'-') => None,
            (8 | 13 | 18 | 23, _) => Some(None),
            (_, byte) => Some(char::from(*byte).to_digit(16)),
        });
        let mut bytes = [0; 16];
        for byte in &mut bytes {
            let mut digit = || digits.next().flatten().and_then(|digit| u8::try_from(digit).ok()).ok_or(NotAnId);
            *byte = digit()? << 4 | digit()?;
        }
        if digits.next().is_some() { Err(NotAnId) } else { Ok(Self(bytes)) }
    }
}

/// A call's number in the file: a later call has a greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub i64);

/// A lane's number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is_one() {
        let id = CallId::new(1_700_000_000_123);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        let text = id.to_string();
        assert_eq!((text.len(), &text[..13], &text[14..15]), (36, "018bcfe5-687b", "7"));
        for wrong in ["", "x", &text[1..], &text.replace('-', "0"), &text.replace('7', "g"), &format!("{text}0")] {
            assert_eq!(wrong.parse::<CallId>(), Err(NotAnId), "{wrong}");
        }
        assert_eq!("018bcfe5-687b-7000-8000-0000000000-0".parse::<CallId>(), Err(NotAnId));
    }

    #[test]
    fn a_call_that_follows_has_the_same_id_each_time() {
        let id = CallId::new(1_700_000_000_123);
        let follows = id.following(&[1, 2]);
        assert_eq!(follows, id.following(&[1, 2]));
        assert!(follows != id && follows != id.following(&[2, 1]) && follows != CallId::new(7).following(&[1, 2]));
        assert_eq!((&follows.to_string()[..14], &follows.to_string()[14..15]), ("018bcfe5-687b-", "7"));
    }

    #[test]
    fn ids_of_later_calls_are_greater_and_no_two_are_the_same() {
        assert!(CallId::new(1) < CallId::new(2));
        let all: std::collections::BTreeSet<_> = (0..1000).map(|_| CallId::new(7)).collect();
        assert_eq!(all.len(), 1000);
    }
}
