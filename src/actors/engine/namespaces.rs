//! Namespaces and secrets of one machine: [`engine::Namespaces`] and [`engine::Secrets`] as its store implements them.

use async_trait::async_trait;

use crate::engine::{self, NamespaceRefused, SecretRefused};
use crate::function::{Namespace, NamespaceMetadata, SecretName};
use crate::store::{self, NamespaceError, SecretError, StoreError};

#[async_trait]
impl engine::Namespaces for store::Namespaces {
    async fn list(&self) -> Result<Vec<Namespace>, NamespaceRefused> {
        Ok(self.all())
    }

    async fn get(&self, namespace: &Namespace) -> Result<Option<NamespaceMetadata>, NamespaceRefused> {
        Ok(self.metadata(namespace))
    }

    async fn create(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceRefused> {
        Ok(Self::create(self, namespace, metadata).await?)
    }

    async fn update(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceRefused> {
        Ok(Self::update(self, namespace, metadata).await?)
    }

    async fn delete(&self, namespace: &Namespace) -> Result<(), NamespaceRefused> {
        Ok(Self::delete(self, namespace).await?)
    }
}

#[async_trait]
impl engine::Secrets for store::Namespaces {
    async fn list(&self, namespace: &Namespace) -> Result<Vec<SecretName>, SecretRefused> {
        Ok(self.secrets(namespace).await?)
    }

    async fn create(&self, namespace: &Namespace, name: SecretName, value: Vec<u8>) -> Result<(), SecretRefused> {
        Ok(self.create_secret(namespace, name, value).await?)
    }

    async fn update(&self, namespace: &Namespace, name: SecretName, value: Vec<u8>) -> Result<(), SecretRefused> {
        Ok(self.update_secret(namespace, name, value).await?)
    }

    async fn delete(&self, namespace: &Namespace, name: SecretName, force: bool) -> Result<(), SecretRefused> {
        Ok(self.remove_secret(namespace, name, force).await?)
    }
}

impl From<NamespaceError> for NamespaceRefused {
    fn from(error: NamespaceError) -> Self {
        match error {
            NamespaceError::Exists(namespace) => Self::Exists(namespace),
            NamespaceError::NotFound(namespace) => Self::NotFound(namespace),
            NamespaceError::InUse { namespace, functions } => Self::InUse { namespace, functions },
            NamespaceError::Default(namespace) => Self::Default(namespace),
            NamespaceError::Store(full @ StoreError::Full(_)) => Self::Full(full.to_string()),
            NamespaceError::Store(error) => Self::Failed(error.to_string()),
        }
    }
}

impl From<store::SecretRefused> for SecretRefused {
    fn from(refused: store::SecretRefused) -> Self {
        match refused {
            store::SecretRefused::NoNamespace(namespace) => Self::NoNamespace(namespace),
            store::SecretRefused::Secret(SecretError::Missing(name)) => Self::NotFound(name),
            store::SecretRefused::Secret(SecretError::Exists(name)) => Self::Exists(name),
            store::SecretRefused::InUse { name, functions } => Self::InUse { name, functions },
            store::SecretRefused::Secret(error) if error.is_full() => Self::Full(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
