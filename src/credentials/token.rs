//! A token: what its bearer may do, where, and until when.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::function::{Invalid, Namespace, parse_duration};

/// What every token begins with, so that programs that look for lost secrets know one.
pub(super) const PREFIX: &str = "actord_";
/// So many letters and digits follow: 256 bits.
const LENGTH: usize = 43;
/// A name for people: 40 bits, made anew if it is taken.
const ID_LENGTH: usize = 8;
/// The longest description, in bytes.
const DESCRIPTION_MAX: usize = 200;
/// How all namespaces are written.
const ALL: &str = "*";

/// One thing that a token lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See functions, their logs, and the names of secrets.
    Read,
    /// Change functions and secrets; who may do that may see them, too.
    Write,
    /// Call functions that ask for a token.
    Invoke,
}

impl Scope {
    /// All of them, with the word for each.
    pub const WORDS: [(Self, &'static str); 3] =
        [(Self::Read, "read"), (Self::Write, "write"), (Self::Invoke, "invoke")];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Invoke => "invoke",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::WORDS.iter().find(|(_, word)| *word == text);
        known
            .map(|(scope, _)| *scope)
            .ok_or_else(|| Invalid(format!("no scope is called {text:?}: expected read, write or invoke")))
    }
}

/// Where a token holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum Reach {
    /// In every namespace, those to come as well.
    All,
    /// In these.
    Only(BTreeSet<Namespace>),
}

impl Reach {
    /// Whether it reaches into a namespace.
    #[must_use]
    pub fn contains(&self, namespace: &Namespace) -> bool {
        match self {
            Self::All => true,
            Self::Only(namespaces) => namespaces.contains(namespace),
        }
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Vec::from(self.clone()).join(","))
    }
}

impl From<Reach> for Vec<String> {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::All => vec![ALL.to_owned()],
            Reach::Only(namespaces) => namespaces.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<Vec<String>> for Reach {
    type Error = Invalid;

    /// Names of namespaces, or `*` alone.
    fn try_from(texts: Vec<String>) -> Result<Self, Invalid> {
        match texts.as_slice() {
            [] => Err(Invalid("a token needs a namespace: name one or more, or * for all".to_owned())),
            [all] if all == ALL => Ok(Self::All),
            some => some.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self::Only),
        }
    }
}

/// What is known of a token. Its text is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is called: `t-` and letters, for those who list, revoke and rotate it.
    pub id: String,
    /// The digest of its text.
    pub digest: Digest,
    /// Where it holds.
    pub namespaces: Reach,
    /// What it lets its bearer do there.
    pub scopes: BTreeSet<Scope>,
    /// When its text was made.
    pub created_at: Timestamp,
    /// From when on it is refused, by the clock of this machine; none: never.
    pub expires_at: Option<Timestamp>,
    /// What it is for, in its maker's words.
    pub description: String,
}

impl Token {
    /// A new one that is called `id`, and its text, which is not kept.
    ///
    /// # Errors
    /// [`Invalid`] for a token that may do nothing, or a description that is too long or no plain line.
    pub(super) fn make(
        id: String,
        namespaces: Reach,
        scopes: BTreeSet<Scope>,
        lifetime: Option<Duration>,
        description: String,
        now: Timestamp,
    ) -> Result<(Self, String), Invalid> {
        if scopes.is_empty() {
            return Err(Invalid("a token needs a scope: read, write or invoke, or several".to_owned()));
        }
        if description.len() > DESCRIPTION_MAX || description.chars().any(is_no_text) {
            return Err(Invalid(format!("a description is one line of at most {DESCRIPTION_MAX} bytes")));
        }
        let (text, expires_at) = (new_text(), lifetime.map(|time| after(now, time)).transpose()?);
        let digest = Digest::of(text.as_bytes());
        Ok((Self { id, digest, namespaces, scopes, created_at: now, expires_at, description }, text))
    }

    /// The same with another text, for as long again.
    pub(super) fn rotated(&self, now: Timestamp) -> Result<(Self, String), Invalid> {
        let length = self.expires_at.map(|end| end.duration_since(self.created_at).unsigned_abs());
        let (text, expires_at) = (new_text(), length.map(|time| after(now, time)).transpose()?);
        Ok((Self { digest: Digest::of(text.as_bytes()), created_at: now, expires_at, ..self.clone() }, text))
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it lets its bearer do this anywhere.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || scope == Scope::Read && self.scopes.contains(&Scope::Write)
    }
}

/// What ends a line, or changes how a terminal shows others: controls, separators, and marks of direction.
fn is_no_text(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A name that is not taken: a letter for what it names, and chance.
pub(super) fn new_id(letter: char, is_taken: impl Fn(&str) -> bool) -> String {
    loop {
        let id = format!("{letter}-{}", Alphanumeric.sample_string(&mut rand::rng(), ID_LENGTH).to_ascii_lowercase());
        if !is_taken(&id) {
            return id;
        }
    }
}

/// The text of a new token.
pub(super) fn new_text() -> String {
    format!("{PREFIX}{}", Alphanumeric.sample_string(&mut rand::rng(), LENGTH))
}

fn after(now: Timestamp, time: Duration) -> Result<Timestamp, Invalid> {
    let end = SignedDuration::try_from(time).ok().and_then(|time| now.checked_add(time).ok());
    end.ok_or_else(|| Invalid("no token lives that long: say never".to_owned()))
}

/// Reads how long a token is to live: `30d`, `12h`, or `never`.
///
/// # Errors
/// [`Invalid`] with what was expected.
pub fn lifetime(text: &str) -> Result<Option<Duration>, Invalid> {
    let wrong = || Invalid(format!("{text:?} is no lifetime: expected one such as 30d or 12h, at least 1s, or never"));
    if text == "never" {
        return Ok(None);
    }
    let time = match text.strip_suffix('d') {
        Some(days) => {
            days.parse::<u32>().map(|days| Duration::from_secs(u64::from(days) * 24 * 3600)).map_err(|_| wrong())?
        }
        None => parse_duration(text).map_err(|_| wrong())?,
    };
    Some(time).filter(|time| *time >= Duration::from_secs(1)).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn token(scopes: &[Scope], lifetime: Option<Duration>) -> (Token, String) {
        let reach = Reach::try_from(vec!["dev".to_owned()]).unwrap();
        let scopes = scopes.iter().copied().collect();
        Token::make("t-1".into(), reach, scopes, lifetime, String::new(), NOW).unwrap()
    }

    #[test]
    fn the_text_of_a_token_is_256_bits_of_chance_and_is_not_kept() {
        let (one, text) = token(&[Scope::Read], None);
        assert_eq!(text.len(), PREFIX.len() + LENGTH);
        assert!(62_f64.powi(43).log2() >= 256.0);
        assert_ne!(token(&[Scope::Read], None).1, text);
        assert_eq!(one.digest, Digest::of(text.as_bytes()));
        assert!(!serde_json::to_string(&one).unwrap().contains(&text[PREFIX.len()..]));
    }

    #[test]
    fn who_may_write_may_read_and_nothing_else_follows_from_another() {
        for (scope, may) in [
            (Scope::Read, [true, false, false]),
            (Scope::Write, [true, true, false]),
            (Scope::Invoke, [false, false, true]),
        ] {
            assert_eq!(Scope::WORDS.map(|(wanted, _)| token(&[scope], None).0.has(wanted)), may, "{scope:?}");
        }
    }

    #[test]
    fn a_token_that_is_rotated_has_another_text_and_lives_as_long_again() {
        let day = Duration::from_secs(24 * 3600);
        let (old, text) = token(&[Scope::Read], Some(day));
        let later = after(NOW, day * 3).unwrap();
        assert!(!old.is_expired(NOW) && old.is_expired(after(NOW, day).unwrap()));
        let (new, other) = old.rotated(later).unwrap();
        assert_ne!(text, other);
        assert_eq!((new.id.as_str(), new.expires_at), ("t-1", Some(after(later, day).unwrap())));
        assert!(!token(&[Scope::Read], None).0.is_expired(Timestamp::MAX));
    }

    #[test]
    fn lifetimes_are_days_or_times_or_never_and_nothing_else() {
        let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
        for (text, time) in [("30d", days(30)), ("12h", Some(Duration::from_secs(43200))), ("never", None)] {
            assert_eq!(lifetime(text), Ok(time), "{text}");
        }
        for text in ["", "0", "0d", "-1d", "d", "soon", "1.5d", "Never"] {
            assert!(lifetime(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_token_that_may_nothing_or_nowhere_is_not_made() {
        let make = |scopes: &[Scope], description: &str| {
            let scopes = scopes.iter().copied().collect();
            Token::make("t-1".into(), Reach::All, scopes, None, description.into(), NOW)
        };
        assert!(make(&[], "").is_err());
        assert!(make(&[Scope::Read], "\u{202e}back").is_err() && make(&[Scope::Read], "two\u{2028}lines").is_err());
        assert!(make(&[Scope::Read], "two\nlines").is_err() && make(&[Scope::Read], &"x".repeat(201)).is_err());
        assert!(make(&[Scope::Read], "CI").is_ok());
        for reach in [vec![], vec!["*", "dev"], vec!["Not A Name"]] {
            assert!(Reach::try_from(reach.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).is_err());
        }
    }
}
