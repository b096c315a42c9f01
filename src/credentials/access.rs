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
        Self::over(None, &credentials, Vec::new())
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
        Ok(Self::over(Some(directory.to_owned()), &credentials, kept::read(directory)?))
    }

    fn over(directory: Option<PathBuf>, credentials: &Credentials, tokens: Vec<Token>) -> Self {
        let tokens = tokens.into_iter().map(|token| (token.digest, Arc::new(token))).collect();
        let Credentials { user, password } = credentials;
        let known = Known { user: user.clone(), admin: pair(user, password), tokens };
        Self(Arc::new(Inner { directory, known: ArcSwap::from_pointee(known), changing: Mutex::default() }))
    }

    /// Whom an `Authorization` header is from: the password, or a token as bearer or as password of the user `token`.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn caller(&self, header: &[u8]) -> Result<Caller, Denied> {
        let (sent, known) = (Sent::read(header).ok_or(Denied::Nothing)?, self.0.known.load());
        if let Sent::Pair(pair) = &sent
            && bool::from(Digest::of(pair).bytes().ct_eq(known.admin.bytes()))
        {
            return Ok(Caller::Admin(known.user.clone()));
        }
        known.token(sent.token().ok_or(Denied::Wrong)?).map(Caller::Token)
    }

    /// The token that an `Authorization` header carries. It is not compared with the password.
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
            let id = new_id(|id| known.find(id).is_ok());
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
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn access() -> Access {
        Credentials { user: "admin".into(), password: "secret-pw".into() }.into()
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    fn dev() -> Reach {
        Reach::try_from(vec!["dev".to_owned()]).unwrap()
    }

    #[test]
    fn the_right_user_and_password_pass_whatever_the_case_of_the_scheme() {
        let token = STANDARD.encode("admin:secret-pw");
        for header in [format!("Basic {token}"), format!("basic  {token} ")] {
            assert_eq!(access().caller(header.as_bytes()), Ok(Caller::Admin("admin".into())), "{header}");
        }
    }

    #[test]
    fn anything_else_does_not() {
        let caller = |header: &str| access().caller(header.as_bytes());
        for pair in ["admin:secret-p", "admin:secret-pw ", "Admin:secret-pw", ":", "token:", "token:secret-pw", "token"]
        {
            assert_eq!(caller(&basic(pair)), Err(Denied::Wrong), "{pair:?}");
        }
        let token = STANDARD.encode("admin:secret-pw");
        for bearer in ["actord_guessed", "a.jwt.perhaps", "secret-pw", &token] {
            assert_eq!(caller(&format!("Bearer {bearer}")), Err(Denied::Wrong), "{bearer}");
        }
        // What could be no credentials is no guess.
        let odd = [format!("Basic{token}"), format!("Digest {token}")];
        let known = ["", "Basic", "Basic ", "Bearer", "Bearer ", "Basic %%%", "ÄÄÄ"];
        for header in odd.iter().map(String::as_str).chain(known) {
            assert_eq!(caller(header), Err(Denied::Nothing), "{header:?}");
        }
    }

    #[test]
    fn a_token_is_known_as_bearer_and_as_the_password_of_the_user_token_until_it_is_revoked() {
        let access = access();
        let (token, text) = access.create(dev(), [Scope::Read].into(), None, "CI".into()).unwrap();
        let headers = [format!("Bearer {text}"), format!("bearer  {text} "), basic(&format!("token:{text}"))];
        for header in &headers {
            assert_eq!(access.caller(header.as_bytes()), Ok(Caller::Token(token.clone())), "{header}");
        }
        assert_eq!(access.caller(basic(&format!("admin:{text}")).as_bytes()), Err(Denied::Wrong));
        assert_eq!(access.tokens(), std::slice::from_ref(&token));
        access.revoke(&token.id).unwrap();
        for header in headers {
            assert_eq!(access.caller(header.as_bytes()), Err(Denied::Wrong));
        }
        assert!(matches!(access.revoke(&token.id), Err(ChangeError::NotFound(_))));
    }

    #[test]
    fn of_a_token_that_was_rotated_only_the_new_text_is_known() {
        let access = access();
        let (old, old_text) = access.create(dev(), [Scope::Read].into(), None, String::new()).unwrap();
        let (new, text) = access.rotate(&old.id).unwrap();
        assert_eq!(new.id, old.id);
        assert_eq!(access.caller(format!("Bearer {old_text}").as_bytes()), Err(Denied::Wrong));
        assert_eq!(access.caller(format!("Bearer {text}").as_bytes()), Ok(Caller::Token(new)));
        assert_eq!(access.tokens().len(), 1);
    }

    #[test]
    fn a_token_whose_time_is_over_is_told_from_one_that_never_was() {
        let access = access();
        let (token, text) =
            access.create(dev(), [Scope::Read].into(), Some(Duration::from_nanos(1)), String::new()).unwrap();
        assert_eq!(access.caller(format!("Bearer {text}").as_bytes()), Err(Denied::Expired(token)));
    }

    #[test]
    fn what_was_changed_is_there_after_a_restart_and_what_can_not_be_kept_is_not_changed() {
        let home = tempfile::tempdir().unwrap();
        let auth = home.path().join("auth");
        let access = Access::open(&auth).unwrap();
        let (one, text) = access.create(dev(), [Scope::Write].into(), None, "CI".into()).unwrap();
        let (two, _) = access.create(Reach::All, [Scope::Invoke].into(), None, String::new()).unwrap();
        access.revoke(&two.id).unwrap();
        let again = Access::open(&auth).unwrap();
        assert_eq!(again.caller(format!("Bearer {text}").as_bytes()), Ok(Caller::Token(one.clone())));
        assert_eq!(again.tokens(), [one]);
        std::fs::remove_dir_all(&auth).unwrap();
        let refused = again.create(Reach::All, [Scope::Invoke].into(), None, String::new());
        assert!(matches!(refused, Err(ChangeError::Failed(_))), "{refused:?}");
        assert_eq!(again.tokens().len(), 1);
    }

    #[test]
    fn a_password_that_was_rotated_is_refused_at_once_and_the_new_one_lies_where_it_was() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let access = Access::open(home.path()).unwrap();
        let (token, text) = access.create(dev(), [Scope::Read].into(), None, String::new()).unwrap();
        let old = Credentials::read(home.path()).unwrap();
        let new = access.rotate_password().unwrap();
        assert_eq!((new.user.as_str(), new.password.len()), ("admin", 40));
        assert_ne!(new.password, old.password);
        let caller = |access: &Access, who: &Credentials| {
            access.caller(basic(&format!("{}:{}", who.user, who.password)).as_bytes())
        };
        for access in [&access, &Access::open(home.path()).unwrap()] {
            assert_eq!(caller(access, &old), Err(Denied::Wrong));
            assert_eq!(caller(access, &new), Ok(Caller::Admin("admin".into())));
            assert_eq!(access.caller(format!("Bearer {text}").as_bytes()), Ok(Caller::Token(token.clone())));
        }
        let file = home.path().join(password::PASSWORD_FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(home.path()).unwrap();
        access.rotate_password().unwrap_err();
        assert_eq!(caller(&access, &new), Ok(Caller::Admin("admin".into())), "what can't be kept is not changed");
    }

    #[test]
    fn tokens_are_so_many_and_no_more() {
        let access = access();
        for _ in 0..TOKENS_MAX {
            access.create(dev(), [Scope::Read].into(), None, String::new()).unwrap();
        }
        assert!(matches!(access.create(dev(), [Scope::Read].into(), None, String::new()), Err(ChangeError::TooMany)));
    }
}
