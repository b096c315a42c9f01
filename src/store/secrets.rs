//! Secrets on disk: `<dir>/<namespace>/<name>`, mode 0600 under directories of mode 0700, replaced by rename.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::durable;
use crate::function::{Namespace, SecretName};

/// Why a secret could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such secret.
    #[error("unable to find secret: {0}")]
    Missing(SecretName),
    /// There is such a secret already.
    #[error("secret {0} already exists: update it, or delete it first")]
    Exists(SecretName),
    /// The secrets of a namespace can't be listed.
    #[error("the secrets can't be read: {0}")]
    List(io::Error),
    /// The disk did not do it.
    #[error("secret {name}: {source}")]
    Io {
        /// Which secret.
        name: SecretName,
        /// What the system said.
        source: io::Error,
    },
}

impl SecretError {
    /// Whether there was no room for it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, Self::Io { source, .. } if full(source))
    }
}

/// The directory of secrets. Its calls block: they are for blocking threads. Changes through clones follow each other.
#[derive(Debug, Clone)]
pub struct Secrets {
    dir: PathBuf,
    changing: Arc<Mutex<()>>,
    changes: broadcast::Sender<NewValue>,
}

/// A secret that was made, or has got another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewValue {
    /// Where it is.
    pub namespace: Namespace,
    /// What it is called.
    pub name: SecretName,
}

/// How many changes a listener may be behind before it has to look at everything again.
const BEHIND: usize = 64;

impl Secrets {
    /// Secrets under `dir`, which is made when the first one is written.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, changing: Arc::default(), changes: broadcast::Sender::new(BEHIND) }
    }

    /// The values of the secrets that `names` lists.
    ///
    /// # Errors
    /// [`SecretError`] for the first that can't be read.
    pub fn read(
        &self,
        namespace: &Namespace,
        names: &[SecretName],
    ) -> Result<BTreeMap<SecretName, Vec<u8>>, SecretError> {
        let read = |name: &SecretName| {
            let value = fs::read(self.path(namespace, name)).map_err(|source| failed(name, source))?;
            Ok((name.clone(), value))
        };
        names.iter().map(read).collect()
    }

    /// Whether there is such a secret.
    #[must_use]
    pub fn contains(&self, namespace: &Namespace, name: &SecretName) -> bool {
        self.path(namespace, name).exists()
    }

    /// The values of those secrets in `names` that are there.
    ///
    /// # Errors
    /// [`SecretError::Io`] for the first that can't be read.
    pub fn read_present(
        &self,
        namespace: &Namespace,
        names: &BTreeSet<SecretName>,
    ) -> Result<BTreeMap<SecretName, Vec<u8>>, SecretError> {
        let mut found = BTreeMap::new();
        for name in names {
            match self.read(namespace, std::slice::from_ref(name)) {
                Err(SecretError::Missing(_)) => {}
                read => found.extend(read?),
            }
        }
        Ok(found)
    }

    /// What gets a new value from now on, through any clone. It can be read by the time that it is told.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<NewValue> {
        self.changes.subscribe()
    }

    /// Writes a secret, replacing the one of that name. Durable when it returns.
    ///
    /// # Errors
    /// [`SecretError::Io`]; the secret is then as it was.
    pub fn write(&self, namespace: &Namespace, name: &SecretName, value: &[u8]) -> Result<(), SecretError> {
        let _changing = self.changing();
        self.replace(namespace, name, value)
    }

    /// Writes a secret that is not there yet. Durable when it returns.
    ///
    /// # Errors
    /// [`SecretError::Exists`], or as for [`Secrets::write`].
    pub fn create(&self, namespace: &Namespace, name: &SecretName, value: &[u8]) -> Result<(), SecretError> {
        let _changing = self.changing();
        if self.contains(namespace, name) {
            return Err(SecretError::Exists(name.clone()));
        }
        self.replace(namespace, name, value)
    }

    /// Writes a secret that is there already. Durable when it returns.
    ///
    /// # Errors
    /// [`SecretError::Missing`], or as for [`Secrets::write`].
    pub fn update(&self, namespace: &Namespace, name: &SecretName, value: &[u8]) -> Result<(), SecretError> {
        let _changing = self.changing();
        if !self.contains(namespace, name) {
            return Err(SecretError::Missing(name.clone()));
        }
        self.replace(namespace, name, value)
    }

    fn replace(&self, namespace: &Namespace, name: &SecretName, value: &[u8]) -> Result<(), SecretError> {
        // A secret's name can't begin with a dot, so a draft is never mistaken for one.
        let write = || {
            durable::make_dir(&self.dir.join(namespace.as_str()), 0o700)?;
            durable::write(&self.path(namespace, name), value, 0o600)
        };
        write().map_err(|source| failed(name, source))?;
        // There may be no listener.
        let _ = self.changes.send(NewValue { namespace: namespace.clone(), name: name.clone() });
        Ok(())
    }

    /// Removes a secret for good.
    ///
    /// # Errors
    /// [`SecretError::Missing`] when there is none.
    pub fn remove(&self, namespace: &Namespace, name: &SecretName) -> Result<(), SecretError> {
        let _changing = self.changing();
        let path = self.path(namespace, name);
        let remove = || {
            fs::remove_file(&path)?;
            durable::sync_dir(durable::parent(&path))
        };
        remove().map_err(|source| failed(name, source))
    }

    /// Removes all secrets of a namespace for good; none there is fine.
    ///
    /// # Errors
    /// What the system said of the directory.
    pub fn remove_all(&self, namespace: &Namespace) -> io::Result<()> {
        let _changing = self.changing();
        match fs::remove_dir_all(self.dir.join(namespace.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| durable::sync_dir(&self.dir)),
        }
    }

    /// The names of a namespace's secrets, sorted.
    ///
    /// # Errors
    /// [`SecretError::List`].
    pub fn list(&self, namespace: &Namespace) -> Result<Vec<SecretName>, SecretError> {
        names(&self.dir.join(namespace.as_str())).map_err(SecretError::List)
    }

    /// The namespaces that have a directory for secrets, sorted.
    ///
    /// # Errors
    /// What the system said of the directory.
    pub fn namespaces(&self) -> io::Result<Vec<Namespace>> {
        names(&self.dir)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, namespace: &Namespace, name: &SecretName) -> PathBuf {
        self.dir.join(namespace.as_str()).join(name.as_str())
    }
}

/// The entries of a directory whose names are names, sorted; none if it is missing.
fn names<T: FromStr + Ord>(dir: &Path) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    names.sort();
    Ok(names)
}

fn failed(name: &SecretName, source: io::Error) -> SecretError {
    if source.kind() == io::ErrorKind::NotFound {
        return SecretError::Missing(name.clone());
    }
    SecretError::Io { name: name.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_written_listed_read_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(dir.path().join("secrets"));
        let (ns, name): (Namespace, SecretName) = (Namespace::default(), "db".parse().unwrap());
        assert!(secrets.list(&ns).unwrap().is_empty());
        secrets.write(&ns, &name, b"one").unwrap();
        secrets.write(&ns, &name, b"two\n").unwrap();
        assert_eq!(secrets.list(&ns).unwrap(), std::slice::from_ref(&name));
        assert_eq!(secrets.read(&ns, std::slice::from_ref(&name)).unwrap()[&name], b"two\n");
        secrets.remove(&ns, &name).unwrap();
        assert!(matches!(secrets.remove(&ns, &name), Err(SecretError::Missing(_))));
        assert!(matches!(secrets.read(&ns, &[name]), Err(SecretError::Missing(_))));
    }

    #[test]
    fn a_secret_is_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(dir.path().join("secrets"));
        secrets.write(&Namespace::default(), &"db".parse().unwrap(), b"x").unwrap();
        let file = dir.path().join("secrets/openfaas-fn/db");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
