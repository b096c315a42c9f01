//! The name and password that the API asks for: made at the first start, read at every start.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::distr::{Alphanumeric, SampleString};

use crate::data_dir::{DataDirError, make_private_dir, write_atomically};

/// The file with the user's name.
pub const USER_FILE: &str = "basic-auth-user";
/// The file with the password.
pub const PASSWORD_FILE: &str = "basic-auth-password";
const DEFAULT_USER: &str = "admin";
/// Root alone reads and writes both.
const MODE: u32 = 0o600;
/// 40 letters and digits: 238 bits.
const PASSWORD_LENGTH: usize = 40;

/// What callers of the API authenticate with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads `basic-auth-user` and `basic-auth-password`; whichever is missing is made first.
    ///
    /// # Errors
    /// Names the file that can't be read or written, or is empty.
    pub fn read_or_make(directory: &Path) -> Result<Self, DataDirError> {
        make_private_dir(directory)?;
        let user = read_or_make(&directory.join(USER_FILE), || DEFAULT_USER.to_owned())?;
        let password = read_or_make(&directory.join(PASSWORD_FILE), new_password)?;
        Ok(Self { user, password })
    }

    /// Reads what a running actord's callers have to send; none if it is not there, or not for this user to read.
    #[must_use]
    pub fn read(directory: &Path) -> Option<Self> {
        let read = |file: &str| {
            let text = fs::read_to_string(directory.join(file)).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Some(Self { user: read(USER_FILE)?, password: read(PASSWORD_FILE)? })
    }

    /// What is sent of them as `Authorization`.
    #[must_use]
    pub fn authorization(&self) -> String {
        let Self { user, password } = self;
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }
}

/// Puts another password in the place of the one in the directory, whole or not at all; only root can read it.
///
/// # Errors
/// When it can't be written: the old one is there still.
pub(super) fn replace(directory: &Path, password: &str) -> Result<(), DataDirError> {
    write_atomically(&directory.join(PASSWORD_FILE), password.as_bytes(), MODE)
}

/// A password that nobody can guess.
pub(super) fn new_password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH)
}

fn read_or_make(path: &Path, make: impl FnOnce() -> String) -> Result<String, DataDirError> {
    let failed = |error| DataDirError::Io(path.to_owned(), error);
    match fs::read_to_string(path) {
        Ok(text) => {
            let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "others may read this credential: chmod 600 it");
            }
            match text.trim() {
                "" => Err(DataDirError::Content(path.to_owned(), "is empty: remove it and a new one is made")),
                text => Ok(text.to_owned()),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make();
            write_atomically(path, text.as_bytes(), MODE)?;
            Ok(text)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_made_once_and_only_for_root() {
        let home = tempfile::tempdir().unwrap();
        let auth = home.path().join("auth");
        let made = Credentials::read_or_make(&auth).unwrap();
        assert_eq!(made.user, "admin");
        assert!(made.password.len() >= 32 && made.password.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_eq!(Credentials::read_or_make(&auth).unwrap(), made);
        assert_eq!(Credentials::read(&auth), Some(made.clone()));
        assert_eq!(Credentials::read(&home.path().join("nowhere")), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&auth), 0o700);
        assert_eq!(mode(&auth.join(USER_FILE)), 0o600);
        assert_eq!(mode(&auth.join(PASSWORD_FILE)), 0o600);
        assert_eq!(fs::read_dir(&auth).unwrap().count(), 2, "nothing unfinished is left");
        assert!(!format!("{made:?}").contains(&made.password));

        let other = Credentials::read_or_make(&home.path().join("other")).unwrap();
        assert_ne!(other.password, made.password);
    }

    #[test]
    fn credentials_that_somebody_wrote_are_taken_without_their_line_end() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(USER_FILE), "anna\n").unwrap();
        fs::write(home.path().join(PASSWORD_FILE), " secret\r\n").unwrap();
        let read = Credentials::read_or_make(home.path()).unwrap();
        assert_eq!(read, Credentials { user: "anna".into(), password: "secret".into() });
    }

    #[test]
    fn an_empty_password_opens_nothing() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(PASSWORD_FILE), "\n").unwrap();
        let refused = Credentials::read_or_make(home.path()).unwrap_err().to_string();
        assert!(refused.contains(PASSWORD_FILE), "{refused}");
    }
}
