//! Namespaces and the secrets in them, as the API sees them.
//!
//! ```text
//! secret: hold off every change of the store -> its namespace is there? no function uses it? -> the file is written, or removed
//! namespace deleted: no function in it -> out of the table -> its secrets out of the directory
//! ```
//! So a secret never outlives its namespace, and none that was accepted is lost.

use rusqlite::Connection;

use super::namespace_table::NamespaceError;
use super::secret_uses;
use super::secrets::{SecretError, Secrets};
use super::{Store, StoreError};
use crate::function::{Namespace, NamespaceMetadata, SecretName};

/// Why a secret was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SecretRefused {
    /// There is no such namespace.
    #[error("namespace not valid")]
    NoNamespace(Namespace),
    /// There is such a secret, or there is not, or the disk did not do it.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Functions name it.
    #[error("secret {name} is used by {}", .functions.join(", "))]
    InUse {
        /// Which secret.
        name: SecretName,
        /// Their names, sorted.
        functions: Vec<String>,
    },
    /// The store can't tell which functions name it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its thread was lost.
    #[error("{0}")]
    Lost(String),
}

/// The namespaces of a store and the secrets beside it. Cheap to clone. What has begun comes to its end, also when no caller
/// waits for it any more.
#[derive(Debug, Clone)]
pub struct Namespaces {
    store: Store,
    secrets: Secrets,
}

impl Namespaces {
    /// The namespaces of this store, and the secrets of their functions.
    #[must_use]
    pub fn new(store: Store, secrets: Secrets) -> Self {
        Self { store, secrets }
    }

    /// All of them, the default one first and the others by name.
    #[must_use]
    pub fn all(&self) -> Vec<Namespace> {
        self.store.namespaces()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn contains(&self, namespace: &Namespace) -> bool {
        self.store.has_namespace(namespace)
    }

    /// What is said of one; none if it is not there.
    #[must_use]
    pub fn metadata(&self, namespace: &Namespace) -> Option<NamespaceMetadata> {
        self.store.namespace(namespace)
    }

    /// Makes one, with no secret in it.
    ///
    /// # Errors
    /// [`NamespaceError::Exists`], [`NamespaceError::Store`].
    pub async fn create(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceError> {
        // Whatever is there was left when a deletion was cut short.
        self.store.create_namespace(namespace, metadata, self.forget_secrets(namespace)).await
    }

    /// Replaces what is said of one.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::Store`].
    pub async fn update(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceError> {
        self.store.update_namespace(namespace, metadata).await
    }

    /// Deletes one that no function lives in, and its secrets.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::InUse`], [`NamespaceError::Default`], [`NamespaceError::Store`].
    pub async fn delete(&self, namespace: &Namespace) -> Result<(), NamespaceError> {
        self.store.delete_namespace(namespace, self.forget_secrets(namespace)).await
    }

    fn forget_secrets(&self, namespace: &Namespace) -> impl FnOnce() + Send + use<> {
        let (secrets, namespace) = (self.secrets.clone(), namespace.clone());
        move || {
            if let Err(error) = secrets.remove_all(&namespace) {
                tracing::error!(%namespace, %error, "secrets of a deleted namespace are left on the disk: remove them");
            }
        }
    }

    /// The names of a namespace's secrets, sorted.
    ///
    /// # Errors
    /// [`SecretRefused`].
    pub async fn secrets(&self, namespace: &Namespace) -> Result<Vec<SecretName>, SecretRefused> {
        self.secret(namespace, Secrets::list).await
    }

    /// Makes a secret. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`SecretRefused`]; [`SecretError::Exists`] when there is one of that name.
    pub async fn create_secret(
        &self,
        namespace: &Namespace,
        name: SecretName,
        value: Vec<u8>,
    ) -> Result<(), SecretRefused> {
        self.secret(namespace, move |secrets, namespace| secrets.create(namespace, &name, &value)).await
    }

    /// Replaces a secret. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`SecretRefused`]; [`SecretError::Missing`] when there is none of that name.
    pub async fn update_secret(
        &self,
        namespace: &Namespace,
        name: SecretName,
        value: Vec<u8>,
    ) -> Result<(), SecretRefused> {
        self.secret(namespace, move |secrets, namespace| secrets.update(namespace, &name, &value)).await
    }

    /// Removes a secret for good; one that functions name only by `force`. Instances that have it keep it as long as they
    /// run.
    ///
    /// # Errors
    /// [`SecretRefused`]; [`SecretError::Missing`] when there is none of that name.
    pub async fn remove_secret(
        &self,
        namespace: &Namespace,
        name: SecretName,
        force: bool,
    ) -> Result<(), SecretRefused> {
        self.still(namespace, move |db, secrets, namespace| {
            if !force && secrets.contains(namespace, &name) {
                let users = secret_uses::users(db, namespace, &name)?;
                if !users.is_empty() {
                    let functions = users.iter().map(ToString::to_string).collect();
                    return Err(SecretRefused::InUse { name, functions });
                }
            }
            Ok(secrets.remove(namespace, &name)?)
        })
        .await
    }

    /// Does something with a namespace's secrets while the namespace stays.
    async fn secret<T: Send + 'static>(
        &self,
        namespace: &Namespace,
        act: impl FnOnce(&Secrets, &Namespace) -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, SecretRefused> {
        self.still(namespace, |_, secrets, namespace| Ok(act(secrets, namespace)?)).await
    }

    /// Does something with a namespace's secrets while neither the namespace nor any function changes.
    async fn still<T: Send + 'static>(
        &self,
        namespace: &Namespace,
        act: impl FnOnce(&Connection, &Secrets, &Namespace) -> Result<T, SecretRefused> + Send + 'static,
    ) -> Result<T, SecretRefused> {
        let (this, namespace) = (self.clone(), namespace.clone());
        let done = tokio::task::spawn_blocking(move || {
            let db = this.store.still();
            if !this.contains(&namespace) {
                return Err(SecretRefused::NoNamespace(namespace));
            }
            act(&db, &this.secrets, &namespace)
        });
        done.await.unwrap_or_else(|lost| Err(SecretRefused::Lost(format!("secrets: the thread was lost: {lost}"))))
    }
}
