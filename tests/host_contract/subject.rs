//! What a case needs of a host, beyond the host itself.

use std::path::PathBuf;

use actord::function::{InstanceId, InstanceIds, SecretName};
use actord::host::{Attachment, Host};

/// What an image does. Every subject can make each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Writes a line that begins with `hello`, listens on port 8080, ends with code 0 when asked to.
    Hello,
    /// As `Hello`, of another content.
    HelloAgain,
    /// Writes a line that begins with `exiting at start` and ends with code 7.
    ExitsAtStart,
    /// As `Hello`, and listens on port 5000 of 127.0.0.1 as well.
    TwoPorts,
    /// Does not react to SIGTERM.
    IgnoresTerm,
    /// Has no program in it.
    Unrunnable,
}

/// Whether a case makes only calls that a correct caller makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// It does.
    Correct,
    /// It makes at least one that a correct caller never makes.
    Misuse,
}

/// A host under test.
pub trait Subject {
    /// It.
    fn host(&self) -> Host;

    /// An id that was never used, for an instance of this function.
    fn fresh_id(&self, function: &str) -> InstanceId {
        InstanceIds::new(&function.parse().unwrap(), rand::random()).next_id()
    }

    /// Puts an image into a registry that the host can reach, under a repository's name such as `team/hello` and the
    /// tag `1`. The reference to pull it by; publishing the same name again moves its tag.
    async fn publish(&self, repository: &str, kind: Kind) -> String;

    /// A reference into the same registry, of an image that is not there.
    fn unknown(&self) -> String;

    /// An archive with one image of that reference.
    async fn archive(&self, reference: &str, kind: Kind) -> PathBuf;

    /// A path of no file, or of one that is no archive, as `exists` says.
    fn no_archive(&self, exists: bool) -> PathBuf;

    /// A secret as the process of an instance that is ready reads it.
    async fn secret(&self, id: &InstanceId, at: &Attachment, name: &SecretName) -> Vec<u8>;
}
