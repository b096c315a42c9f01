//! The table of all who may use the API, and its changes. What is told of here and no longer is refused from then on.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use subtle::ConstantTimeEq as _;

use super::caller::{Caller, Denied};
use super::digest::Digest;
use super::header::Sent;
use super::kept;
use super::password::{self, Credentials};
use super::sessions::{Session, Sessions, Who};
use super::token::{Reach, Scope, Token, new_id};
use crate::data_dir::DataDirError;
use crate::function::Invalid;

/// The most tokens: each change writes all of them.
const TOKENS_MAX: usize = 1_000;

/// Who may use the API. Cheap to clone; a change of one holds for all.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    /// Where changes are kept; none: in memory alone.
    directory: Option<PathBuf>,
    known: ArcSwap<Known>,
    /// Held from reading the table to replacing it.
    changing: Mutex<()>,
}

#[derive(Clone)]
struct Known {
    user: String,
    /// Of user and password. Comparing digests takes the same time whatever was sent, its length included.
    admin: Digest,
    tokens: HashMap<Digest, Arc<Token>>,
    sessions: Sessions,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What is asked for can't be.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such token.
    #[error("there is no token {0}: `actord token ls` lists those that are there")]
    NotFound(String),
    /// Who asks for it is not known any more, or by a session.
    #[error("nothing was changed: {0}")]
    Denied(&'static str),
    /// There are enough.
    #[error("there are {TOKENS_MAX} tokens: revoke some that are not used any more")]
    TooMany,
    /// The disk is full.
    #[error("nothing was changed, the disk is full: {0}")]
    Full(String),
    /// It can't be kept.
    #[error("nothing was changed: {0}")]
    Failed(String),
}

impl From<DataDirError> for ChangeError {
    fn from(error: DataDirError) -> Self {
        match &error {
            DataDirError::Io(_, io) if matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                Self::Full(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<Credentials> for Access {
    /// In memory alone.
    fn from(credentials: Credentials) -> Self {
        Self::over(None, &credentials, Vec::new(), Sessions::default())
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("directory", &self.0.directory).finish_non_exhaustive()
    }
}

impl Access {
    /// Reads who may use the API from a directory; user and password are made if they are missing. Blocks.
    ///
    /// # Errors
    /// Names the file that can't be read or written.
    pub fn open(directory: &Path) -> Result<Self, DataDirError> {
        let credentials = Credentials::read_or_make(directory)?;
        let tokens = kept::read(directory)?;
        Ok(Self::over(Some(directory.to_owned()), &credentials, tokens, Sessions::read(directory)))
    }

    fn over(directory: Option<PathBuf>, credentials: &Credentials, tokens: Vec<Token>, sessions: Sessions) -> Self {
        let tokens = tokens.into_iter().map(|token| (token.digest, Arc::new(token))).collect();
        let Credentials { user, password } = credentials;
        let known = Known { user: user.clone(), admin: pair(user, password), tokens, sessions };
        Self(Arc::new(Inner { directory, known: ArcSwap::from_pointee(known), changing: Mutex::default() }))
    }

    /// Whom an `Authorization` header is from: the password, or a token or session as bearer or as password of the user `token`.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn caller(&self, header: &[u8]) -> Result<Caller, Denied> {
        let (sent, known) = (Sent::read(header).ok_or(Denied::Nothing)?, self.0.known.load());
        if known.is_admin(&sent) {
            return Ok(Caller::Admin(known.user.clone()));
        }
        let text = sent.token().ok_or(Denied::Wrong)?;
        match known.token(text) {
            Err(Denied::Wrong) => known.behind(known.sessions.find(text).ok_or(Denied::Wrong)?),
            known => known.map(Caller::Token),
        }
    }

    /// The session that an `Authorization` header carries, while it holds.
    #[must_use]
    pub fn session(&self, header: &[u8]) -> Option<Arc<Session>> {
        let (sent, known) = (Sent::read(header)?, self.0.known.load());
        let session = known.sessions.find(sent.token()?)?;
        known.behind(session).is_ok().then(|| session.clone())
    }

    /// Begins a session of the one whose password or token an `Authorization` header carries; its text is told this once.
    /// Blocks, until it is on the disk, if it can be.
    ///
    /// # Errors
    /// When who asks is not known any more.
    pub fn begin_session(&self, header: &[u8]) -> Result<(Arc<Session>, String), ChangeError> {
        self.change_sessions(|known| {
            let sent = Sent::read(header);
            let who = match &sent {
                Some(sent) if known.is_admin(sent) => Some(Who::Admin(known.admin)),
                Some(sent) => {
                    sent.token().and_then(|text| known.token(text).ok()).map(|token| Who::Token(token.digest))
                }
                None => None,
            };
            let who = who.ok_or(ChangeError::Denied("a session is begun by a password or a token that holds"))?;
            let mut sessions = std::mem::take(&mut known.sessions);
            let begun = sessions.begin(who, Timestamp::now(), |who| known.holds(who));
            known.sessions = sessions;
            Ok(begun)
        })
    }

    /// Ends the session that an `Authorization` header carries; false: it carries none. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn end_session(&self, header: &[u8]) -> Result<bool, ChangeError> {
        if self.session(header).is_none() {
            return Ok(false);
        }
        self.change_sessions(|known| {
            let sent = Sent::read(header);
            Ok(sent.as_ref().and_then(Sent::token).and_then(|text| known.sessions.end(text)).is_some())
        })
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let known = self.0.known.load();
        known.sessions.count(Timestamp::now(), |who| known.holds(who))
    }

    /// The token that an `Authorization` header carries. It is not compared with the password, and no session is one.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn token(&self, header: &[u8]) -> Result<Arc<Token>, Denied> {
        let sent = Sent::read(header).ok_or(Denied::Nothing)?;
        self.0.known.load().token(sent.token().ok_or(Denied::Wrong)?)
    }

    /// All tokens, the newest last.
    #[must_use]
    pub fn tokens(&self) -> Vec<Arc<Token>> {
        let mut all: Vec<_> = self.0.known.load().tokens.values().cloned().collect();
        all.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        all
    }

    /// Makes a token; the text is told this once. Blocks, until it is on the disk.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn create(
        &self,
        namespaces: Reach,
        scopes: BTreeSet<Scope>,
        lifetime: Option<Duration>,
        description: String,
    ) -> Result<(Arc<Token>, String), ChangeError> {
        self.change(|known| {
            if known.tokens.len() >= TOKENS_MAX {
                return Err(ChangeError::TooMany);
            }
            let id = new_id('t', |id| known.find(id).is_ok());
            let (token, text) = Token::make(id, namespaces, scopes, lifetime, description, Timestamp::now())?;
            Ok((known.take_in(token), text))
        })
    }

    /// Gives a token another text, and its whole lifetime again; the old text is refused from then on. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn rotate(&self, id: &str) -> Result<(Arc<Token>, String), ChangeError> {
        self.change(|known| {
            let old = known.find(id)?;
            let (token, text) = old.rotated(Timestamp::now())?;
            known.tokens.remove(&old.digest);
            Ok((known.take_in(token), text))
        })
    }

    /// Lets a token hold no longer. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn revoke(&self, id: &str) -> Result<(), ChangeError> {
        self.change(|known| {
            let digest = known.find(id)?.digest;
            known.tokens.remove(&digest);
            Ok(())
        })
    }

    /// Makes another password, which is told this once more; the old one is refused from then on. Blocks.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn rotate_password(&self) -> Result<Credentials, ChangeError> {
        let keep = |_: &Known, directory: &Path, made: &Credentials| password::replace(directory, &made.password);
        self.change_and(keep, |known| {
            let made = Credentials { user: known.user.clone(), password: password::new_password() };
            known.admin = pair(&made.user, &made.password);
            Ok(made)
        })
    }

    /// As [`Access::change_and`], of a change of tokens.
    fn change<T>(&self, act: impl FnOnce(&mut Known) -> Result<T, ChangeError>) -> Result<T, ChangeError> {
        let keep = |known: &Known, directory: &Path, _: &T| {
            let mut tokens: Vec<Token> = known.tokens.values().map(|token| Token::clone(token)).collect();
            tokens.sort_by(|one, other| one.id.cmp(&other.id));
            kept::write(directory, &tokens)
        };
        self.change_and(keep, act)
    }

    /// As [`Access::change_and`], of a change of sessions. No promise is lost with one, so it holds in memory where it can't be
    /// kept: on a full disk somebody must be able to sign in, and out. The next change writes all of them.
    fn change_sessions<T>(&self, act: impl FnOnce(&mut Known) -> Result<T, ChangeError>) -> Result<T, ChangeError> {
        let keep = |known: &Known, directory: &Path, _: &T| {
            if let Err(error) = known.sessions.write(directory) {
                tracing::error!(%error, "sessions hold and end as they are asked to, but a restart finds those that were kept before");
            }
            Ok(())
        };
        self.change_and(keep, act)
    }

    /// Changes a copy of the table, keeps that on the disk, and then puts it in the place of the table.
    fn change_and<T>(
        &self,
        keep: impl FnOnce(&Known, &Path, &T) -> Result<(), DataDirError>,
        act: impl FnOnce(&mut Known) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = Known::clone(&self.0.known.load());
        let done = act(&mut known)?;
        if let Some(directory) = &self.0.directory {
            keep(&known, directory, &done)?;
        }
        self.0.known.store(Arc::new(known));
        Ok(done)
    }
}

impl Known {
    /// Whether this is the user with the password.
    fn is_admin(&self, sent: &Sent<'_>) -> bool {
        matches!(sent, Sent::Pair(pair) if Digest::of(pair).bytes().ct_eq(self.admin.bytes()).into())
    }

    /// Whether what began a session is still what it was.
    fn holds(&self, who: &Who) -> bool {
        match who {
            Who::Admin(digest) => *digest == self.admin,
            Who::Token(digest) => self.tokens.get(digest).is_some_and(|token| !token.is_expired(Timestamp::now())),
        }
    }

    /// Who does what somebody does by a session.
    fn behind(&self, session: &Session) -> Result<Caller, Denied> {
        if session.is_over(Timestamp::now()) || !self.holds(&session.who) {
            return Err(Denied::Ended(session.id.clone()));
        }
        match &session.who {
            Who::Admin(_) => Ok(Caller::Admin(self.user.clone())),
            Who::Token(digest) => self.tokens.get(digest).cloned().map(Caller::Token).ok_or(Denied::Wrong),
        }
    }

    /// The token of this text. What the time of a look tells is about digests, from which no text can be had.
    fn token(&self, text: &[u8]) -> Result<Arc<Token>, Denied> {
        let token = self.tokens.get(&Digest::of(text)).ok_or(Denied::Wrong)?;
        match token.is_expired(Timestamp::now()) {
            false => Ok(token.clone()),
            true => Err(Denied::Expired(token.clone())),
        }
    }

    fn find(&self, id: &str) -> Result<Arc<Token>, ChangeError> {
        let found = self.tokens.values().find(|token| token.id == id);
        found.cloned().ok_or_else(|| ChangeError::NotFound(id.to_owned()))
    }

    fn take_in(&mut self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        self.tokens.insert(token.digest, token.clone());
        token
    }
}

/// Whether an `Authorization` header carries what looks like a token of ours: by its first letters, so that nobody learns by
/// what becomes of it whether it is one.
#[must_use]
pub fn looks_like_token(header: &[u8]) -> bool {
    Sent::read(header).is_some_and(|sent| sent.looks_like_token())
}

/// What the user with the password sends.
fn pair(user: &str, password: &str) -> Digest {
    Digest::of(format!("{user}:{password}").as_bytes())
}

#[cfg(test)]
mod tests;
