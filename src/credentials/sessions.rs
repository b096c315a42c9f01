//! Sessions: what a page holds in the place of the password or token that was typed into it once.
//!
//! ```text
//! password or token -> begin -> a text, told once; its digest -> <data-dir>/auth/sessions.json
//! text -> Sessions: one look -> whose it is -> that one, while the password or the token is still what it was
//! ```
//! A session is as long as a working day and is not prolonged. It is no token: it opens no function by itself, and ends with what
//! began it. The file outlives restarts, so that an upgrade signs nobody out; without it everybody signs in again.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::checked::{self, Found};
use super::digest::Digest;
use super::token::{new_id, new_text};
use crate::data_dir::DataDirError;

/// How long a session holds.
const SESSION: SignedDuration = SignedDuration::from_hours(8);
/// The most of them: each change writes all.
const SESSIONS_MAX: usize = 200;

const FILE: &str = "sessions.json";
/// Where a file goes that can't be read.
const DAMAGED: &str = "sessions.json.damaged";
/// What the list is called in it.
const KEY: &str = "sessions";

/// Who may do what somebody may who has this password or token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    /// Of user and password.
    Admin(Digest),
    /// Of a token.
    Token(Digest),
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What it is called, which is no secret.
    pub id: String,
    digest: Digest,
    pub(super) who: Who,
    made: Timestamp,
    /// From when on it is refused.
    pub ends_at: Timestamp,
}

impl Session {
    /// Whether its time is over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }
}

/// All sessions, by the digests of their texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions(HashMap<Digest, Arc<Session>>);

impl Sessions {
    /// The session of this text, also one that is over.
    pub(super) fn find(&self, text: &[u8]) -> Option<&Arc<Session>> {
        self.0.get(&Digest::of(text))
    }

    /// Begins one. Those that are over go, and those of which `holds` says no; of too many, the oldest of who has the most: so
    /// nobody can sign out others.
    pub(super) fn begin(&mut self, who: Who, now: Timestamp, holds: impl Fn(&Who) -> bool) -> (Arc<Session>, String) {
        self.0.retain(|_, session| !session.is_over(now) && holds(&session.who));
        let text = new_text();
        let id = new_id('s', |id| self.0.values().any(|other| other.id == id));
        let ends_at = now.checked_add(SESSION).unwrap_or(Timestamp::MAX);
        let session = Arc::new(Session { id, digest: Digest::of(text.as_bytes()), who, made: now, ends_at });
        self.0.insert(session.digest, session.clone());
        while self.0.len() > SESSIONS_MAX {
            let Some(spare) = self.spare() else { break };
            self.0.remove(&spare);
        }
        (session, text)
    }

    /// The oldest session of who has the most.
    fn spare(&self) -> Option<Digest> {
        let mut counts: HashMap<&Who, usize> = HashMap::new();
        for session in self.0.values() {
            *counts.entry(&session.who).or_default() += 1;
        }
        let (most, _) = counts.into_iter().max_by_key(|(who, count)| (*count, *who))?;
        let oldest = self.0.values().filter(|session| session.who == *most).min_by_key(|session| session.made)?;
        Some(oldest.digest)
    }

    /// Ends the session of this text, if there is one.
    pub(super) fn end(&mut self, text: &[u8]) -> Option<Arc<Session>> {
        self.0.remove(&Digest::of(text))
    }

    /// How many hold.
    pub(super) fn count(&self, now: Timestamp, holds: impl Fn(&Who) -> bool) -> usize {
        self.0.values().filter(|session| !session.is_over(now) && holds(&session.who)).count()
    }

    /// Those of a directory. A file that can't be read refuses no start: all sign in again.
    pub(super) fn read(directory: &Path) -> Self {
        let path = directory.join(FILE);
        let found = checked::read::<Session>(&path, KEY).unwrap_or_else(|error| Found::Damaged(error.to_string()));
        let all = match found {
            Found::Nothing | Found::Newer => Vec::new(),
            Found::Whole(all) => all,
            Found::Damaged(reason) => {
                let aside = directory.join(DAMAGED);
                let kept = fs::rename(&path, &aside).is_ok();
                tracing::error!(reason, kept, aside = %aside.display(), "the file of sessions is damaged: all sign in again");
                Vec::new()
            }
        };
        Self(all.into_iter().map(|session| (session.digest, Arc::new(session))).collect())
    }

    /// Makes these the sessions of the directory. They are on the disk when this returns.
    ///
    /// # Errors
    /// When they can't be written; the file is then as it was.
    pub(super) fn write(&self, directory: &Path) -> Result<(), DataDirError> {
        let mut all: Vec<&Session> = self.0.values().map(|session| &**session).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        checked::write(&directory.join(FILE), KEY, &all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn admin() -> Who {
        Who::Admin(Digest::of(b"admin:pw"))
    }

    fn token(name: &str) -> Who {
        Who::Token(Digest::of(name.as_bytes()))
    }

    #[test]
    fn a_session_is_found_by_its_text_alone_and_its_text_is_not_kept() {
        let mut all = Sessions::default();
        let (session, text) = all.begin(admin(), NOW, |_| true);
        assert_eq!(all.find(text.as_bytes()), Some(&session));
        assert!(session.id.starts_with("s-") && text.starts_with("actord_"));
        assert!(!session.is_over(NOW) && session.is_over(NOW + SESSION));
        let home = tempfile::tempdir().unwrap();
        all.write(home.path()).unwrap();
        let file = fs::read_to_string(home.path().join(FILE)).unwrap();
        assert!(!file.contains(&text["actord_".len()..]));
        assert_eq!(Sessions::read(home.path()).find(text.as_bytes()), Some(&session));
        assert_eq!(all.end(text.as_bytes()), Some(session));
        assert_eq!(all.find(text.as_bytes()), None);
        assert_eq!(all.end(text.as_bytes()), None);
    }

    #[test]
    fn of_too_many_those_go_that_are_over_and_then_the_oldest_of_who_has_the_most() {
        let mut all = Sessions::default();
        let (_, over) = all.begin(admin(), NOW, |_| true);
        let later = NOW + SESSION;
        let (_, first) = all.begin(admin(), later, |_| true);
        assert_eq!(all.find(over.as_bytes()), None);
        let (_, gone) = all.begin(token("gone"), later, |_| true);
        for n in 0..220 {
            all.begin(token("busy"), later + SignedDuration::from_millis(n), |who| *who != token("gone"));
        }
        assert_eq!((all.0.len(), all.find(gone.as_bytes())), (SESSIONS_MAX, None));
        assert!(all.find(first.as_bytes()).is_some(), "another's are not pushed out");
    }

    #[test]
    fn a_file_that_is_damaged_is_put_aside_and_one_of_a_newer_actord_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let mut all = Sessions::default();
        let (_, text) = all.begin(admin(), NOW, |_| true);
        all.write(home.path()).unwrap();
        let file = home.path().join(FILE);
        let written = fs::read_to_string(&file).unwrap();
        fs::write(&file, written.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
        assert!(Sessions::read(home.path()).0.is_empty() && file.exists());
        fs::write(&file, written.replacen("1970-", "1971-", 1)).unwrap();
        assert_eq!(Sessions::read(home.path()).find(text.as_bytes()), None);
        assert!(!file.exists() && home.path().join(DAMAGED).exists());
    }
}
