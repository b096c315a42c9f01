//! The data directory: who may look into it, whether the desired state can be read, and whether there are credentials.
//!
//! A running actord is not disturbed: nothing is locked, and the store is opened for reading alone.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::finding::Finding;
use crate::config::Config;
use crate::credentials::{PASSWORD_FILE, USER_FILE};
use crate::store::{Store, StoreError};

/// What can be known of a file that may be missing.
#[derive(Debug, Clone)]
enum There {
    Missing,
    Hidden(String),
    Seen { mode: u32, owner: u32, length: u64 },
}

/// What is known of the data directory.
#[derive(Debug)]
pub(super) struct Data {
    path: PathBuf,
    directory: There,
    store_path: PathBuf,
    store_file: There,
    /// How many functions it has.
    store: Result<usize, StoreError>,
    has_copy: bool,
    credentials: [(PathBuf, There); 2],
    /// When the desired state was last written.
    pub(super) written: Option<Timestamp>,
}

impl Data {
    pub(super) fn read(config: &Config) -> Self {
        let (path, store_path) = (config.data_dir.clone(), config.store_path());
        let file = |name: &str| config.auth_dir().join(name);
        let written = fs::metadata(&store_path).and_then(|about| about.modified());
        Self {
            directory: there(&path),
            store_file: there(&store_path),
            store: Store::read(&store_path).map(|all| all.len()),
            has_copy: Store::has_copy(&store_path),
            credentials: [USER_FILE, PASSWORD_FILE].map(file).map(|path| (path.clone(), there(&path))),
            written: written.ok().and_then(|time| Timestamp::try_from(time).ok()),
            path,
            store_path,
        }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        vec![self.directory(), self.store(), self.credentials()]
    }

    fn directory(&self) -> Finding {
        let (check, path) = ("data directory", self.path.display());
        match &self.directory {
            There::Missing => Finding::ok(check, format!("{path} is not there yet; it is made at the first start")),
            There::Hidden(error) => Finding::unknown(check, format!("{path}: {error}")),
            There::Seen { owner, .. } if *owner != 0 => {
                Finding::failure(check, format!("{path} belongs to user {owner}"), format!("chown root:root {path}"))
            }
            There::Seen { mode, .. } if mode & 0o077 != 0 => {
                let found = format!("others may look into {path} (mode {:o}): secrets are in it", mode & 0o777);
                let bad = if mode & 0o022 == 0 { Finding::warning } else { Finding::failure };
                bad(check, found, format!("chmod 700 {path}"))
            }
            There::Seen { .. } => Finding::ok(check, format!("{path}, for root alone")),
        }
    }

    fn store(&self) -> Finding {
        let (check, path) = ("desired state", self.store_path.display());
        match (&self.store_file, &self.store) {
            (There::Missing, _) if self.has_copy => Finding::warning(
                check,
                format!("{path} is gone; its last good copy takes its place at the next start"),
                "actord up, and look for what was deployed last",
            ),
            (There::Missing, _) => Finding::ok(check, "none yet"),
            (There::Hidden(error), _) => Finding::unknown(check, format!("{path}: {error}")),
            (_, Ok(1)) => Finding::ok(check, "1 function"),
            (_, Ok(functions)) => Finding::ok(check, format!("{functions} functions")),
            (_, Err(older @ StoreError::Older { .. })) => Finding::ok(check, older.to_string()),
            (_, Err(newer @ StoreError::Newer { .. })) => {
                Finding::failure(check, newer.to_string(), "install the newer actord again")
            }
            (_, Err(StoreError::Damaged(why))) if self.has_copy => Finding::warning(
                check,
                format!("{path} is damaged ({why}); its last good copy takes its place at the next start"),
                "systemctl restart actord, and look for what was deployed last",
            ),
            (_, Err(error)) => Finding::failure(
                check,
                format!("{path}: {error}"),
                "put a backup of it there; `actord import` reads what `actord export` wrote",
            ),
        }
    }

    fn credentials(&self) -> Finding {
        let check = "credentials";
        for (path, there) in &self.credentials {
            let path = path.display();
            match there {
                There::Missing => {}
                There::Hidden(error) => return Finding::unknown(check, format!("{path}: {error}")),
                There::Seen { length: 0, .. } => {
                    return Finding::failure(
                        check,
                        format!("{path} is empty"),
                        format!("rm {path}: a new one is made"),
                    );
                }
                There::Seen { mode, .. } if mode & 0o077 != 0 => {
                    return Finding::warning(check, format!("others may read {path}"), format!("chmod 600 {path}"));
                }
                There::Seen { .. } => {}
            }
        }
        match self.credentials.iter().any(|(_, there)| matches!(there, There::Missing)) {
            true => Finding::ok(check, "made at the first start"),
            false => Finding::ok(check, "there, for root alone"),
        }
    }
}

fn there(path: &Path) -> There {
    match fs::metadata(path) {
        Ok(about) => There::Seen { mode: about.permissions().mode(), owner: about.uid(), length: about.len() },
        Err(error) if error.kind() == io::ErrorKind::NotFound => There::Missing,
        Err(error) => There::Hidden(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    const MINE: There = There::Seen { mode: 0o100_600, owner: 0, length: 9 };

    fn data() -> Data {
        Data {
            path: "/d".into(),
            directory: There::Seen { mode: 0o40700, owner: 0, length: 1 },
            store_path: "/d/actord.db".into(),
            store_file: MINE,
            store: Ok(3),
            has_copy: true,
            credentials: [("/d/auth/user".into(), MINE), ("/d/auth/password".into(), MINE)],
            written: None,
        }
    }

    fn at(data: &Data, index: usize) -> (State, String) {
        let found = data.check().remove(index);
        (found.state, found.remedy.unwrap_or(found.found))
    }

    #[test]
    fn a_directory_in_use_is_well_and_so_is_one_that_was_never_used() {
        assert!(data().check().iter().all(|finding| finding.state == State::Ok));
        let fresh = Data {
            directory: There::Missing,
            store_file: There::Missing,
            store: Err(StoreError::Failed("unable to open".into())),
            has_copy: false,
            credentials: [("/a".into(), There::Missing), ("/b".into(), There::Missing)],
            ..data()
        };
        assert!(fresh.check().iter().all(|finding| finding.state == State::Ok), "{:?}", fresh.check());
    }

    #[test]
    fn a_directory_that_others_look_into_or_own_is_said() {
        let with = |mode, owner| Data { directory: There::Seen { mode, owner, length: 1 }, ..data() };
        assert_eq!(at(&with(0o40755, 0), 0), (State::Warning, "chmod 700 /d".into()));
        assert_eq!(at(&with(0o40777, 0), 0), (State::Failure, "chmod 700 /d".into()));
        assert_eq!(at(&with(0o40700, 1000), 0), (State::Failure, "chown root:root /d".into()));
        let hidden = Data { directory: There::Hidden("Permission denied".into()), ..data() };
        assert_eq!(at(&hidden, 0).0, State::Unknown);
    }

    #[test]
    fn a_store_is_judged_by_what_the_next_start_makes_of_it() {
        let with = |error| Data { store: Err(error), ..data() };
        assert_eq!(at(&with(StoreError::Older { found: 1, known: 2 }), 1).0, State::Ok);
        assert_eq!(at(&with(StoreError::Newer { found: 9, known: 2 }), 1).0, State::Failure);
        assert_eq!(at(&with(StoreError::Damaged("page 2".into())), 1).0, State::Warning);
        let alone = Data { has_copy: false, ..with(StoreError::Damaged("page 2".into())) };
        assert_eq!(at(&alone, 1).0, State::Failure);
        assert_eq!(at(&Data { store_file: There::Missing, ..data() }, 1).0, State::Warning);
        let hidden = Data { store_file: There::Hidden("Permission denied".into()), ..data() };
        assert_eq!(at(&hidden, 1).0, State::Unknown);
    }

    #[test]
    fn credentials_that_are_empty_or_open_are_said() {
        let with = |there| Data { credentials: [("/u".into(), MINE), ("/p".into(), there)], ..data() };
        assert_eq!(at(&with(There::Seen { mode: 0o600, owner: 0, length: 0 }), 2).0, State::Failure);
        assert_eq!(
            at(&with(There::Seen { mode: 0o644, owner: 0, length: 9 }), 2),
            (State::Warning, "chmod 600 /p".into())
        );
        assert_eq!(at(&with(There::Hidden("no".into())), 2).0, State::Unknown);
    }
}
