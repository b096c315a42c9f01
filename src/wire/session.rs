//! Sessions: what a page holds in the place of a password or token.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asks, and what that one may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct WhoAsks {
    /// What the session is called; left out where none is sent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The user with the password, or the id of a token
    #[schema(required)]
    pub who: String,
    /// Whether it may do everything
    #[schema(required)]
    pub admin: bool,
    /// `read`, `write` and `invoke`, as far as it has them; who may write may read
    #[schema(required)]
    pub scopes: Vec<String>,
    /// The namespaces that this holds in, or `*`
    #[schema(required)]
    pub namespaces: Vec<String>,
    /// When the session ends; left out where none is sent
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ends_at: Option<String>,
}

/// A session that has just begun, with its text. That is told this once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct BegunSession {
    /// What to send: `Authorization: Bearer ...`
    #[schema(required)]
    pub token: String,
    /// Whose it is
    #[serde(flatten)]
    pub about: WhoAsks,
}
