//! How often each function was called, through restarts.
//!
//! Written every few seconds and at the end, only what changed and all at once, never while a request waits: an end
//! without warning loses the last few seconds. A function that is deleted takes its count along.

use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::function::FunctionId;

impl Store {
    /// Keeps these counts, of functions that there still are.
    ///
    /// # Errors
    /// [`StoreError`]; all counts are then as they were.
    pub async fn keep_invocations(&self, counts: Vec<(FunctionId, u64)>) -> Result<(), StoreError> {
        self.run(move |db| keep(db, &counts)).await
    }

    /// The counts that were kept last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn invocations(&self) -> Result<Vec<(FunctionId, u64)>, StoreError> {
        self.run(all).await
    }
}

fn keep(db: &Connection, counts: &[(FunctionId, u64)]) -> Result<(), StoreError> {
    let transaction = db.unchecked_transaction()?;
    for (id, count) in counts {
        let sql = "INSERT OR REPLACE INTO invocations (namespace, name, count)
            SELECT namespace, name, ?3 FROM functions WHERE namespace = ?1 AND name = ?2";
        // SQLite's integers are signed.
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        transaction.prepare_cached(sql)?.execute(params![id.namespace.as_str(), id.name.as_str(), count])?;
    }
    Ok(transaction.commit()?)
}

/// Part of a function's deletion.
pub(super) fn forget(db: &Connection, id: &FunctionId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM invocations WHERE namespace = ?1 AND name = ?2";
    db.prepare_cached(sql)?.execute(params![id.namespace.as_str(), id.name.as_str()])?;
    Ok(())
}

fn all(db: &Connection) -> Result<Vec<(FunctionId, u64)>, StoreError> {
    let mut statement = db.prepare("SELECT name, namespace, count FROM invocations")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows = rows.collect::<Result<Vec<(String, String, i64)>, _>>()?;
    // A name that can't be read is of no function that there is.
    let parse = |(name, namespace, count): (String, String, i64)| {
        let id = FunctionId::new(name.parse().ok()?, namespace.parse().ok()?);
        Some((id, u64::try_from(count).ok()?))
    };
    Ok(rows.into_iter().filter_map(parse).collect())
}
