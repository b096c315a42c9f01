//! The tables, as a list of steps: step n brings a file of version n to version n + 1.
//!
//! A call's row is small, for an UPDATE writes all of a row anew: what was sent and what was answered have tables of their own.
//! Indexes with a condition are taken only by statements in which SQLite can prove it: a state is written out in those, never
//! bound, and those that want `calls_ended` say `state > 0` beside `state = 1`. `tests.rs` holds the plans.

use rusqlite::{Connection, Transaction};

use super::StoreError;
use crate::store::migration::{self, Step};

const STEPS: &[Step] = &[make];

fn make(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch(
        "CREATE TABLE lanes (
            lane INTEGER PRIMARY KEY,
            kind INTEGER NOT NULL,
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            waiting INTEGER NOT NULL DEFAULT 0,
            retrying INTEGER NOT NULL DEFAULT 0,
            callbacks INTEGER NOT NULL DEFAULT 0,
            ended INTEGER NOT NULL DEFAULT 0,
            dead INTEGER NOT NULL DEFAULT 0,
            dead_bytes INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0,
            UNIQUE (kind, namespace, name)
        ) STRICT;
        CREATE TABLE calls (
            seq INTEGER PRIMARY KEY,
            id BLOB NOT NULL,
            caller_id TEXT,
            function INTEGER NOT NULL,
            lane INTEGER NOT NULL,
            state INTEGER NOT NULL,
            phase INTEGER NOT NULL DEFAULT 0,
            due INTEGER NOT NULL,
            accepted INTEGER NOT NULL,
            tries INTEGER NOT NULL DEFAULT 0,
            called INTEGER NOT NULL DEFAULT 0,
            deadline INTEGER,
            status INTEGER,
            reason TEXT,
            verdict INTEGER,
            attempts BLOB,
            bytes INTEGER NOT NULL,
            guarded INTEGER NOT NULL,
            callback TEXT,
            callback_checked INTEGER NOT NULL DEFAULT 0,
            method TEXT NOT NULL,
            path TEXT NOT NULL,
            schedule TEXT
        ) STRICT;
        CREATE UNIQUE INDEX calls_id ON calls (id);
        CREATE INDEX calls_caller ON calls (caller_id) WHERE caller_id IS NOT NULL;
        CREATE INDEX calls_due ON calls (lane, due, seq) WHERE state = 0;
        CREATE INDEX calls_ended ON calls (state, due, seq) WHERE state > 0;
        CREATE INDEX calls_dead ON calls (function, due, seq) WHERE state = 2;
        CREATE INDEX calls_deadline ON calls (deadline) WHERE state = 0 AND deadline IS NOT NULL;
        CREATE TABLE requests (seq INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL, sum BLOB NOT NULL) STRICT;
        CREATE TABLE answers (
            seq INTEGER PRIMARY KEY,
            status INTEGER NOT NULL,
            head BLOB NOT NULL,
            body BLOB NOT NULL,
            total INTEGER NOT NULL,
            sum BLOB NOT NULL
        ) STRICT;
        CREATE TABLE fired (
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            schedule TEXT NOT NULL,
            anchor INTEGER NOT NULL,
            last_due INTEGER,
            call BLOB,
            fired_at INTEGER,
            missed INTEGER NOT NULL DEFAULT 0,
            skipped INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (namespace, name, schedule)
        ) STRICT;
        CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;",
    )?)
}

/// The version that this program reads and writes.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

/// The version of a file; 0 for one that has just been made.
///
/// # Errors
/// [`StoreError::Newer`]: this program does not know what is in it.
pub(super) fn version(db: &Connection) -> Result<i64, StoreError> {
    migration::version(db, KNOWN)
}

/// Brings the file to the newest version, in one transaction.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    migration::migrate(db, STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_is_migrating_once() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(version(&db).unwrap(), KNOWN);
    }

    #[test]
    fn the_file_of_a_newer_program_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", 999).unwrap();
        assert!(matches!(migrate(&mut db), Err(StoreError::Newer { found: 999, .. })));
    }
}
