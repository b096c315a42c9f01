//! The names of attachments that are made before an instance asks for one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What every name begins with. No instance's id can: `_` is no letter of one.
const PREFIX: &str = "warm_";
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Letters behind the prefix, five random bits each.
const LENGTH: usize = 12;

/// An attachment that is no instance's yet: `warm_` and 12 characters, never used twice. A network namespace and CNI know
/// it by this name, and go on to when an instance has claimed it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WarmId(Arc<str>);

impl WarmId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        let bits = rand::random::<u64>();
        let letters = (0..LENGTH).map(|at| char::from(LETTERS[(bits >> (at * 5) & 31) as usize]));
        Self(PREFIX.chars().chain(letters).collect::<String>().into())
    }

    /// The name as text; safe as a path component and as a container id of CNI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WarmId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let letters = text.strip_prefix(PREFIX).ok_or(())?;
        let known = letters.len() == LENGTH && letters.bytes().all(|letter| LETTERS.contains(&letter));
        known.then(|| Self(text.into())).ok_or(())
    }
}

impl fmt::Display for WarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::InstanceId;

    #[test]
    fn a_name_is_read_back_and_is_never_an_instances() {
        let (one, other) = (WarmId::random(), WarmId::random());
        assert_ne!(one, other);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        assert!(one.as_str().parse::<InstanceId>().is_err());
        for bad in ["", "warm_", "warm-0123456789ab", "warm_0123456789a", "warm_0123456789a/", "xwarm_0123456789ab"] {
            assert!(bad.parse::<WarmId>().is_err(), "{bad}");
        }
    }
}
