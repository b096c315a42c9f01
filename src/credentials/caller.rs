//! Whom a request is from, and what that one may do.

use std::sync::Arc;

use super::token::{Reach, Scope, Token};
use crate::function::Namespace;

/// Whom a request is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The user with the password, who may do everything.
    Admin(String),
    /// The bearer of a token that holds.
    Token(Arc<Token>),
}

/// Why nobody is known by what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nothing that could be credentials, which is no guess: a browser asks so first.
    Nothing,
    /// It is neither the password nor a token.
    Wrong,
    /// It is a token whose time is over.
    Expired(Arc<Token>),
    /// It is a session that has ended, of this id.
    Ended(String),
}

impl Caller {
    /// Its name, which is no secret.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Admin(user) => user,
            Self::Token(token) => &token.id,
        }
    }

    /// Whether it may do everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        matches!(self, Self::Admin(_))
    }

    /// Whether it may do this anywhere.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Token(token) => token.has(scope),
        }
    }

    /// Whether what it may do, it may do in every namespace, and so what is of none.
    #[must_use]
    pub fn reaches_all(&self) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Token(token) => token.namespaces == Reach::All,
        }
    }

    /// Whether what it may do, it may do in this namespace.
    #[must_use]
    pub fn reaches(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Admin(_) => true,
            Self::Token(token) => token.namespaces.contains(namespace),
        }
    }
}
