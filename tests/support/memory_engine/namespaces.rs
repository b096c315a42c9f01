//! Its namespaces, and the secrets in them.

use actord::engine::{NamespaceRefused, Namespaces, SecretRefused, Secrets};
use actord::function::{Namespace, NamespaceMetadata, SecretName};
use async_trait::async_trait;

use super::{Function, Kept, MemoryEngine};

impl Function {
    /// Whether it needs a secret: for what is desired of it, or for what it falls back to.
    fn names(&self, secret: &SecretName) -> bool {
        self.desired.startable_specs().flat_map(|spec| &spec.secrets).any(|named| named == secret)
    }
}

impl Kept {
    /// Sets or removes a secret that must be there already, or must not.
    fn change_secret(
        &mut self,
        namespace: &Namespace,
        name: SecretName,
        there: bool,
        value: Option<Vec<u8>>,
    ) -> Result<(), SecretRefused> {
        if !self.namespaces.contains_key(namespace) {
            return Err(SecretRefused::NoNamespace(namespace.clone()));
        }
        let key = (namespace.clone(), name);
        match self.secrets.contains_key(&key) {
            true if !there => return Err(SecretRefused::Exists(key.1)),
            false if there => return Err(SecretRefused::NotFound(key.1)),
            _ => {}
        }
        match value {
            Some(value) => self.secrets.insert(key, value),
            None => self.secrets.remove(&key),
        };
        Ok(())
    }
}

#[async_trait]
impl Secrets for MemoryEngine {
    async fn list(&self, namespace: &Namespace) -> Result<Vec<SecretName>, SecretRefused> {
        let kept = self.0.kept.lock().unwrap();
        if !kept.namespaces.contains_key(namespace) {
            return Err(SecretRefused::NoNamespace(namespace.clone()));
        }
        Ok(kept.secrets.keys().filter(|(within, _)| within == namespace).map(|(_, name)| name.clone()).collect())
    }

    async fn create(&self, namespace: &Namespace, name: SecretName, value: Vec<u8>) -> Result<(), SecretRefused> {
        self.0.kept.lock().unwrap().change_secret(namespace, name, false, Some(value))
    }

    async fn update(&self, namespace: &Namespace, name: SecretName, value: Vec<u8>) -> Result<(), SecretRefused> {
        self.0.kept.lock().unwrap().change_secret(namespace, name, true, Some(value))
    }

    async fn delete(&self, namespace: &Namespace, name: SecretName, force: bool) -> Result<(), SecretRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        let there = kept.secrets.contains_key(&(namespace.clone(), name.clone()));
        if there && !force {
            let of_namespace = kept.functions.iter().filter(|(id, _)| id.namespace == *namespace);
            let users = of_namespace.filter(|(_, function)| function.names(&name));
            let functions: Vec<_> = users.map(|(id, _)| id.name.to_string()).collect();
            if !functions.is_empty() {
                return Err(SecretRefused::InUse { name, functions });
            }
        }
        kept.change_secret(namespace, name, true, None)
    }
}

#[async_trait]
impl Namespaces for MemoryEngine {
    async fn list(&self) -> Result<Vec<Namespace>, NamespaceRefused> {
        let kept = self.0.kept.lock().unwrap();
        let others = kept.namespaces.keys().filter(|namespace| **namespace != Namespace::default()).cloned();
        Ok(std::iter::once(Namespace::default()).chain(others).collect())
    }

    async fn get(&self, namespace: &Namespace) -> Result<Option<NamespaceMetadata>, NamespaceRefused> {
        Ok(self.0.kept.lock().unwrap().namespaces.get(namespace).cloned())
    }

    async fn create(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        if kept.namespaces.contains_key(namespace) {
            return Err(NamespaceRefused::Exists(namespace.clone()));
        }
        kept.namespaces.insert(namespace.clone(), metadata);
        Ok(())
    }

    async fn update(&self, namespace: &Namespace, metadata: NamespaceMetadata) -> Result<(), NamespaceRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        let found = kept.namespaces.get_mut(namespace).ok_or_else(|| NamespaceRefused::NotFound(namespace.clone()))?;
        *found = metadata;
        Ok(())
    }

    async fn delete(&self, namespace: &Namespace) -> Result<(), NamespaceRefused> {
        let mut kept = self.0.kept.lock().unwrap();
        if *namespace == Namespace::default() {
            return Err(NamespaceRefused::Default(namespace.clone()));
        }
        let within = kept.functions.keys().filter(|id| id.namespace == *namespace);
        let mut functions: Vec<String> = within.map(|id| id.name.to_string()).collect();
        if !functions.is_empty() {
            functions.sort();
            return Err(NamespaceRefused::InUse { namespace: namespace.clone(), functions });
        }
        kept.namespaces.remove(namespace).ok_or_else(|| NamespaceRefused::NotFound(namespace.clone()))?;
        kept.secrets.retain(|(within, _), _| within != namespace);
        Ok(())
    }
}
