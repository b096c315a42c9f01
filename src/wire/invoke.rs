//! A call of a function that is asked for, and answered, as data: nothing that a function says is a document of who asks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A call of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"method": "POST", "path": "/items?page=2", "headers": [["Content-Type", "text/plain"]], "body": "hello"}))]
pub struct InvokeRequest {
    /// The method; POST if it is left out
    #[schema(nullable)]
    pub method: String,
    /// Path and query as the function sees them; `/` if it is left out
    #[schema(nullable)]
    pub path: String,
    /// The function's namespace, where the query names none; the default one if both are left out
    #[schema(nullable)]
    pub namespace: String,
    /// Names and values
    #[schema(nullable, value_type = Vec<Vec<String>>)]
    pub headers: Vec<Vec<String>>,
    /// The body, as text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body, where it is no text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// What the function answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct InvokeAnswer {
    /// The function's own status
    #[schema(required)]
    pub status: u16,
    /// Names and values, in their order
    #[schema(required, value_type = Vec<Vec<String>>)]
    pub headers: Vec<[String; 2]>,
    /// The beginning of its body, if that is text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The beginning of its body, where it is no text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// How long all of its body was
    #[schema(required)]
    pub bytes: u64,
    /// Whether more of it came than is told here
    #[schema(required)]
    pub cut: bool,
    /// How long it took, the wait for an instance included
    #[schema(required)]
    pub seconds: f64,
}
