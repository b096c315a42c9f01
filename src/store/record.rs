//! One function's desired state as a row of the table.

use std::fmt::Display;
use std::sync::Arc;

use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, named_params};
use sha2::{Digest, Sha256};

use super::StoreError;
use crate::function::{Adjusted, Desired, FunctionId, Generation, GoodGeneration, RefusedUpdate, Spec, SpecDraft};

#[cfg(feature = "testing")]
pub(crate) mod fuzzed;

pub(super) const SELECT_ALL: &str = "SELECT * FROM functions ORDER BY namespace, name";
pub(super) const SELECT_ROWS: &str = "SELECT rowid, * FROM functions";
pub(super) const SELECT_ONE: &str = "SELECT * FROM functions WHERE namespace = ?1 AND name = ?2";

const WRITE: &str = "INSERT OR REPLACE INTO functions
    (namespace, name, generation, replicas, kept_down, idle, adjusted, spec, proven, failed, good_generation, good_spec,
     created_at, refused, accepted_at, good_accepted_at, earlier, checksum) VALUES
    (:namespace, :name, :generation, :replicas, :kept_down, :idle, :adjusted, :spec, :proven, :failed,
     :good_generation, :good_spec, :created_at, :refused, :accepted_at, :good_accepted_at, :earlier, :checksum)";

/// Every function's record, by namespace and name.
pub(super) fn all(db: &Connection) -> Result<Vec<(FunctionId, Desired)>, StoreError> {
    let mut statement = db.prepare(SELECT_ALL)?;
    let records = statement.query_map([], Record::read)?.collect::<Result<Vec<_>, _>>()?;
    records.into_iter().map(Record::decode).collect()
}

/// A row as it lies in the table.
pub(super) struct Record {
    namespace: String,
    name: String,
    generation: i64,
    replicas: u32,
    kept_down: bool,
    idle: bool,
    /// JSON of the number that the load asks for.
    adjusted: Option<String>,
    spec: String,
    proven: bool,
    failed: Option<String>,
    good_generation: Option<i64>,
    good_spec: Option<String>,
    created_at: String,
    /// JSON of the last refusal.
    refused: Option<String>,
    accepted_at: Option<String>,
    good_accepted_at: Option<String>,
    /// JSON of the generations that served before the good one, newest first.
    earlier: Option<String>,
    checksum: String,
}

/// Gives every record that has none its checksum, as it is.
pub(super) fn seal_all(db: &Connection) -> Result<(), StoreError> {
    let mut statement = db.prepare(SELECT_ALL)?;
    let records = statement.query_map([], Record::read)?.collect::<Result<Vec<_>, _>>()?;
    // A store of that age has not all columns that a record has now.
    let mut seal = db.prepare("UPDATE functions SET checksum = ?3 WHERE namespace = ?1 AND name = ?2")?;
    for record in records.into_iter().filter(|record| record.checksum.is_empty()).map(Record::sealed) {
        seal.execute([record.namespace, record.name, record.checksum])?;
    }
    Ok(())
}

/// A column that a record may lack where it is read as an older actord left it.
fn later<T: FromSql>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    match row.get(column) {
        Err(rusqlite::Error::InvalidColumnName(_)) => Ok(None),
        value => value,
    }
}

impl Record {
    pub(super) fn encode(id: &FunctionId, desired: &Desired) -> Result<Self, StoreError> {
        let unwritable =
            |what: &str, why: &dyn Display| StoreError::Failed(format!("{what} of {id} can't be kept: {why}"));
        let spec = |spec: &Spec| serde_json::to_string(spec).map_err(|why| unwritable("the spec", &why));
        let refusal =
            |refused: &RefusedUpdate| serde_json::to_string(refused).map_err(|why| unwritable("the refusal", &why));
        let adjusted =
            |adjusted: &Adjusted| serde_json::to_string(adjusted).map_err(|why| unwritable("the number", &why));
        // SQLite's integers are signed.
        let number =
            |generation: Generation| i64::try_from(generation.0).map_err(|why| unwritable("the generation", &why));
        let good = desired.last_good();
        let earlier: Vec<&GoodGeneration> = desired.history.iter().skip(1).collect();
        let earlier = (!earlier.is_empty()).then(|| serde_json::to_string(&earlier)).transpose();
        let time = |at: &String| Some(at).filter(|at| !at.is_empty()).cloned();
        let record = Self {
            namespace: id.namespace.as_str().to_owned(),
            name: id.name.as_str().to_owned(),
            generation: number(desired.generation)?,
            replicas: desired.replicas,
            kept_down: desired.kept_down,
            idle: desired.idle,
            adjusted: desired.adjusted.as_ref().map(adjusted).transpose()?,
            spec: spec(&desired.spec)?,
            proven: desired.has_served,
            failed: desired.failed.clone(),
            good_generation: good.map(|good| number(good.generation)).transpose()?,
            good_spec: good.map(|good| spec(&good.spec)).transpose()?,
            created_at: desired.created_at.clone(),
            refused: desired.refused.as_deref().map(refusal).transpose()?,
            accepted_at: time(&desired.accepted_at),
            good_accepted_at: good.and_then(|good| time(&good.accepted_at)),
            earlier: earlier.map_err(|why| unwritable("the history", &why))?,
            checksum: String::new(),
        };
        Ok(record.sealed())
    }

    fn sealed(self) -> Self {
        Self { checksum: self.sum(), ..self }
    }

    /// SHA-256 of all values, in hex. What came later is added only where it is set, so that no record that is there needs another.
    fn sum(&self) -> String {
        let values = (
            (&self.namespace, &self.name, self.generation, self.replicas, &self.spec),
            (self.proven, &self.failed, self.good_generation, &self.good_spec, &self.created_at),
        );
        // JSON keeps the values apart, and is the same for ever. It can't fail on texts and numbers.
        let mut text = serde_json::to_string(&values).unwrap_or_default();
        if self.kept_down {
            text.push_str("kept down");
        }
        if self.idle {
            text.push_str("idle");
        }
        if let Some(adjusted) = &self.adjusted {
            text += adjusted;
        }
        if let Some(refused) = &self.refused {
            text += refused;
        }
        if self.accepted_at.is_some() || self.good_accepted_at.is_some() || self.earlier.is_some() {
            let history = (&self.accepted_at, &self.good_accepted_at, &self.earlier);
            text += &serde_json::to_string(&history).unwrap_or_default();
        }
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached(WRITE)?.execute(named_params! {
            ":namespace": self.namespace,
            ":name": self.name,
            ":generation": self.generation,
            ":replicas": self.replicas,
            ":kept_down": self.kept_down,
            ":idle": self.idle,
            ":adjusted": self.adjusted,
            ":spec": self.spec,
            ":proven": self.proven,
            ":failed": self.failed,
            ":good_generation": self.good_generation,
            ":good_spec": self.good_spec,
            ":created_at": self.created_at,
            ":refused": self.refused,
            ":accepted_at": self.accepted_at,
            ":good_accepted_at": self.good_accepted_at,
            ":earlier": self.earlier,
            ":checksum": self.checksum,
        })?;
        Ok(())
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            namespace: row.get("namespace")?,
            name: row.get("name")?,
            generation: row.get("generation")?,
            replicas: row.get("replicas")?,
            kept_down: later(row, "kept_down")?.unwrap_or(false),
            idle: later(row, "idle")?.unwrap_or(false),
            adjusted: later(row, "adjusted")?,
            spec: row.get("spec")?,
            proven: row.get("proven")?,
            failed: row.get("failed")?,
            good_generation: row.get("good_generation")?,
            good_spec: row.get("good_spec")?,
            created_at: row.get("created_at")?,
            refused: later(row, "refused")?,
            accepted_at: later(row, "accepted_at")?,
            good_accepted_at: later(row, "good_accepted_at")?,
            earlier: later(row, "earlier")?,
            checksum: row.get("checksum")?,
        })
    }

    pub(super) fn decode(self) -> Result<(FunctionId, Desired), StoreError> {
        let damaged = |why: &dyn Display| {
            StoreError::Damaged(format!("the record of {}.{} can't be read: {why}", self.name, self.namespace))
        };
        if self.checksum != self.sum() {
            return Err(damaged(&"its checksum is another one"));
        }
        let generation = |value: i64| u64::try_from(value).map(Generation).map_err(|why| damaged(&why));
        let spec = |text: &str| {
            let draft = serde_json::from_str::<SpecDraft>(text).map_err(|why| damaged(&why))?;
            Ok::<_, StoreError>(Arc::new(Spec::accepted_before(draft)))
        };
        let namespace = self.namespace.parse().map_err(|why| damaged(&why))?;
        let name = self.name.parse().map_err(|why| damaged(&why))?;
        let good = match (self.good_generation, &self.good_spec) {
            (Some(number), Some(text)) => Some(GoodGeneration {
                generation: generation(number)?,
                spec: spec(text)?,
                accepted_at: self.good_accepted_at.clone().unwrap_or_default(),
            }),
            _ => None,
        };
        let earlier: Vec<GoodGeneration> = match &self.earlier {
            Some(text) => serde_json::from_str(text).map_err(|why| damaged(&why))?,
            None => Vec::new(),
        };
        let refused = match &self.refused {
            Some(text) => Some(serde_json::from_str(text).map_err(|why| damaged(&why))?),
            None => None,
        };
        let adjusted = match &self.adjusted {
            Some(text) => Some(serde_json::from_str(text).map_err(|why| damaged(&why))?),
            None => None,
        };
        let desired = Desired {
            generation: generation(self.generation)?,
            spec: spec(&self.spec)?,
            replicas: self.replicas,
            kept_down: self.kept_down,
            idle: self.idle,
            adjusted,
            accepted_at: self.accepted_at.clone().unwrap_or_default(),
            history: good.into_iter().chain(earlier).collect(),
            has_served: self.proven,
            failed: self.failed.clone(),
            created_at: self.created_at.clone(),
            refused,
        };
        Ok((FunctionId::new(name, namespace), desired))
    }
}
