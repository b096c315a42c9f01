//! Secrets that functions name: neither changes under the other.
//!
//! ```text
//! a deploy's commit      the store's lock -> is every secret there that it names anew?     -> the record is written
//! a secret's deletion    the store's lock -> does a record name it, or its last good spec? -> the file is removed
//! ```
//! So of a deploy and a deletion that meet exactly one is refused.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::namespace_table::check_function;
use super::record::{self, Record};
use super::{Secrets, Store, StoreError};
use crate::function::{Desired, FunctionId, FunctionName, Namespace, SecretName};

impl Store {
    /// As [`Store::put`]. What the function named before may be missing by now: it was deleted by force, and the function
    /// is kept all the same. A new generation of it names only what is there.
    ///
    /// # Errors
    /// [`StoreError::NoSecret`] for a secret that it names anew and that is not there; as for [`Store::put`].
    pub async fn put_with_secrets(
        &self,
        id: &FunctionId,
        desired: &Desired,
        secrets: &Secrets,
    ) -> Result<(), StoreError> {
        let (id, record, secrets) = (id.clone(), Record::encode(id, desired)?, secrets.clone());
        let (named, generation) = (named(desired), desired.generation);
        let asked_for: BTreeSet<SecretName> = desired.spec.secrets.iter().cloned().collect();
        self.change(move |db| {
            check_function(db, &id)?;
            let missing: Vec<_> = named.into_iter().filter(|name| !secrets.contains(&id.namespace, name)).collect();
            if !missing.is_empty() {
                let before = before(db, &id)?;
                let is_new = before.as_ref().is_none_or(|before| before.generation != generation);
                let before = before.map(|before| self::named(&before)).unwrap_or_default();
                let anew = |name: &SecretName| !before.contains(name) || (is_new && asked_for.contains(name));
                if let Some(missing) = missing.into_iter().find(anew) {
                    return Err(StoreError::NoSecret(missing));
                }
            }
            Ok(record.write(db)?)
        })
        .await
    }
}

/// The functions whose record names a secret, in what is desired or in the spec that they fall back to; sorted.
pub(super) fn users(
    db: &Connection,
    namespace: &Namespace,
    secret: &SecretName,
) -> Result<Vec<FunctionName>, StoreError> {
    // Specs are JSON, in which a secret's name stands as it is: few records are left to be read whole.
    let quoted = format!("\"{secret}\"");
    let sql = "SELECT * FROM functions
        WHERE namespace = ?1 AND (instr(spec, ?2) > 0 OR instr(coalesce(good_spec, ''), ?2) > 0) ORDER BY name";
    let mut statement = db.prepare_cached(sql)?;
    let records = statement.query_map(params![namespace.as_str(), quoted], Record::read)?;
    let mut users = Vec::new();
    for record in records {
        let (id, desired) = record?.decode()?;
        if named(&desired).contains(secret) {
            users.push(id.name);
        }
    }
    Ok(users)
}

fn before(db: &Connection, id: &FunctionId) -> Result<Option<Desired>, StoreError> {
    let mut statement = db.prepare_cached(record::SELECT_ONE)?;
    let row = statement.query_row(params![id.namespace.as_str(), id.name.as_str()], Record::read).optional()?;
    row.map(|record| record.decode().map(|(_, desired)| desired)).transpose()
}

/// The secrets that a function needs as long as this is its record.
fn named(desired: &Desired) -> BTreeSet<SecretName> {
    desired.startable_specs().flat_map(|spec| &spec.secrets).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::function::{Generation, GoodGeneration, Spec, SpecDraft};
    use crate::store::{Namespaces, SecretRefused};

    fn spec(secrets: &[&str]) -> Arc<Spec> {
        let secrets = secrets.iter().map(|name| name.parse().unwrap()).collect();
        Arc::new(SpecDraft { image: "i".into(), secrets, ..SpecDraft::default() }.try_into().unwrap())
    }

    fn desired(secrets: &[&str], good: Option<&[&str]>) -> Desired {
        Desired {
            generation: Generation(2),
            replicas: 1,
            kept_down: false,
            idle: false,
            adjusted: None,
            spec: spec(secrets),
            accepted_at: String::new(),
            history: good.into_iter().map(|secrets| good_generation(1, secrets)).collect(),
            has_served: false,
            failed: None,
            created_at: String::new(),
            refused: None,
        }
    }

    fn good_generation(number: u64, secrets: &[&str]) -> GoodGeneration {
        GoodGeneration { generation: Generation(number), spec: spec(secrets), accepted_at: String::new() }
    }

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    struct Home {
        store: Store,
        secrets: Secrets,
        namespaces: Namespaces,
        _dir: tempfile::TempDir,
    }

    async fn home(secrets: &[&str]) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let (store, kept) = (Store::in_memory().unwrap(), Secrets::new(dir.path().to_owned()));
        let home = Home { namespaces: Namespaces::new(store.clone(), kept.clone()), store, secrets: kept, _dir: dir };
        for secret in secrets {
            home.namespaces.create_secret(&Namespace::default(), name(secret), b"1".to_vec()).await.unwrap();
        }
        home
    }

    impl Home {
        async fn put(&self, function: &str, desired: &Desired) -> Result<(), StoreError> {
            self.store.put_with_secrets(&function.parse().unwrap(), desired, &self.secrets).await
        }

        async fn delete(&self, secret: &str, force: bool) -> Result<(), SecretRefused> {
            self.namespaces.remove_secret(&Namespace::default(), name(secret), force).await
        }
    }

    #[tokio::test]
    async fn a_secret_is_used_by_what_is_desired_and_by_what_is_fallen_back_to_and_by_nothing_else() {
        let home = home(&["a", "a.b", "b", "good", "free", "text"]).await;
        let mut talks = desired(&["b"], None);
        let draft = SpecDraft { env_vars: [("text".to_owned(), "text".to_owned())].into(), ..(**talks.spec).clone() };
        talks.spec = Arc::new(draft.try_into().unwrap());
        home.put("one", &desired(&["a", "b"], Some(&["good"]))).await.unwrap();
        home.put("two", &desired(&["a.b"], Some(&["a"]))).await.unwrap();
        home.put("three", &talks).await.unwrap();
        let served = Desired { has_served: true, ..desired(&["free"], Some(&["good", "text"])) };
        home.put("served", &served).await.unwrap();
        home.put("served", &Desired { spec: spec(&[]), ..served }).await.unwrap();
        let older = [good_generation(2, &["a.b"]), good_generation(1, &["text"])];
        home.put("rolled", &Desired { history: older.into_iter().collect(), ..desired(&["b"], None) }).await.unwrap();
        for (secret, users) in [
            ("a", "one, two"),
            ("a.b", "rolled, two"),
            ("b", "one, rolled, three"),
            ("good", "one"),
            ("free", ""),
            ("text", ""),
        ] {
            let refused = match home.delete(secret, false).await {
                Err(SecretRefused::InUse { functions, .. }) => functions.join(", "),
                other => other.map(|()| String::new()).unwrap(),
            };
            assert_eq!(refused, users, "{secret}");
        }
        for function in ["two", "rolled"] {
            home.store.delete(&function.parse().unwrap()).await.unwrap();
        }
        home.delete("a.b", false).await.unwrap();
        home.delete("a", true).await.unwrap();
        let gone = home.delete("a", false).await;
        assert!(matches!(gone, Err(SecretRefused::Secret(super::super::SecretError::Missing(_)))), "{gone:?}");
    }

    #[tokio::test]
    async fn a_record_may_go_on_naming_what_was_deleted_by_force_and_may_not_begin_to() {
        let home = home(&["s", "t"]).await;
        home.put("f", &desired(&["s"], None)).await.unwrap();
        home.delete("s", true).await.unwrap();
        home.delete("t", false).await.unwrap();
        for (what, record, missing) in [
            ("the same", desired(&["s"], None), None),
            ("fallen back to", desired(&[], Some(&["s"])), None),
            ("named by the spec that was fallen back to", desired(&["s"], Some(&["s"])), None),
            ("another one beside it", desired(&["s", "t"], None), Some("t")),
            ("another generation", Desired { generation: Generation(3), ..desired(&["s"], None) }, Some("s")),
            ("fallen back to by another", Desired { generation: Generation(3), ..desired(&[], Some(&["s"])) }, None),
            ("given up", desired(&[], None), None),
            ("named anew", desired(&["s"], None), Some("s")),
        ] {
            let put = home.put("f", &record).await;
            assert_eq!(put, missing.map_or(Ok(()), |missing| Err(StoreError::NoSecret(name(missing)))), "{what}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_a_deploy_and_a_deletion_that_meet_exactly_one_is_refused() {
        let home = Arc::new(home(&[]).await);
        for round in 0..200 {
            let secret = format!("s{round}");
            home.namespaces.create_secret(&Namespace::default(), name(&secret), Vec::new()).await.unwrap();
            let (deploys, deletes) = (home.clone(), home.clone());
            let (function, named) = (format!("f{round}"), desired(&[&secret], None));
            let deploy = tokio::spawn(async move { deploys.put(&function, &named).await });
            let delete = tokio::spawn(async move { deletes.delete(&secret, false).await });
            let (deployed, deleted) = (deploy.await.unwrap(), delete.await.unwrap());
            match (&deployed, &deleted) {
                (Ok(()), Err(SecretRefused::InUse { .. })) | (Err(StoreError::NoSecret(_)), Ok(())) => {}
                both => panic!("round {round}: {both:?}"),
            }
        }
    }
}
