//! Tokens as they are asked for and shown, and the password that takes the place of another.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a new token is to let its bearer do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"namespaces": ["staging"], "scopes": ["write"], "expires": "30d", "description": "CI"}))]
pub struct CreateTokenRequest {
    /// The namespaces that it holds in, or `*` alone for all
    #[schema(required, min_items = 1)]
    pub namespaces: Vec<String>,
    /// `read`, `write` (which may read, too) and `invoke`: one or more
    #[schema(required, min_items = 1)]
    pub scopes: Vec<String>,
    /// How long it holds, such as `30d` or `12h`, or `never`; 30 days if it is left out
    #[schema(nullable)]
    pub expires: String,
    /// What it is for
    #[schema(nullable)]
    pub description: String,
}

/// A token as it is listed. Its text is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ListedToken {
    /// What it is called
    #[schema(required)]
    pub id: String,
    /// The namespaces that it holds in, or `*`
    #[schema(required)]
    pub namespaces: Vec<String>,
    /// What it lets its bearer do there
    #[schema(required)]
    pub scopes: Vec<String>,
    /// When it was made, or rotated last
    #[schema(required, format = DateTime)]
    pub created_at: String,
    /// From when on it is refused
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Whether that is over
    #[schema(required)]
    pub expired: bool,
    /// What it is for
    #[schema(required)]
    pub description: String,
}

/// A token that was just made, with its text. That is told this once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct MadeToken {
    /// What to send: `Authorization: Bearer ...`, or as the password of the user `token`
    #[schema(required)]
    pub token: String,
    /// All else about it
    #[serde(flatten)]
    pub about: ListedToken,
}

/// The password that takes the place of the one before. That is told this once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RotatedPassword {
    /// The user, as before
    #[schema(required)]
    pub user: String,
    /// The new password
    #[schema(required)]
    pub password: String,
}
