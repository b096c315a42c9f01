//! How a file of SQLite comes to the newest version of its tables: step n brings one of version n to version n + 1.

use rusqlite::{Connection, Transaction};

use super::StoreError;

/// One step.
pub(super) type Step = fn(&Transaction<'_>) -> Result<(), StoreError>;

/// The version of a file; 0 for one that has just been made.
///
/// # Errors
/// [`StoreError::Newer`]: this program does not know what is in it.
pub(super) fn version(db: &Connection, known: i64) -> Result<i64, StoreError> {
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok(found)
}

/// Brings a file to the version after the last of these steps, in one transaction.
pub(super) fn migrate(db: &mut Connection, steps: &[Step]) -> Result<(), StoreError> {
    let known = steps.len() as i64;
    let found = version(db, known)?;
    if found == known {
        return Ok(());
    }
    let transaction = db.transaction()?;
    for step in steps.iter().skip(usize::try_from(found).unwrap_or(0)) {
        step(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}
