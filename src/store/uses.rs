//! When each function was last called, roughly: after a reboot those that are missed first are started first.
//!
//! Written seldom and for many functions at once, never while a request waits, and without a new verified copy: losing
//! it costs nothing but the order.

use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::function::FunctionId;

impl Store {
    /// Notes that these functions were called not long before `at`, in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is noted then.
    pub async fn note_uses(&self, used: Vec<FunctionId>, at: i64) -> Result<(), StoreError> {
        self.run(move |db| note(db, &used, at)).await
    }

    /// The functions whose calls were noted, the most recently called first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_recency(&self) -> Result<Vec<FunctionId>, StoreError> {
        self.run(by_recency).await
    }
}

fn note(db: &Connection, used: &[FunctionId], at: i64) -> Result<(), StoreError> {
    let transaction = db.unchecked_transaction()?;
    for id in used {
        let sql = "INSERT OR REPLACE INTO uses (namespace, name, used_at) VALUES (?1, ?2, ?3)";
        let row = params![id.namespace.as_str(), id.name.as_str(), at];
        transaction.prepare_cached(sql)?.execute(row)?;
    }
    // What was deleted meanwhile leaves nothing here.
    transaction
        .execute("DELETE FROM uses WHERE (namespace, name) NOT IN (SELECT namespace, name FROM functions)", [])?;
    Ok(transaction.commit()?)
}

fn by_recency(db: &Connection) -> Result<Vec<FunctionId>, StoreError> {
    let mut statement = db.prepare("SELECT name, namespace FROM uses ORDER BY used_at DESC, namespace, name")?;
    let names = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<_>, _>>()?;
    // A name that can't be read is of no function that can be started.
    let parse =
        |(name, namespace): (String, String)| Some(FunctionId::new(name.parse().ok()?, namespace.parse().ok()?));
    Ok(names.into_iter().filter_map(parse).collect())
}
