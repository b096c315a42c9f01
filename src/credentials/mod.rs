//! Who may use the API: one user with a password, and tokens that may do less.
//!
//! ```text
//! <data-dir>/auth/basic-auth-user, basic-auth-password    made at the first start
//! <data-dir>/auth/tokens.json                             digests of tokens, and what each may do
//! <data-dir>/auth/sessions.json                           digests of sessions, and what began each
//!
//! Authorization header -> Access: SHA-256 -> one look into a table in memory -> Caller, which knows what it may do
//! a change             -> the file, until it is on the disk -> another table in the place of the old one
//! ```
//! The tokens lie beside the password, in a file that is replaced whole, and not in the store of functions: there are few,
//! they change by hand, and an older actord can still open that store.
//!
//! Only digests are kept, so no token can be had from a stolen file. A plain SHA-256 is enough for that: a token is 256 bits of
//! chance, which no guesser gets through at any speed. Slow digests are for words that people choose.
//!
//! A look takes no lock and no disk: readers and a change never wait for each other.

mod access;
mod caller;
mod checked;
mod digest;
mod header;
mod kept;
mod password;
mod sessions;
mod token;

/// The version in which this program lays out tokens.
#[must_use]
pub fn known_schema() -> i64 {
    checked::VERSION.cast_signed()
}

pub use access::{Access, ChangeError, looks_like_token};
pub use caller::{Caller, Denied};
pub use digest::Digest;
pub use password::{Credentials, PASSWORD_FILE, USER_FILE};
pub use sessions::Session;
pub use token::{Reach, Scope, Token, lifetime};
