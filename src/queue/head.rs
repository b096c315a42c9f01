//! The headers of a call or of an answer as they are kept: bytes, which hold every value as it came.
//!
//! ```text
//! 1, then of each header: length of its name (u16), name, length of its value (u32), value; numbers begin with their high byte
//! ```

use bytes::{BufMut as _, Bytes, BytesMut};

/// What the bytes begin with. Another number is one of a later version, which is not read.
const VERSION: u8 = 1;

/// Which link of a chain a call is; only actord says it. Such a call has the headers of an answer.
pub const CHAIN: &str = "x-actord-chain";

/// What belongs to one connection (RFC 9110, 7.6.1, and what older peers send), or says how long one message is.
const OF_ONE_HOP: [&str; 11] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header of this name, in lower case, goes no further than to who reads this message.
#[must_use]
pub fn is_of_one_hop(name: &str) -> bool {
    OF_ONE_HOP.contains(&name)
}

/// Headers in their order, with names in lower case. Of a name there may be several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head(pub Vec<(String, Vec<u8>)>);

impl Head {
    /// The bytes that say the same.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let length = self.0.iter().map(|(name, value)| 6 + name.len() + value.len()).sum::<usize>();
        let mut out = BytesMut::with_capacity(1 + length);
        out.put_u8(VERSION);
        for (name, value) in &self.0 {
            // A longer name than HTTP has for one is left out, not cut.
            let (Ok(name_length), Ok(value_length)) = (u16::try_from(name.len()), u32::try_from(value.len())) else {
                continue;
            };
            out.put_u16(name_length);
            out.put_slice(name.as_bytes());
            out.put_u32(value_length);
            out.put_slice(value);
        }
        out.freeze()
    }

    /// What such bytes say; none of bytes that are damaged, or of another version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut left = bytes.strip_prefix(&[VERSION])?;
        let mut headers = Vec::new();
        while !left.is_empty() {
            let (name, rest) = piece::<2>(left)?;
            let (value, rest) = piece::<4>(rest)?;
            headers.push((std::str::from_utf8(name).ok()?.to_owned(), value.to_owned()));
            left = rest;
        }
        Some(Self(headers))
    }

    /// The first value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice())
    }

    /// Makes this the only value of the name.
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.remove(name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Takes all values of this name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }
}

/// What its length of `N` bytes stands before, and what is behind it.
fn piece<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_is_read_as_it_was(headers in prop::collection::vec(("[a-z0-9-]{1,40}", any::<Vec<u8>>()), 0..20)) {
            let head = Head(headers);
            prop_assert_eq!(Head::decode(&head.encode()), Some(head));
        }

        #[test]
        fn bytes_that_are_read_are_those_that_would_be_kept(bytes: Vec<u8>) {
            let versioned: Vec<u8> = [&[VERSION][..], &bytes].concat();
            if let Some(head) = Head::decode(&versioned) {
                prop_assert_eq!(&head.encode()[..], &versioned[..]);
            }
        }
    }

    #[test]
    fn damaged_bytes_say_nothing() {
        let head = Head(vec![("x-a".to_owned(), b"b".to_vec())]);
        let whole = head.encode();
        for length in (0..whole.len()).filter(|length| *length != 1) {
            assert_eq!(Head::decode(&whole[..length]), None, "{length}");
        }
        assert_eq!(Head::decode(&[2]), None);
        assert_eq!(Head::decode(&[VERSION]), Some(Head::default()));
    }

    #[test]
    fn a_name_has_one_value_after_it_was_set() {
        let mut head =
            Head(vec![("a".to_owned(), b"1".to_vec()), ("b".to_owned(), vec![]), ("a".to_owned(), b"2".to_vec())]);
        assert_eq!(head.get("a"), Some(&b"1"[..]));
        head.set("a", "3");
        assert_eq!(head.0, [("b".to_owned(), vec![]), ("a".to_owned(), b"3".to_vec())]);
        head.remove("a");
        assert_eq!(head.get("a"), None);
    }
}
