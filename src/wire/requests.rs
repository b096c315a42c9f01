//! What functions and secrets are asked to do, in bodies of their own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::function::Invalid;

/// The most replicas that may be asked for: a typing error should not fill the machine.
const REPLICAS_MAX: u64 = 1_000;

/// Which function is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"functionName": "env"}))]
pub struct DeleteFunctionRequest {
    /// The function's name
    #[schema(required)]
    pub function_name: String,
    /// The namespace, else the query's, else the default one
    #[schema(nullable)]
    pub namespace: String,
}

/// How many instances a function is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"serviceName": "env", "replicas": 2}))]
pub struct ScaleServiceRequest {
    /// The function's name, else the path's
    #[schema(nullable)]
    pub service_name: String,
    /// The same, as older clients call it.
    #[serde(skip_serializing)]
    #[schema(ignore)]
    pub service: String,
    /// How many; with 0 the next call starts one
    #[schema(required, value_type = u64, minimum = 0, maximum = 1000)]
    pub replicas: Option<u64>,
    /// The namespace, else the query's, else the default one
    #[schema(nullable)]
    pub namespace: String,
}

impl ScaleServiceRequest {
    /// The function's name: as the body says, else as the path does.
    #[must_use]
    pub fn name<'a>(&'a self, in_path: &'a str) -> &'a str {
        [&self.service_name, &self.service].into_iter().find(|name| !name.is_empty()).map_or(in_path, String::as_str)
    }

    /// How many instances are asked for. A body without it must not stop a function.
    ///
    /// # Errors
    /// [`Invalid`] for none at all, and for more than a machine should have.
    pub fn replicas(&self) -> Result<u32, Invalid> {
        let replicas = self.replicas.filter(|n| *n <= REPLICAS_MAX).and_then(|n| u32::try_from(n).ok());
        replicas
            .ok_or_else(|| Invalid(format!("invalid field \"replicas\": expected a number from 0 to {REPLICAS_MAX}")))
    }
}

/// Which generation a function is to go back to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"generation": 2}))]
pub struct RollbackRequest {
    /// One that is kept, as the status of the function lists them; else the one before
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The namespace, else the query's, else the default one
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(nullable)]
    pub namespace: String,
}

/// A secret and its value.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"name": "api-key", "value": "s3cret"}))]
pub struct Secret {
    /// The secret's name
    #[schema(required, min_length = 1)]
    pub name: String,
    /// The namespace, else the query's, else the default one
    #[schema(nullable)]
    pub namespace: String,
    /// The value as text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The value in base64; it counts if both are there
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(nullable, content_encoding = "base64", example = "czNjcmV0")]
    pub raw_value: String,
}

/// Which secret is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"name": "api-key"}))]
pub struct DeleteSecretRequest {
    /// The secret's name
    #[schema(required, min_length = 1)]
    pub name: String,
    /// The namespace, else the query's, else the default one
    #[schema(nullable)]
    pub namespace: String,
}

/// A secret as the list shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ListedSecret {
    /// The secret's name
    #[schema(required)]
    pub name: String,
    /// Where it is
    #[schema(required)]
    pub namespace: String,
}
