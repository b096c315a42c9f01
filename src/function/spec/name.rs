//! Names, parsed once at the door and never carried as raw strings afterwards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid name or value; the message names the text and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// The longest DNS label (RFC 1035, 2.3.4).
const LABEL_MAX: usize = 63;

/// Accepts a lower-case DNS label (RFC 1123): letters, digits and inner hyphens, 1 to 63 characters.
fn dns_label(kind: &str, text: &str) -> Result<Arc<str>, Invalid> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ok = !text.is_empty()
        && text.len() <= LABEL_MAX
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if ok {
        return Ok(text.into());
    }
    Err(Invalid(format!(
        "invalid {kind} {:?}: must be a DNS label of 1 to 63 characters: lower-case letters, digits and inner hyphens",
        shorten(text)
    )))
}

/// Keeps hostile input from filling an error message.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain("...".chars()).collect()
}

macro_rules! dns_label_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                dns_label($kind, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

dns_label_type!(
    /// A function's name within its namespace: a DNS label of at most 63 characters.
    FunctionName,
    "function name"
);
dns_label_type!(
    /// A namespace of functions: a DNS label of at most 63 characters.
    Namespace,
    "namespace"
);

dns_label_type!(
    /// The name of an OCI runtime, as the operator lists it and functions choose it: a DNS label of at most 63 characters.
    RuntimeName,
    "runtime"
);

impl Default for RuntimeName {
    /// actord's own.
    fn default() -> Self {
        Self(Self::BUILTIN.into())
    }
}

impl Default for Namespace {
    /// `openfaas-fn`, where functions without a namespace live.
    fn default() -> Self {
        Self("openfaas-fn".into())
    }
}

/// A secret's name: a file name without any path in it, at most 253 characters (a Kubernetes object name).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(Arc<str>);

impl SecretName {
    /// The name as text; safe to use as one path component.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !text.is_empty() && text.len() <= 253 && text.bytes().all(inner) && !text.starts_with('.') {
            return Ok(Self(text.into()));
        }
        Err(Invalid(format!(
            "invalid secret name {:?}: must be 1 to 253 letters, digits, '-', '_' or '.', and not begin with '.'",
            shorten(text)
        )))
    }
}

impl TryFrom<String> for SecretName {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A function: its name and the namespace it lives in. Displayed as `name.namespace`, as the metrics and URLs write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunctionId {
    /// The namespace.
    pub namespace: Namespace,
    /// The name within it.
    pub name: FunctionName,
}

impl FunctionId {
    /// A function's identity from its two parts.
    #[must_use]
    pub fn new(name: FunctionName, namespace: Namespace) -> Self {
        Self { namespace, name }
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

impl FromStr for FunctionId {
    type Err = Invalid;
    /// Parses `name` or `name.namespace`, split at the last dot.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.rsplit_once('.') {
            None => Ok(Self::new(text.parse()?, Namespace::default())),
            Some((name, namespace)) => Ok(Self::new(name.parse()?, namespace.parse()?)),
        }
    }
}

/// One running copy of a function. It is the container id, the snapshot key and the network namespace's name, and is
/// never used twice: a late completion or exit of an earlier instance is recognised by it and dropped.
///
/// Written as the function's name, a hyphen and 12 characters, at most 76 in all (containerd's limit).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// containerd's limit for a container id.
    const MAX: usize = 76;

    /// The id as text; safe as a path component and as a container id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.len() > 1 && text.len() <= Self::MAX && text.bytes().all(inner) && !text.starts_with('-') {
            return Ok(Self(text.into()));
        }
        Err(Invalid(format!("invalid instance id {:?}", shorten(text))))
    }
}

impl TryFrom<String> for InstanceId {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Hands out instance ids from a random seed: 60 bits each, a bijection of a counter, so that one sequence never repeats
/// and two sequences with different seeds do not meet in practice. Pure: the randomness is given at construction.
#[derive(Debug, Clone)]
pub struct InstanceIds {
    prefix: String,
    state: u64,
}

impl InstanceIds {
    /// A sequence for one function. `seed` must be random and fresh (64 bits from the operating system).
    #[must_use]
    pub fn new(name: &FunctionName, seed: u64) -> Self {
        // containerd refuses two separators in a row, which a DNS label may have: the id only has to be readable,
        // the function's true name is in the container's labels.
        let mut prefix = String::with_capacity(LABEL_MAX);
        for c in name.as_str().chars() {
            if c != '-' || !prefix.ends_with('-') {
                prefix.push(c);
            }
        }
        Self { prefix, state: seed }
    }

    /// The next id, never given before by this sequence.
    pub fn next_id(&mut self) -> InstanceId {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let suffix = (0..12).map(|i| char::from(ALPHABET[(mixed >> (i * 5) & 31) as usize]));
        let text: String = self.prefix.chars().chain("-".chars()).chain(suffix).collect();
        InstanceId(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_of_63_characters_is_a_name_and_one_of_64_is_not() {
        assert!("a".repeat(63).parse::<FunctionName>().is_ok());
        let refused = "a".repeat(64).parse::<FunctionName>().unwrap_err();
        assert!(refused.to_string().contains("63 characters"), "{refused}");
    }

    #[test]
    fn names_with_other_characters_than_a_dns_label_has_are_refused() {
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "..", "ä", "a b", "a\n"] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad:?}");
            assert!(bad.parse::<Namespace>().is_err(), "{bad:?}");
        }
        for good in ["a", "0", "a-b", "a--b", "0a"] {
            assert!(good.parse::<FunctionName>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_secret_name_cannot_leave_its_directory() {
        for bad in ["", ".", "..", ".hidden", "a/b", "../x", "a\0b"] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad:?}");
        }
        assert!("db.pass_word-1".parse::<SecretName>().is_ok());
    }

    #[test]
    fn a_function_id_splits_at_the_last_dot_and_defaults_its_namespace() {
        let id: FunctionId = "echo".parse().unwrap();
        assert_eq!(id.to_string(), "echo.openfaas-fn");
        assert_eq!("echo.dev".parse::<FunctionId>().unwrap().namespace.as_str(), "dev");
        assert!("a.b.c".parse::<FunctionId>().is_err());
    }

    #[test]
    fn instance_ids_fit_containerd_whatever_the_function_is_called() {
        for name in ["a", "a--b---c", &"x".repeat(63)] {
            let mut ids = InstanceIds::new(&name.parse().unwrap(), 7);
            let id = ids.next_id();
            assert!(id.as_str().len() <= InstanceId::MAX);
            assert!(!id.as_str().contains("--"), "containerd refuses {id}");
            assert_eq!(id.as_str().parse::<InstanceId>().unwrap(), id);
        }
    }

    #[test]
    fn a_sequence_never_gives_the_same_id_twice() {
        let mut ids = InstanceIds::new(&"f".parse().unwrap(), 42);
        let all: std::collections::BTreeSet<_> = (0..10_000).map(|_| ids.next_id()).collect();
        assert_eq!(all.len(), 10_000);
    }
}
