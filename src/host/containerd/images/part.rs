//! The parts of an image that a pull fetches, by the names that errors have for them.

use std::fmt;

/// What of an image is fetched, as an error names it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// What the reference names.
    Named,
    /// A manifest that an index names.
    Manifest(&'a str),
    /// The manifest of its signatures, or what one of them signs.
    Signature(&'a str),
    /// A manifest's config.
    Config(&'a str),
    /// A layer, and which of how many it is.
    Layer { digest: &'a str, number: usize, of: usize },
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("what it names"),
            Self::Manifest(digest) => write!(f, "its manifest {digest}"),
            Self::Signature(name) => write!(f, "its signature {name}"),
            Self::Config(digest) => write!(f, "its config {digest}"),
            Self::Layer { digest, number, of } => write!(f, "its layer {digest} ({number} of {of})"),
        }
    }
}
