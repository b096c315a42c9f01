//! What `GET /system/info` says.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Both shapes of `GET /system/info` are made of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Of the release.
    pub release: String,
    /// Of the commit that it was built from.
    pub sha: String,
    /// The first line of that commit.
    pub commit_message: String,
}

/// The provider's `GET /system/info`: `provider` is a string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderInfo {
    /// Its name.
    pub provider: String,
    /// Its version.
    pub version: Version,
    /// What it runs functions on.
    pub orchestration: String,
}

/// The gateway's `GET /system/info`: `provider` is an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayInfo {
    /// Who answers for functions.
    pub provider: ProviderInfo,
    /// The gateway's version.
    pub version: Version,
    /// The machine's architecture.
    pub arch: String,
}

/// What `GET /system/info` answers: the gateway's shape on the public listener, the provider's on the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Info {
    /// The public listener's.
    Gateway(GatewayInfo),
    /// The provider's.
    Provider(ProviderInfo),
}
