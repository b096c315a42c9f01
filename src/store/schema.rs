//! The tables, as a list of steps: step n brings a store of version n to version n + 1.

use rusqlite::{Connection, Transaction};

use super::StoreError;
use super::migration::{self, Step};
use super::record;

const STEPS: &[Step] = &[
    make_functions,
    add_checksums,
    make_uses,
    make_namespaces,
    make_invocations,
    add_kept_down,
    add_refusals,
    add_load,
    add_history,
];

fn make_functions(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch(
        "CREATE TABLE functions (
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            generation INTEGER NOT NULL,
            replicas INTEGER NOT NULL,
            spec TEXT NOT NULL,
            proven INTEGER NOT NULL,
            failed TEXT,
            good_generation INTEGER,
            good_spec TEXT,
            created_at TEXT NOT NULL,
            PRIMARY KEY (namespace, name)
        ) STRICT",
    )?)
}

/// SQLite does not notice a bit that flips inside a value.
fn add_checksums(db: &Transaction<'_>) -> Result<(), StoreError> {
    db.execute_batch("ALTER TABLE functions ADD COLUMN checksum TEXT NOT NULL DEFAULT ''")?;
    record::seal_all(db)
}

fn make_uses(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch(
        "CREATE TABLE uses (
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            used_at INTEGER NOT NULL,
            PRIMARY KEY (namespace, name)
        ) STRICT",
    )?)
}

/// Namespaces that functions live in already get their rows when the store is opened.
fn make_namespaces(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch("CREATE TABLE namespaces (name TEXT NOT NULL PRIMARY KEY, metadata TEXT NOT NULL) STRICT")?)
}

fn make_invocations(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch(
        "CREATE TABLE invocations (
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (namespace, name)
        ) STRICT",
    )?)
}

fn add_kept_down(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch("ALTER TABLE functions ADD COLUMN kept_down INTEGER NOT NULL DEFAULT 0")?)
}

/// The last update of a function that was refused, as JSON.
fn add_refusals(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch("ALTER TABLE functions ADD COLUMN refused TEXT")?)
}

/// Whether a function is idle, and the number that its load asks for, as JSON.
fn add_load(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch(
        "ALTER TABLE functions ADD COLUMN idle INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE functions ADD COLUMN adjusted TEXT",
    )?)
}

/// When generations were accepted, and those that served before the good one, as JSON.
fn add_history(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch(
        "ALTER TABLE functions ADD COLUMN accepted_at TEXT;
         ALTER TABLE functions ADD COLUMN good_accepted_at TEXT;
         ALTER TABLE functions ADD COLUMN earlier TEXT;",
    )?)
}

/// The steps of this program, and one more where it stands for the next version of itself.
fn steps() -> Vec<Step> {
    #[cfg(feature = "testing")]
    if super::next_version::is_next_version() {
        return [STEPS, &[super::next_version::make_next]].concat();
    }
    STEPS.to_vec()
}

/// The version that this program reads and writes.
pub(super) fn known() -> i64 {
    steps().len() as i64
}

/// The oldest version whose records can be read as they are: since then what was added may be missing.
pub(super) const READABLE: i64 = 2;

/// The version of a store; 0 for one that has just been made.
///
/// # Errors
/// [`StoreError::Newer`]: this program does not know what is in it.
pub(super) fn version(db: &Connection) -> Result<i64, StoreError> {
    migration::version(db, known())
}

/// Brings the store to the newest version, in one transaction.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    migration::migrate(db, &steps())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A store as the first program wrote it, with one function.
    pub(in crate::store) fn make_version_1(path: &std::path::Path) {
        let mut db = Connection::open(path).unwrap();
        let transaction = db.transaction().unwrap();
        make_functions(&transaction).unwrap();
        let row = r#"INSERT INTO functions VALUES
            ('openfaas-fn', 'f', 3, 2, '{"image": "i"}', 1, NULL, NULL, NULL, '2026-01-02T03:04:05Z')"#;
        transaction.execute_batch(row).unwrap();
        transaction.pragma_update(None, "user_version", 1).unwrap();
        transaction.commit().unwrap();
    }

    #[test]
    fn migrating_twice_is_migrating_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
    }

    #[test]
    fn a_store_of_version_1_becomes_one_of_this_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        make_version_1(&path);
        let mut db = Connection::open(&path).unwrap();
        migrate(&mut db).unwrap();
        let all = record::all(&db).unwrap();
        assert_eq!((all.len(), all[0].1.generation.0, all[0].1.replicas), (1, 3, 2));
        assert_eq!(version(&db).unwrap(), known());
    }

    #[test]
    fn the_store_of_a_newer_program_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 999).unwrap();
        let refused = migrate(&mut connection).unwrap_err();
        assert!(matches!(refused, StoreError::Newer { found: 999, .. }));
    }
}
