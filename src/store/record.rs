//! One function's desired state as a row of the table.

use std::fmt::Display;
use std::sync::Arc;

use rusqlite::{Connection, Row, named_params};

use super::StoreError;
use crate::function::{Desired, FunctionId, Generation, Spec};

pub(super) const SELECT_ALL: &str = "SELECT * FROM functions ORDER BY namespace, name";
pub(super) const SELECT_ONE: &str = "SELECT * FROM functions WHERE namespace = ?1 AND name = ?2";

const WRITE: &str = "INSERT OR REPLACE INTO functions
    (namespace, name, generation, replicas, spec, proven, failed, good_generation, good_spec, created_at) VALUES
    (:namespace, :name, :generation, :replicas, :spec, :proven, :failed, :good_generation, :good_spec, :created_at)";

/// A row as it lies in the table.
pub(super) struct Record {
    namespace: String,
    name: String,
    generation: i64,
    replicas: u32,
    spec: String,
    proven: bool,
    failed: Option<String>,
    good_generation: Option<i64>,
    good_spec: Option<String>,
    created_at: String,
}

impl Record {
    pub(super) fn encode(id: &FunctionId, desired: &Desired) -> Result<Self, StoreError> {
        let unwritable =
            |what: &str, why: &dyn Display| StoreError::Failed(format!("{what} of {id} can't be kept: {why}"));
        let spec = |spec: &Spec| serde_json::to_string(spec).map_err(|why| unwritable("the spec", &why));
        // SQLite's integers are signed.
        let number =
            |generation: Generation| i64::try_from(generation.0).map_err(|why| unwritable("the generation", &why));
        let good = desired.good.as_ref();
        Ok(Self {
            namespace: id.namespace.as_str().to_owned(),
            name: id.name.as_str().to_owned(),
            generation: number(desired.generation)?,
            replicas: desired.replicas,
            spec: spec(&desired.spec)?,
            proven: desired.proven,
            failed: desired.failed.clone(),
            good_generation: good.map(|(generation, _)| number(*generation)).transpose()?,
            good_spec: good.map(|(_, good)| spec(good)).transpose()?,
            created_at: desired.created_at.clone(),
        })
    }

    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached(WRITE)?.execute(named_params! {
            ":namespace": self.namespace,
            ":name": self.name,
            ":generation": self.generation,
            ":replicas": self.replicas,
            ":spec": self.spec,
            ":proven": self.proven,
            ":failed": self.failed,
            ":good_generation": self.good_generation,
            ":good_spec": self.good_spec,
            ":created_at": self.created_at,
        })?;
        Ok(())
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            namespace: row.get("namespace")?,
            name: row.get("name")?,
            generation: row.get("generation")?,
            replicas: row.get("replicas")?,
            spec: row.get("spec")?,
            proven: row.get("proven")?,
            failed: row.get("failed")?,
            good_generation: row.get("good_generation")?,
            good_spec: row.get("good_spec")?,
            created_at: row.get("created_at")?,
        })
    }

    pub(super) fn decode(self) -> Result<(FunctionId, Desired), StoreError> {
        let damaged = |why: &dyn Display| {
            StoreError::Damaged(format!("the record of {}.{} can't be read: {why}", self.name, self.namespace))
        };
        let generation = |value: i64| u64::try_from(value).map(Generation).map_err(|why| damaged(&why));
        let spec = |text: &str| serde_json::from_str::<Spec>(text).map(Arc::new).map_err(|why| damaged(&why));
        let namespace = self.namespace.parse().map_err(|why| damaged(&why))?;
        let name = self.name.parse().map_err(|why| damaged(&why))?;
        let good = match (self.good_generation, &self.good_spec) {
            (Some(number), Some(text)) => Some((generation(number)?, spec(text)?)),
            _ => None,
        };
        let desired = Desired {
            generation: generation(self.generation)?,
            spec: spec(&self.spec)?,
            replicas: self.replicas,
            good,
            proven: self.proven,
            failed: self.failed.clone(),
            created_at: self.created_at.clone(),
        };
        Ok((FunctionId::new(name, namespace), desired))
    }
}
