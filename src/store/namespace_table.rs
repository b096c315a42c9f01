//! The table of namespaces, and its list in memory.
//!
//! ```text
//! create, update, delete -> one transaction -> the list in memory -> answers of `all`, `contains`, `get`
//! a new function's put   -> the same connection: of a deploy and a deletion that meet, exactly one is refused
//! ```
//! The default namespace is always there, with or without a row of its own. What is said of a namespace (labels,
//! annotations) is kept for those who said it; actord acts on none of it.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError, RwLock};

use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::function::{FunctionId, Namespace, NamespaceMetadata};

/// Why a namespace was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// There is such a namespace.
    #[error("namespace {0} already exists")]
    Exists(Namespace),
    /// There is no such namespace.
    #[error("namespace {0} not found")]
    NotFound(Namespace),
    /// Functions live in it.
    #[error("namespace {namespace} has functions in it, delete them first: {}", .functions.join(", "))]
    InUse {
        /// Which namespace.
        namespace: Namespace,
        /// Their names, sorted.
        functions: Vec<String>,
    },
    /// The default namespace stays.
    #[error("namespace {0} is the default one and can't be deleted")]
    Default(Namespace),
    /// The store could not make it durable; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All namespaces as the table has them, read without waiting for it.
#[derive(Debug)]
pub(super) struct Known(RwLock<BTreeMap<Namespace, NamespaceMetadata>>);

impl Known {
    /// Reads the table; a namespace that is missing although a function lives in it is put back.
    pub(super) fn load(db: &Connection) -> Result<Self, StoreError> {
        let of_functions = json(&NamespaceMetadata::of_functions())?;
        let sql = "INSERT OR IGNORE INTO namespaces (name, metadata)
            SELECT DISTINCT namespace, ?1 FROM functions WHERE namespace <> ?2";
        db.execute(sql, params![of_functions, Namespace::default().as_str()])?;
        Ok(Self(RwLock::new(all(db)?)))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Namespace, NamespaceMetadata>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, namespace: Namespace, metadata: Option<NamespaceMetadata>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match metadata {
            Some(metadata) => drop(known.insert(namespace, metadata)),
            None => drop(known.remove(&namespace)),
        }
    }
}

impl Store {
    /// All namespaces, the default one first and the others by name.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        let default = Namespace::default();
        let known = self.0.namespaces.read();
        let others = known.keys().filter(|name| **name != default).cloned();
        std::iter::once(default.clone()).chain(others).collect()
    }

    /// Whether there is such a namespace.
    #[must_use]
    pub fn has_namespace(&self, namespace: &Namespace) -> bool {
        *namespace == Namespace::default() || self.0.namespaces.read().contains_key(namespace)
    }

    /// What is said of a namespace; none if it is not there.
    #[must_use]
    pub fn namespace(&self, namespace: &Namespace) -> Option<NamespaceMetadata> {
        let known = self.0.namespaces.read().get(namespace).cloned();
        known.or_else(|| (*namespace == Namespace::default()).then(NamespaceMetadata::of_functions))
    }

    /// Makes a namespace. `first` runs before that, while no caller can change anything.
    ///
    /// # Errors
    /// [`NamespaceError::Exists`], [`NamespaceError::Store`].
    pub(super) async fn create_namespace(
        &self,
        namespace: &Namespace,
        metadata: NamespaceMetadata,
        first: impl FnOnce() + Send + 'static,
    ) -> Result<(), NamespaceError> {
        let (store, name) = (self.clone(), namespace.clone());
        self.alter(move |db| {
            if store.has_namespace(&name) {
                return Err(NamespaceError::Exists(name));
            }
            first();
            store.set_namespace(db, name, metadata)
        })
        .await
    }

    /// Replaces what is said of a namespace.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::Store`].
    pub(super) async fn update_namespace(
        &self,
        namespace: &Namespace,
        metadata: NamespaceMetadata,
    ) -> Result<(), NamespaceError> {
        let (store, name) = (self.clone(), namespace.clone());
        self.alter(move |db| {
            if !store.has_namespace(&name) {
                return Err(NamespaceError::NotFound(name));
            }
            store.set_namespace(db, name, metadata)
        })
        .await
    }

    fn set_namespace(
        &self,
        db: &Connection,
        name: Namespace,
        metadata: NamespaceMetadata,
    ) -> Result<(), NamespaceError> {
        write(db, &name, &metadata)?;
        self.0.namespaces.set(name, Some(metadata));
        Ok(())
    }

    /// Deletes a namespace that no function lives in. `then` runs after that, while no caller can change anything.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::InUse`], [`NamespaceError::Default`], [`NamespaceError::Store`].
    pub(super) async fn delete_namespace(
        &self,
        namespace: &Namespace,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<(), NamespaceError> {
        let (store, name) = (self.clone(), namespace.clone());
        self.alter(move |db| {
            if name == Namespace::default() {
                return Err(NamespaceError::Default(name));
            }
            if !store.has_namespace(&name) {
                return Err(NamespaceError::NotFound(name));
            }
            let functions = functions(db, &name).map_err(StoreError::from)?;
            if !functions.is_empty() {
                return Err(NamespaceError::InUse { namespace: name, functions });
            }
            let sql = "DELETE FROM namespaces WHERE name = ?1";
            db.prepare_cached(sql).and_then(|mut delete| delete.execute([name.as_str()])).map_err(StoreError::from)?;
            store.0.namespaces.set(name, None);
            then();
            Ok(())
        })
        .await
    }

    /// Changes namespaces, one change at a time.
    async fn alter(
        &self,
        act: impl FnOnce(&Connection) -> Result<(), NamespaceError> + Send + 'static,
    ) -> Result<(), NamespaceError> {
        self.change(move |db| match act(db) {
            Ok(()) => Ok(Ok(())),
            Err(NamespaceError::Store(error)) => Err(error),
            Err(refused) => Ok(Err(refused)),
        })
        .await?
    }

    /// Holds off every change of the store, namespaces included, for as long as the guard lives.
    pub(super) fn still(&self) -> MutexGuard<'_, Connection> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a new function in a namespace that is not there; one that is there already may always be written.
pub(super) fn check_function(db: &Connection, id: &FunctionId) -> Result<(), StoreError> {
    if id.namespace == Namespace::default() {
        return Ok(());
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM namespaces WHERE name = ?1)
        OR EXISTS (SELECT 1 FROM functions WHERE namespace = ?1 AND name = ?2)";
    let names = params![id.namespace.as_str(), id.name.as_str()];
    match db.prepare_cached(sql)?.query_row(names, |row| row.get(0))? {
        true => Ok(()),
        false => Err(StoreError::NoNamespace(id.namespace.clone())),
    }
}

/// All of the table. A row that can't be read is told of and left alone.
pub(super) fn all(db: &Connection) -> Result<BTreeMap<Namespace, NamespaceMetadata>, StoreError> {
    let mut statement = db.prepare("SELECT name, metadata FROM namespaces")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut found = BTreeMap::new();
    for row in rows {
        let (name, metadata) = row?;
        let Ok(namespace) = name.parse::<Namespace>() else {
            tracing::error!(name, "the store names a namespace that can't be: it is left out");
            continue;
        };
        let metadata = serde_json::from_str(&metadata).unwrap_or_else(|why| {
            tracing::error!(%namespace, %why, "labels and annotations of a namespace can't be read: set them again");
            NamespaceMetadata::of_functions()
        });
        found.insert(namespace, metadata);
    }
    Ok(found)
}

/// Writes a namespace, whether or not it is there.
pub(super) fn write(db: &Connection, namespace: &Namespace, metadata: &NamespaceMetadata) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO namespaces (name, metadata) VALUES (?1, ?2)";
    db.prepare_cached(sql)?.execute([namespace.as_str(), &json(metadata)?])?;
    Ok(())
}

fn functions(db: &Connection, namespace: &Namespace) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare_cached("SELECT name FROM functions WHERE namespace = ?1 ORDER BY name")?;
    statement.query_map([namespace.as_str()], |row| row.get(0))?.collect()
}

fn json(metadata: &NamespaceMetadata) -> Result<String, StoreError> {
    serde_json::to_string(metadata).map_err(|why| StoreError::Failed(format!("labels can't be kept: {why}")))
}
